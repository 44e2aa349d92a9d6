/* Families that a source of a host and one of Kubernetes both know: a cluster is on one of them, so each is said by one
 * source only. Dashboards, alerts and `caas top` need not know which. */
#ifndef CAAS_EXPORTER_FAMILIES_H
#define CAAS_EXPORTER_FAMILIES_H

#include "exporter/family.h"

/* containers: control groups on a host, kubelets on Kubernetes */
extern const struct family CONTAINER_CPU, CONTAINER_WORKING_SET, CONTAINER_RSS, CONTAINER_OOM, CONTAINER_PROCESSES,
        CONTAINER_LIMIT;
/* homes: images on a host, claims and their volumes on Kubernetes */
extern const struct family HOME_USED, HOME_SIZE, VOLUME_USED, VOLUME_CAPACITY, VOLUME_AVAILABLE;
/* pods */
extern const struct family POD_LABELS, POD_ANNOTATIONS, POD_CREATED, POD_PHASE, POD_SCHEDULED, POD_INFO, POD_CONTAINER,
        POD_LIMITS, POD_REQUESTS, POD_LIMITS_MEMORY;
/* nodes and services */
extern const struct family SERVICE_LABELS, NODE_INFO, NODE_LABELS, NODE_CAPACITY, NODE_ALLOCATABLE;

#endif
