#include "kind/marks.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"

#define JOIN_BYTES_MAX (16 * 1024 * 1024)

static int join(const json_t *parts, marks_secret secret, void *data, json_t **ret, struct err **err)
{
        struct buf text = BUF_INIT(JOIN_BYTES_MAX);
        size_t i;
        json_t *part;
        int r = 0;
        json_array_foreach (parts, i, part) {
                json_t *value = NULL;
                r = marks_resolve(part, secret, data, &value, err);
                if (r < 0)
                        break;
                if (json_is_string(value)) {
                        buf_add(&text, json_string_value(value), json_string_length(value));
                } else {
                        CLEANUP_FREE char *dump = json_dumps(value, JSON_ENCODE_ANY);
                        buf_str(&text, dump ? dump : "");
                }
                kind_forget(value);
        }
        if (r == 0)
                *ret = json_stringn(text.data ? text.data : "", text.length);
        if (text.data)
                explicit_bzero(text.data, text.length);
        buf_clear(&text);
        return r;
}

static int each(const json_t *tree, marks_secret secret, void *data, json_t **ret, struct err **err)
{
        json_t *copy = json_is_object(tree) ? json_object() : json_array(), *value, *done = NULL;
        const char *key;
        size_t i;
        int r = 0;
        json_object_foreach ((json_t *)tree, key, value) {
                r = marks_resolve(value, secret, data, &done, err);
                if (r < 0)
                        break;
                json_object_set_new(copy, key, done);
        }
        json_array_foreach (tree, i, value) {
                r = marks_resolve(value, secret, data, &done, err);
                if (r < 0)
                        break;
                json_array_append_new(copy, done);
        }
        if (r == 0)
                *ret = STEAL(copy);
        kind_forget(copy);
        return r;
}

int marks_resolve(const json_t *tree, marks_secret secret, void *data, json_t **ret, struct err **err)
{
        const char *name = json_string_value(json_object_get(tree, MARK_SECRET)),
                   *after = json_string_value(json_object_get(tree, MARK_AFTER));
        const json_t *parts = json_object_get(tree, MARK_JOIN);
        if (name)
                return secret(data, name, ret, err);
        if (after)
                return err_set(err, ERR_NOT_FOUND, "%s is not known yet", after);
        if (json_is_array(parts))
                return join(parts, secret, data, ret, err);
        if (json_is_object(tree) || json_is_array(tree))
                return each(tree, secret, data, ret, err);
        *ret = json_incref((json_t *)tree); /* it holds nothing secret: kind_forget leaves it alone */
        return 0;
}
