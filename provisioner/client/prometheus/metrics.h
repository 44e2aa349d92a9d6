/* Prometheus' text format 0.0.4, read as it comes. The server may be anybody: every line is checked, and what is held
 * at one time is bounded. */
#ifndef CAAS_CLIENT_PROMETHEUS_METRICS_H
#define CAAS_CLIENT_PROMETHEUS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define METRICS_LINE_MAX   65536
#define METRICS_LABELS_MAX 64

struct metrics_label {
        const char *name, *value; /* unescaped, UTF-8 */
};

struct metrics_sample {
        const char *name;
        struct metrics_label label[METRICS_LABELS_MAX];
        size_t labels;
        double value; /* may be NaN or infinite */
        bool stamped;
        int64_t stamp_ms; /* since 1970 */
};

/* NULL = the sample has no such label. */
const char *metrics_label(const struct metrics_sample *sample, const char *name);

/* One sample; it and its texts are borrowed during the call. */
typedef void (*metrics_sink)(void *data, const struct metrics_sample *sample);

struct metrics_reader;

/* Not thread-safe. */
struct metrics_reader *metrics_reader_new(metrics_sink sink, void *data);
struct metrics_reader *metrics_reader_free(struct metrics_reader *reader); /* accepts NULL, returns NULL */
static inline void metrics_reader_cleanup(struct metrics_reader **reader)
{
        metrics_reader_free(*reader);
}
#define CLEANUP_METRICS __attribute__((cleanup(metrics_reader_cleanup)))

/* The next bytes, cut anywhere. -ERR_INVALID names the first line that is none; nothing may be fed after that. */
int metrics_feed(struct metrics_reader *reader, const char *bytes, size_t length, struct err **err);

/* The text is over. -ERR_INVALID: it ends inside a line, so it was cut off. */
int metrics_end(struct metrics_reader *reader, struct err **err);

#endif
