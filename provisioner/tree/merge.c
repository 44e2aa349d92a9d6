#include "tree/merge.h"

#include "tree/subst.h"

/* A marker is a value, though it looks like an object. */
static bool mergeable(const json_t *value)
{
        return json_is_object(value) && !subst_is_marker(value);
}

json_t *merge_trees(const json_t *base, const json_t *over)
{
        if (!over)
                return json_deep_copy(base);
        if (!mergeable(base) || !mergeable(over))
                return json_deep_copy(over);
        json_t *result = json_object();
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)base, key, value) {
                const json_t *other = json_object_get(over, key);
                json_object_set_new_nocheck(result, key, other ? merge_trees(value, other) : json_deep_copy(value));
        }
        json_object_foreach ((json_t *)over, key, value) {
                if (!json_object_get(base, key))
                        json_object_set_new_nocheck(result, key, json_deep_copy(value));
        }
        return result;
}
