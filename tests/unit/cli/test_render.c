/* What is printed: plans, differences of texts, events, tables; and that nothing from outside steers a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/event_text.h"
#include "cli/help.h"
#include "cli/plan_text.h"
#include "cli/text.h"
#include "cli/text_diff.h"

/* ---- text ---- */

static void test_safe(void **state)
{
        (void)state;
        static const struct {
                const char *in, *out;
        } cases[] = {
                {"plain", "plain"}, {"\x1b[31mred\x07", "\\x1b[31mred\\x07"}, {"a\tb\nc", "a b\\x0ac"},
                {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
                {"\xc2\x9b"
                 "31m",
                        "\\xc2\\x9b"
                        "31m"},             /* CSI in one character */
                {"\xff\xfe", "\\xff\\xfe"}, /* no UTF-8 */
                {"a\xe2\x80\xae"
                 "b",
                        "a\\xe2\\x80\\xae"
                        "b"},               /* writes from right to left */
                {"\xe2\x82", "\\xe2\\x82"}, /* cut off */
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *safe = text_safe(cases[i].in, false);
                assert_string_equal(safe, cases[i].out);
        }
        CLEANUP_FREE char *lines = text_safe("a\nb\r", true);
        assert_string_equal(lines, "a\nb\\x0d");
}

static void test_width_and_cut(void **state)
{
        (void)state;
        assert_int_equal(text_width("abc"), 3);
        assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4);
        assert_int_equal(text_width("e\xcc\x81"), 1);
        static const struct {
                const char *in;
                size_t columns;
                const char *out;
        } cases[] = {
                {"abcdef", 6, "abcdef"},
                {"abcdef", 5, "abcd\xe2\x80\xa6"},
                {"abcdef", 1, "\xe2\x80\xa6"},
                {"abcdef", 0, ""},
                {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6"},
                {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5\xe2\x80\xa6"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *cut = text_cut(cases[i].in, cases[i].columns);
                assert_string_equal(cut, cases[i].out);
                assert_true(text_width(cut) <= cases[i].columns);
        }
}

/* Runs print(data) into a text. The caller frees. */
static char *printed(void (*print)(FILE *out, const void *data), const void *data)
{
        char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        print(out, data);
        fclose(out);
        return text;
}

static void print_table(FILE *out, const void *data)
{
        text_print(data, out, "", "");
}

static void test_table(void **state)
{
        (void)state;
        CLEANUP_TABLE struct text_table table = {.columns = 3};
        text_row(&table, (const char *const[]){"NAME", "WHO", "LAST"});
        text_row(&table, (const char *const[]){"al", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "1"});
        text_row(&table, (const char *const[]){"barbara", NULL, "\x1b[2J"});
        CLEANUP_FREE char *text = printed(print_table, &table);
        assert_string_equal(text, "NAME     WHO     LAST\n"
                                  "al       \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e  1\n"
                                  "barbara          \\x1b[2J\n");
}

/* ---- differences ---- */

static void collect(void *data, char sign, const char *text, size_t length)
{
        buf_format(data, "%c%.*s\n", sign, (int)length, text);
}

static void expect_diff(const char *old, const char *new_, size_t max, const char *wanted, size_t wanted_more)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(100000);
        size_t more = text_diff(old, new_, max, collect, &buf);
        assert_string_equal(buf.data ? buf.data : "", wanted);
        assert_int_equal(more, wanted_more);
}

static void test_diff(void **state)
{
        (void)state;
        expect_diff("a\nb\nc\n", "a\nb\nc\n", 20, "", 0);
        expect_diff("a\nb\nc\n", "a\nx\nc\n", 20, " a\n-b\n+x\n c\n", 0);
        expect_diff("", "a\nb\n", 20, "+a\n+b\n", 0);
        expect_diff("a\nb\n", "", 20, "-a\n-b\n", 0);
        expect_diff("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\nseven\n8\n", 20,
                "@4 lines\n 5\n 6\n-7\n+seven\n 8\n", 0);
        expect_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "one\n2\n3\n4\n5\n6\n7\n8\nnine\n", 20,
                "-1\n+one\n 2\n 3\n@3 lines\n 7\n 8\n-9\n+nine\n", 0);
        expect_diff("a\nb\nc\nd\n", "b\nc\nx\nd\n", 20, "-a\n b\n c\n+x\n d\n", 0);
        expect_diff("a\nb\nc\n", "x\ny\nz\n", 2, "-a\n-b\n", 4);
}

