/* Lays one tree over another. */
#ifndef CAAS_TREE_MERGE_H
#define CAAS_TREE_MERGE_H

#include <jansson.h>

/* A new tree: objects are merged key by key, everything else in `over` wins. Neither argument is changed. */
json_t *merge_trees(const json_t *base, const json_t *over);

#endif
