/* The nodes that have pods of ours, and asking their kubelets.
 *
 * Some are asked at a time, those that did not answer the last time after the others. One that does not answer costs
 * its own figures, and these only once they are stale. What a kubelet says is read as it comes. */
#ifndef CAAS_EXPORTER_KUBELET_NODES_H
#define CAAS_EXPORTER_KUBELET_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/http/http.h"
#include "exporter/config.h"
#include "exporter/kube_view.h"
#include "exporter/kubelet_figures.h"

#define KUBELET_WORKERS 4 /* nodes asked at a time */

struct kubelet_node {
        char *name, *url;
        bool wanted;                                /* it has pods of ours now */
        int64_t good_ms, tried_ms, volumes_ms;      /* monotonic: containers read, asked, volumes read; 0 = never */
        char *problem;                              /* why it did not answer the last time; NULL = it did */
        struct kubelet_figures containers, volumes; /* what it said last, however long ago */
};

/* One thread at a time. */
struct kubelet_nodes {
        struct kubelet_node *item; /* by name */
        size_t count;
        struct http_client *client[KUBELET_WORKERS];
};
void kubelet_nodes_clear(struct kubelet_nodes *nodes);

/* Takes over which nodes there are, and which have pods of ours; those that are gone go with all that they said. */
void kubelet_nodes_take(struct kubelet_nodes *nodes, const struct kube_view *view);

/* Asks those that are wanted, to `until` (monotonic) at the latest, and soon ends when the configuration's cancel is
 * raised. What became of it stands in each node. -ERR_… only when there is no token to show. */
int kubelet_nodes_ask(struct kubelet_nodes *nodes, const struct config *config, int64_t until, struct err **err);

/* It is wanted, and what it said last is not stale. */
bool kubelet_node_fresh(const struct kubelet_node *node, const struct config *config);

#endif