/* Far apart and large: it must end soon, and give every line. */
static void test_diff_large(void **state)
{
        (void)state;
        struct buf a = BUF_INIT(1 << 22), b = BUF_INIT(1 << 22);
        for (int i = 0; i < 20000; i++) {
                buf_format(&a, "old %d\n", i);
                buf_format(&b, "new %d\n", i);
        }
        CLEANUP_BUF struct buf out = BUF_INIT(100000);
        assert_int_equal(text_diff(a.data, b.data, 5, collect, &out), 39995);
        buf_clear(&a);
        buf_clear(&b);
}

/* ---- plans ---- */

static struct plan_step step(const char *id, enum action action, const char *reason, json_t *fields, const char *notice)
{
        struct plan_step s = {0};
        s.resource = (struct resource){
                str_copy(id), str_copy("host.file"), json_object(), mem_zero_array(1, sizeof(char *))};
        s.change = (struct change){.action = action,
                .reason = reason ? str_copy(reason) : NULL,
                .fields = fields,
                .notice = notice ? str_copy(notice) : NULL};
        return s;
}

struct shown {
        struct plan plan;
        struct plan_text_options options;
};

static void print_plan(FILE *out, const void *data)
{
        const struct shown *shown = data;
        plan_text(out, &shown->plan, "lab", &shown->options);
}

static struct plan sample(void)
{
        struct plan plan = {.create = 2, .update = 2, .replace = 1, .remove = 1, .refuse = 1};
        plan.count = 9;
        plan.step = mem_zero_array(plan.count, sizeof *plan.step);
        plan.step[0] = step("hub/new", ACTION_CREATE, NULL, NULL, NULL);
        json_object_update_new(
                plan.step[0].resource.spec, json_pack("{s:{s:i}, s:s, s:{s:s, s:i}}", "of", "size", 3, "content",
                                                    "one\ntwo\n", "key", "$secret", "hub/key", "version", 1));
        plan.step[1] = step("hub/config", ACTION_UPDATE, "changed",
                json_pack("[{s:s, s:i, s:i}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s, s:s}]", "path", "json.cpus", "old", 1,
                        "new", 2, "path", "json.fresh", "new", "yes", "path", "json.old", "old", "gone", "path",
                        "content", "old", "one\ntwo\n", "new", "one\n\x1b[2Jtwo\n"),
                "running servers keep their size until they are started again");
        plan.step[2] = step("hub/drifted", ACTION_UPDATE, "drift",
                json_pack("[{s:s, s:s, s:s, s:b}]", "path", "mode", "old", "0644", "new", "0600", "drift", 1), NULL);
        plan.step[3] = step("hub/kind", ACTION_REPLACE, "another kind", NULL, NULL);
        plan.step[4] = step("hub/gone", ACTION_REMOVE, NULL, NULL, NULL);
        plan.step[5] = step("hub/volume", ACTION_REFUSE, "it cannot shrink", NULL, NULL);
        plan.step[6] = step("hub/same", ACTION_NONE, NULL, NULL, "not to be said");
        plan.step[7] = step("proxy/new", ACTION_CREATE, NULL, NULL, NULL);
        plan.step[8] = step(
                "proxy/same", ACTION_NONE, NULL, NULL, "running servers keep their size until they are started again");
        return plan;
}

