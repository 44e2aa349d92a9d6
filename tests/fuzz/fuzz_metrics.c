/* Metrics that a server sends, cut anywhere: what comes out does not depend on the cuts, and what is well-formed stays
 * so when it is written again. */
#include <math.h>

#include "client/prometheus/metrics.h"
#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"

static void write_value(struct buf *out, const char *text)
{
        for (; *text; text++) {
                if (*text == '\n')
                        buf_str(out, "\\n");
                else
                        buf_format(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
        }
}

/* The sample as a line of the format. */
static void write_sample(void *user, const struct metrics_sample *sample)
{
        struct buf *out = user;
        MUST(*sample->name && sample->labels <= METRICS_LABELS_MAX);
        buf_format(out, "%s{", sample->name);
        for (size_t i = 0; i < sample->labels; i++) {
                MUST(*sample->label[i].name);
                MUST(str_utf8(sample->label[i].value, strlen(sample->label[i].value), NULL));
                MUST(metrics_label(sample, sample->label[i].name) == sample->label[i].value);
                buf_format(out, "%s%s=\"", i ? "," : "", sample->label[i].name);
                write_value(out, sample->label[i].value);
                buf_str(out, "\"");
        }
        if (isnan(sample->value))
                buf_str(out, "} NaN");
        else
                buf_format(out, "} %.17g", sample->value);
        if (sample->stamped)
                buf_format(out, " %lld", (long long)sample->stamp_ms);
        buf_str(out, "\n");
}

/* In pieces whose size changes with seed; 0 = whole. */
static int parse(const char *data, size_t size, unsigned seed, struct buf *out)
{
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(write_sample, out);
        CLEANUP_ERR struct err *err = NULL;
        int r = 0;
        for (size_t at = 0, n; r == 0 && at < size; at += n) {
                n = seed ? (seed * 7 + at) % seed + 1 : size;
                n = n < size - at ? n : size - at;
                r = metrics_feed(reader, data + at, n, &err);
        }
        if (r == 0)
                r = metrics_end(reader, &err);
        MUST(r == 0 || (r == -ERR_INVALID && err));
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data;
        CLEANUP_BUF struct buf whole = BUF_INIT(1UL << 26), again = BUF_INIT(1UL << 26);
        int r = parse(text, size, 0, &whole);
        static const unsigned seeds[] = {1, 17};
        for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
                CLEANUP_BUF struct buf cut = BUF_INIT(1UL << 26);
                MUST(parse(text, size, seeds[i], &cut) == r);
                MUST(cut.length == whole.length && (!whole.length || memcmp(cut.data, whole.data, cut.length) == 0));
        }
        /* Numbers can become longer, and a line too long with them. */
        if (!whole.length || size > METRICS_LINE_MAX - 100)
                return 0;
        MUST(parse(whole.data, whole.length, 0, &again) == 0);
        MUST(again.length == whole.length && memcmp(again.data, whole.data, again.length) == 0);
        return 0;
}
