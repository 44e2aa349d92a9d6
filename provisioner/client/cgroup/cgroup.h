/* Control groups: memory, processor and process limits that hold, for one user's server or one Dask worker each.
 *
 * All groups of a cluster stand in one folder, which depends on the machine and not on who asks, so that a restarted
 * hub finds the groups it made before:
 *   - systemd is PID 1: the manager alone may write to the tree, so each group is a transient scope of it,
 *     caas.slice/caas-<cluster>.slice/<parent>-<name>.scope. A scope belongs to no service: restarts do not touch it.
 *     (Groups below a service with Delegate=yes would keep systemd before version 254 from starting that service again
 *     while one of them is in use: a process may not enter a group that has populated children with controllers.)
 *   - otherwise, version 1 (also "hybrid"): <hierarchy>/<parent>/<name> at the top of each hierarchy.
 *   - otherwise, version 2: <top>/<parent>/<name>. If the top is a container's and holds processes they are first moved
 * to the leaf <top>/main, as version 2 demands.
 *   - a caller whose own group was delegated to it (systemd's "delegate" mark) while no manager can be asked, as in a
 *     container, and a caller that cannot write to the top: below its own group without the last part "main"; its
 *     processes go to the leaf "main".
 *
 * Where no limit for memory or processors can be set, nothing is made: running without limits is never the fallback.
 *
 * Objects are not shared between threads. Several processes may use the same folder at once. */
#ifndef CAAS_CLIENT_CGROUP_CGROUP_H
#define CAAS_CLIENT_CGROUP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct cgroup_paths {
        const char *root;    /* "/sys/fs/cgroup" */
        const char *self;    /* "/proc/self/cgroup" */
        const char *systemd; /* a folder that is there when systemd is PID 1: "/run/systemd/system" */
};

struct cgroup_limits {
        int64_t memory; /* bytes, swap included; at least 16 MiB */
        long cpu;       /* thousandths of a processor; at least 10 */
        long tasks;     /* processes and threads; at least 8 */
};

struct cgroup_usage {
        int64_t memory;       /* bytes, page cache included */
        int64_t working_set;  /* without the page cache that can be dropped at once */
        int64_t anonymous;    /* no page cache at all */
        int64_t memory_limit; /* -1 = none */
        int64_t cpu_usec;     /* used since the group was made */
        int64_t cpu_limit;    /* thousandths of a processor; -1 = none */
        int64_t throttled_usec;
        int64_t oom_kills;
        int64_t tasks;
        int64_t tasks_limit; /* -1 = none */
};

struct cgroup_tree;

/* Finds out how groups are made here; changes nothing. paths NULL = the machine's own. parent is the name of the
 * folder, "caas-demo". -ERR_INVALID (parent), -ERR_REFUSED (no memory or no cpu controller: says which and what to do).
 */
int cgroup_open(const struct cgroup_paths *paths, const char *parent, struct cgroup_tree **ret, struct err **err);
struct cgroup_tree *cgroup_close(struct cgroup_tree *tree);
static inline void cgroup_cleanup(struct cgroup_tree **tree)
{
        cgroup_close(*tree);
}
#define CLEANUP_CGROUP __attribute__((cleanup(cgroup_cleanup)))

/* With systemd: its own slice, where the cluster's services are. Only for cgroup_usage and cgroup_folder, which take
 * names of units, "caas-demo-hub.service". -ERR_REFUSED: nothing counts their memory. */
int cgroup_open_system(const struct cgroup_paths *paths, struct cgroup_tree **ret, struct err **err);

/* Letters, digits, "_", "." and "-", beginning with a letter, digit or "_", at most 128: fit for a folder and a unit.
 */
bool cgroup_name_valid(const char *name);

/* Does systemd make the groups? Then cgroup_create is not for the caller: it runs cgroup_scope_command's instead, and
 * what that starts is in the group already. */
bool cgroup_by_systemd(const struct cgroup_tree *tree);

/* The words to put in front of a command so that systemd runs it in the group; after cgroup_check(). NULL-terminated;
 * cgroup_strv_free() it. */
char **cgroup_scope_command(const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits);
char **cgroup_strv_free(char **list);

/* Makes the group, or gives an existing one these limits, up or down. -ERR_INVALID, -ERR_REFUSED (a limit could not be
 * set), -ERR_BUSY (more is in use than the new limit allows). */
int cgroup_create(struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err);

/* Puts a process in the group, with every controller. */
int cgroup_enter(struct cgroup_tree *tree, const char *name, pid_t pid, struct err **err);

/* Are name and limits such that a group can be made of them? Pure. -ERR_INVALID. */
int cgroup_check(const char *name, const struct cgroup_limits *limits, struct err **err);

/* Do memory and processor limits of the kernel hold what was asked? -ERR_REFUSED if not. */
int cgroup_verify(
        const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err);

/* Kills every process in the group and removes it; it is also fine if it is not there. -ERR_TIMEOUT. */
int cgroup_stop(struct cgroup_tree *tree, const char *name, int timeout_ms, struct err **err);

/* The same for every group in the folder; with systemd for every unit in the slice, whoever started it there (the hub's
 * servers are services). Goes on after a failure and reports the first. */
int cgroup_stop_all(struct cgroup_tree *tree, int timeout_ms, struct err **err);

/* What the group uses. What the kernel does not count here is 0. -ERR_NOT_FOUND. */
int cgroup_usage(const struct cgroup_tree *tree, const char *name, struct cgroup_usage *ret, struct err **err);

/* Names of the groups that begin with prefix ("" = all), sorted; free with cgroup_strv_free(). */
int cgroup_list(const struct cgroup_tree *tree, const char *prefix, char ***ret_names, struct err **err);

/* With systemd: names of the services in the slice, "….service", sorted, which cgroup_usage and cgroup_folder take as
 * names of groups: the hub's servers are services there. Elsewhere there are none. */
int cgroup_services(const struct cgroup_tree *tree, char ***ret_names, struct err **err);

/* The group's folder of one controller ("memory", "cpu", "pids"), or NULL where there is none. The caller frees. */
char *cgroup_folder(const struct cgroup_tree *tree, const char *controller, const char *name);
bool cgroup_unified(const struct cgroup_tree *tree); /* version 2? Then all controllers share one folder */

/* The folder of one controller for the group the caller itself is in, or NULL: no such controller, or the machine's
 * root group, which has no limits to show. paths NULL = the machine's own. The caller frees. *ret_unified may be NULL.
 */
char *cgroup_own_folder(const struct cgroup_paths *paths, const char *controller, bool *ret_unified);

/* The memory limit of such a folder; -1 = none. */
int64_t cgroup_folder_memory(const char *folder);

#endif
