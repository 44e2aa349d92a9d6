/* Writing an object, and seeing beforehand what would come of it. */
#ifndef CAAS_KIND_KUBE_WRITE_H
#define CAAS_KIND_KUBE_WRITE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kind.h"
#include "kind/kube_manifest.h"

enum write_verdict {
        WRITE_FINE,
        WRITE_CONFLICT, /* somebody else's controller owns fields that would change */
        WRITE_FIXED,    /* a field cannot be changed */
        WRITE_INVALID,  /* the server finds it wrong */
};

/* The server's dry run of an object. *ret_would is what would be there (with WRITE_FINE), *ret_why the server's message
 * otherwise. What people changed by hand is no conflict; nothing is one with force. */
int write_try(struct kube *kube, const struct manifest *manifest, bool force, enum write_verdict *ret_verdict,
        json_t **ret_would, char **ret_why, struct err **err);

/* Writes it. A field that cannot be changed: the object is deleted and made anew, if it is of a kind that holds
 * nothing. One that is just being deleted is waited for first. */
int write_object(struct kind_ctx *ctx, struct kube *kube, const struct manifest *manifest, bool force,
        json_t **ret_live, struct err **err);

/* Deletes this very object and waits until it is gone. Gone already is fine. */
int write_delete(
        struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const char *uid, struct err **err);

/* May it be made anew? Otherwise *ret_why says why not, and what to do. */
bool write_may_replace(const struct kube_ref *ref, const char *why, char **ret_why);

/* Writes one that is not there: -ERR_EXISTS when it is. *ret_live is what is there now; the data of a ConfigMap or
 * Secret is not asked back for it. */
int write_first(struct kube *kube, const struct manifest *manifest, json_t **ret_live, struct err **err);

#endif
