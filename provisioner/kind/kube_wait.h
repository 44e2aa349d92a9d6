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

/* One look of a wait: kube_watch for so long. 0: it was told to end, or the time is up, or the server was in trouble
 * and answers again (then `event` was not told everything; the next look begins anew). A watch keeps to its time, so
 * that the client's patience with a server that is away is had here. *troubles counts them in a row, from 0. The
 * client's errors, when it was away for longer; -ERR_CANCELLED. */
int kube_wait_watch(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const struct kube_list *list,
        int ms, int (*event)(void *data, const char *type, const json_t *object), void *data, int *troubles,
        struct err **err);

/* Until the object with this uid is gone. -ERR_TIMEOUT names the finalizers that hold it. */
int kube_wait_gone(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const char *uid, double seconds,
        struct err **err);

#endif
