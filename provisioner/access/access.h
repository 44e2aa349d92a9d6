/* How to reach the parts of a cluster that runs: the `value` resources identity/access, hub/access and gateway/access,
 * with their secrets put in. */
#ifndef CAAS_ACCESS_ACCESS_H
#define CAAS_ACCESS_ACCESS_H

#include <jansson.h>

#include "base/err.h"
#include "journal/journal.h"

/* {"uri", "ca", "suffix", "users_base", "groups_base", "users_group", "admins_group", "bind_dn", "password", …}, new
 * reference, to be freed with kind_forget() because it holds passwords. role is "identity", "hub" or "gateway".
 * -ERR_NOT_FOUND: that part was not applied (yet). Parts inside a Kubernetes cluster are opened a way to
 * (access/reach.h), and "uri" and "api" lead there. Thread-safe. */
int access_read(struct journal *journal, const char *cluster, const char *role, json_t **ret, struct err **err);

/* The same with the secret markers left in: for what may be shown. Freed as any other reference. */
int access_peek(struct journal *journal, const char *cluster, const char *role, json_t **ret, struct err **err);

#endif
