/* Shared by lists and watches. */
#ifndef CAAS_CLIENT_KUBE_LIST_H
#define CAAS_CLIENT_KUBE_LIST_H

#include "base/str.h"
#include "client/kube/kube.h"

/* "/api/v1/namespaces/hub/pods?labelSelector=…", added to path. */
int kube_list_path(struct kube *kube, const struct kube_list *list, struct buf *path, struct err **err);

#endif
