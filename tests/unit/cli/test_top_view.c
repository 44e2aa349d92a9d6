/* What `caas top` shows: figures, and tables at any width. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include "cli/top_view.h"
#include "top_metrics.h"

static struct usage *usage_of(const char *text)
{
        struct usage *usage = usage_new(1000);
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(usage_add, usage);
        assert_int_equal(metrics_feed(reader, text, strlen(text), NULL), 0);
        return usage;
}

static void test_figures(void **state)
{
        (void)state;
        char text[TOP_CELL];
        static const struct {
                double value;
                const char *bytes, *cores, *count, *span;
        } cases[] = {
                {NAN, "-", "-", "-", "-"},
                {0, "0 B", "0.00", "0", "0s"},
                {59.6, "60 B", "59.6", "60", "59s"},
                {999, "999 B", "999", "999", "16m"},
                {1000, "1 kB", "1000", "1000", "16m"},
                {9.996, "10 B", "10.0", "10", "9s"},
                {7380, "7 kB", "7380", "7380", "2h03m"},
                {999499, "999 kB", "999499", "999499", "11d13h"},
                {999600, "1 MB", "999600", "999600", "11d13h"},
                {512e6, "512 MB", "> 10^6", "> 10^6", "5925d"},
                {999.6e6, "1.00 GB", "> 10^6", "> 10^6", "> 9999d"},
                {1.92e9, "1.92 GB", "> 10^6", "> 10^6", "> 9999d"},
                {9.996e9, "10.0 GB", "> 10^6", "> 10^6", "> 9999d"},
                {31e9, "31.0 GB", "> 10^6", "> 10^6", "> 9999d"},
                {99.96e9, "100 GB", "> 10^6", "> 10^6", "> 9999d"},
                {2.5e12, "2.50 TB", "> 10^6", "> 10^6", "> 9999d"},
                {1e308, "> 1 ZB", "> 10^6", "> 10^6", "> 9999d"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                assert_string_equal(top_bytes(cases[i].value, text), cases[i].bytes);
                assert_string_equal(top_cores(cases[i].value, text), cases[i].cores);
                assert_string_equal(top_count(cases[i].value, text), cases[i].count);
                assert_string_equal(top_span(cases[i].value, text), cases[i].span);
        }
        assert_string_equal(top_span(-5, text), "0s");
        assert_string_equal(top_percent(1, 3, text), "33%");
        assert_string_equal(top_percent(1, 0, text), "-");
        assert_string_equal(top_percent(NAN, 1, text), "-");
        assert_string_equal(top_percent(1e30, 1, text), "> 999%");
}

static char *draw(struct top_view *view, const char *text, size_t columns, size_t rows)
{
        CLEANUP_USAGE struct usage *usage = usage_of(text);
        struct top_scene scene = {.cluster = "lab", .usage = usage, .now = 1000, .interval = 3};
        size_t page;
        return top_picture(view, &scene, columns, rows, &page);
}

static void has(const char *picture, const char *wanted)
{
        if (!strstr(picture, wanted))
                fail_msg("no '%s' in\n%s", wanted, picture);
}

static void has_not(const char *picture, const char *unwanted)
{
        if (strstr(picture, unwanted))
                fail_msg("'%s' in\n%s", unwanted, picture);
}

static void test_wide(void **state)
{
        (void)state;
        struct top_view view = {0};
        CLEANUP_FREE char *picture = draw(&view, metrics, 120, 20);
        has(picture, "lab  00:16:40 UTC  every 3 s  measured 5s ago\n");
        has(picture, "3 users, 1 active, 1 notebook server   1 Dask cluster, 3 workers, 6 of 64 cores\n");
        has(picture, "CPU -   memory 1.92 GB   homes 9.50 GB used, 210 GB free on disk   not as applied: 2\n");
        has(picture, "proxy is down   no figures from gateway   1 part is up\n");
        has(picture, "[Users] Dask clusters  Parts   by memory\n");
        has(picture, "USER                    UP   IDLE    CPU  MEMORY NOTEBOOK  LIMIT    DASK WORKERS    HOME   FULL");
        has(picture, "alice                  10m      -      - 1.92 GB  1.92 GB    96%       -       3 9.50 GB    95%");
        has(picture, "\\x1b[2J\xc3\xa9vil\\x0aname      -");
        assert_null(strchr(picture, '\x1b'));
        view.page = TOP_DASK;
        CLEANUP_FREE char *dask = draw(&view, metrics, 120, 20);
        has(dask, "CLUSTER                          USER         WORKERS  CORES");
        has(dask, "0123456789abcdef0123456789abcdef alice              3      6");
        view.page = TOP_PARTS;
        CLEANUP_FREE char *parts = draw(&view, metrics, 120, 20);
        has(parts, "gateway source      down");
        has(parts, "public  certificate valid          -      -   1d00h");
}

static void test_any_size(void **state)
{
        (void)state;
        for (int page = 0; page < TOP_PAGES; page++)
                for (size_t columns = 1; columns <= 140; columns++)
                        for (size_t rows = 1; rows <= 30; rows += columns % 5 + 1) {
                                struct top_view view = {.page = (enum top_page)page};
                                CLEANUP_FREE char *picture = draw(&view, metrics, columns, rows);
                                size_t lines = 1;
                                for (char *line = picture, *end; line; line = end) {
                                        end = strchr(line, '\n');
                                        if (end)
                                                *end++ = '\0';
                                        lines += end != NULL ? 1 : 0;
                                        if (text_width(line) > columns)
                                                fail_msg("%zu columns: '%s'", columns, line);
                                }
                                if (lines > rows)
                                        fail_msg("%zu lines in %zu rows", lines, rows);
                        }
}

static void test_narrow(void **state)
{
        (void)state;
        struct top_view view = {0};
        CLEANUP_FREE char *picture = draw(&view, metrics, 40, 12);
        has(picture, "MEMORY");
        has(picture, "1.92 GB");
        has_not(picture, "OOM");
        has_not(picture, "NOTEBOOK");
        has(picture, "\xe2\x80\xa6"); /* what was cut */
        CLEANUP_FREE char *usual = draw(&view, metrics, 80, 24);
        has(usual, "arrows scroll"); /* all keys are told */
}

