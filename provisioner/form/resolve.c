#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"
#include "tree/path.h"
#include "tree/tree.h"

struct file {
        const struct form_field *field;
        json_t *object; /* the mapping it is in */
        const char *path, *file;
};

typedef void (*file_sink)(void *data, const struct file *file);

static void resolve(void *data, const struct file *file)
{
        const char *folder = data;
        if (*file->file == '/')
                return;
        CLEANUP_FREE char *whole = file_join(folder, file->file);
        json_object_set_new(file->object, form_leaf(file->field), json_string(whole));
}

static void add(void *data, const struct file *file)
{
        if (!file->field->made_later)
                json_array_append_new(data, json_pack("{s:s, s:s}", "path", file->path, "file", file->file));
}

static void one(const struct form_field *field, json_t *object, const char *above, file_sink sink, void *data)
{
        CLEANUP_FREE char *path = path_key(above, form_leaf(field));
        const char *text = json_string_value(json_object_get(object, form_leaf(field)));
        if (text && *text)
                sink(data, &(struct file){.field = field, .object = object, .path = path, .file = text});
}

static void each_file(const json_t *form, file_sink sink, void *data)
{
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (field->type != FORM_PATH)
                        continue;
                bool in_items = form_in_items(field);
                size_t length = (size_t)(form_leaf(field) - field->path) - 1 - (in_items ? strlen("[]") : 0);
                CLEANUP_FREE char *above = str_copy_n(field->path, length);
                json_t *holder = tree_get(form, above), *item;
                size_t index;
                if (!in_items) {
                        one(field, holder, above, sink, data);
                        continue;
                }
                json_array_foreach (holder, index, item) {
                        CLEANUP_FREE char *at = path_item(above, index);
                        one(field, item, at, sink, data);
                }
        }
}

void form_resolve_paths(json_t *form, const char *folder)
{
        each_file(form, resolve, (void *)folder);
}

json_t *form_files(const json_t *form)
{
        json_t *files = json_array();
        each_file(form, add, files);
        return files;
}
