/* Waiting for an object until it is what it should become, or until it is plain that it will not. */
#ifndef CAAS_KIND_KUBE_WAIT_H
#define CAAS_KIND_KUBE_WAIT_H

#include <jansson.h>

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kind.h"

/* Watches the object; tells progress. *ret_live (may be NULL) is the object as it became. -ERR_FAILED: it will not get
 * ready, or not within `seconds`, with what a person would dig for (the pod's event, its container's state, the last
 * lines of its log). -ERR_CANCELLED, and the client's errors. */
int kube_wait_ready(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, double seconds,
        json_t **ret_live, struct err **err);

/* Until the object with this uid is gone. -ERR_TIMEOUT names the finalizers that hold it. */
int kube_wait_gone(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const char *uid, double seconds,
        struct err **err);

#endif
