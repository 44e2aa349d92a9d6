/* What an earlier `destroy` kept on Kubernetes: homes, the directory's claim, the namespace. For this folder only. */
#ifndef CAAS_ACCESS_REMAINS_H
#define CAAS_ACCESS_REMAINS_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"

/* Deletes everything that carries the cluster's marks, and the claims of its users, for good. target: the form's block.
 * What others use stays: kept(data, text) is called for each of those. */
int remains_delete(const char *cluster, const json_t *target, struct cancel *cancel,
        void (*kept)(void *data, const char *text), void *data, struct err **err);

#endif
