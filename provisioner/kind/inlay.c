#include "kind/inlay.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define FILE_MAX   (1024 * 1024) /* no object of Kubernetes may be larger */
#define JSON_FLAGS (JSON_INDENT(1) | JSON_SORT_KEYS | JSON_ENCODE_ANY)

static int file_text(const char *path, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *text = NULL;
        size_t length;
        int r = file_read(path, FILE_MAX, &text, &length, err);
        if (r < 0)
                return r;
        *ret = json_stringn(text, length);
        explicit_bzero(text, length);
        return *ret ? 0 : err_set(err, ERR_INVALID, "%s is no text in UTF-8", path);
}

/* What `value` stands for; *ret stays NULL when it is none of those nodes. */
static int fill_node(json_t *value, json_t **ret, struct err **err)
{
        const char *path = json_string_value(json_object_get(value, INLAY_FILE));
        if (path)
                return file_text(path, ret, err);
        json_t *tree = json_object_get(value, INLAY_JSON);
        if (!tree)
                return inlay_fill(value, err);
        int r = inlay_fill(tree, err);
        if (r < 0)
                return r;
        char *text = json_dumps(tree, JSON_FLAGS);
        *ret = json_string(text ? text : "");
        if (text)
                mem_wipe_free(text, strlen(text));
        return 0;
}

int inlay_fill(json_t *tree, struct err **err)
{
        const char *key;
        json_t *value;
        size_t i;
        if (json_is_array(tree)) {
                json_array_foreach (tree, i, value) {
                        json_t *filled = NULL;
                        int r = fill_node(value, &filled, err);
                        if (r < 0)
                                return r;
                        if (filled)
                                json_array_set_new(tree, i, filled);
                }
                return 0;
        }
        void *next;
        json_object_foreach_safe (tree, next, key, value) {
                json_t *filled = NULL;
                int r = fill_node(value, &filled, err);
                if (r < 0)
                        return r;
                if (filled)
                        json_object_set_new(tree, key, filled);
        }
        return 0;
}