static void test_colours(void **state)
{
        (void)state;
        struct top_view plain = {0}, colored = {.color = true};
        CLEANUP_FREE char *without = draw(&plain, metrics, 100, 20), *with = draw(&colored, metrics, 100, 20);
        has(with, "\x1b[31mproxy is down\x1b[0m");
        has(with, "\x1b[31m96%\x1b[0m");
        CLEANUP_BUF struct buf stripped = BUF_INIT(100000);
        for (const char *p = with; *p;) {
                if (*p == '\x1b') {
                        assert_int_equal(p[1], '[');
                        p += 2 + strspn(p + 2, "0123456789;");
                        assert_int_equal(*p++, 'm');
                } else {
                        buf_add(&stripped, p++, 1);
                }
        }
        assert_string_equal(stripped.data, without);
}

static void test_scrolling(void **state)
{
        (void)state;
        CLEANUP_BUF struct buf text = BUF_INIT(100000);
        for (int i = 0; i < 100; i++)
                buf_format(&text, "caas_home_used_bytes{user=\"user%02d\"} %d\n", i, i + 1);
        struct top_view view = {.by = USAGE_BY_HOME, .first = 20};
        CLEANUP_FREE char *middle = draw(&view, text.data, 80, 17);
        has(middle, "user79");
        has(middle, "user70");
        has_not(middle, "user80");
        has_not(middle, "user69");
        view.first = SIZE_MAX / 2;
        CLEANUP_FREE char *end = draw(&view, text.data, 80, 17);
        assert_int_equal(view.first, 90);
        has(end, "user00");
        has(end, "user09");
        view.reverse = true;
        view.first = 0;
        CLEANUP_FREE char *turned = draw(&view, text.data, 80, 17);
        has(turned, "by home, reversed");
        has(turned, "user00");
}

static void test_nothing_there(void **state)
{
        (void)state;
        struct top_view view = {0};
        CLEANUP_FREE char *picture = draw(&view, "caas_exporter_build_info 1\n", 80, 20);
        has(picture, "0 users, 0 active, 0 notebook servers   0 Dask clusters, 0 workers\n");
        has(picture, "nobody is known yet\n");
        CLEANUP_USAGE struct usage *usage = usage_of("caas_exporter_build_info 1\n");
        struct top_scene scene = {
                .cluster = "lab\x1b[0m", .usage = usage, .now = 1012, .problem = "the exporter:\n\x1b[2J gone"};
        size_t page;
        CLEANUP_FREE char *stale = top_picture(&view, &scene, 80, 20, &page);
        has(stale, "lab\\x1b[0m  00:16:52 UTC  figures are 12s old: the exporter:\\x0a\\x1b[2J gone\n");
}

static void test_once(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *usage = usage_of(metrics);
        struct top_scene scene = {.cluster = "lab", .usage = usage, .now = 1000};
        CLEANUP_FREE char *text = top_text(&scene, USAGE_BY_USER);
        assert_null(strchr(text, '\x1b'));
        has(text, "lab  00:16:40 UTC  measured 5s ago\n");
        has(text, "\n\nUSER ");
        has(text, "\n\nCLUSTER ");
        has(text, "\n\nNAME ");
        has(text, " OOM\n");
        has_not(text, " \n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_figures),
                cmocka_unit_test(test_wide),
                cmocka_unit_test(test_any_size),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_colours),
                cmocka_unit_test(test_scrolling),
                cmocka_unit_test(test_nothing_there),
                cmocka_unit_test(test_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
