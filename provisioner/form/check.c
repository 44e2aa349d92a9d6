/* The form against the table: what is known, of the right type and in range; what is missing; the defaults. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/rules.h"
#include "form/type.h"
#include "form/type_net.h"
#include "form/values.h"
#include "tree/path.h"

void form_values_clear(struct form_values *values)
{
        for (size_t i = 0; i < form_table_count; i++)
                json_decref(values->value[i]);
}

const json_t *form_value(const struct form_values *values, const char *path)
{
        int row = form_find(path);
        return row < 0 ? NULL : values->value[row];
}

const char *form_text(const struct form_values *values, const char *path)
{
        return json_string_value(form_value(values, path));
}

bool form_is_bad(const struct form_values *values, const char *path)
{
        int row = form_find(path);
        return row >= 0 && values->state[row] == FORM_BAD;
}

bool form_is_given(const struct form_values *values, const char *path)
{
        int row = form_find(path);
        return row >= 0 && (values->state[row] == FORM_BAD || values->state[row] == FORM_GIVEN);
}

struct checker {
        struct tree *tree;
        struct diags *diags;
};

/* A mapping that is being looked at: the form, or one item of a list. */
struct scope {
        const char *rows; /* what its rows begin with: "", "profiles[]." */
        const char *at;   /* where it stands in the form: "", "profiles[2]" */
        struct form_values *values;
};

/* ---- what is there ---- */

static void wrong(struct checker *c, const char *path, const json_t *value, const char *allowed, const char *hint)
{
        int line, column;
        tree_place(c->tree, path, &line, &column);
        CLEANUP_FREE char *found = form_found(value);
        diags_add(c->diags, line, column, "%s: found %s; allowed is %s%s%s", path, found, allowed, hint ? "; " : "",
                hint ? hint : "");
}

static void wrong_type(
        struct checker *c, const struct form_field *field, const char *path, const json_t *value, const char *hint)
{
        CLEANUP_FREE char *allowed = form_allowed(field);
        wrong(c, path, value, allowed, hint);
}

/* "port:" and nothing after it. */
static void nothing(struct checker *c, const struct form_field *field, const char *path)
{
        int line, column;
        tree_place(c->tree, path, &line, &column);
        CLEANUP_FREE char *allowed = form_allowed(field);
        CLEANUP_FREE char *standard = form_standard_words(field);
        const char *after = field->required ? "" : standard ? "; without the line it is: " : "; or take the line out";
        diags_add(c->diags, line, column, "%s: found nothing; allowed is %s%s%s", path, allowed, after,
                !field->required && standard ? standard : "");
}

/* Items that are texts: names, e-mail addresses, networks. */
static void texts(struct checker *c, const struct form_field *field, const char *path, const json_t *list, json_t **ret)
{
        json_auto_t *result = json_array(), *seen = json_object();
        size_t i, before = c->diags->count;
        json_t *item;
        json_array_foreach ((json_t *)list, i, item) {
                CLEANUP_FREE char *at = path_item(path, i);
                CLEANUP_FREE char *hint = NULL;
                json_t *name = NULL;
                int line, column;
                if (tree_suspect(c->tree, at))
                        before = (size_t)-1;
                else if (form_item_check(field, item, &name, &hint) < 0)
                        wrong(c, at, item, form_item_allowed(field), hint);
                else if (json_object_get(seen, json_string_value(name))) {
                        tree_place(c->tree, at, &line, &column);
                        diags_add(
                                c->diags, line, column, "%s: \"%s\" is in the list twice", at, json_string_value(name));
                } else
                        json_object_set_new(seen, json_string_value(name), json_true());
                json_array_append_new(result, name ? name : json_null());
        }
        if (c->diags->count == before)
                *ret = form_list_whole(field, result);
}

static void mapping(
        struct checker *c, const struct scope *scope, const char *prefix, const char *path, const json_t *object);
static json_t *assemble(const struct form_values *values, const char *rows);
static void missing(struct checker *c, const struct scope *scope);
static void standards(struct form_values *values, const char *rows);

