#include "exporter/totals.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const struct family TOTAL_CPU = {.name = "caas_user_cpu_seconds_total",
        .help = "Processor time that the servers (kind=notebook) or Dask clusters (kind=dask) of a user have taken "
                "since the exporter began to look.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = "user,kind"};
const struct family TOTAL_MEMORY = {.name = "caas_user_memory_bytes",
        .help = "Working set of what a user runs: memory without the page cache that can be dropped at once.",
        .unit = "bytes",
        .labels = "user,kind"};
const struct family TOTAL_LIMIT = {.name = "caas_user_memory_limit_bytes",
        .help = "What the memory of what a user runs is limited to.",
        .unit = "bytes",
        .labels = "user,kind"};
const struct family TOTAL_OOM = {.name = "caas_user_oom_kills_total",
        .help = "Processes of a user that were killed because a memory limit was reached, since the exporter began to "
                "look.",
        .type = FAMILY_COUNTER,
        .labels = "user,kind"};
const struct family TOTAL_PROCESSES = {
        .name = "caas_user_processes", .help = "Processes and threads that a user runs.", .labels = "user,kind"};

/* What one user runs of one kind. */
struct total {
        char *user;
        char *kind;
        int64_t cpu_usec; /* whole: sums of fractions would come out with a tail */
        double oom_kills, memory, limit, processes;
        bool processes_known;
        int parts; /* there are now */
};

void totals_clear(struct totals *totals)
{
        for (size_t i = 0; i < totals->count; i++) {
                free(totals->item[i].user);
                free(totals->item[i].kind);
        }
        free(totals->item);
        *totals = (struct totals){0};
}

static int by_user(const void *a, const void *b)
{
        const struct total *x = a, *y = b;
        int order = strcmp(x->user, y->user);
        return order ? order : strcmp(x->kind, y->kind);
}

static struct total *total_of(struct totals *totals, const char *user, const char *kind)
{
        struct total wanted = {.user = (char *)user, .kind = (char *)kind};
        struct total *found =
                totals->sorted ? bsearch(&wanted, totals->item, totals->sorted, sizeof *totals->item, by_user) : NULL;
        for (size_t i = totals->sorted; !found && i < totals->count; i++)
                if (by_user(&wanted, &totals->item[i]) == 0)
                        found = &totals->item[i];
        if (found)
                return found;
        MEM_GROW(totals->item, totals->count, totals->capacity);
        totals->item[totals->count] = (struct total){.user = str_copy(user), .kind = str_copy(kind)};
        return &totals->item[totals->count++];
}

void totals_begin(struct totals *totals)
{
        for (size_t i = 0; i < totals->count; i++) {
                struct total *total = &totals->item[i];
                total->memory = total->limit = total->processes = 0;
                total->processes_known = false;
                total->parts = 0;
        }
}

void totals_count(struct totals *totals, const char *user, const char *kind, const struct total_part *part)
{
        struct total *total = total_of(totals, user, kind);
        total->cpu_usec += part->cpu_seconds > 0 ? llround(part->cpu_seconds * 1e6) : 0;
        total->oom_kills += part->oom_kills > 0 ? part->oom_kills : 0;
        total->memory += part->memory;
        total->limit += part->limit > 0 ? part->limit : 0;
        total->processes += part->processes > 0 ? part->processes : 0;
        total->processes_known = total->processes_known || part->processes >= 0;
        total->parts++;
}

void totals_add(struct totals *totals, struct sample_sink *sink)
{
        if (totals->count > totals->sorted) {
                qsort(totals->item, totals->count, sizeof *totals->item, by_user);
                totals->sorted = totals->count;
        }
        for (size_t i = 0; i < totals->count; i++) {
                const struct total *total = &totals->item[i];
                const char *const labels[] = {"user", total->user, "kind", total->kind, NULL};
                if (total->parts == 0)
                        continue;
                sink_add(sink, &TOTAL_CPU, (double)total->cpu_usec / 1e6, labels);
                sink_add(sink, &TOTAL_MEMORY, total->memory, labels);
                if (total->limit > 0)
                        sink_add(sink, &TOTAL_LIMIT, total->limit, labels);
                sink_add(sink, &TOTAL_OOM, total->oom_kills, labels);
                if (total->processes_known)
                        sink_add(sink, &TOTAL_PROCESSES, total->processes, labels);
        }
}
