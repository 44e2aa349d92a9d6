/* What a ${…} in a role stands for. */
#include "role/role_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/subst.h"

char *values_suggest(const char *word, const json_t *keys)
{
        const char **list = mem_zero_array(json_object_size(keys) + 1, sizeof *list);
        const char *key;
        json_t *value;
        size_t n = 0;
        json_object_foreach ((json_t *)keys, key, value)
                list[n++] = key;
        const char *nearest = str_nearest(word, list);
        char *text = nearest ? str_format(" (did you mean %s?)", nearest) : str_copy("");
        free(list);
        return text;
}

/* The value at a path of keys below root. where: what stands before the path in a message ("" or "each."). */
static int walk(const json_t *root, const char *where, const char *path, json_t **ret, struct err **err)
{
        const json_t *node = root;
        for (const char *rest = path;;) {
                size_t length = strcspn(rest, ".");
                CLEANUP_FREE char *key = str_copy_n(rest, length);
                const json_t *next = json_object_get(node, key);
                if (!next) {
                        CLEANUP_FREE char *hint = values_suggest(key, node);
                        return err_set(err, ERR_INVALID, "there is no %s%s%s", where, path, hint);
                }
                node = next;
                if (!rest[length])
                        break;
                rest += length + 1;
        }
        *ret = json_incref((json_t *)node);
        return SUBST_VALUE;
}

static int look_up_each(const struct scope *scope, const char *name, json_t **ret, struct err **err)
{
        const struct instance *instance = scope->instance;
        if (!instance || !instance->each)
                return err_set(err, ERR_INVALID, "this resource has no for_each");
        if (str_is(name, "index"))
                *ret = json_integer((json_int_t)instance->index);
        else if (str_is(name, "each") || (str_is(name, "each.name") && !json_is_object(instance->each)))
                *ret = json_incref((json_t *)instance->each);
        else
                return walk(instance->each, "each.", name + strlen("each."), ret, err);
        return SUBST_VALUE;
}

static int look_up_secret(const struct scope *scope, const char *name, json_t **ret, struct err **err)
{
        if (scope->early)
                return err_set(err, ERR_INVALID, "a secret cannot stand here");
        const json_t *there = json_object_get(scope->loader->secrets, name);
        if (!there) {
                CLEANUP_FREE char *hint = values_suggest(name, scope->loader->secrets);
                return err_set(err, ERR_INVALID, "no role declares the secret %s%s", name, hint);
        }
        if (json_is_false(there))
                return err_set(err, ERR_INVALID, "the secret %s is left out by its condition", name);
        json_t *marker = json_object();
        json_object_set_new(marker, MARK_SECRET, json_string(name));
        *ret = marker;
        return SUBST_VALUE;
}

/* "hub/ports.api": stays, and is a need. */
static int look_up_output(const struct scope *scope, const char *name, struct err **err)
{
        if (scope->early)
                return err_set(err, ERR_INVALID, "what a resource yields is not known yet where this is decided");
        const char *dot = strchr(strchr(name, '/'), '.');
        if (!dot || !dot[1])
                return err_set(err, ERR_INVALID, "an output is ${role/resource.output}");
        CLEANUP_FREE char *id = str_copy_n(name, (size_t)(dot - name));
        int r = needs_add_output(scope->loader, scope->instance, id, err);
        return r < 0 ? r : SUBST_KEEP;
}

int values_look_up(void *data, const char *name, json_t **ret, struct err **err)
{
        const struct scope *scope = data;
        if (str_starts(name, "secret."))
                return look_up_secret(scope, name + strlen("secret."), ret, err);
        if (str_is(name, "index") || str_is(name, "each") || str_starts(name, "each."))
                return look_up_each(scope, name, ret, err);
        if (strchr(name, '/'))
                return look_up_output(scope, name, err);
        return walk(scope->loader->values, "", name, ret, err);
}