/* One item of a list of mappings: checked by itself, defaults and all. NULL if it is wrong. */
static json_t *item(struct checker *c, const struct form_field *field, const char *path, const json_t *value)
{
        CLEANUP_VALUES struct form_values values = {0};
        CLEANUP_FREE char *rows = str_format("%s[].", field->path);
        struct scope scope = {.rows = rows, .at = path, .values = &values};
        size_t before = c->diags->count;
        if (!json_is_object(value)) {
                if (!tree_suspect(c->tree, path))
                        wrong(c, path, value, "a mapping", NULL);
                return NULL;
        }
        mapping(c, &scope, rows, path, value);
        missing(c, &scope);
        for (size_t i = 0; i < form_table_count; i++)
                if (values.state[i] == FORM_BAD)
                        return NULL;
        if (c->diags->count > before)
                return NULL;
        standards(&values, rows);
        return assemble(&values, rows);
}

static void items(struct checker *c, const struct form_field *field, const char *path, const json_t *list, json_t **ret)
{
        json_auto_t *result = json_array();
        bool fine = true;
        size_t i;
        json_t *value;
        json_array_foreach ((json_t *)list, i, value) {
                CLEANUP_FREE char *at = path_item(path, i);
                json_t *checked = item(c, field, at, value);
                fine = fine && checked;
                json_array_append_new(result, checked ? checked : json_null());
        }
        form_unique_names(c->tree, field, list, c->diags);
        if (fine)
                *ret = STEAL(result);
}

static void list(struct checker *c, const struct form_field *field, const char *path, const json_t *value, json_t **ret)
{
        CLEANUP_FREE char *hint = NULL;
        size_t count = json_array_size(value);
        if (json_is_array(value) && count > (size_t)field->max)
                hint = str_format("it has %zu", count);
        else if (json_is_array(value)) {
                if (field->type == FORM_ITEMS)
                        items(c, field, path, value, ret);
                else
                        texts(c, field, path, value, ret);
                return;
        } else if (json_is_string(value) && field->type == FORM_EMAILS) {
                if (form_emails_split(field, json_string_value(value), ret, &hint) == 0)
                        return;
        } else if (json_is_string(value))
                hint = str_copy("a list is written [a, b], or with \"- \" before each item");
        wrong_type(c, field, path, value, hint);
}

static void leaf(struct checker *c, const struct scope *scope, size_t row, const char *path, const json_t *value)
{
        const struct form_field *field = &form_table[row];
        CLEANUP_FREE char *hint = NULL;
        json_t **slot = &scope->values->value[row];
        scope->values->state[row] = FORM_BAD;
        if (tree_suspect(c->tree, path))
                return; /* said already */
        if (json_is_null(value)) {
                nothing(c, field, path);
                return;
        }
        if (field->type == FORM_ITEMS || field->type == FORM_NAMES || field->type == FORM_EMAILS ||
                field->type == FORM_NETWORKS)
                list(c, field, path, value, slot);
        else if (form_type_check(field, value, slot, &hint) < 0)
                wrong_type(c, field, path, value, hint);
        if (*slot)
                scope->values->state[row] = FORM_GIVEN;
}

/* A group that is no mapping: nothing can be said of what is below it. */
static void spoil(const struct scope *scope, const char *prefix)
{
        for (size_t i = 0; i < form_table_count; i++)
                if (str_starts(form_table[i].path, prefix) && !strchr(form_table[i].path + strlen(prefix), '['))
                        scope->values->state[i] = FORM_BAD;
}

static void group(struct checker *c, const struct scope *scope, const struct form_field *field, const char *path,
        const json_t *value)
{
        CLEANUP_FREE char *prefix = str_format("%s.", field->path);
        if (tree_suspect(c->tree, path)) {
                spoil(scope, prefix);
        } else if (json_is_object(value)) {
                mapping(c, scope, prefix, path, value);
        } else if (!json_is_null(value)) { /* "dask:" with nothing but comments below it is as good as left out */
                const char *fields[FORM_FIELDS_MAX];
                form_siblings(prefix, fields, FORM_FIELDS_MAX);
                CLEANUP_FREE char *hint = str_format("its fields, such as %s, stand below it, indented", fields[0]);
                wrong_type(c, field, path, value, hint);
                spoil(scope, prefix);
        }
}

/* Where else a field of that name is: "notebook.cpus" for "cpus". */
static const char *elsewhere(const char *key)
{
        for (size_t i = 0; i < form_table_count; i++)
                if (strchr(form_table[i].path, '.') && str_is(form_leaf(&form_table[i]), key))
                        return form_table[i].path;
        return NULL;
}

