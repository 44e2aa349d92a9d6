/* What is there: objects by our labels, and everything in a namespace. */
#ifndef CAAS_KIND_KUBE_INVENTORY_H
#define CAAS_KIND_KUBE_INVENTORY_H

#include <jansson.h>

#include "base/err.h"
#include "client/kube/kube.h"

/* Every object that carries the marks of a cluster, of the kinds that our roles make and of custom ones: in its
 * namespace (another one may hold a cluster of the same name, of another state folder), the namespace itself, and what
 * belongs to none. Kinds that we may not list are left out. */
int kube_inventory_ours(struct kube *kube, const char *cluster, const char *namespace,
        int (*each)(void *data, const json_t *object), void *data, struct err **err);

/* Every object in a namespace that somebody made, of the kinds that Kubernetes' users make and of custom ones. Where
 * some of them may not be listed: -ERR_DENIED, after all that may be. */
int kube_inventory_namespace(struct kube *kube, const char *namespace, int (*each)(void *data, const json_t *object),
        void *data, struct err **err);

/* {"api_version", "kind"} of a CustomResourceDefinition's objects. New reference. */
json_t *kube_inventory_kind(const json_t *definition);

#endif
