/* What roles of the Kubernetes target may name as ${kubernetes.…}, computed from the form and roles/base/images.yaml:
 *
 *   namespace; storage_class, ingress_class, node_port, balancer_ip (null where the form leaves them to the cluster)
 *   node_selector, pull_secrets ([{name}]); tolerations and affinity of the core, user_tolerations and user_affinity
 *   quota, as kube.requirements wants it
 *   entry; annotations of its Service or Ingress; tls_secret, the name of the Ingress' or Caddy's; issuer, the
 *   ClusterIssuer that has to be there ("" = of another kind)
 *   own_tls: the certificate is ours to serve or hand on; front: Caddy serves it
 *   early (true or null): users are led to Caddy before it is ready, as an authority asks it then
 *   images.<name>      the form's own, or ours with the mirror's name before it; "exporter" has no name of ours
 *   resources.<name>   {requests: {cpu, memory}, limits: {cpu, memory}} of each part of the form's
 *                      kubernetes.resources, of "notebook", of monitoring's "page" and "node", and of "small" for what
 *                      only waits
 *   prometheus_storage  of the claim that holds what monitoring.retention_gb says, and what is on its way there */
#ifndef CAAS_ACCESS_KUBE_VALUES_H
#define CAAS_ACCESS_KUBE_VALUES_H

#include <jansson.h>

#include "base/err.h"

/* form: a complete one with a block "kubernetes". *ret: a new reference. Reads the list of images; -ERR_INVALID or
 * -ERR_NOT_FOUND for that one. */
int kube_values(const char *data_dir, const char *cluster, const json_t *form, json_t **ret, struct err **err);

#endif
