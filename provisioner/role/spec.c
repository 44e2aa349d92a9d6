/* Filling the spec of a resource. */
#include "role/role_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/path.h"
#include "tree/subst.h"

/* After a failure: fills scalar by scalar until the same happens, and gives the error the place of that one.
 * 0 if it does not happen below this node. */
static int locate(struct scope *scope, const struct role_text *role, const json_t *node, const char *path,
        bool more_passes, struct err **err)
{
        const char *key;
        json_t *value;
        size_t i;
        int r = 0;
        json_object_foreach ((json_t *)node, key, value) {
                CLEANUP_FREE char *at = path_key(path, key);
                if ((r = locate(scope, role, value, at, more_passes, err)) < 0)
                        return r;
        }
        json_array_foreach (node, i, value) {
                CLEANUP_FREE char *at = path_item(path, i);
                if ((r = locate(scope, role, value, at, more_passes, err)) < 0)
                        return r;
        }
        if (!json_is_string(node))
                return 0;
        json_auto_t *ignored = NULL;
        if (subst_tree(node, values_look_up, scope, more_passes, &ignored, err) < 0)
                r = text_at(role, path, err);
        return r;
}

int spec_subst(struct scope *scope, const struct role_text *role, const json_t *tree, const char *path,
        bool more_passes, json_t **ret, struct err **err)
{
        CLEANUP_ERR struct err *whole = NULL;
        int r = subst_tree(tree, values_look_up, scope, more_passes, ret, &whole);
        if (r >= 0)
                return 0;
        int located = locate(scope, role, tree, path, more_passes, err);
        if (located < 0)
                return located;
        r = err_set(err, whole->code, "%s", whole->message);
        text_at(role, path, err);
        return r;
}

/* Markers that a role wrote out itself: outputs are needs, secrets have to be declared. */
static int check_markers(struct scope *scope, const json_t *node, struct err **err)
{
        const char *key, *name;
        json_t *value;
        size_t i;
        int r = 0;
        if ((name = json_string_value(json_object_get(node, MARK_AFTER)))) {
                json_auto_t *ignored = NULL;
                r = strchr(name, '/')
                            ? values_look_up(scope, name, &ignored, err)
                            : err_set(err, ERR_INVALID, "%s: %s names no output of a resource", MARK_AFTER, name);
                return r < 0 ? r : 0;
        }
        if ((name = json_string_value(json_object_get(node, MARK_SECRET)))) {
                if (json_is_true(json_object_get(scope->loader->secrets, name)))
                        return 0;
                CLEANUP_FREE char *hint = values_suggest(name, scope->loader->secrets);
                return err_set(err, ERR_INVALID, "no role declares the secret %s%s", name, hint);
        }
        json_object_foreach ((json_t *)node, key, value)
                if ((r = check_markers(scope, value, err)) < 0)
                        return r;
        json_array_foreach (node, i, value)
                if ((r = check_markers(scope, value, err)) < 0)
                        return r;
        return 0;
}

static int fill(struct loader *loader, struct instance *instance, json_t **ret, struct err **err)
{
        const struct role_text *role = instance->role;
        CLEANUP_FREE char *path = text_entry_path(loader, instance->entry, "spec");
        const json_t *text = json_object_get(json_array_get(role->entries, instance->entry), "spec");
        struct scope scope = {.loader = loader, .instance = instance};
        json_auto_t *spec = NULL;
        int r = content_check(role, text, path, err);
        if (r == 0)
                r = spec_subst(&scope, role, text, path, true, &spec, err);
        if (r < 0)
                return r;
        if (subst_has_marker(text, NULL) && check_markers(&scope, spec, err) < 0)
                return text_at(role, path, err);
        if (!json_is_object(spec)) { /* a {"$join"} at the top may have become a text */
                err_set(err, ERR_INVALID, "the spec has to be a mapping");
                return text_at(role, path, err);
        }
        r = content_inline(&scope, role, spec, path, err);
        if (r < 0)
                return r;
        *ret = json_incref(spec);
        return 0;
}

int spec_fill(struct loader *loader, struct instance *instance, struct err **err)
{
        int r = fill(loader, instance, &instance->resource.spec, err);
        return r < 0 ? err_prefix(err, "%s", instance->resource.id) : 0;
}
