#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"
#include "tree/tree.h"

static void resolve(json_t *object, const char *name, const char *folder)
{
        const char *path = json_string_value(json_object_get(object, name));
        if (!path || *path == '\0' || *path == '/')
                return;
        CLEANUP_FREE char *whole = file_join(folder, path);
        json_object_set_new(object, name, json_string(whole));
}

/* The mapping at the first `length` characters of a path. */
static json_t *mapping_at(const json_t *form, const char *path, size_t length)
{
        CLEANUP_FREE char *above = str_copy_n(path, length);
        return tree_get(form, above);
}

void form_resolve_paths(json_t *form, const char *folder)
{
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (field->type != FORM_PATH)
                        continue;
                const char *leaf = form_leaf(field);
                size_t above = (size_t)(leaf - field->path) - 1; /* without the dot */
                size_t index;
                json_t *item;
                if (form_in_items(field)) {
                        json_t *list = mapping_at(form, field->path, above - strlen("[]"));
                        json_array_foreach (list, index, item)
                                resolve(item, leaf, folder);
                } else {
                        resolve(mapping_at(form, field->path, above), leaf, folder);
                }
        }
}
