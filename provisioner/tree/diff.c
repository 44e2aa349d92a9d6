#include "tree/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/mark.h"
#include "tree/number.h"
#include "tree/path.h"
#include "tree/subst.h"

#define SHOWN_MAX (1024 * 1024)

static json_t *shown(const json_t *value);

/* The text of a {"$join"}: its pieces with every marker replaced by what is shown for it. */
static json_t *shown_join(const json_t *parts)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(SHOWN_MAX);
        size_t i;
        json_t *part;
        json_array_foreach ((json_t *)parts, i, part) {
                json_auto_t *piece = shown(part);
                CLEANUP_FREE char *text = scalar_text(piece);
                if (text)
                        buf_str(&buf, text);
        }
        CLEANUP_FREE char *text = buf_steal(&buf);
        return json_string(text);
}

static json_t *shown_marker(const json_t *value)
{
        const json_t *parts = json_object_get(value, MARK_JOIN);
        if (json_is_array(parts))
                return shown_join(parts);
        return json_string(json_object_get(value, MARK_SECRET) ? "(secret)" : "(known after apply)");
}

/* A copy of a value that may be printed. */
static json_t *shown(const json_t *value)
{
        if (subst_is_marker(value))
                return shown_marker(value);
        json_t *result;
        if (json_is_array(value)) {
                result = json_array();
                size_t i;
                json_t *item;
                json_array_foreach ((json_t *)value, i, item)
                        json_array_append_new(result, shown(item));
                return result;
        }
        if (json_is_object(value)) {
                result = json_object();
                const char *key;
                json_t *item;
                json_object_foreach ((json_t *)value, key, item)
                        json_object_set_new_nocheck(result, key, shown(item));
                return result;
        }
        return json_deep_copy(value);
}

static void add(json_t *list, const struct path_frame *at, const json_t *old, const json_t *new_)
{
        CLEANUP_FREE char *path = path_of(at);
        json_t *entry = json_object();
        json_object_set_new(entry, "path", json_string(path));
        if (old)
                json_object_set_new(entry, "old", shown(old));
        if (new_)
                json_object_set_new(entry, "new", shown(new_));
        json_array_append_new(list, entry);
}

static void compare(json_t *list, const struct path_frame *at, const json_t *old, const json_t *new_);

static int by_name(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void compare_objects(json_t *list, const struct path_frame *at, const json_t *old, const json_t *new_)
{
        size_t count = 0;
        CLEANUP_FREE const char **keys = mem_zero_array(json_object_size(old) + json_object_size(new_), sizeof *keys);
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)old, key, value)
                keys[count++] = key;
        json_object_foreach ((json_t *)new_, key, value) {
                if (!json_object_get(old, key))
                        keys[count++] = key;
        }
        qsort(keys, count, sizeof *keys, by_name);
        for (size_t i = 0; i < count; i++) {
                const json_t *a = json_object_get(old, keys[i]), *b = json_object_get(new_, keys[i]);
                if (a == b)
                        continue;
                struct path_frame below = {.above = at, .key = keys[i]};
                compare(list, &below, a, b);
        }
}

static void compare_arrays(json_t *list, const struct path_frame *at, const json_t *old, const json_t *new_)
{
        size_t a = json_array_size(old), b = json_array_size(new_);
        for (size_t i = 0; i < a || i < b; i++) {
                struct path_frame below = {.above = at, .index = i};
                compare(list, &below, json_array_get(old, i), json_array_get(new_, i));
        }
}

static void compare(json_t *list, const struct path_frame *at, const json_t *old, const json_t *new_)
{
        bool plain = !subst_is_marker(old) && !subst_is_marker(new_);
        if (plain && json_is_object(old) && json_is_object(new_))
                compare_objects(list, at, old, new_);
        else if (plain && json_is_array(old) && json_is_array(new_))
                compare_arrays(list, at, old, new_);
        else if (!old || !new_ || !json_equal(old, new_))
                add(list, at, old, new_);
}

json_t *diff_trees(const json_t *old, const json_t *new_)
{
        json_t *list = json_array();
        json_auto_t *empty = json_object();
        struct path_frame root = {0};
        compare(list, &root, old ? old : empty, new_ ? new_ : empty);
        return list;
}
