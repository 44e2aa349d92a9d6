/* What the parts of client/cgroup share. */
#ifndef CAAS_CLIENT_CGROUP_CGROUP_IMPL_H
#define CAAS_CLIENT_CGROUP_CGROUP_IMPL_H

#include "client/cgroup/cgroup.h"

enum controller { CONTROLLER_MEMORY, CONTROLLER_CPU, CONTROLLER_CPUACCT, CONTROLLER_PIDS, CONTROLLER_COUNT };

enum placement { PLACE_TOP, PLACE_OWN, PLACE_SYSTEMD };

struct cgroup_tree {
        bool unified;
        enum placement placement;
        char *parent; /* "caas-demo" */
        char *slice;  /* PLACE_SYSTEMD: "caas-demo.slice" */
        char *top;    /* version 2: the group that `folder` is made in; controllers are enabled from here */
        const char *const *enable; /* version 2: what children get, "+memory" first; the first two are a must */
        /* Where the groups stand, for each controller; NULL = no such hierarchy. On version 2 the same text four times.
         */
        char *folder[CONTROLLER_COUNT];
};

/* The group's path for one controller; NULL where there is none. The caller frees. */
char *cgroup_path(const struct cgroup_tree *tree, enum controller controller, const char *name);

/* Files of the kernel: one write, one read. Errno is kept; -1 on failure. */
int cgroup_put(const char *folder, const char *file, const char *value);
int cgroup_get(const char *folder, const char *file, char *buffer, size_t size);

/* The number after `key` in a file of "key value" lines, or the whole file if key is NULL. "max" and numbers beyond any
 * memory are -1. `missing` if there is no such file or key. */
int64_t cgroup_number(const char *folder, const char *file, const char *key, int64_t missing);

/* The same in a text that was read already. */
int64_t cgroup_find(const char *text, const char *key, int64_t missing);

/* Moves every process of a group into another. 0, or -1 with errno when some stay. */
int cgroup_move_all(const char *from, const char *to);

#endif
