/* The home of one user: an image on a host, claims on Kubernetes. */
#ifndef CAAS_ACCESS_HOMES_H
#define CAAS_ACCESS_HOMES_H

#include <jansson.h>

#include "base/err.h"
#include "journal/journal.h"

struct homes_place {
        struct journal *journal;
        const char *state_dir;
        const json_t *row; /* of the cluster, as the journal has it */
};

/* What it is kept in: the path of an image, or names of claims with ", " between. NULL: there is none. The caller
 * frees. */
int homes_find(const struct homes_place *place, const char *user, char **ret, struct err **err);

/* Deletes it with all that is in it; nothing of the user's may run any more. Not being there is fine. Of the host:
 * -ERR_BUSY. */
int homes_delete(const struct homes_place *place, const char *user, struct err **err);

#endif