static void test_plan(void **state)
{
        (void)state;
        struct shown shown = {.plan = sample()};
        CLEANUP_FREE char *text = printed(print_plan, &shown);
        assert_string_equal(text, "    + hub/new  host.file\n"
                                  "    ~ hub/config  host.file\n"
                                  "        json.cpus: 1 -> 2\n"
                                  "        json.fresh: \"yes\"\n"
                                  "        json.old: \"gone\" (goes)\n"
                                  "        content:\n"
                                  "            one\n"
                                  "          - two\n"
                                  "          + \\x1b[2Jtwo\n"
                                  "    ~ hub/drifted  host.file  (it was changed from outside)\n"
                                  "        mode: found \"0600\" instead of \"0644\"\n"
                                  "  +/- hub/kind  host.file  (it becomes another kind of thing)\n"
                                  "    - hub/gone  host.file\n"
                                  "    ! hub/volume  host.file  (it cannot shrink)\n"
                                  "    + proxy/new  host.file\n"
                                  "\n"
                                  "  * running servers keep their size until they are started again\n"
                                  "\n"
                                  "lab: 2 to create, 2 to update, 1 to replace, 1 to remove, 1 refused\n");
        assert_true(plan_disturbs(&shown.plan));
        assert_true(plan_has_notices(&shown.plan));
        plan_clear(&shown.plan);
}

static void test_plan_grouped_and_full(void **state)
{
        (void)state;
        struct shown shown = {.plan = sample(), .options = {.grouped = true}};
        CLEANUP_FREE char *grouped = printed(print_plan, &shown);
        assert_non_null(strstr(grouped, "  + hub: new\n  + proxy: new\n"));
        assert_null(strstr(grouped, "+ hub/new"));
        shown.options = (struct plan_text_options){.full = true};
        CLEANUP_FREE char *full = printed(print_plan, &shown);
        assert_non_null(strstr(full, "    + hub/new  host.file\n        content:\n          + one\n          + two\n"
                                     "        key: \"(secret)\"\n        of.size: 3\n"));
        json_auto_t *all = plan_to_json(&shown.plan, true), *some = plan_to_json(&shown.plan, false);
        CLEANUP_FREE char *json = json_dumps(all, 0), *less = json_dumps(some, 0);
        assert_non_null(strstr(json, "\"path\": \"of.size\", \"new\": 3"));
        assert_null(strstr(json, "hub/key"));
        assert_null(strstr(less, "of.size"));
        shown.options = (struct plan_text_options){.color = true};
        CLEANUP_FREE char *colored = printed(print_plan, &shown);
        assert_non_null(strstr(colored, "\x1b[32m"));
        assert_null(strstr(colored, "\x1b[2J")); /* ours only */
        plan_clear(&shown.plan);
}

static void test_plan_empty(void **state)
{
        (void)state;
        struct shown shown = {0};
        CLEANUP_FREE char *text = printed(print_plan, &shown);
        assert_string_equal(text, "lab: nothing to do\n");
        assert_false(plan_disturbs(&shown.plan));
}

static void test_plan_long_text_is_cut(void **state)
{
        (void)state;
        struct buf b = BUF_INIT(100000);
        for (int i = 0; i < 100; i++)
                buf_format(&b, "line %d\n", i);
        struct shown shown = {.plan = {.count = 1, .update = 1, .step = mem_zero(sizeof(struct plan_step))}};
        shown.plan.step[0] = step("hub/config", ACTION_UPDATE, "changed",
                json_pack("[{s:s, s:s, s:s}]", "path", "content", "old", "", "new", b.data), NULL);
        CLEANUP_FREE char *text = printed(print_plan, &shown);
        assert_non_null(strstr(text, "... 80 more lines (caas plan --full shows them)"));
        assert_null(strstr(text, "line 20\n"));
        plan_clear(&shown.plan);
        buf_clear(&b);
}

/* ---- events ---- */

static void expect_event(const struct event *event, const char *wanted)
{
        CLEANUP_FREE char *text = event_text(event, false);
        if (!wanted) {
                assert_null(text);
                return;
        }
        assert_non_null(text);
        assert_string_equal(text, wanted);
}

