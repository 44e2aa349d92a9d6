/* The control groups of a cluster, with what each uses, whose it is and what Kubernetes would call it. */
#ifndef CAAS_EXPORTER_GROUPS_H
#define CAAS_EXPORTER_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "client/cgroup/cgroup.h"
#include "exporter/config.h"

struct group {
        char *name;            /* "jupyter-alice", "dask-<id>-scheduler", "dask-<id>-worker-<n>" */
        char *user;            /* NULL: not known (yet) */
        const char *kind;      /* "notebook" or "dask"; NULL: one of the cluster's own services */
        char *pod;             /* "jupyter-alice", "dask-scheduler-<id>", "dask-worker-<id>-<n>" */
        const char *container; /* "notebook", "dask-scheduler", "dask-worker" */
        char *dask_cluster;    /* NULL: none of Dask's */
        const char *app;       /* what its pod would be labelled with: "jupyterhub", "dask-gateway" */
        const char *component; /* "singleuser-server", "dask-worker", "hub" */
        int64_t created;       /* seconds since 1970: when its first process began; 0 = not known */
        uint64_t inode;        /* of its folder: tells it from an earlier one of the same name */
        struct cgroup_usage usage;
};

struct groups {
        struct group *item; /* by name */
        size_t count, capacity;
};
void groups_clear(struct groups *groups);
#define CLEANUP_GROUPS __attribute__((cleanup(groups_clear)))

/* What a group's name says of it: everything but user, created and usage of a Dask group. False: it is none of ours.
 * cluster is the cluster's name, for the names of systemd's services. Pure. */
bool group_parse(const char *name, const char *cluster, struct group *ret);

/* From /proc/PID/stat: when a process began, in clock ticks since the machine did. False: that is not in it. Pure. */
bool group_process_start(const char *stat, long long *ret);

/* Looks at all groups. old: what the last look gave, whose users and times are taken over; it may be empty. paths NULL
 * = the machine's own. Groups that end while they are looked at are left out. */
int groups_read(const struct config *config, const struct cgroup_paths *paths, const struct groups *old,
        struct groups *ret, struct err **err);

/* What the cgroup source saw at its last refresh; a copy. Thread-safe; never waits for the kernel. -ERR_NOT_FOUND: it
 * has not seen any yet, or not lately. */
int groups_last(const struct config *config, struct groups *ret, struct err **err);

/* The same of the cluster's own services, by the service source; their app and component are config's. Of what is not
 * known of them, cpu_usec and oom_kills are -1. */
int services_last(const struct config *config, struct groups *ret, struct err **err);
void services_publish(const struct groups *groups);

/* A refresh of the source, of whatever tree. */
struct sample_sink;
int source_cgroup_look(const struct config *config, const struct cgroup_paths *paths, void **memory,
        struct sample_sink *sink, struct err **err);

/* Leaves a copy for groups_last. */
void groups_publish(const struct groups *groups);

#endif