/* A path for people: a key that is not of this world is quoted and cut short. */
static char *shown_path(const char *path, const char *key)
{
        CLEANUP_FREE char *quoted = diag_quote(key);
        bool plain = *key && strlen(quoted) == strlen(key) + 2 && !strpbrk(key, ".[");
        CLEANUP_FREE char *above = path_parent(path);
        return plain ? str_copy(path) : str_format("%s%s%s", above ? above : "", above && *above ? "." : "", quoted);
}

static void unknown(struct checker *c, const char *prefix, const char *path, const char *key)
{
        const char *siblings[FORM_FIELDS_MAX];
        int line, column;
        if (diags_full(c->diags))
                return;
        tree_key_place(c->tree, path, &line, &column);
        form_siblings(prefix, siblings, FORM_FIELDS_MAX);
        CLEANUP_FREE char *shown = shown_path(path, key);
        const char *near = form_nearest(key, siblings), *other = elsewhere(key), *dot = strrchr(key, '.');
        if (dot && form_find(key) >= 0) {
                diags_add(c->diags, line, column,
                        "%s: there is no such field; write \"%.*s:\" and below it, indented, \"%s:\"", shown,
                        (int)(dot - key), key, dot + 1);
        } else if (near) {
                diags_add(c->diags, line, column, "%s: there is no such field; did you mean \"%s\"?", shown, near);
        } else if (other) {
                diags_add(c->diags, line, column, "%s: there is no such field here; did you mean %s?", shown, other);
        } else {
                CLEANUP_BUF struct buf all = BUF_INIT(2000);
                for (const char **sibling = siblings; *sibling; sibling++)
                        buf_format(&all, "%s%s", sibling == siblings ? "" : ", ", *sibling);
                diags_add(c->diags, line, column, "%s: there is no such field; allowed here: %s", shown, all.data);
        }
}

/* The fields of a mapping. prefix: what the paths of their rows begin with ("notebook.", "profiles[]."). */
static void mapping(
        struct checker *c, const struct scope *scope, const char *prefix, const char *path, const json_t *object)
{
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)object, key, value) {
                CLEANUP_FREE char *below = path_key(path, key);
                CLEANUP_FREE char *name = str_format("%s%s", prefix, key);
                int row = strpbrk(key, ".[") ? -1 : form_find(name);
                if (row < 0)
                        unknown(c, prefix, below, key);
                else if (form_table[row].type == FORM_GROUP)
                        group(c, scope, &form_table[row], below, value);
                else
                        leaf(c, scope, (size_t)row, below, value);
                if (diags_full(c->diags))
                        return;
        }
}

/* ---- what is not ---- */

static bool in_scope(const struct form_field *field, const char *rows)
{
        return str_starts(field->path, rows) && field->type != FORM_GROUP && !strchr(field->path + strlen(rows), '[');
}

/* Where the nearest part of a path stands that the form has. */
static void parent_place(struct tree *tree, const char *path, int *ret_line, int *ret_column)
{
        CLEANUP_FREE char *at = str_copy(path);
        for (;;) {
                char *above = path_parent(at);
                free(at);
                at = above ? above : str_copy("");
                tree_key_place(tree, at, ret_line, ret_column);
                if (*ret_line || !*at)
                        return;
        }
}

static void missing(struct checker *c, const struct scope *scope)
{
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (!in_scope(field, scope->rows) || !field->required || field->when ||
                        scope->values->state[i] != FORM_ABSENT)
                        continue;
                CLEANUP_FREE char *path =
                        str_format("%s%s%s", scope->at, *scope->at ? "." : "", field->path + strlen(scope->rows));
                CLEANUP_FREE char *allowed = form_allowed(field);
                int line, column;
                parent_place(c->tree, path, &line, &column);
                diags_add(c->diags, line, column, "%s: missing; it is required: %s", path, allowed);
        }
}

static void standards(struct form_values *values, const char *rows)
{
        for (int computed = 0; computed < 2; computed++) {
                for (size_t i = 0; i < form_table_count; i++) {
                        const struct form_field *field = &form_table[i];
                        if (!in_scope(field, rows) || values->state[i] != FORM_ABSENT || values->value[i])
                                continue;
                        if (!computed && field->standard)
                                values->value[i] = json_loads(field->standard, JSON_DECODE_ANY, NULL);
                        else if (computed && field->compute)
                                values->value[i] = field->compute(values);
                        if (values->value[i])
                                values->state[i] = FORM_STANDARD;
                }
        }
}

/* ---- the complete form ---- */

