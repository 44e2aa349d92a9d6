#include "tree/share.h"

/* The node that `mine` may be replaced by; NULL = none, but it may have such nodes in it. */
static json_t *same_as(const json_t *mine, json_t *other)
{
        return other && json_equal(mine, other) ? other : NULL;
}

void share_trees(json_t *tree, const json_t *with)
{
        if (json_is_object(tree) && json_is_object(with)) {
                for (void *at = json_object_iter(tree); at; at = json_object_iter_next(tree, at)) {
                        json_t *mine = json_object_iter_value(at);
                        json_t *other = json_object_get(with, json_object_iter_key(at)), *same = same_as(mine, other);
                        if (same)
                                json_object_iter_set(tree, at, same);
                        else
                                share_trees(mine, other);
                }
        } else if (json_is_array(tree) && json_is_array(with)) {
                for (size_t i = 0; i < json_array_size(tree); i++) {
                        json_t *mine = json_array_get(tree, i);
                        json_t *other = json_array_get(with, i), *same = same_as(mine, other);
                        if (same)
                                json_array_set(tree, i, same);
                        else
                                share_trees(mine, other);
                }
        }
}
