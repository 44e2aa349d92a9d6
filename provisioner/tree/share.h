/* One memory for what two trees have alike. */
#ifndef CAAS_TREE_SHARE_H
#define CAAS_TREE_SHARE_H

#include <jansson.h>

/* Wherever `tree` says the same as `with` does in that place, it holds the nodes of `with` from now on and its own are
 * freed. It is equal to what it was; neither may be changed afterwards. Accepts NULL. */
void share_trees(json_t *tree, const json_t *with);

#endif
