/* The ends of logs, together and by time, and what comes after them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "access/logs.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static char root[40];
static char *folder[2];

static int setup(void **state)
{
        (void)state;
        strcpy(root, "/tmp/caas-logs-XXXXXX");
        assert_non_null(mkdtemp(root));
        for (int i = 0; i < 2; i++) {
                folder[i] = str_format("%s/%d", root, i);
                assert_int_equal(file_make_dirs(folder[i], 0755, NULL), 0);
        }
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        file_remove_tree(root, NULL);
        free(folder[0]), free(folder[1]);
        return 0;
}

static void append(int which, const char *name, const char *text)
{
        CLEANUP_FREE char *path = file_join(folder[which], name);
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void collect(void *data, const struct log_line *line)
{
        buf_format(data, "%s|%.*s|%.*s\n", line->name, (int)line->stamp_length, line->stamp, (int)line->text_length,
                line->text);
}

static void expect_tail(size_t sources, size_t lines, const char *wanted)
{
        const struct log_source list[] = {{"hub", folder[0]}, {"chp", folder[1]}};
        CLEANUP_BUF struct buf buf = BUF_INIT(4UL * 1024 * 1024);
        assert_int_equal(logs_tail(list, sources, lines, collect, &buf, NULL), 0);
        assert_string_equal(buf.data ? buf.data : "", wanted);
}

static void test_tail(void **state)
{
        (void)state;
        expect_tail(2, 10, "");
        append(0, "current",
                "2026-11-21_14:00:01.00000 one\n  of two lines\n2026-11-21_14:00:03.00000 three\nno newline");
        append(1, "current", "2026-11-21_14:00:02.00000 two\n2026-11-21_14:00:04.00000 \n");
        expect_tail(1, 2, "hub|2026-11-21_14:00:03.00000|three\nhub||no newline\n");
        CLEANUP_BUF struct buf all = BUF_INIT(4096);
        const struct log_source list[] = {{"hub", folder[0]}, {"chp", folder[1]}};
        assert_int_equal(logs_tail(list, 2, 100, collect, &all, NULL), 0);
        /* by time, and what has none stays behind what it came after */
        const char *one = strstr(all.data, "|one\nhub||  of two lines\n"), *two = strstr(all.data, "|two\n"),
                   *three = strstr(all.data, "|three\nhub||no newline\n");
        assert_true(one && two && three && one < two && two < three);
}

static void test_rotated_files_count(void **state)
{
        (void)state;
        append(0, "@400000006561.s", "2026-11-21_13:00:00.00000 old\n");
        append(0, "@400000006560.s", "2026-11-21_12:00:00.00000 older\n");
        append(0, "current", "2026-11-21_14:00:00.00000 new\n");
        expect_tail(1, 2, "hub|2026-11-21_13:00:00.00000|old\nhub|2026-11-21_14:00:00.00000|new\n");
}

static void test_huge_file_is_read_from_its_end(void **state)
{
        (void)state;
        struct buf text = BUF_INIT(8UL * 1024 * 1024);
        for (int i = 0; i < 100000; i++)
                buf_format(&text, "2026-11-21_14:00:00.00000 line %d of many\n", i);
        append(0, "current", text.data);
        buf_clear(&text);
        expect_tail(1, 1, "hub|2026-11-21_14:00:00.00000|line 99999 of many\n");
}

static void test_what_a_power_cut_left(void **state)
{
        (void)state;
        append(0, "current", "2026-11-21_14:00:01.00000 before\n2026-11-21_14:00:02.00000 cut");
        CLEANUP_FREE char *path = file_join(folder[0], "current");
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        static const char hole[512];
        assert_int_equal(write(fd, hole, sizeof hole), sizeof hole);
        append(0, "current", "\n2026-11-21_14:05:00.00000 after\n");
        expect_tail(1, 2, "hub|2026-11-21_14:00:02.00000|cut\nhub|2026-11-21_14:05:00.00000|after\n");
}

static void test_link_is_not_followed(void **state)
{
        (void)state;
        CLEANUP_FREE char *path = file_join(folder[0], "current");
        assert_int_equal(symlink("/etc/passwd", path), 0);
        const struct log_source list[] = {{"hub", folder[0]}};
        CLEANUP_BUF struct buf buf = BUF_INIT(4096);
        assert_true(logs_tail(list, 1, 10, collect, &buf, NULL) < 0);
}

/* ---- following ---- */

struct following {
        struct cancel *cancel;
        pthread_mutex_t mutex;
        struct buf buf;
};

static void collect_locked(void *data, const struct log_line *line)
{
        struct following *f = data;
        pthread_mutex_lock(&f->mutex);
        collect(&f->buf, line);
        pthread_mutex_unlock(&f->mutex);
}

static void *follow(void *data)
{
        struct following *f = data;
        const struct log_source list[] = {{"hub", folder[0]}, {"chp", folder[1]}};
        logs_follow(list, 2, f->cancel, collect_locked, f);
        return NULL;
}

static void wait_for(struct following *f, const char *wanted)
{
        for (int i = 0; i < 500; i++) {
                pthread_mutex_lock(&f->mutex);
                bool there = f->buf.data && strstr(f->buf.data, wanted);
                pthread_mutex_unlock(&f->mutex);
                if (there)
                        return;
                poll(NULL, 0, 10);
        }
        fail_msg("not seen within 5 s: %s (but: %s)", wanted, f->buf.data ? f->buf.data : "nothing");
}

static void test_follow(void **state)
{
        (void)state;
        append(0, "current", "old\n");
        struct following f = {.cancel = cancel_new(), .mutex = PTHREAD_MUTEX_INITIALIZER, .buf = BUF_INIT(100000)};
        pthread_t thread;
        pthread_create(&thread, NULL, follow, &f);
        bool running = false;
        for (int i = 0; i < 500 && !running; i++) {
                append(0, "current", "are you there\n");
                poll(NULL, 0, 10);
                pthread_mutex_lock(&f.mutex);
                running = f.buf.length > 0;
                pthread_mutex_unlock(&f.mutex);
        }
        append(1, "current", "first\n"); /* made while it looks */
        wait_for(&f, "chp||first\n");
        append(0, "current", "in two ");
        append(0, "current", "pieces\n");
        wait_for(&f, "hub||in two pieces\n");
        /* Rotated: the last line of the old file, then the new one. */
        append(0, "current", "last\n");
        CLEANUP_FREE char *from = file_join(folder[0], "current");
        CLEANUP_FREE char *to = file_join(folder[0], "@4000.s");
        assert_int_equal(rename(from, to), 0);
        append(0, "current", "new file\n");
        wait_for(&f, "hub||last\nhub||new file\n");
        cancel_raise(f.cancel);
        pthread_join(thread, NULL);
        assert_null(strstr(f.buf.data, "old"));
        buf_clear(&f.buf);
        cancel_free(f.cancel);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_tail),
                T(test_rotated_files_count),
                T(test_huge_file_is_read_from_its_end),
                T(test_what_a_power_cut_left),
                T(test_link_is_not_followed),
                T(test_follow),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
