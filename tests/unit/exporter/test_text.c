/* Samples as text, and what a request asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/request.h"
#include "exporter/sink_impl.h"
#include "exporter/source.h"
#include "exporter/source_list.h"
#include "exporter/write.h"

static const struct family SECONDS = {.name = "t_used_seconds_total",
        .help = "A \"help\" with \\ and\nlines.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = "user"};
static const struct family PLAIN = {.name = "t_plain", .help = "No labels.", .unit = "bytes"};
static const struct family NEVER = {.name = "t_never", .help = "Has no samples."};
static const struct family FOREIGN = {.name = "t_foreign", .help = "Is not in the table."};
static const struct family *const FAMILIES[] = {&SECONDS, &NEVER, &PLAIN, NULL};

static struct sample_sink *filled(void)
{
        struct sample_sink *sink = sink_new(FAMILIES);
        sink_add(sink, &SECONDS, 1.5, (const char *const[]){"user", "alice", "kind", NULL, "more", "x", NULL});
        sink_add(sink, &PLAIN, -7, NULL);
        sink_add(sink, &FOREIGN, 1, NULL);
        sink_add(sink, &SECONDS, 0, (const char *const[]){"user", "a\"b\\c\nd\xff\xc3\xa9", NULL});
        return sink;
}

static void test_text(void **state)
{
        (void)state;
        struct sample_sink *sink = filled();
        CLEANUP_FREE char *text = scrape_text(sink, false);
        assert_string_equal(text, "# HELP t_used_seconds_total A \"help\" with \\\\ and\\nlines.\n"
                                  "# TYPE t_used_seconds_total counter\n"
                                  "t_used_seconds_total{user=\"alice\",more=\"x\"} 1.5\n"
                                  "t_used_seconds_total{user=\"a\\\"b\\\\c\\nd?\xc3\xa9\"} 0\n"
                                  "# HELP t_plain No labels.\n"
                                  "# TYPE t_plain gauge\n"
                                  "t_plain -7\n");
        sink_free(sink);
}

static void test_openmetrics(void **state)
{
        (void)state;
        struct sample_sink *sink = filled();
        sink_trim(sink); /* loses nothing */
        CLEANUP_FREE char *text = scrape_text(sink, true);
        assert_string_equal(text, "# HELP t_used_seconds A \\\"help\\\" with \\\\ and\\nlines.\n"
                                  "# TYPE t_used_seconds counter\n"
                                  "# UNIT t_used_seconds seconds\n"
                                  "t_used_seconds_total{user=\"alice\",more=\"x\"} 1.5\n"
                                  "t_used_seconds_total{user=\"a\\\"b\\\\c\\nd?\xc3\xa9\"} 0\n"
                                  "# HELP t_plain No labels.\n"
                                  "# TYPE t_plain gauge\n" /* a unit that the name does not end with is not said */
                                  "t_plain -7\n"
                                  "# EOF\n");
        sink_free(sink);
}

static void test_empty(void **state)
{
        (void)state;
        struct sample_sink *sink = sink_new(FAMILIES);
        CLEANUP_FREE char *text = scrape_text(sink, false);
        CLEANUP_FREE char *open = scrape_text(sink, true);
        assert_string_equal(text, "");
        assert_string_equal(open, "# EOF\n");
        sink_free(sink);
}

static void number(double value, const char *wanted)
{
        char text[SINK_NUMBER_SIZE];
        assert_int_equal(sink_number(value, text), strlen(wanted));
        assert_string_equal(text, wanted);
}

static void test_numbers(void **state)
{
        (void)state;
        number(0, "0");
        number(-0.0, "0");
        number(7, "7");
        number(-120, "-120");
        number(1e9, "1000000000");
        number(9007199254740992.0, "9007199254740992");
        number(0.1, "0.1");
        number(1795295638.819, "1795295638.819");
        number(1e300, "1e+300");
        number(NAN, "NaN");
        number(INFINITY, "+Inf");
        number(-INFINITY, "-Inf");
        number(-DBL_MAX_EXP, "-1024");
}

static void test_bounded(void **state)
{
        (void)state;
        struct sample_sink *sink = sink_new(FAMILIES);
        for (int i = 0; i < SINK_SAMPLES_MAX + 3; i++) {
                char user[32];
                snprintf(user, sizeof user, "user%d", i);
                sink_add(sink, &SECONDS, i, (const char *const[]){"user", user, NULL});
        }
        sink_add(sink, &PLAIN, 1, NULL);
        assert_int_equal(sink_dropped(sink), 3);
        CLEANUP_FREE char *text = scrape_text(sink, false);
        assert_non_null(strstr(text, "{user=\"user19999\"} 19999\n"));
        assert_null(strstr(text, "user20000"));
        assert_non_null(strstr(text, "\nt_plain 1\n"));
        sink_free(sink);
}

