/* What differs between two trees, field by field. */
#ifndef CAAS_TREE_DIFF_H
#define CAAS_TREE_DIFF_H

#include <jansson.h>

/* A new array of {"path", "old", "new"} (a side that is missing has no such key), in order of path. Markers of secrets
 * and of outputs are compared as a whole and shown as "(secret)" and "(known after apply)" (role/resource.h has the
 * markers). NULL counts as an empty object. */
json_t *diff_trees(const json_t *old, const json_t *new_);

#endif
