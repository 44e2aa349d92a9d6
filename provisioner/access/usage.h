/* Who uses how much of a cluster: one reading of its exporter, put together by user, Dask cluster and part. */
#ifndef CAAS_ACCESS_USAGE_H
#define CAAS_ACCESS_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/prometheus/metrics.h"

/* In all figures NaN stands for what is not known. Bytes, seconds, cores; times are seconds since 1970. */
enum usage_kind { USAGE_NOTEBOOK, USAGE_DASK, USAGE_KINDS };

struct usage_group {
        double cpu_seconds; /* since the group began */
        double cpu;         /* cores, over usage.rate_seconds */
        double memory, limit, processes, oom_kills;
};

struct usage_user {
        char *name;
        struct usage_group group[USAGE_KINDS];
        double started, active, ready; /* of the notebook server */
        double home_used, home_size;
        double clusters, workers, dask_cores, dask_memory; /* asked for */
};

struct usage_dask {
        char *name, *user;
        double workers, cores, memory, started, idle;
};

/* What the cluster consists of, where the exporter has its figures from, and certificates. */
enum usage_what { USAGE_PART, USAGE_SOURCE, USAGE_CERTIFICATE, USAGE_WHATS };

struct usage_part {
        enum usage_what what;
        char *name;
        double up;                /* 1, 0; of parts and sources */
        double duration, success; /* of sources: how long the last look took, and when it succeeded last */
        double expiry;            /* of certificates */
};

struct usage {
        struct usage_user *user;
        struct usage_dask *dask;
        struct usage_part *part;
        size_t users, dasks, parts; /* USAGE_ROWS_MAX at most of each */
        size_t user_room, dask_room, part_room;
        size_t dropped; /* samples for which there was no room */
        double taken;   /* when it was read */
        double clock;   /* when the control groups were looked at */
        double rate_seconds;
        double homes_free, homes_images;
        double dask_cores_max, dask_memory_max;
        double drift;  /* resources that are not as applied */
        json_t *index; /* "u" + user, "d" + Dask cluster, "p" + part, …: where in the array */
};
#define USAGE_ROWS_MAX 20000

struct usage *usage_new(double taken);
struct usage *usage_free(struct usage *usage); /* accepts NULL, returns NULL */
static inline void usage_cleanup(struct usage **usage)
{
        usage_free(*usage);
}
#define CLEANUP_USAGE __attribute__((cleanup(usage_cleanup)))

/* A metrics_sink; data is a struct usage. Samples that say nothing here are passed over. */
void usage_add(void *data, const struct metrics_sample *sample);

/* Fills in the cores of `now` from what was used since `before`. Where the control groups were not looked at again in
 * between, those of before still hold. */
void usage_rates(struct usage *now, const struct usage *before);

double usage_add_up(double a, double b); /* of two figures; one that is not known counts as nothing */
double usage_user_cpu(const struct usage_user *user);
double usage_user_memory(const struct usage_user *user);
bool usage_user_active(const struct usage_user *user); /* has a server, processes or a Dask cluster */

/* All rows, largest first, names from A; what is not known comes last, whatever reverse says of the others. The caller
 * frees the array (not the rows). Dask clusters have no home: by it they come in the order of memory. */
enum usage_sort { USAGE_BY_MEMORY, USAGE_BY_CPU, USAGE_BY_USER, USAGE_BY_HOME, USAGE_BY_DASK, USAGE_SORTS };
const struct usage_user **usage_users(const struct usage *usage, enum usage_sort by, bool reverse);
const struct usage_dask **usage_dasks(const struct usage *usage, enum usage_sort by, bool reverse);
const struct usage_part **usage_parts(const struct usage *usage); /* by what they are, then name; what is down first */

/* What all together use. */
struct usage_totals {
        size_t active, servers, clusters;
        double workers, cpu, memory, home_used;
};
struct usage_totals usage_total(const struct usage *usage);

/* The shape stands in the help of `caas top`; users are in the order asked for. New reference. */
json_t *usage_to_json(const struct usage *usage, const char *cluster, enum usage_sort by);

#endif
