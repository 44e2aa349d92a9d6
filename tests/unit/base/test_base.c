/* base: errors, strings, buffers, files, time, cancelling. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/words.h"

static void test_error_reads_from_the_outside_in(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(err_set(&err, ERR_BUSY, "port %d: in use", 8081), -ERR_BUSY);
        assert_int_equal(err_prefix(&err, "cannot start %s", "hub"), -ERR_BUSY);
        assert_string_equal(err->message, "cannot start hub: port 8081: in use");
        err_at(&err, "form.yaml", 12, 9);
        err_at(&err, "other.yaml", 1, 1); /* the place that is known first stays */
        CLEANUP_FREE char *text = err_text(err);
        assert_string_equal(text, "form.yaml:12:9: cannot start hub: port 8081: in use");
}

static void test_what_to_do_comes_last(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        err_set(&err, ERR_DENIED, "no entry");
        assert_int_equal(err_suffix(&err, "ask %s", "root"), -ERR_DENIED);
        assert_string_equal(err->message, "no entry; ask root");
        struct err *none = NULL;
        assert_int_equal(err_suffix(&none, "ask"), -ERR_FAILED);
        assert_int_equal(err_suffix(NULL, "ask"), -ERR_FAILED);
        assert_null(none);
}

static void test_first_error_wins(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        err_set(&err, ERR_NOT_FOUND, "first");
        assert_int_equal(err_set(&err, ERR_IO, "second"), -ERR_NOT_FOUND);
        assert_string_equal(err->message, "first");
        assert_int_equal(err_set(NULL, ERR_IO, "nobody cares"), -ERR_IO);
}

static void test_errno_becomes_a_code(void **state)
{
        (void)state;
        const struct {
                int number;
                enum err_code code;
        } cases[] = {{ENOENT, ERR_NOT_FOUND}, {EACCES, ERR_DENIED}, {EROFS, ERR_DENIED}, {ENOSPC, ERR_NO_SPACE},
                {EADDRINUSE, ERR_BUSY}, {ECONNREFUSED, ERR_UNREACHABLE}, {ETIMEDOUT, ERR_TIMEOUT}, {EIO, ERR_IO}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(err_set_errno(&err, cases[i].number, "x"), -(int)cases[i].code);
        }
}

static void test_distance_and_nearest(void **state)
{
        (void)state;
        assert_int_equal(str_distance("notebook", "notebook"), 0);
        assert_int_equal(str_distance("notebok", "notebook"), 1);
        assert_int_equal(str_distance("ntoebook", "notebook"), 1); /* a swap is one edit */
        assert_int_equal(str_distance("", "abc"), 3);
        const char *const words[] = {"notebook", "domain", "dask", NULL};
        assert_string_equal(str_nearest("notebok", words), "notebook");
        assert_string_equal(str_nearest("damain", words), "domain");
        assert_null(str_nearest("kubernetes", words));
        assert_null(str_nearest("x", words));
}

static void test_utf8(void **state)
{
        (void)state;
        const struct {
                const char *text;
                size_t length;
                bool valid;
                size_t offset;
        } cases[] = {{"a\xc3\xa9", 3, true, 0}, {"\xf0\x9f\x8c\x8d", 4, true, 0}, {"ab\xff", 3, false, 2},
                {"\xc0\xaf", 2, false, 0},         /* overlong slash */
                {"x\xed\xa0\x80", 4, false, 1},    /* surrogate */
                {"\xf4\x90\x80\x80", 4, false, 0}, /* beyond U+10FFFF */
                {"ok\xe2\x82", 4, false, 2},       /* cut off */
                {"a\0b", 3, false, 1}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                size_t offset = 99;
                assert_int_equal(str_utf8(cases[i].text, cases[i].length, &offset), cases[i].valid);
                if (!cases[i].valid)
                        assert_int_equal(offset, cases[i].offset);
        }
}