static void test_events(void **state)
{
        (void)state;
        expect_event(&(struct event){.type = EVENT_STEP_DONE,
                             .id = "hub/service",
                             .action = "create",
                             .done = 12,
                             .total = 58,
                             .duration_ms = 2300},
                "[12/58] hub/service: created (2.3 s)");
        expect_event(&(struct event){.type = EVENT_STEP_DONE,
                             .id = "a/b",
                             .action = "remove",
                             .done = 1,
                             .total = 1,
                             .duration_ms = 5},
                "[1/1] a/b: removed (5 ms)");
        expect_event(&(struct event){.type = EVENT_STEP_FAILED,
                             .id = "a/b",
                             .text = "it fell\nover\x1b[0m\n",
                             .done = 1,
                             .total = 2,
                             .duration_ms = 5},
                "[1/2] a/b: failed (5 ms): it fell\n        over\\x1b[0m");
        expect_event(&(struct event){.type = EVENT_RETRY, .id = "a/b", .text = "busy", .done = 2},
                "a/b: trying again (2): busy");
        expect_event(&(struct event){.type = EVENT_KEPT, .id = "a/b", .text = "homes in /x"}, "a/b: kept: homes in /x");
        expect_event(&(struct event){.type = EVENT_NOTICE, .id = "a/b", .text = "hear"}, "a/b: note: hear");
        expect_event(&(struct event){.type = EVENT_PROGRESS, .id = "a/b", .text = "waiting"}, NULL);
        expect_event(&(struct event){.type = EVENT_STEP_BEGIN, .id = "a/b"}, NULL);
        expect_event(&(struct event){.type = EVENT_PHASE, .text = "observing"}, NULL);
}

/* ---- help ---- */

static void print_manual(FILE *out, const void *data)
{
        (void)data;
        help_manual(out);
}

static char *read_all(const char *path)
{
        FILE *file = fopen(path, "re");
        if (!file)
                return NULL;
        struct buf buf = BUF_INIT(1 << 20);
        char piece[4096];
        for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
                buf_add(&buf, piece, n);
        fclose(file);
        return buf_steal(&buf);
}

static void test_manual_is_true(void **state)
{
        (void)state;
        CLEANUP_FREE char *made = printed(print_manual, NULL);
        CLEANUP_FREE char *kept = read_all("docs/caas.1");
        if (!kept)
                fail_msg("docs/caas.1 cannot be read (is this run from the top of the tree?)");
        if (strcmp(made, kept) != 0)
                fail_msg("docs/caas.1 is out of date: build/caas completion man > docs/caas.1");
}

static void print_completion(FILE *out, const void *data)
{
        (void)data;
        help_completion_bash(out);
}

/* In a real shell: what is offered for a line. */
static void expect_offer(const char *script, const char *line, const char *wanted)
{
        CLEANUP_FREE char *command = str_format("bash -c 'source %s; COMP_WORDS=(%s); "
                                                "COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _caas; echo \"${COMPREPLY[*]}\"'",
                script, line);
        FILE *pipe = popen(command, "re");
        assert_non_null(pipe);
        char text[2000] = "";
        size_t n = fread(text, 1, sizeof text - 1, pipe);
        text[n] = '\0';
        assert_int_equal(pclose(pipe), 0);
        assert_string_equal(str_trim(text), wanted);
}

static void test_completion(void **state)
{
        (void)state;
        CLEANUP_FREE char *made = printed(print_completion, NULL);
        char path[] = "/tmp/caas-completion-XXXXXX";
        int fd = mkstemp(path);
        FILE *file = fdopen(fd, "we");
        fputs(made, file);
        fclose(file);
        expect_offer(path, "caas app", "apply");
        expect_offer(path, "caas us", "user users");
        expect_offer(path, "caas user \"\"", "add passwd remove");
        expect_offer(path, "caas user p", "passwd");
        expect_offer(path, "caas apply --w", "--wait");
        expect_offer(path, "caas --state /x destroy --del", "--delete-data");
        expect_offer(path, "caas completion \"\"", "bash man");
        expect_offer(path, "caas help us", "user users");
        expect_offer(path, "caas help ad", "adopt");
        expect_offer(path, "caas help user p", "passwd");
        expect_offer(path, "caas check /etc/os-rele", "/etc/os-release");
        remove(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_safe),
                cmocka_unit_test(test_width_and_cut),
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_diff),
                cmocka_unit_test(test_diff_large),
                cmocka_unit_test(test_plan),
                cmocka_unit_test(test_plan_grouped_and_full),
                cmocka_unit_test(test_plan_empty),
                cmocka_unit_test(test_plan_long_text_is_cut),
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_manual_is_true),
                cmocka_unit_test(test_completion),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