static void accepts(const char *header, bool openmetrics)
{
        if (request_openmetrics(header) != openmetrics)
                fail_msg("Accept: %s", header ? header : "(none)");
}

static void test_accept(void **state)
{
        (void)state;
        accepts(NULL, false);
        accepts("", false);
        accepts("*/*", false);
        accepts("text/plain", false);
        accepts("application/openmetrics-text", true);
        accepts("Application/OpenMetrics-Text; Version=1.0.0", true);
        accepts("application/openmetrics-text; version=2.0.0", false);
        /* Prometheus 2 */
        accepts("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true);
        /* Prometheus 3 */
        accepts("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                true);
        accepts("text/plain;q=0.9, application/openmetrics-text;q=0.8", false);
        accepts("application/openmetrics-text;q=0", false);
        accepts("application/openmetrics-text;q=nan", false);
        accepts("application/openmetrics-text;q=7", false);
        accepts(",,;;=,application/openmetrics-text", true);
        accepts("xapplication/openmetrics-text", false);
}

static void test_token(void **state)
{
        (void)state;
        assert_true(request_allowed("Bearer secret", "secret"));
        assert_true(request_allowed("bearer  secret", "secret"));
        assert_false(request_allowed(NULL, "secret"));
        assert_false(request_allowed("", "secret"));
        assert_false(request_allowed("Bearer", "secret"));
        assert_false(request_allowed("Bearer ", "secret"));
        assert_false(request_allowed("secret", "secret"));
        assert_false(request_allowed("Basic secret", "secret"));
        assert_false(request_allowed("Bearer secre", "secret"));
        assert_false(request_allowed("Bearer secrets", "secret"));
        assert_false(request_allowed("Bearer secretsecret", "secret"));
        assert_false(request_allowed("Bearer Secret", "secret"));
        assert_false(request_allowed("Bearer ", ""));
        assert_false(request_allowed("Bearer x", ""));
}

/* What Prometheus' naming rules and our documentation rely on, of every family there is. */
static void check_family(const struct family *family, json_t *seen)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
        const char *name = family->name;
        if (strspn(name, letters) != strlen(name) || json_object_get(seen, name))
                fail_msg("%s: not a name, or there twice", name);
        json_object_set_new(seen, name, json_true());
        if ((family->type == FAMILY_COUNTER) != str_ends(name, "_total"))
                fail_msg("%s: counters, and nothing else, end with _total", name);
        if (!str_ends(family->help, ".") || strlen(family->help) < 10)
                fail_msg("%s: help is a sentence", name);
        if (family->unit) {
                CLEANUP_FREE char *end =
                        str_format("_%s%s", family->unit, family->type == FAMILY_COUNTER ? "_total" : "");
                if (!str_ends(name, end))
                        fail_msg("%s: its unit is %s", name, family->unit);
        }
        CLEANUP_FREE char *labels = str_copy(family->labels ? family->labels : "");
        char *save = NULL;
        for (char *label = strtok_r(labels, ",", &save); label; label = strtok_r(NULL, ",", &save))
                if (strspn(label, letters) != strlen(label) || str_starts(label, "__"))
                        fail_msg("%s: label %s", name, label);
}

static bool of_a_host(const struct source *source)
{
        return source == &source_cgroup || source == &source_home || source == &source_pod;
}

static bool of_kubernetes(const struct source *source)
{
        return source == &source_kube || source == &source_kubelet;
}

/* What a cluster can have beside each other: no family of it is said twice. */
static size_t check_families(bool (*left_out)(const struct source *source))
{
        json_auto_t *seen = json_object();
        for (const struct family *const *family = CORE_FAMILIES; *family; family++)
                check_family(*family, seen);
        for (const struct source *const *source = SOURCES; *source; source++)
                for (const struct family *const *family = (*source)->families; *family && !left_out(*source); family++)
                        check_family(*family, seen);
        return json_object_size(seen);
}

static void test_families(void **state)
{
        (void)state;
        size_t count = 0;
        while (CORE_FAMILIES[count])
                count++;
        for (const struct source *const *source = SOURCES; *source; source++) {
                assert_true((*source)->families[0] != NULL);
                for (const struct source *const *other = SOURCES; other < source; other++)
                        assert_string_not_equal((*source)->name, (*other)->name);
                for (const struct family *const *family = (*source)->families; *family; family++)
                        count++;
        }
        assert_true(check_families(of_kubernetes) < count);
        assert_true(check_families(of_a_host) < count);
        json_t *list = registry_families(SOURCES), *family;
        size_t i;
        assert_int_equal(json_array_size(list), count);
        json_array_foreach (list, i, family) {
                assert_true(json_is_array(json_object_get(family, "labels")));
                assert_true(json_is_string(json_object_get(family, "source")));
        }
        json_decref(list);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_openmetrics),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_bounded),
                cmocka_unit_test(test_accept),
                cmocka_unit_test(test_token),
                cmocka_unit_test(test_families),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
