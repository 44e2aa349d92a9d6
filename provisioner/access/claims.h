/* Homes on Kubernetes: the claims of users' servers. For this folder only. */
#ifndef CAAS_ACCESS_CLAIMS_H
#define CAAS_ACCESS_CLAIMS_H

#include "base/err.h"
#include "kind/kube_server.h"

/* Names of a user's claims, ", " between; NULL: there are none. The caller frees. */
int claims_find(struct kube_link *link, const char *user, char **ret, struct err **err);

/* Deletes the claims of one user, and those that users whose names begin with `prefix` (NULL: nobody's) left behind
 * more than left_behind_s ago. Not being there is fine. The claim goes when no pod uses it any more. */
int claims_delete(struct kube_link *link, const char *user, const char *prefix, long left_behind_s, struct err **err);

#endif
