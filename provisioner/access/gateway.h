/* The Dask gateway of a cluster, over the routes that our gateway adds to its own. */
#ifndef CAAS_ACCESS_GATEWAY_H
#define CAAS_ACCESS_GATEWAY_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"

/* What runs: {"clusters": [{"name", "user", "status", "workers", …}], "users": {"alice": {"cpus", "memory"}}, …}; new
 * reference. access: what access_read gave for "gateway"; borrowed. */
int gateway_clusters(const json_t *access, struct cancel *cancel, json_t **ret, struct err **err);

#endif
