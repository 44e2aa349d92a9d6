/* What a cluster's objects looked like at one moment: read by lists, one a kind and namespace, when the first object of
 * that kind is asked for. For planning, where hundreds of objects are looked at and nothing is changed meanwhile. */
#ifndef CAAS_KIND_KUBE_SNAPSHOT_H
#define CAAS_KIND_KUBE_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "client/kube/kube.h"

struct kube_snapshot;

struct kube_snapshot *kube_snapshot_new(const char *cluster);
struct kube_snapshot *kube_snapshot_free(struct kube_snapshot *snapshot); /* wipes; accepts NULL, returns NULL */

/* As kube_get, of an object that carries the cluster's labels from the lists, of others from the server, unless even
 * their namespace is missing. What came from a list is the caller's alone, and read anew the next time: most are looked
 * at once, and together they take megabytes. Thread-safe. */
int kube_snapshot_get(
        struct kube_snapshot *snapshot, struct kube *kube, const struct kube_ref *ref, json_t **ret, struct err **err);

/* Is the namespace missing? Then it, and what would be in it, is not asked for from now on. Asked once; may we not
 * know, it counts as there. Thread-safe. */
bool kube_snapshot_lacks(struct kube_snapshot *snapshot, struct kube *kube, const char *space);

/* The namespace that it is, or is in; NULL = neither. Borrowed. */
const char *kube_snapshot_space(const struct kube_ref *ref);

/* Namespaces that were asked for: {name: is it missing}. New reference. */
json_t *kube_snapshot_spaces(struct kube_snapshot *snapshot);

#endif
