#include "exporter/dask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define CLUSTER  "user,dask_cluster"
#define LINE_MAX 512

const struct family DASK_UP = {.name = "caas_dask_scheduler_up",
        .help = "Whether the scheduler of a Dask cluster answers.",
        .labels = CLUSTER};
static const struct family CLIENTS = {
        .name = "dask_scheduler_clients", .help = "Clients connected to a Dask cluster.", .labels = CLUSTER};
static const struct family DESIRED = {.name = "dask_scheduler_desired_workers",
        .help = "Workers that a Dask cluster could use for what it has to do.",
        .labels = CLUSTER};
static const struct family WORKERS = {.name = "dask_scheduler_workers",
        .help = "Workers that a Dask scheduler knows, by state.",
        .labels = CLUSTER ",state"};
static const struct family TASKS = {.name = "dask_scheduler_tasks",
        .help = "Tasks that a Dask scheduler knows, by state.",
        .labels = CLUSTER ",state"};
static const struct family ADDED = {.name = "dask_scheduler_workers_added_total",
        .help = "Workers that came to a Dask cluster.",
        .type = FAMILY_COUNTER,
        .labels = CLUSTER};
static const struct family REMOVED = {.name = "dask_scheduler_workers_removed_total",
        .help = "Workers that left a Dask cluster.",
        .type = FAMILY_COUNTER,
        .labels = CLUSTER};
static const struct family FORGOTTEN = {.name = "dask_scheduler_tasks_forgotten_total",
        .help = "Tasks that a Dask cluster is done with.",
        .type = FAMILY_COUNTER,
        .labels = CLUSTER};
static const struct family COMPUTE = {.name = "dask_scheduler_tasks_compute_seconds_total",
        .help = "Time that the workers of a Dask cluster computed.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = CLUSTER};
static const struct family TRANSFER = {.name = "dask_scheduler_tasks_transfer_seconds_total",
        .help = "Time that the workers of a Dask cluster spent on moving data.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = CLUSTER};
static const struct family OUTPUT = {.name = "dask_scheduler_tasks_output_bytes",
        .help = "Results that a Dask cluster holds in memory.",
        .unit = "bytes",
        .labels = CLUSTER};
const struct family *const DASK_FAMILIES[] = {&DASK_UP, &CLIENTS, &DESIRED, &WORKERS, &TASKS, &ADDED, &REMOVED,
        &FORGOTTEN, &COMPUTE, &TRANSFER, &OUTPUT, NULL};

/* One figure a line of the scheduler's page, or, with `sum`, the sum of its lines: those have a label with the names of
 * users' functions, of which there can be any number. */
static const struct known {
        const struct family *family;
        const char *state; /* the value of the label "state"; NULL: without one */
        bool sum;
} KNOWN[DASK_FIGURES] = {
        {&CLIENTS, NULL, false},
        {&DESIRED, NULL, false},
        {&WORKERS, "idle", false},
        {&WORKERS, "partially_saturated", false},
        {&WORKERS, "saturated", false},
        {&WORKERS, "paused", false},
        {&WORKERS, "retiring", false},
        {&TASKS, "released", false},
        {&TASKS, "waiting", false},
        {&TASKS, "no-worker", false},
        {&TASKS, "queued", false},
        {&TASKS, "processing", false},
        {&TASKS, "memory", false},
        {&TASKS, "erred", false},
        {&ADDED, NULL, false},
        {&REMOVED, NULL, false},
        {&FORGOTTEN, NULL, false},
        {&COMPUTE, NULL, true},
        {&TRANSFER, NULL, true},
        {&OUTPUT, NULL, true},
};

/* `{state="idle"}` and no more; NULL when there are no braces or they hold something else. *ret_end is behind them. */
static const char *read_state(const char *from, size_t *ret_length, const char **ret_end)
{
        static const char open[] = "{state=\"";
        if (!str_starts(from, open))
                return NULL;
        from += strlen(open);
        *ret_length = strcspn(from, "\"\\");
        if (strncmp(from + *ret_length, "\"}", 2) != 0)
                return NULL;
        *ret_end = from + *ret_length + 2;
        return from;
}

/* The number of a sample: the last thing on its line, as Dask adds no times. */
static bool read_number(const char *line, double *ret)
{
        const char *from = strrchr(line, ' ');
        char *end;
        if (!from || !strchr("0123456789", from[1]) || !from[1])
                return false;
        double value = strtod(from + 1, &end);
        if (*end || !isfinite(value))
                return false;
        *ret = value;
        return true;
}

static void read_line(const char *line, struct dask_figures *figures)
{
        size_t name = strcspn(line, "{ "), length = 0;
        const char *after = line + name, *state = read_state(after, &length, &after);
        double value;
        if (!read_number(line, &value))
                return;
        for (size_t i = 0; i < DASK_FIGURES && KNOWN[i].family; i++) {
                const struct known *known = &KNOWN[i];
                double *figure = &figures->value[i];
                if (strlen(known->family->name) != name || strncmp(known->family->name, line, name) != 0)
                        continue;
                if (known->sum)
                        *figure = (isnan(*figure) ? 0 : *figure) + value;
                else if (*after == ' ' && (known->state ? state && strlen(known->state) == length &&
                                                                  strncmp(known->state, state, length) == 0
                                                        : !state))
                        *figure = value;
        }
}

void dask_read(const char *text, size_t length, struct dask_figures *ret)
{
        const char *end = text + length;
        for (size_t i = 0; i < DASK_FIGURES; i++)
                ret->value[i] = NAN;
        while (text < end) {
                const char *stop = memchr(text, '\n', (size_t)(end - text));
                size_t n = (size_t)((stop ? stop : end) - text);
                char line[LINE_MAX];
                if (n < sizeof line) {
                        memcpy(line, text, n);
                        line[n] = '\0'; /* with a NUL in it, it just ends there */
                        read_line(line, ret);
                }
                text += n + 1;
        }
}

void dask_add(const struct dask_figures *figures, const char *user, const char *cluster, struct sample_sink *sink)
{
        for (size_t i = 0; i < DASK_FIGURES && KNOWN[i].family; i++)
                if (isfinite(figures->value[i]))
                        sink_add(sink, KNOWN[i].family, figures->value[i],
                                (const char *const[]){"user", user, "dask_cluster", cluster,
                                        KNOWN[i].state ? "state" : NULL, KNOWN[i].state, NULL});
}
