/* The health test: somebody signs in, starts a server, runs a cell and a Dask cluster, and leaves nothing behind. */
#ifndef CAAS_ACCESS_HEALTH_H
#define CAAS_ACCESS_HEALTH_H

#include <jansson.h>
#include <stdbool.h>

#include "base/cancel.h"
#include "base/err.h"
#include "journal/journal.h"

struct health_options {
        struct journal *journal;
        const char *cluster, *state_dir;
        const char *user, *password; /* NULL = a temporary account, where the directory is the cluster's own */
        const char *address;         /* connect there instead of where the name leads; may be NULL */
        int workers;                 /* of the Dask cluster; fewer and smaller ones where so many do not fit */
        struct cancel *cancel;       /* level 2 ends the test; it still cleans up */
        /* {"check", "ok", "seconds", "message"} as each one ends; borrowed. */
        void (*on_check)(void *data, const json_t *check);
        void *data;
};

/* 0 and whether every check was ok. What the test made is gone afterwards, also after a failure or a cancel: the
 * temporary account, its hub user, servers, Dask clusters and home; of a user that was given, the server is stopped.
 * -ERR_CANCELLED; -ERR_FAILED: the test itself could not run. */
int health_run(const struct health_options *options, bool *ret_ok, struct err **err);

#endif
