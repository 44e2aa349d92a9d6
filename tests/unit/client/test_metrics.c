/* The text format of metrics: what is taken, what is refused and where, cut anywhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/prometheus/metrics.h"
#include "base/mem.h"
#include "base/str.h"

/* Each sample as "name|label=value|… number @stamp\n". */
static void note(void *data, const struct metrics_sample *sample)
{
        struct buf *out = data;
        buf_str(out, sample->name);
        for (size_t i = 0; i < sample->labels; i++)
                buf_format(out, "|%s=%s", sample->label[i].name, sample->label[i].value);
        buf_format(out, " %g", sample->value);
        if (sample->stamped)
                buf_format(out, " @%lld", (long long)sample->stamp_ms);
        buf_str(out, "\n");
}

/* In pieces of `piece` bytes; 0 = whole. */
static int parse(const char *text, size_t length, size_t piece, struct buf *out, struct err **err)
{
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(note, out);
        for (size_t at = 0, n; at < length; at += n) {
                n = piece && piece < length - at ? piece : length - at;
                int r = metrics_feed(reader, text + at, n, err);
                if (r < 0)
                        return r;
        }
        return metrics_end(reader, err);
}

static void takes(const char *text, const char *expected)
{
        for (size_t piece = 0; piece < 4; piece++) {
                CLEANUP_BUF struct buf out = BUF_INIT(100000);
                CLEANUP_ERR struct err *err = NULL;
                if (parse(text, strlen(text), piece, &out, &err) < 0)
                        fail_msg("%s: %s", text, err->message);
                assert_string_equal(out.data ? out.data : "", expected);
        }
}

static void refuses(const char *text, const char *message)
{
        CLEANUP_BUF struct buf out = BUF_INIT(100000);
        CLEANUP_ERR struct err *err = NULL;
        if (parse(text, strlen(text), 0, &out, &err) != -ERR_INVALID)
                fail_msg("taken: %s", text);
        if (!strstr(err->message, message))
                fail_msg("%s: %s", text, err->message);
}

static void test_samples(void **state)
{
        (void)state;
        takes("", "");
        takes("\n \t\n", "");
        takes("a 1\n", "a 1\n");
        takes("a{} 1\n", "a 1\n");
        takes("a{b=\"c\"}1\n", "a|b=c 1\n");
        takes(" a { b = \"c\" , d=\"\",} 1.5e3 \n", "a|b=c|d= 1500\n");
        takes("job:a:sum 1 -7\n", "job:a:sum 1 @-7\n");
        takes("a{x=\"\\\\ \\\" \\n {},=#\"} 2 1395066363000\n", "a|x=\\ \" \n {},=# 2 @1395066363000\n");
        takes("a{x=\"\xc3\xbc\"} 1\n", "a|x=\xc3\xbc 1\n");
}

