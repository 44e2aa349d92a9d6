/* A form against the one that was applied last. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"
#include "form/type.h"
#include "tree/path.h"

/* Where a field stands, or the nearest mapping around it when the form leaves it to its default. */
static bool place(struct tree *tree, const char *path, int *ret_line, int *ret_column)
{
        CLEANUP_FREE char *at = str_copy(path);
        tree_place(tree, at, ret_line, ret_column);
        if (*ret_line)
                return true;
        while (!*ret_line && *at) {
                char *above = path_parent(at);
                free(at);
                at = above ? above : str_copy("");
                tree_key_place(tree, at, ret_line, ret_column);
        }
        return false;
}

static char *shown(const json_t *value)
{
        if (!json_is_string(value))
                return form_found(value);
        return *json_string_value(value) ? str_copy(json_string_value(value)) : str_copy("nothing");
}

static void fixed(
        const struct form_field *field, const json_t *old, const json_t *new_, struct tree *tree, struct diags *diags)
{
        int line, column;
        CLEANUP_FREE char *before = shown(old);
        CLEANUP_FREE char *now = shown(new_);
        if (json_equal(old, new_))
                return;
        if (place(tree, field->path, &line, &column))
                diags_add(diags, line, column,
                        "%s: found %s, but the cluster was made with %s, and that cannot change; set it back, or "
                        "destroy the "
                        "cluster and make it anew (homes are kept)",
                        field->path, now, before);
        else
                diags_add(diags, line, column,
                        "%s: by default it would now be %s, but the cluster was made with %s, and that cannot change; "
                        "write %s: "
                        "%s into the form",
                        field->path, now, before, field->path, before);
}

static void grow(
        const struct form_field *field, const json_t *old, const json_t *new_, struct tree *tree, struct diags *diags)
{
        int line, column;
        if (json_number_value(new_) >= json_number_value(old))
                return;
        CLEANUP_FREE char *before = shown(old);
        CLEANUP_FREE char *now = shown(new_);
        const char *unit = field->unit ? field->unit : "";
        place(tree, field->path, &line, &column);
        diags_add(diags, line, column,
                "%s: found %s, but it was %s %s before, and it can only grow: %s; write %s or more", field->path, now,
                before, unit, field->update_words, before);
}

int form_check_update(const json_t *old_form, const json_t *new_form, struct tree *tree, struct diags *diags)
{
        size_t before = diags->count;
        bool moved = !json_equal(tree_get(old_form, "target"), tree_get(new_form, "target"));
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (field->update == FORM_FREE || form_in_items(field))
                        continue;
                if (moved && !str_is(field->path, "target")) /* what follows from it says nothing */
                        continue;
                const json_t *old = tree_get(old_form, field->path), *new_ = tree_get(new_form, field->path);
                if (!old || !new_) /* a field that the other version did not have */
                        continue;
                if (field->update == FORM_FIXED)
                        fixed(field, old, new_, tree, diags);
                else
                        grow(field, old, new_, tree, diags);
        }
        diags_sort(diags);
        return diags->count > before ? -ERR_REFUSED : 0;
}
