/* Outputs of resources into the specs of others. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/fill.h"
#include "plan/plan.h"
#include "tree/subst.h"
#include "tree/tree.h"

/* "hub/ports.api": the id ends at the first dot after the slash. Returns NULL if it names no output. */
static const char *split(const char *name)
{
        const char *slash = strchr(name, '/');
        const char *dot = slash ? strchr(slash, '.') : NULL;
        return dot && dot[1] ? dot : NULL;
}

static int look_up(void *data, const char *name, json_t **ret, struct err **err)
{
        const json_t *outputs = data;
        const char *dot = split(name);
        if (!dot)
                return err_set(err, ERR_INVALID, "${%s} names no output of a resource", name);
        CLEANUP_FREE char *id = str_copy_n(name, (size_t)(dot - name));
        const json_t *of = json_object_get(outputs, id);
        json_t *value = of ? tree_get(of, dot + 1) : NULL;
        if (of && !value)
                return err_set(err, ERR_INVALID, "%s has no output %s", id, dot + 1);
        *ret = value ? json_incref(value) : json_pack("{s:s}", MARK_AFTER, name);
        return SUBST_VALUE;
}

/* What is not known stays as it is written. */
static int look_up_known(void *data, const char *name, json_t **ret, struct err **err)
{
        const json_t *outputs = data;
        const char *dot = split(name);
        if (!dot)
                return err_set(err, ERR_INVALID, "${%s} names no output of a resource", name);
        CLEANUP_FREE char *id = str_copy_n(name, (size_t)(dot - name));
        json_t *value = tree_get(json_object_get(outputs, id), dot + 1);
        if (!value)
                return SUBST_KEEP;
        *ret = json_incref(value);
        return SUBST_VALUE;
}

int plan_fill_known(const json_t *spec, const json_t *outputs, json_t **ret_spec, struct err **err)
{
        return subst_tree_shared(spec, look_up_known, (void *)outputs, true, ret_spec, err);
}

int plan_fill(const json_t *spec, const json_t *outputs, json_t **ret_spec, struct err **err)
{
        return subst_tree_shared(spec, look_up, (void *)outputs, false, ret_spec, err);
}

struct collector {
        void (*found)(void *data, const char *id);
        void *data;
};

static int collect(void *data, const char *name, json_t **ret, struct err **err)
{
        (void)ret;
        struct collector *collector = data;
        const char *dot = split(name);
        if (!dot)
                return err_set(err, ERR_INVALID, "${%s} names no output of a resource", name);
        CLEANUP_FREE char *id = str_copy_n(name, (size_t)(dot - name));
        collector->found(collector->data, id);
        return SUBST_KEEP;
}

static bool has_placeholder(const json_t *tree)
{
        const char *key;
        json_t *value;
        size_t i;
        switch (json_typeof(tree)) {
        case JSON_STRING:
                return strstr(json_string_value(tree), "${") != NULL;
        case JSON_OBJECT:
                json_object_foreach ((json_t *)tree, key, value)
                        if (has_placeholder(value))
                                return true;
                return false;
        case JSON_ARRAY:
                json_array_foreach (tree, i, value)
                        if (has_placeholder(value))
                                return true;
                return false;
        default:
                return false;
        }
}

int plan_fill_needs(const json_t *spec, void (*found)(void *data, const char *id), void *data, struct err **err)
{
        if (!has_placeholder(spec))
                return 0;
        struct collector collector = {found, data};
        json_t *same = NULL;
        int r = subst_tree_shared(spec, collect, &collector, true, &same, err);
        json_decref(same);
        return r;
}
