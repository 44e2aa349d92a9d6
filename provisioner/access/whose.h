/* Whose is what the kubeconfig of today leads to, and what is on this host? Asked before anything is planned. */
#ifndef CAAS_ACCESS_WHOSE_H
#define CAAS_ACCESS_WHOSE_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"
#include "journal/journal.h"
#include "kind/kube_server.h"

/* One cluster's form, complete. On another target than Kubernetes there is nothing to ask: 0. */
struct whose {
        struct journal *journal;
        const char *cluster;
        const json_t *form;
        struct kube_link *link; /* borrowed: the connections of a run; NULL = its own */
        struct cancel *cancel;  /* may be NULL */
};

/* -ERR_REFUSED: it is another Kubernetes cluster than that of the last apply, where nothing of ours is: everything
 * would be made anew there, or taken for removed. What cannot be looked at is not known to be another one; but an API
 * server that is away is said at once (-ERR_UNREACHABLE), here and below. */
int whose_kubernetes(const struct whose *whose, struct err **err);

/* Before a first apply. -ERR_REFUSED: a cluster of this name is there, which this state folder has not made: it would
 * be given other secrets, or lose to ours what is made once for the whole of Kubernetes. Who may not look into other
 * namespaces is told of its own alone; what they may not see, they cannot change. */
int whose_name(const struct whose *whose, struct err **err);

/* The same of a host: -ERR_REFUSED if another state folder has a cluster of this name there. passwd: /etc/passwd. */
int whose_host_name(const char *passwd, const char *state_dir, const char *cluster, struct err **err);

/* Before the records of a cluster are thrown away. -ERR_REFUSED: its Kubernetes answers, and the cluster is in it.
 * Otherwise *ret_why says how it is known to be gone, or why that cannot be known; the caller frees. */
int whose_gone(const struct whose *whose, char **ret_why, struct err **err);

#endif
