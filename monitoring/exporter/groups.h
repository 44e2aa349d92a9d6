/* The control groups of a cluster, with what each uses, whose it is and what Kubernetes would call it. */
#ifndef CAAS_EXPORTER_GROUPS_H
#define CAAS_EXPORTER_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "client/cgroup/cgroup.h"
#include "exporter/config.h"

struct group {
        char *name;            /* "jupyter-alice", "dask-<id>-scheduler", "dask-<id>-worker-<n>" */
        char *user;            /* NULL: not known (yet) */
        const char *kind;      /* "notebook" or "dask" */
        char *pod;             /* "jupyter-alice", "dask-scheduler-<id>", "dask-worker-<id>-<n>" */
        const char *container; /* "notebook", "dask-scheduler", "dask-worker" */
        char *dask_cluster;    /* NULL: a notebook server */
        int64_t created;       /* seconds since 1970 */
        struct cgroup_usage usage;
        int64_t rss; /* bytes that are no page cache */
};

struct groups {
        struct group *item;
        size_t count, capacity;
};
void groups_clear(struct groups *groups);
#define CLEANUP_GROUPS __attribute__((cleanup(groups_clear)))

/* What the cgroup source saw at its last refresh; a copy. Thread-safe; never waits for the kernel. -ERR_NOT_FOUND: it
 * has not seen any yet, or not lately. */
int groups_last(const struct config *config, struct groups *ret, struct err **err);

#endif
