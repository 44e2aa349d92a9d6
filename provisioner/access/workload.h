/* The services of a cluster on Kubernetes: its Deployments, StatefulSets and DaemonSets. For this folder only. */
#ifndef CAAS_ACCESS_WORKLOAD_H
#define CAAS_ACCESS_WORKLOAD_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "journal/journal.h"
#include "kind/kube_server.h"

/* Is the resource one? Its name is then the workload's. */
bool workload_is(const struct journal_resource *r);
const char *workload_name(const struct journal_resource *r); /* borrowed */

/* As services_status has it, and "pods": {"ready", "wanted"}: ready when all pods are, running when one is. One that no
 * apply waits for and that has no room is running: it holds places free, and they gave way. New reference. Never fails:
 * what cannot be asked is a message. trouble: why nothing can be asked at all, or NULL. */
json_t *workload_status(
        struct kube_link *link, const struct journal_resource *r, const char *role, const char *trouble);

/* The object as the server has it; its pods' labels as a selector ("app=x,component=y"; the caller frees). */
int workload_read(struct kube_link *link, const char *kind, const char *name, json_t **ret, struct err **err);
char *workload_selector(const json_t *object);

#endif
