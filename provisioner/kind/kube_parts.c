#include "kind/kube_parts.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/inlay.h"
#include "kind/spec.h"

#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const char *const parts[] = {"files", "json", "paths"};
#define PART_COUNT (sizeof parts / sizeof *parts)

static char *key_of(const char *path)
{
        CLEANUP_BUF struct buf key = BUF_INIT(4096);
        for (; *path; path++)
                if (*path == '/')
                        buf_str(&key, "__");
                else
                        buf_add(&key, path, 1);
        return buf_steal(&key);
}

int kube_parts_check(const json_t *spec, struct err **err)
{
        const char *kind = spec_text(json_object_get(spec, "object"), "kind", "");
        for (size_t i = 0; i < PART_COUNT; i++) {
                json_t *part = json_object_get(spec, parts[i]), *value;
                const char *path;
                if (!part || spec_is_open(part))
                        continue;
                if (!str_is(kind, "ConfigMap") && !str_is(kind, "Secret"))
                        return err_set(err, ERR_INVALID, "%s: only a ConfigMap or a Secret has them", parts[i]);
                json_object_foreach (part, path, value) {
                        CLEANUP_FREE char *key = key_of(path);
                        if (!*key || strspn(key, KEY_CHARACTERS) != strlen(key))
                                return err_set(
                                        err, ERR_INVALID, "%s: %s cannot be the name of a file there", parts[i], path);
                }
        }
        return 0;
}

/* What stands for the content of one: itself, or the node that is filled in later. */
static json_t *content_of(const char *part, json_t *value)
{
        if (str_is(part, "json"))
                return json_pack("{s:O}", INLAY_JSON, value);
        if (str_is(part, "paths"))
                return json_pack("{s:O}", INLAY_FILE, value);
        return json_incref(value);
}

json_t *kube_parts_object(const json_t *spec)
{
        json_t *object = json_object_get(spec, "object"), *data = NULL;
        const char *place = str_is(spec_text(object, "kind", ""), "Secret") ? "stringData" : "data";
        if (!json_object_get(spec, "files") && !json_object_get(spec, "json") && !json_object_get(spec, "paths"))
                return json_incref(object);
        json_t *ret = json_copy(object);
        data = json_object_get(object, place) ? json_copy(json_object_get(object, place)) : json_object();
        json_object_set_new(ret, place, data);
        for (size_t i = 0; i < PART_COUNT; i++) {
                const char *path;
                json_t *value;
                json_object_foreach (json_object_get(spec, parts[i]), path, value) {
                        CLEANUP_FREE char *key = key_of(path);
                        json_object_set_new(data, key, content_of(parts[i], value));
                }
        }
        return ret;
}

json_t *kube_parts_items(const json_t *spec)
{
        json_t *ret = NULL;
        for (size_t i = 0; i < PART_COUNT; i++) {
                const char *path;
                json_t *value;
                json_object_foreach (json_object_get(spec, parts[i]), path, value) {
                        CLEANUP_FREE char *key = key_of(path);
                        if (!ret)
                                ret = json_array();
                        json_array_append_new(ret, json_pack("{s:s, s:s}", "key", key, "path", path));
                }
        }
        return ret;
}

void kube_parts_drop_null(json_t *tree)
{
        const char *key;
        json_t *value;
        void *next;
        size_t i;
        json_object_foreach_safe (tree, next, key, value) {
                if (json_is_null(value))
                        json_object_del(tree, key);
                else
                        kube_parts_drop_null(value);
        }
        if (json_is_array(tree))
                json_array_foreach (tree, i, value)
                        kube_parts_drop_null(value);
}
