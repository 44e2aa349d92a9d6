/* Homes on Kubernetes: the claims of users' servers. */
#ifndef CAAS_ACCESS_CLAIMS_H
#define CAAS_ACCESS_CLAIMS_H

#include <jansson.h>

#include "base/err.h"
#include "kind/kube_server.h"

/* The names of the claims of one user of a cluster: one for each server that they ever had. *ret: a new reference. */
int claims_of(struct kube_link *link, const char *cluster, const char *user, json_t **ret, struct err **err);

/* Deletes the claims of one user of a cluster, and, unless `prefix` is NULL, those that users whose names begin with it
 * left behind more than left_behind_s ago. Not being there is fine. The claim goes when no pod uses it any more. */
int claims_delete(struct kube_link *link, const char *cluster, const char *user, const char *prefix, long left_behind_s,
        struct err **err);

#endif