static void test_numbers(void **state)
{
        (void)state;
        takes("a NaN\n", "a nan\n");
        takes("a +Inf\na -Inf\na inf\n", "a inf\na -inf\na inf\n");
        takes("a .5\na 5.\na -1.e+2\na +0E0\na 1e999\n", "a 0.5\na 5\na -100\na 0\na inf\n");
        static const char *const wrong[] = {"a 0x10\n", "a nan(1)\n", "a -nan\n", "a infinity\n", "a 1_000\n", "a .\n",
                "a 1e\n", "a 1e+\n", "a --1\n", "a 1,5\n", "a e5\n", "a \n", "a{}\n", "a 1d\n"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                refuses(wrong[i], "line 1 of the metrics: no number for a value");
        refuses("a 1 1.5\n", "a time that is no whole number");
        refuses("a 1 99999999999999999999\n", "a time that is no whole number");
        refuses("a 1 -\n", "a time that is no whole number");
        refuses("a 1 2 3\n", "more after the sample's end");
}

static void test_comments(void **state)
{
        (void)state;
        takes("# anything \\x at all\n#\n# EOF\n#HELPa\n", "");
        takes("# HELP a what \\\\ it \\n is\n# HELP b\n# TYPE a counter\na 1\n", "a 1\n");
        refuses("# HELP a \\t\n", "an escape in HELP that is none");
        refuses("# HELP a \\", "end inside line 1");
        refuses("# HELP a \\\n", "an escape in HELP that is none");
        refuses("# TYPE a number\n", "TYPE is of no type");
        refuses("# TYPE a\n", "TYPE is of no type");
        refuses("# TYPE a gauge gauge\n", "TYPE is of no type");
        refuses("# TYPE 1a gauge\n", "HELP or TYPE of no metric's name");
        refuses("# HELP\n", "HELP or TYPE of no metric's name");
}

static void test_wrong_lines(void **state)
{
        (void)state;
        refuses("a 1\n\nb{c=\"d} 1\n", "line 3 of the metrics: a label's value without an end");
        refuses("1a 1\n", "no metric's name");
        refuses("{a=\"b\"} 1\n", "no metric's name");
        refuses("a\n", "no blank after the metric's name");
        refuses("a-b 1\n", "no blank after the metric's name");
        refuses("a{b} 1\n", "no '=' after a label's name");
        refuses("a{b:c=\"d\"} 1\n", "no '=' after a label's name");
        refuses("a{b=c} 1\n", "a label's value without quotes");
        refuses("a{b=\"\\t\"} 1\n", "an escape in a label's value that is none");
        refuses("a{b=\"\\\n", "an escape in a label's value that is none");
        refuses("a{,} 1\n", "no label's name where one has to be");
        refuses("a{b=\"1\",,c=\"2\"} 1\n", "no label's name where one has to be");
        refuses("a{b=\"1\" c=\"2\"} 1\n", "neither ',' nor '}' after a label");
        refuses("a{b=\"1\"\n", "neither ',' nor '}' after a label");
        refuses("a{b=\"1\",b=\"2\"} 1\n", "a label twice");
        refuses("a 1\r\n", "no number for a value");
        refuses("a{b=\"\xff\"} 1\n", "it is no UTF-8");
        refuses("<html>\n", "no metric's name");
}

static void test_bounds(void **state)
{
        (void)state;
        refuses("a 1\na 2", "the metrics end inside line 2");
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
        buf_str(&text, "a 1\na{b=\"");
        for (size_t i = 0; i < METRICS_LINE_MAX - strlen("a{b=\"\"} 1"); i++)
                buf_str(&text, "x");
        size_t full = text.length;
        buf_str(&text, "\"} 1\n");
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        assert_int_equal(parse(text.data, text.length, 0, &out, NULL), 0);
        text.data[full] = '\0';
        CLEANUP_FREE char *longer = str_format("%sx\"} 1\n", text.data);
        refuses(longer, "line 2 of the metrics is longer than 65536 bytes");

        CLEANUP_BUF struct buf many = BUF_INIT(1 << 20);
        buf_str(&many, "a{");
        for (int i = 0; i < METRICS_LABELS_MAX; i++)
                buf_format(&many, "l%d=\"\",", i);
        CLEANUP_FREE char *most = str_format("%s} 1\n", many.data), *more = str_format("%smore=\"\"} 1\n", many.data);
        assert_int_equal(parse(most, strlen(most), 0, &out, NULL), 0);
        refuses(more, "too many labels");

        CLEANUP_BUF struct buf none = BUF_INIT(100);
        assert_int_equal(parse("a\0b 1\n", 6, 0, &none, NULL), -ERR_INVALID);
        assert_int_equal(none.length, 0);
}

static void keep_user(void *data, const struct metrics_sample *sample)
{
        *(char **)data = str_copy(metrics_label(sample, "user"));
        assert_null(metrics_label(sample, "use"));
}

static void test_label_by_name(void **state)
{
        (void)state;
        char *user = NULL;
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(keep_user, &user);
        assert_int_equal(metrics_feed(reader, "a{kind=\"x\",user=\"alice\"} 1\n", 27, NULL), 0);
        assert_string_equal(user, "alice");
        free(user);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_samples),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_comments),
                cmocka_unit_test(test_wrong_lines),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_label_by_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
