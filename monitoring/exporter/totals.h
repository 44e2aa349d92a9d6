/* What each user has taken so far. The counters outlive the control groups or containers they come from: a sum over
 * what comes and goes would fall, and Prometheus would take that for a start from zero. They begin at zero with the
 * exporter, for then nothing is counted twice. */
#ifndef CAAS_EXPORTER_TOTALS_H
#define CAAS_EXPORTER_TOTALS_H

#include <stddef.h>

#include "exporter/sink.h"

struct totals {
        struct total *item; /* by user and kind, but for the new ones of a refresh, which stand at the end */
        size_t count, capacity, sorted;
};
void totals_clear(struct totals *totals);

/* What one thing of a user's uses now, and has taken since it was last looked at. */
struct total_part {
        double cpu_seconds, oom_kills;   /* taken since; less than 0 counts as 0 */
        double memory, limit, processes; /* now; limit 0 = none, processes less than 0 = not known */
};

void totals_begin(struct totals *totals); /* a refresh: nobody uses anything yet */
void totals_count(struct totals *totals, const char *user, const char *kind, const struct total_part *part);
void totals_add(struct totals *totals, struct sample_sink *sink); /* its end: says it of whoever uses something */

extern const struct family TOTAL_CPU, TOTAL_MEMORY, TOTAL_LIMIT, TOTAL_OOM, TOTAL_PROCESSES;

#endif
