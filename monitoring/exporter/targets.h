/* Where the node exporters of a cluster on Kubernetes are, for Prometheus, which has no rights to look for itself. */
#ifndef CAAS_EXPORTER_TARGETS_H
#define CAAS_EXPORTER_TARGETS_H

#include "exporter/kube_view.h"

/* As http_sd_configs of Prometheus reads it, one group a node: [{"targets": ["10.0.0.7:9100"], "labels": {"instance":
 * "n1", "node": "n1"}}]. The names are the API server's, not what a pod says of itself. A node is there once. NULL:
 * no memory. The caller frees. Pure. */
char *targets_json(const struct kube_view *view);

#endif
