/* The object that a kube.object resource stands for, as it is sent: secrets, files and our marks put in. And whose a
 * live object is. */
#ifndef CAAS_KIND_KUBE_MANIFEST_H
#define CAAS_KIND_KUBE_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kind.h"

#define KUBE_LABEL_MANAGER       "app.kubernetes.io/managed-by"
#define KUBE_LABEL_CLUSTER       "caas.pangeo.io/cluster"
#define KUBE_ANNOTATION_RESOURCE "caas.pangeo.io/resource"
#define KUBE_MANAGED_BY          "caas"

struct manifest {
        json_t *object;      /* to be sent; may hold secrets */
        struct kube_ref ref; /* borrows from object */
        bool secret;         /* it is a Secret, or holds one */
        json_t *hidden;      /* texts in it that must not be shown */
};
void manifest_clear(struct manifest *manifest); /* wipes */
#define CLEANUP_MANIFEST __attribute__((cleanup(manifest_clear)))

/* Asks the server whether the kind lives in namespaces. before: NULL, or for a look only: outputs that are not
 * known yet are as they were in this object, or the text "(known after apply)". -ERR_NOT_FOUND: the server knows no
 * such kind (yet), or a file is missing. */
int manifest_make(struct kind_ctx *ctx, struct kube *kube, const struct resource *r, const json_t *before,
        struct manifest *ret, struct err **err);

/* What spec.object refers to, without asking anybody: borrowed; namespace NULL if it says none. */
struct kube_ref manifest_ref(const json_t *spec);

/* Is spec's object of the right form? Pure. -ERR_INVALID. */
int manifest_check(const json_t *object, struct err **err);

/* "deployment hub in pangeo": for messages. The caller frees. */
char *manifest_name(const struct kube_ref *ref);

/* Does it carry the marks of this cluster? */
bool manifest_is_ours(const json_t *live, const char *cluster);

/* Who seems to have made an object that is not ours: "Helm release daskhub", "manager kubectl". The caller frees. */
char *manifest_owner(const json_t *live);

/* Kinds whose names are given, so that somebody else's has to do. */
bool manifest_is_shared(const struct kube_ref *ref);

/* Kinds that may be deleted and made anew when a field cannot be changed: nothing is lost with them. */
bool manifest_is_replaceable(const struct kube_ref *ref);

/* Is it data of people, never deleted on the way to something else? */
bool manifest_holds_data(const struct kube_ref *ref);

/* The turn of a kube.object: accounts, policies and what is mounted go before what has pods. That comes
 * last: controllers, nodes and the API server are busy with them from then on, and with services and claims before.
 * Pure. */
int manifest_turn(const json_t *spec);

#endif
