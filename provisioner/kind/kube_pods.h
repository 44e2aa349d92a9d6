/* The pods behind a workload, and why they do not start. */
#ifndef CAAS_KIND_KUBE_PODS_H
#define CAAS_KIND_KUBE_PODS_H

#include <jansson.h>

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kube_ready.h"

struct kube_pods {
        int level;       /* of enum in struct kube_trouble */
        char *text;      /* "pod hub-7f…: container hub: the image cannot be pulled …"; NULL = nothing to say */
        char *pod;       /* its name; NULL = it is about none */
        char *container; /* whose log tells more, or NULL */
        bool previous;
};
void kube_pods_clear(struct kube_pods *pods);
#define CLEANUP_PODS __attribute__((cleanup(kube_pods_clear)))

/* The worst that can be said of the pods that a Deployment, StatefulSet, DaemonSet or Job has now (not of those of a
 * version before), or of why it has none. KUBE_TROUBLE_NONE for other kinds. */
int kube_pods_look(struct kube *kube, const json_t *workload, struct kube_pods *ret, struct err **err);

/* The pod's last warnings and the last lines of the container's log, for the end of a message; "" if there are none.
 * The caller frees. Never fails. */
char *kube_pods_explain(struct kube *kube, const char *namespace, const struct kube_pods *pods);

#endif