/* The mapping that holds a field, made on the way. */
static json_t *holder(json_t *root, const char *path)
{
        json_t *object = root;
        for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
                CLEANUP_FREE char *name = str_copy_n(path, (size_t)(dot - path));
                json_t *below = json_object_get(object, name);
                if (!below) {
                        below = json_object();
                        json_object_set_new(object, name, below);
                }
                object = below;
        }
        return object;
}

/* All fields, in the table's order; a text that is not there is "". */
static json_t *assemble(const struct form_values *values, const char *rows)
{
        json_t *root = json_object();
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (!in_scope(field, rows))
                        continue;
                json_t *value = values->value[i] ? json_incref(values->value[i]) : json_string("");
                json_object_set_new(holder(root, field->path + strlen(rows)), form_leaf(field), value);
        }
        return root;
}

/* What a user may ask for in a worker: what the form says, otherwise up to the notebook's size. */
static void largest_worker(const struct form_values *values, json_t *form, const char *leaf_name)
{
        CLEANUP_FREE char *worker_path = str_format("dask.worker.%s", leaf_name);
        CLEANUP_FREE char *notebook_path = str_format("notebook.%s", leaf_name);
        CLEANUP_FREE char *max_path = str_format("dask.max.%s", leaf_name);
        CLEANUP_FREE char *name = str_format("largest_%s", leaf_name);
        const json_t *largest = form_value(values, worker_path), *notebook = form_value(values, notebook_path);
        const json_t *max = form_value(values, max_path);
        if (!form_is_given(values, worker_path) && json_number_value(notebook) > json_number_value(largest))
                largest = json_number_value(notebook) > json_number_value(max) ? max : notebook;
        json_object_set(json_object_get(json_object_get(form, "dask"), "worker"), name, (json_t *)largest);
}

/* A form holds nothing of targets that are not its own. */
static void drop_others(json_t *form)
{
        const char *target = json_string_value(json_object_get(form, "target"));
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                size_t index;
                json_t *item;
                if (!form_of_other_target(field, target))
                        continue;
                if (!form_in_items(field)) {
                        CLEANUP_FREE char *above = path_parent(field->path);
                        if (str_is(field->when, "target"))
                                json_object_del(tree_get(form, above), form_leaf(field));
                        continue;
                }
                CLEANUP_FREE char *path = str_copy_n(field->path, strcspn(field->path, "["));
                json_array_foreach (tree_get(form, path), index, item)
                        json_object_del(item, form_leaf(field));
        }
}

/* ---- the whole ---- */

static int check_root(struct checker *c, struct form_values *values)
{
        struct scope scope = {.rows = "", .at = "", .values = values};
        const json_t *root = tree_root(c->tree);
        if (json_is_object(root)) {
                mapping(c, &scope, "", "", root);
        } else if (!json_is_null(root)) {
                CLEANUP_FREE char *found = form_found(root);
                int line, column;
                tree_place(c->tree, "", &line, &column);
                diags_add(c->diags, line, column, "found %s; a form is a mapping, with lines \"field: value\"", found);
                return -1;
        }
        missing(c, &scope);
        return 0;
}

int form_check(struct tree *tree, const struct form_facts *facts, json_t **ret_form, struct diags *diags)
{
        CLEANUP_VALUES struct form_values values = {.facts = facts};
        struct checker c = {.tree = tree, .diags = diags};
        size_t before = diags->count;
        if (check_root(&c, &values) == 0) {
                standards(&values, "");
                form_rules(tree, &values, diags);
        }
        diags_sort(diags);
        if (diags->count > before || diags_full(diags))
                return -ERR_INVALID;
        json_t *form = assemble(&values, "");
        largest_worker(&values, form, "cpus");
        largest_worker(&values, form, "ram");
        drop_others(form);
        *ret_form = form;
        return 0;
}

int form_read(const char *text, size_t length, const struct form_facts *facts, json_t **ret_form,
        struct tree **ret_tree, struct diags *diags)
{
        struct tree *tree = NULL;
        json_auto_t *form = NULL;
        int rc = tree_parse_all(text, length, &tree, diags);
        if (tree) {
                int checked = form_check(tree, facts, &form, diags);
                rc = rc < 0 ? rc : checked;
        }
        diags_sort(diags);
        if (rc < 0 || !ret_tree)
                tree = tree_free(tree);
        if (rc < 0)
                return rc;
        *ret_form = STEAL(form);
        if (ret_tree)
                *ret_tree = tree;
        return 0;
}
