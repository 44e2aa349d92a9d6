/* What roles of the Kubernetes target may name as ${kubernetes.…}, computed from the form and roles/base/images.yaml:
 *
 *   namespace, entry, ingress_class, storage_class (the last two null where the form leaves them to the cluster)
 *   node_selector, tolerations, annotations, pull_secrets ([{name}])
 *   images.<name>      the form's own, or ours with the mirror's name before it
 *   resources.<name>   {requests: {cpu, memory}, limits: {cpu, memory}} of each part of the form's
 * kubernetes.resources, and of "small", for what only holds a place */
#ifndef CAAS_ACCESS_KUBE_VALUES_H
#define CAAS_ACCESS_KUBE_VALUES_H

#include <jansson.h>

#include "base/err.h"

/* form: a complete one with a block "kubernetes". *ret: a new reference. Reads the list of images; -ERR_INVALID or
 * -ERR_NOT_FOUND for that one. */
int kube_values(const char *data_dir, const char *cluster, const json_t *form, json_t **ret, struct err **err);

#endif