/* What is said is printed as JSON, too, which takes nothing else. */
static void test_errors_are_utf8(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        err_set(&err, ERR_FAILED, "uv: %.2s and \xff\xfe, caf\xe9", "\xe2\x94\x82");
        assert_string_equal(err->message, "uv: ?? and ??, caf?");
        err_prefix(&err, "%.1s", "\xc3\xa9");
        err_suffix(&err, "%s", "\xc3\xa9\xc3");
        assert_string_equal(err->message, "?: uv: ?? and ??, caf?; \xc3\xa9?");
        err_at(&err, "\xff.yaml", 1, 1);
        assert_string_equal(err->file, "?.yaml");
}

static void test_buffer_never_grows_beyond_its_maximum(void **state)
{
        (void)state;
        CLEANUP_BUF struct buf buf = BUF_INIT(10);
        buf_str(&buf, "12345");
        assert_false(buf.truncated);
        buf_format(&buf, "%s", "67890abc");
        assert_true(buf.truncated);
        assert_string_equal(buf.data, "1234567890");
        buf_str(&buf, "more");
        assert_int_equal(buf.length, 10);
}

static void test_numbers(void **state)
{
        (void)state;
        long value = 7;
        assert_int_equal(str_to_long("123", &value), 0);
        assert_int_equal(value, 123);
        const char *const bad[] = {"", " 1", "1 ", "1x", "99999999999999999999", "x"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_int_equal(str_to_long(bad[i], &value), -1);
        assert_int_equal(value, 123);
}

static char *make_folder(void)
{
        char *folder = str_copy("/tmp/caas-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
        return folder;
}

static void test_atomic_write_keeps_the_old_file_on_failure(void **state)
{
        (void)state;
        CLEANUP_FREE char *folder = make_folder();
        CLEANUP_FREE char *path = file_join(folder, "x");
        assert_int_equal(file_write_atomic(path, "one", 3, 0640, (uid_t)-1, (gid_t)-1, NULL), 0);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        CLEANUP_FREE char *missing = file_join(folder, "no/such/folder/x");
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(file_write_atomic(missing, "two", 3, 0600, (uid_t)-1, (gid_t)-1, &err), -ERR_NOT_FOUND);
        /* A full device: the write fails, nothing is left behind. */
        assert_int_equal(file_write_atomic("/proc/x", "two", 3, 0600, (uid_t)-1, (gid_t)-1, NULL) < 0, 1);
        CLEANUP_FREE char *data = NULL;
        size_t length;
        assert_int_equal(file_read(path, 100, &data, &length, NULL), 0);
        assert_string_equal(data, "one");
        assert_int_equal(length, 3);
        assert_int_equal(file_remove_tree(folder, NULL), 0);
        assert_false(file_exists(folder));
}

static void test_reading_is_bounded(void **state)
{
        (void)state;
        CLEANUP_FREE char *folder = make_folder();
        CLEANUP_FREE char *path = file_join(folder, "x");
        assert_int_equal(file_write_atomic(path, "0123456789", 10, 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        CLEANUP_FREE char *data = NULL;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(file_read(path, 9, &data, NULL, &err), -ERR_INVALID);
        assert_null(data);
        assert_int_equal(file_read(path, 10, &data, NULL, NULL), 0);
        assert_int_equal(file_read(folder, 10, &data, NULL, NULL), -ERR_INVALID);
        file_remove_tree(folder, NULL);
}

static void test_removing_a_tree_follows_no_link(void **state)
{
        (void)state;
        CLEANUP_FREE char *folder = make_folder();
        CLEANUP_FREE char *outside = make_folder();
        CLEANUP_FREE char *kept = file_join(outside, "kept");
        CLEANUP_FREE char *deep = file_join(folder, "a/b/c");
        CLEANUP_FREE char *link = file_join(folder, "a/link");
        assert_int_equal(file_write_atomic(kept, "k", 1, 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        assert_int_equal(file_make_dirs(deep, 0755, NULL), 0);
        assert_int_equal(symlink(outside, link), 0);
        assert_int_equal(file_remove_tree(folder, NULL), 0);
        assert_true(file_exists(kept));
        assert_int_equal(file_remove_tree(folder, NULL), 0); /* not there is fine */
        assert_int_equal(file_remove_tree("/", NULL), -ERR_INVALID);
        assert_int_equal(file_remove_tree("/etc", NULL), -ERR_INVALID);
        file_remove_tree(outside, NULL);
}

static void test_words_of_a_shell(void **state)
{
        (void)state;
        static const char *const words[][2] = {{"/var/lib/caas", "/var/lib/caas"}, {"/a b", "'/a b'"},
                {"it's", "'it'\\''s'"}, {"", "''"}, {"$(x)", "'$(x)'"}};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                CLEANUP_FREE char *word = str_shell(words[i][0]);
                assert_string_equal(word, words[i][1]);
        }
}

static int take(void *data, const char *name, const char *value, struct err **err)
{
        if (str_is(value, "bad"))
                return err_set(err, ERR_USAGE, "%s: bad", name);
        *(const char **)data = value;
        return 0;
}

static void test_options_of_a_small_program(void **state)
{
        (void)state;
        const char *text = NULL, *taken = NULL;
        long number = 0;
        bool flag = false;
        const struct word table[] = {{"--text", .text = &text}, {"--number", .number = &number},
                {"--flag", .flag = &flag}, {"--take", .take = take}, {0}};
        char **rest = NULL, *all[] = {"--text", "--flag", "--number", "7", "--take", "x", "--", "--flag", NULL};
        assert_int_equal(words_read(table, all, &taken, &rest, NULL), 0);
        assert_string_equal(text, "--flag");
        assert_string_equal(taken, "x");
        assert_string_equal(rest[0], "--flag");
        assert_int_equal(number, 7);
        assert_false(flag);
        assert_int_equal(words_read(table, rest, &taken, NULL, NULL), 0);
        assert_true(flag);
        const struct {
                char *words[3];
                const char *part;
        } bad[] = {{{"--other", "x"}, "unknown option --other"}, {{"--text"}, "value is missing"},
                {{"--number", "1x"}, "not a number: 1x"}, {{"--number", "-1"}, "not a number"},
                {{"--", "x"}, "unknown"}, {{"--take", "bad"}, "--take: bad"}};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(words_read(table, (char **)bad[i].words, &taken, NULL, &err), -ERR_USAGE);
                assert_non_null(strstr(err->message, bad[i].part));
        }
}

static void test_names_of_users(void **state)
{
        (void)state;
        static const char *const bad[] = {"", ".", "..", "../x", "a/b", "-a", "--uid", "a b", "a\nroot:x:0:0", "a:0",
                "1a", "\xc3\xa4", ".a", "a\"", NULL};
        for (const char *const *name = bad; *name; name++)
                assert_false(str_user_name(*name));
        char longest[66] = {0};
        memset(longest, 'a', 64);
        assert_true(str_user_name(longest));
        longest[64] = 'a';
        assert_false(str_user_name(longest));
        assert_false(str_user_name(NULL));
        assert_true(str_user_name("_") && str_user_name("alice.b-c_9"));
}

static void test_giving_a_tree_gives_nothing_of_others(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        CLEANUP_FREE char *folder = make_folder(), *outside = make_folder();
        CLEANUP_FREE char *theirs = file_join(outside, "theirs"), *deep = file_join(folder, "a/b"),
                          *file = file_join(folder, "a/b/file"), *link = file_join(folder, "a/link"),
                          *roots = file_join(folder, "a/roots"), *second = file_join(folder, "a/b/second");
        assert_int_equal(file_write_atomic(theirs, "t", 1, 0600, 1000, 1000, NULL), 0);
        assert_int_equal(file_make_dirs(deep, 0700, NULL), 0);
        assert_int_equal(file_write_atomic(file, "f", 1, 0600, 1000, 1000, NULL), 0);
        assert_int_equal(file_write_atomic(roots, "r", 1, 0600, 0, 0, NULL), 0);
        assert_int_equal(symlink(theirs, link), 0);
        assert_int_equal(lchown(link, 1000, 1000) | chown(deep, 1000, 1000) | chown(folder, 1000, 1000), 0);
        assert_int_equal(file_give_tree(folder, 1001, 1002, NULL), 0);
        const struct {
                const char *path;
                uid_t uid;
        } wanted[] = {{folder, 1001}, {deep, 1001}, {file, 1001}, {link, 1001}, {roots, 0}, {theirs, 1000}};
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                struct stat st;
                assert_int_equal(lstat(wanted[i].path, &st), 0);
                assert_int_equal(st.st_uid, wanted[i].uid);
        }
        assert_int_equal(chown(theirs, 1001, 1001), 0);
        assert_int_equal(linkat(AT_FDCWD, theirs, AT_FDCWD, second, 0), 0);
        assert_int_equal(file_give_tree(folder, 1003, 1003, NULL), -ERR_REFUSED);
        struct stat st;
        assert_int_equal(stat(theirs, &st) | stat(folder, &st), 0);
        assert_int_equal(st.st_uid, 1001); /* last, so the next attempt knows whose it was */
        assert_int_equal(unlink(second) | file_give_tree(folder, 1003, 1003, NULL), 0);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_uid, 1003);
        file_remove_tree(folder, NULL), file_remove_tree(outside, NULL);
}

static void test_cancel(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        struct clock *clock = clock_system();
        assert_int_equal(cancel_level(cancel), 0);
        assert_int_equal(cancel_level(NULL), 0);
        assert_int_equal(clock->sleep_ms(clock, 1, cancel), 0);
        cancel_raise(cancel);
        assert_int_equal(cancel_check(cancel, 1, NULL), -ERR_CANCELLED);
        assert_int_equal(cancel_check(cancel, 2, NULL), 0);
        assert_int_equal(clock->sleep_ms(clock, 60000, cancel), -ERR_CANCELLED); /* at once */
        cancel_raise(cancel);
        assert_int_equal(cancel_level(cancel), 2);
        cancel_free(cancel);
}

static void test_times_for_people(void **state)
{
        (void)state;
        char text[32];
        assert_string_equal(clock_duration(850, text), "850 ms");
        assert_string_equal(clock_duration(4200, text), "4.2 s");
        assert_string_equal(clock_duration(187000, text), "3 min 07 s");
        assert_string_equal(clock_duration(7500000, text), "2 h 05 min");
        assert_string_equal(clock_format(1795269802000, text), "2026-11-21T14:03:22Z");
}

static void test_random_differs(void **state)
{
        (void)state;
        CLEANUP_FREE char *a = random_hex(16), *b = random_hex(16), *c = random_password(20);
        assert_int_equal(strlen(a), 32);
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(c), 20);
        assert_null(strpbrk(c, "0O1lI"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error_reads_from_the_outside_in),
                cmocka_unit_test(test_what_to_do_comes_last),
                cmocka_unit_test(test_first_error_wins),
                cmocka_unit_test(test_errno_becomes_a_code),
                cmocka_unit_test(test_distance_and_nearest),
                cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_errors_are_utf8),
                cmocka_unit_test(test_buffer_never_grows_beyond_its_maximum),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_atomic_write_keeps_the_old_file_on_failure),
                cmocka_unit_test(test_reading_is_bounded),
                cmocka_unit_test(test_removing_a_tree_follows_no_link),
                cmocka_unit_test(test_words_of_a_shell),
                cmocka_unit_test(test_options_of_a_small_program),
                cmocka_unit_test(test_names_of_users),
                cmocka_unit_test(test_giving_a_tree_gives_nothing_of_others),
                cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_times_for_people),
                cmocka_unit_test(test_random_differs),
        };
        return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
