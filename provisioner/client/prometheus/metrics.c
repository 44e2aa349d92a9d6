#include "client/prometheus/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/lines.h"

struct metrics_reader {
        struct lines lines;
        metrics_sink sink;
        void *data;
        size_t number; /* of the line, from 1 */
        const char *problem;
        struct metrics_sample sample;
        char text[METRICS_LINE_MAX +
                  1]; /* the sample's names and values, each ended by NUL: never more than the line */
        size_t used;
};

const char *metrics_label(const struct metrics_sample *sample, const char *name)
{
        for (size_t i = 0; i < sample->labels; i++)
                if (str_is(sample->label[i].name, name))
                        return sample->label[i].value;
        return NULL;
}

static const char *skip_blanks(const char *p)
{
        return p + strspn(p, " \t");
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* The length of the name that p begins with; 0 = none. Colons are for names of metrics only. */
static size_t name_length(const char *p, bool colons)
{
        size_t n = 0;
        while (is_letter(p[n]) || (colons && p[n] == ':') || (n > 0 && is_digit(p[n])))
                n++;
        return n;
}

/* Copies into the reader's text; the result is borrowed. */
static const char *keep(struct metrics_reader *reader, const char *text, size_t length)
{
        char *kept = reader->text + reader->used;
        memcpy(kept, text, length);
        kept[length] = '\0';
        reader->used += length + 1;
        return kept;
}

static const char *fail(struct metrics_reader *reader, const char *problem)
{
        reader->problem = problem;
        return NULL;
}

/* ---- numbers ---- */

/* [0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)? and with only a fraction, after the sign. */
static bool is_decimal(const char *p)
{
        size_t whole = strspn(p, "0123456789"), fraction = 0;
        p += whole;
        if (*p == '.') {
                fraction = strspn(p + 1, "0123456789");
                p += 1 + fraction;
        }
        if (whole + fraction == 0)
                return false;
        if (*p == 'e' || *p == 'E') {
                p++;
                p += *p == '-' || *p == '+';
                size_t exponent = strspn(p, "0123456789");
                if (exponent == 0)
                        return false;
                p += exponent;
        }
        return *p == '\0';
}

/* strtod alone would also take what is no number here: hexadecimals, NAN(…), blanks in front. */
static bool to_value(const char *text, double *ret)
{
        const char *unsigned_ = text + (*text == '-' || *text == '+');
        bool word = strcasecmp(unsigned_, "inf") == 0 || strcasecmp(text, "nan") == 0;
        if (!word && !is_decimal(unsigned_))
                return false;
        *ret = strtod(text, NULL); /* too large is infinite, as in Go */
        return true;
}

static bool to_stamp(const char *text, int64_t *ret)
{
        const char *unsigned_ = text + (*text == '-');
        if (!*unsigned_ || unsigned_[strspn(unsigned_, "0123456789")])
                return false;
        errno = 0;
        *ret = strtoll(text, NULL, 10);
        return errno == 0;
}

/* A word of digits and letters up to the next blank. The caller frees. */
static char *word_at(const char **p)
{
        size_t n = strcspn(*p, " \t");
        char *word = str_copy_n(*p, n);
        *p = skip_blanks(*p + n);
        return word;
}

/* ---- labels ---- */

/* After the opening quote, up to after the closing one; NULL = wrong. */
static const char *read_value(struct metrics_reader *reader, const char *p, const char **ret)
{
        char *out = reader->text + reader->used;
        *ret = out;
        for (; *p && *p != '"'; p++) {
                char c = *p;
                if (c == '\\') {
                        p++;
                        if (*p != '\\' && *p != '"' && *p != 'n')
                                return fail(reader, "an escape in a label's value that is none");
                        c = *p == 'n' ? '\n' : *p;
                }
                *out++ = c;
        }
        if (*p != '"')
                return fail(reader, "a label's value without an end");
        *out++ = '\0';
        reader->used = (size_t)(out - reader->text);
        return p + 1;
}

static const char *read_label(struct metrics_reader *reader, const char *p)
{
        struct metrics_sample *sample = &reader->sample;
        struct metrics_label label;
        size_t n = name_length(p, false);
        if (n == 0)
                return fail(reader, "no label's name where one has to be");
        if (sample->labels == METRICS_LABELS_MAX)
                return fail(reader, "too many labels");
        label.name = keep(reader, p, n);
        p = skip_blanks(p + n);
        if (*p != '=')
                return fail(reader, "no '=' after a label's name");
        p = skip_blanks(p + 1);
        if (*p != '"')
                return fail(reader, "a label's value without quotes");
        p = read_value(reader, p + 1, &label.value);
        if (!p)
                return NULL;
        if (metrics_label(sample, label.name))
                return fail(reader, "a label twice");
        sample->label[sample->labels++] = label;
        return skip_blanks(p);
}

/* After "{", up to after "}" and blanks. A comma may stand behind the last label. */
static const char *read_labels(struct metrics_reader *reader, const char *p)
{
        p = skip_blanks(p);
        while (*p != '}') {
                p = read_label(reader, p);
                if (!p)
                        return NULL;
                if (*p == ',')
                        p = skip_blanks(p + 1);
                else if (*p != '}')
                        return fail(reader, "neither ',' nor '}' after a label");
        }
        return skip_blanks(p + 1);
}

/* ---- lines ---- */

/* "# HELP name text", "# TYPE name type"; any other is a remark. */
static void read_comment(struct metrics_reader *reader, const char *p)
{
        static const char *const types[] = {"counter", "gauge", "histogram", "summary", "untyped", NULL};
        p = skip_blanks(p);
        CLEANUP_FREE char *what = word_at(&p);
        bool help = str_is(what, "HELP");
        if (!help && !str_is(what, "TYPE"))
                return;
        CLEANUP_FREE char *name = word_at(&p);
        if (!*name || name[name_length(name, true)]) {
                reader->problem = "HELP or TYPE of no metric's name";
                return;
        }
        for (; help && *p; p++) {
                if (*p != '\\')
                        continue;
                p++;
                if (*p != '\\' && *p != 'n') {
                        reader->problem = "an escape in HELP that is none";
                        return;
                }
        }
        if (help)
                return;
        CLEANUP_FREE char *type = word_at(&p);
        size_t known = 0;
        while (types[known] && !str_is(types[known], type))
                known++;
        if (!types[known] || *p)
                reader->problem = "TYPE is of no type";
}

static void read_sample(struct metrics_reader *reader, const char *p)
{
        struct metrics_sample *sample = &reader->sample;
        size_t n = name_length(p, true);
        if (n == 0) {
                reader->problem = "no metric's name";
                return;
        }
        sample->labels = 0;
        reader->used = 0;
        sample->name = keep(reader, p, n);
        const char *after = skip_blanks(p + n);
        bool labelled = *after == '{';
        if (labelled)
                after = read_labels(reader, after + 1);
        if (!after)
                return;
        if (!labelled && after == p + n) {
                reader->problem = "no blank after the metric's name";
                return;
        }
        CLEANUP_FREE char *value = word_at(&after);
        CLEANUP_FREE char *stamp = word_at(&after);
        sample->stamped = *stamp;
        if (!to_value(value, &sample->value))
                reader->problem = "no number for a value";
        else if (sample->stamped && !to_stamp(stamp, &sample->stamp_ms))
                reader->problem = "a time that is no whole number";
        else if (*after)
                reader->problem = "more after the sample's end";
        else
                reader->sink(reader->data, sample);
}

static int read_line(void *data, const char *text, size_t length)
{
        struct metrics_reader *reader = data;
        reader->number++;
        if (!str_utf8(text, length, NULL)) {
                reader->problem = "it is no UTF-8";
                return -ERR_INVALID;
        }
        const char *p = skip_blanks(text);
        if (*p == '#')
                read_comment(reader, p + 1);
        else if (*p)
                read_sample(reader, p);
        return reader->problem ? -ERR_INVALID : 0;
}

/* ---- the reader ---- */

struct metrics_reader *metrics_reader_new(metrics_sink sink, void *data)
{
        struct metrics_reader *reader = mem_zero(sizeof *reader);
        reader->lines = (struct lines){.max = METRICS_LINE_MAX, .line = read_line, .data = reader};
        reader->sink = sink;
        reader->data = data;
        return reader;
}

struct metrics_reader *metrics_reader_free(struct metrics_reader *reader)
{
        if (!reader)
                return NULL;
        lines_clear(&reader->lines);
        free(reader);
        return NULL;
}

int metrics_feed(struct metrics_reader *reader, const char *bytes, size_t length, struct err **err)
{
        if (lines_feed(&reader->lines, bytes, length) == 0)
                return 0;
        if (reader->problem)
                return err_set(err, ERR_INVALID, "line %zu of the metrics: %s", reader->number, reader->problem);
        return err_set(err, ERR_INVALID, "line %zu of the metrics is longer than %d bytes", reader->number + 1,
                METRICS_LINE_MAX);
}

int metrics_end(struct metrics_reader *reader, struct err **err)
{
        if (reader->lines.length)
                return err_set(err, ERR_INVALID, "the metrics end inside line %zu", reader->number + 1);
        return 0;
}
