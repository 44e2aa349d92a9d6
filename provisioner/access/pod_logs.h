/* What the services of a cluster on Kubernetes write: the logs of their pods' containers. */
#ifndef CAAS_ACCESS_POD_LOGS_H
#define CAAS_ACCESS_POD_LOGS_H

#include <jansson.h>

#include "access/logs.h"
#include "base/cancel.h"
#include "base/err.h"
#include "kind/kube_server.h"

/* services: what services_list gives. The last `lines` of all their containers together, by time; a line's name is the
 * service's. A service without pods has none. With a cancel it goes on with what is written, also by pods that come
 * later, until that is raised: of 64 containers at most, and a line says so once where there are more. The sink is
 * called by one thread at a time. */
int pod_logs_show(struct kube_link *link, const json_t *services, size_t lines, struct cancel *cancel, log_sink sink,
        void *data, struct err **err);

#endif
