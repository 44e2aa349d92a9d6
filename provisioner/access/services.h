/* The services of a cluster, on this host or on Kubernetes (its Deployments, StatefulSets and DaemonSets): what they
 * are and how they do. */
#ifndef CAAS_ACCESS_SERVICES_H
#define CAAS_ACCESS_SERVICES_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"
#include "journal/journal.h"

/* [{"name": "hub", "role": "hub", "running": bool, "since": ms or null, "ready": bool or null (nothing to ask),
 * "message": why not, or null, "pods": {"ready", "wanted"} (on Kubernetes)}], in the order in which they were made. New
 * reference. Each is asked once, for at most 5 s. */
int services_status(struct journal *journal, const char *cluster, const char *state_dir, struct cancel *cancel,
        json_t **ret, struct err **err);

/* Names only: [{"name", "role", "kind": "Deployment" … or null}]; `which` (may be NULL) is a role or a service.
 * -ERR_NOT_FOUND says which there are. */
int services_list(struct journal *journal, const char *cluster, const char *which, json_t **ret, struct err **err);

#endif
