/* The way to a cluster's parts that have no address of their own here: through the API server of its Kubernetes. What
 * is opened stays open, and is shared by all threads, until reach_close. */
#ifndef CAAS_ACCESS_REACH_H
#define CAAS_ACCESS_REACH_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"
#include "journal/journal.h"
#include "kind/kube_server.h"

/* For what is opened from now on; borrowed. Before the first use, in the one thread that there is by then. */
void reach_use_cancel(struct cancel *cancel);

/* Is the cluster's target Kubernetes? row: a cluster of the journal. */
bool reach_is_kubernetes(const json_t *row);

/* The API server that the cluster's form (as it was applied last) names; borrowed. -ERR_INVALID for another target,
 * -ERR_NOT_FOUND, and what kube_open says. Thread-safe. */
int reach_link(struct journal *journal, const char *cluster, struct kube_link **ret, struct err **err);

/* access: what access_read gives. Where it has a block "forward": {"service", "port"}, a port-forward is opened, and
 * the host and port in "api", "uri" and "metrics" become those of its end here. Thread-safe. */
int reach_forward(struct journal *journal, const char *cluster, json_t *access, struct err **err);

void reach_close(void);

#endif
