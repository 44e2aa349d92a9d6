/* Objects of the API server as kube-state-metrics says them, and what source_kubelet.c wants of them. */
#ifndef CAAS_EXPORTER_KUBE_READ_H
#define CAAS_EXPORTER_KUBE_READ_H

#include <jansson.h>

#include "client/kube/kube.h"

#include "exporter/kube_view.h"
#include "exporter/sink.h"

struct kube_reading {
        const char *namespace_;
        struct kube_view *view;
        struct sample_sink *sink;
        json_t *seen;  /* "Pod/name": while pages are read one may go and another of its name come */
        json_t *homes; /* user: bytes of all claims */
};

/* Each takes one object; what makes no sense in it is left out. */
void kube_read_pod(struct kube_reading *reading, const json_t *pod);
void kube_read_claim(struct kube_reading *reading, const json_t *claim);
void kube_read_service(struct kube_reading *reading, const json_t *service);
void kube_read_node(struct kube_reading *reading, const json_t *node);

/* The end: sums over objects. */
void kube_read_end(struct kube_reading *reading);

/* The API server as the exporter's account, which is read anew each time. Nothing is tried again, and a request takes a
 * third of a refresh at most. Errors as of kube_open. */
int kube_read_open(const struct config *config, struct kube **ret, struct err **err);

/* One object, of the cluster's namespace. *kube is opened when it is NULL, and closed after an error that may be of the
 * files that it has read: -ERR_NOT_FOUND is none. */
int kube_read_one(const struct config *config, struct kube **kube, const char *api_version, const char *kind,
        const char *name, json_t **ret, struct err **err);

extern const struct family *const KUBE_FAMILIES[]; /* all that these add; NULL-terminated */

#endif
