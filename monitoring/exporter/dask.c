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

/* Of its workers, which it has put together (caas_dask_workers.py). */
static const struct family THREADS = {
        .name = "dask_worker_threads", .help = "Threads of the workers of a Dask cluster.", .labels = CLUSTER};
static const struct family MEMORY = {.name = "dask_worker_memory_bytes",
        .help = "Memory of the workers of a Dask cluster: of results, of all else, and what of results is on disk.",
        .unit = "bytes",
        .labels = CLUSTER ",type"};
static const struct family LIMIT = {.name = "caas_dask_worker_memory_limit_bytes",
        .help = "Memory that the workers of a Dask cluster keep to, by their own word.",
        .unit = "bytes",
        .labels = CLUSTER};
static const struct family FULLEST = {.name = "caas_dask_worker_memory_fullest_ratio",
        .help = "Memory of the worker of a Dask cluster that is nearest to its limit, as part of that.",
        .labels = CLUSTER};
static const struct family WORK = {.name = "dask_worker_tasks",
        .help = "Tasks that the workers of a Dask cluster have, by state.",
        .labels = CLUSTER ",state"};
static const struct family SENT = {.name = "dask_worker_transfer_outgoing_bytes_total",
        .help = "What the workers of a Dask cluster sent each other.",
        .type = FAMILY_COUNTER,
        .unit = "bytes",
        .labels = CLUSTER};
static const struct family SPILLED = {.name = "dask_worker_spill_bytes_total",
        .help = "What the workers of a Dask cluster wrote to disk for want of memory, and read again.",
        .type = FAMILY_COUNTER,
        .unit = "bytes",
        .labels = CLUSTER ",activity"};
static const struct family LATENCY = {.name = "dask_worker_latency_seconds",
        .help = "How long a heartbeat takes, of the worker of a Dask cluster where it takes longest.",
        .unit = "seconds",
        .labels = CLUSTER};
static const struct family TICK = {.name = "dask_worker_tick_duration_maximum_seconds",
        .help = "For how long an event loop of a worker of a Dask cluster stood still, at most, in the last half "
                "minute.",
        .unit = "seconds",
        .labels = CLUSTER};
const struct family *const DASK_FAMILIES[] = {&DASK_UP, &CLIENTS, &DESIRED, &WORKERS, &TASKS, &ADDED, &REMOVED,
        &FORGOTTEN, &COMPUTE, &TRANSFER, &OUTPUT, &THREADS, &MEMORY, &LIMIT, &FULLEST, &WORK, &SENT, &SPILLED, &LATENCY,
        &TICK, NULL};

/* One figure a line of the scheduler's page, or, with `sum`, the sum of its lines: those have a label with the names of
 * users' functions, of which there can be any number. */
static const struct known {
        const struct family *family;
        const char *label, *value; /* the one that it has; NULL: without one */
        bool sum;
} KNOWN[DASK_FIGURES] = {
        {&CLIENTS, NULL, NULL, false},
        {&DESIRED, NULL, NULL, false},
        {&WORKERS, "state", "idle", false},
        {&WORKERS, "state", "partially_saturated", false},
        {&WORKERS, "state", "saturated", false},
        {&WORKERS, "state", "paused", false},
        {&WORKERS, "state", "retiring", false},
        {&TASKS, "state", "released", false},
        {&TASKS, "state", "waiting", false},
        {&TASKS, "state", "no-worker", false},
        {&TASKS, "state", "queued", false},
        {&TASKS, "state", "processing", false},
        {&TASKS, "state", "memory", false},
        {&TASKS, "state", "erred", false},
        {&ADDED, NULL, NULL, false},
        {&REMOVED, NULL, NULL, false},
        {&FORGOTTEN, NULL, NULL, false},
        {&COMPUTE, NULL, NULL, true},
        {&TRANSFER, NULL, NULL, true},
        {&OUTPUT, NULL, NULL, true},
        {&THREADS, NULL, NULL, false},
        {&MEMORY, "type", "managed", false},
        {&MEMORY, "type", "unmanaged", false},
        {&MEMORY, "type", "spilled", false},
        {&LIMIT, NULL, NULL, false},
        {&FULLEST, NULL, NULL, false},
        {&WORK, "state", "executing", false},
        {&WORK, "state", "long-running", false},
        {&WORK, "state", "ready", false},
        {&WORK, "state", "waiting", false},
        {&WORK, "state", "fetch", false},
        {&WORK, "state", "flight", false},
        {&WORK, "state", "memory", false},
        {&WORK, "state", "disk", false},
        {&WORK, "state", "error", false},
        {&SENT, NULL, NULL, false},
        {&SPILLED, "activity", "disk-write", false},
        {&SPILLED, "activity", "disk-read", false},
        {&LATENCY, NULL, NULL, false},
        {&TICK, NULL, NULL, false},
};

/* Are there this one label, `{state="idle"}`, and the value behind it? With NULL: no label? */
static bool has_label(const char *at, const char *label, const char *value)
{
        if (!label)
                return *at == ' ';
        const char *const pieces[] = {"{", label, "=\"", value, "\"} "};
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
                if (!str_starts(at, pieces[i]))
                        return false;
                at += strlen(pieces[i]);
        }
        return true;
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
        size_t name = strcspn(line, "{ ");
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
                else if (has_label(line + name, known->label, known->value))
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
                                (const char *const[]){
                                        "user", user, "dask_cluster", cluster, KNOWN[i].label, KNOWN[i].value, NULL});
}
