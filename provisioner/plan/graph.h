/* The order of things that need each other. */
#ifndef CAAS_PLAN_GRAPH_H
#define CAAS_PLAN_GRAPH_H

#include <stddef.h>

#include "base/err.h"

/* Edges are given as "node needs other nodes". */
struct graph_node {
        const char *id; /* for messages; borrowed */
        size_t *needs;  /* owned by the caller */
        size_t count;
};

/* Fills ret_order (count places) with the nodes so that each comes after what it needs, otherwise in the given order as
 * far as possible. Linear. -ERR_INVALID: a circle, said as "a needs b needs a". */
int graph_sort(const struct graph_node *nodes, size_t count, size_t *ret_order, struct err **err);

#endif
