/* Taking objects away: only ours, and nothing that others still need. */
#ifndef CAAS_KIND_KUBE_REMOVE_H
#define CAAS_KIND_KUBE_REMOVE_H

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kind.h"

/* As struct kind's remove. keep: it is data of people, and stays unless ctx->delete_data. */
int kube_remove(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, bool keep, char **ret_kept,
        struct err **err);

#endif
