/* Shared by lists and watches. */
#ifndef CAAS_CLIENT_KUBE_LIST_H
#define CAAS_CLIENT_KUBE_LIST_H

#include "base/str.h"
#include "client/kube/kube.h"

/* kube_list that gives up trying again at end_ms (monotonic; 0 = as usual). */
int kube_list_until(struct kube *kube, const struct kube_list *list, int64_t end_ms,
        int (*each)(void *data, const json_t *object), void *data, char **ret_version, struct err **err);

/* "/api/v1/namespaces/hub/pods?labelSelector=…", added to path. */
int kube_list_path(struct kube *kube, const struct kube_list *list, struct buf *path, struct err **err);

#endif
