/* Programs that run for as long as the cluster does: one interface, and a driver for systemd and one for runit.
 *
 * A service belongs to a cluster. Secrets reach it through a file that only root reads, never through arguments. All
 * functions are idempotent, and may be called from several threads at once for different services. */
#ifndef CAAS_CLIENT_SERVICE_SERVICE_H
#define CAAS_CLIENT_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "tree/digest.h"

/* Which cluster, and what ends a wait. */
struct service_host {
        const char *cluster;
        const char *cluster_dir; /* "/var/lib/caas/clusters/demo" */
        struct clock *clock;
        struct cancel *cancel; /* level 2 ends a wait; may be NULL */
};

/* All borrowed. Lists are NULL-terminated; NULL stands for an empty one. */
struct service {
        const char *name;                /* [a-z0-9_]+, so that caas-<cluster>-<name> is unique */
        const char *const *command;      /* an absolute path and its arguments; no secrets */
        const char *const *env;          /* "NAME=value" */
        const char *const *secrets;      /* "NAME=value" */
        const char *user, *group;        /* NULL = root */
        const char *directory;           /* where it starts; NULL = / */
        const char *const *capabilities; /* "CAP_NET_BIND_SERVICE": what a user other than root keeps */
        bool stop_group;                 /* stopping ends its children, too */
        int stop_seconds;                /* grace before SIGKILL */
        bool delegate;                   /* systemd: it manages control groups of its own */
        long nofile;                     /* 0 = the system's limit */
};

struct service_status {
        bool installed;
        bool enabled; /* comes back by itself when it ends (runit), or with the machine (systemd) */
        bool running;
        bool failed;          /* given up by systemd */
        uint64_t incarnation; /* another one after each start, and possibly after each end */
        pid_t pid;
};

struct service_driver {
        const char *name; /* "systemd", "runit" */

        /* Writes the definition, so that the next start uses it. Starts nothing that is not there yet. */
        int (*install)(const struct service_host *host, const struct service *service, struct err **err);

        /* Starts it. Returns when the supervisor has taken it up, not when it is ready. */
        int (*start)(const struct service_host *host, const struct service *service, struct err **err);

        /* Stops it until it is started again. Not being there is fine. */
        int (*stop)(const struct service_host *host, const struct service *service, struct err **err);

        int (*status)(const struct service_host *host, const char *name, struct service_status *ret, struct err **err);

        /* Stops it and takes everything of it away, its log included. Of `service`, name, stop_group and stop_seconds
         * count. Not being there is fine. */
        int (*remove)(const struct service_host *host, const struct service *service, struct err **err);

        /* What is written down for it, digested (without secrets); "" if it is not there. */
        void (*definition)(const struct service_host *host, const char *name, char ret[DIGEST_SIZE]);

        /* The last lines that it wrote since then (0 = ever), each indented by two; "" if there are none. The caller
         * frees. */
        char *(*log_tail)(const struct service_host *host, const char *name, int lines, int64_t since_wall_ms);
};

extern const struct service_driver service_systemd, service_runit;

/* systemd where it is the first process, otherwise runit. */
const struct service_driver *service_driver(void);

/* Waits for ms milliseconds. A first Ctrl-C (finish what runs) does not end it, a second one does: -ERR_CANCELLED. */
int service_pause(const struct service_host *host, int ms, struct err **err);

/* "NAME=value" lines as both sh and systemd read them: NAME="value", with the value's own quotes escaped. -ERR_INVALID
 * for a name that is none. The caller wipes and frees *ret_text. */
int service_env_file(const char *const *assignments, char **ret_text, struct err **err);

#endif
