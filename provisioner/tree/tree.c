#include "tree/tree.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/path.h"
#include "tree/place.h"

json_t *tree_root(struct tree *tree)
{
        return tree->root;
}

struct tree *tree_free(struct tree *tree)
{
        if (tree) {
                json_decref(tree->root);
                place_free(tree->place);
                free(tree);
        }
        return NULL;
}

/* Every finding as a line of its own. */
static char *findings_text(const char *path, struct diags *diags)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(1024 * 1024);
        diags_sort(diags);
        for (size_t i = 0; i < diags->count; i++) {
                const struct diag *diag = &diags->item[i];
                buf_str(&buf, i ? "\n" : "");
                if (diag->line)
                        buf_format(&buf, "%s:%d:%d: %s", path, diag->line, diag->column, diag->message);
                else
                        buf_format(&buf, "%s: %s", path, diag->message);
        }
        return buf_steal(&buf);
}

int tree_load(const char *path, struct tree **ret_tree, struct err **err)
{
        CLEANUP_FREE char *text = NULL;
        CLEANUP_DIAGS struct diags diags = {0};
        size_t length = 0;
        int rc = file_read(path, TREE_BYTES_MAX, &text, &length, err);
        if (rc < 0)
                return rc;
        if (tree_parse(text, length, ret_tree, &diags) == 0)
                return 0;
        CLEANUP_FREE char *findings = findings_text(path, &diags);
        return err_set(err, ERR_INVALID, "%s", findings);
}

json_t *tree_get(const json_t *root, const char *path)
{
        const json_t *node = root;
        for (;;) {
                CLEANUP_PATH_STEP struct path_step step = {0};
                int rc = path_next(&path, &step);
                if (rc < 0)
                        return NULL;
                if (rc == 0)
                        return (json_t *)node;
                node = step.key ? json_object_get(node, step.key) : json_array_get(node, step.index);
                if (!node)
                        return NULL;
        }
}

/* The place of a node, and the entry that holds it (NULL for the root). NULL if there is none. */
static const struct place *find(const struct tree *tree, const char *path, const struct place_entry **ret_entry)
{
        const struct place *place = tree->place;
        *ret_entry = NULL;
        for (;;) {
                CLEANUP_PATH_STEP struct path_step step = {0};
                int rc = path_next(&path, &step);
                if (rc < 0)
                        return NULL;
                if (rc == 0)
                        return place;
                const struct place_entry *entry = NULL;
                if (step.key)
                        entry = place_find(place, step.key);
                else if (step.index < place->count && !place->entry[step.index].key)
                        entry = &place->entry[step.index];
                if (!entry)
                        return NULL;
                *ret_entry = entry;
                place = entry->value;
        }
}

void tree_place(const struct tree *tree, const char *path, int *ret_line, int *ret_column)
{
        const struct place_entry *entry;
        const struct place *place = find(tree, path, &entry);
        *ret_line = place ? place->line : 0;
        *ret_column = place ? place->column : 0;
}

void tree_key_place(const struct tree *tree, const char *path, int *ret_line, int *ret_column)
{
        const struct place_entry *entry;
        const struct place *place = find(tree, path, &entry);
        *ret_line = !place ? 0 : entry && entry->key ? entry->line : place->line;
        *ret_column = !place ? 0 : entry && entry->key ? entry->column : place->column;
}

bool tree_suspect(const struct tree *tree, const char *path)
{
        const struct place_entry *entry;
        const struct place *place = find(tree, path, &entry);
        return place && place->suspect;
}
