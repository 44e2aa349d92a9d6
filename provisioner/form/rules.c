#include "form/rules.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"
#include "form/rules_kube.h"
#include "form/rules_monitoring.h"
#include "tree/number.h"
#include "tree/path.h"

/* Names that a list cannot use because they are there already. */
static const struct {
        const char *list, *name, *why;
} taken[] = {
        {"profiles", "default", "is what the plain notebook is called"},
        {"environments", "pangeo", "is the built-in environment"},
};

static void name_rule(struct tree *tree, const struct form_field *field, const char *path, const char *name,
        json_t *seen, struct diags *diags)
{
        int line, column;
        tree_place(tree, path, &line, &column);
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
                if (str_is(field->path, taken[i].list) && strcmp(name, taken[i].name) == 0)
                        diags_add(diags, line, column, "%s: \"%s\" %s; give it another name", path, name, taken[i].why);
        const json_t *first = json_object_get(seen, name);
        CLEANUP_FREE char *quoted = diag_quote(name);
        if (first)
                diags_add(diags, line, column, "%s: %s is the name of %s already", path, quoted,
                        json_string_value(first));
}

void form_unique_names(struct tree *tree, const struct form_field *field, const json_t *list, struct diags *diags)
{
        json_auto_t *seen = json_object();
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)list, i, item) {
                const char *written = json_string_value(json_object_get(item, "name"));
                if (!written)
                        continue;
                CLEANUP_FREE char *copy = str_copy(written);
                const char *name = str_trim(copy);
                CLEANUP_FREE char *at = path_item(field->path, i);
                CLEANUP_FREE char *path = path_key(at, "name");
                name_rule(tree, field, path, name, seen, diags);
                if (!json_object_get(seen, name))
                        json_object_set_new(seen, name, json_string(at));
        }
}

/* The default that nobody asked for deserves an explanation. */
static char *why_mode(const struct form_values *values, const struct form_field *field)
{
        if (form_is_given(values, field->when))
                return str_copy("");
        if (str_is(field->when, "tls.mode") && str_is(field->when_value, "acme"))
                return str_format(
                        " (which it is because %s is a public name and the form does not say otherwise; the other "
                        "choices are tls.mode: files and tls.mode: self-signed)",
                        form_text(values, "domain"));
        return str_copy("");
}

static void mode_rule(struct tree *tree, const struct form_values *values, size_t row, struct diags *diags)
{
        const struct form_field *field = &form_table[row];
        const char *mode = form_text(values, field->when);
        int line, column;
        if (!mode)
                return;
        bool applies = strcmp(mode, field->when_value) == 0;
        if (!applies && form_is_given(values, field->path)) {
                tree_key_place(tree, field->path, &line, &column);
                diags_add(diags, line, column, "%s: only used with %s: %s, and %s is %s%s", field->path, field->when,
                        field->when_value, field->when, mode,
                        form_is_given(values, field->when) ? "" : " here by default");
        } else if (applies && field->required && values->state[row] == FORM_ABSENT) {
                CLEANUP_FREE char *allowed = form_allowed(field);
                CLEANUP_FREE char *why = why_mode(values, field);
                CLEANUP_FREE char *group = path_parent(field->path);
                tree_key_place(tree, field->when, &line, &column);
                if (!line)
                        tree_key_place(tree, group, &line, &column);
                if (!line)
                        tree_key_place(tree, "", &line, &column);
                diags_add(diags, line, column, "%s: missing; it is required with %s: %s%s: %s", field->path,
                        field->when, mode, why, allowed);
        }
}

/* A worker is no larger than all that its user may hold. */
static void worker_rule(struct tree *tree, const struct form_values *values, const char *worker, const char *max,
        const char *notebook, struct diags *diags)
{
        const json_t *size = form_value(values, worker), *limit = form_value(values, max);
        if (!size || !limit || json_number_value(size) <= json_number_value(limit))
                return;
        CLEANUP_FREE char *size_text = scalar_text(size);
        CLEANUP_FREE char *limit_text = scalar_text(limit);
        int line, column;
        tree_place(tree, worker, &line, &column);
        diags_add(diags, line, column, "%s: found %s, but %s, which is all that a user may hold, is %s%s%s%s", worker,
                size_text, max, limit_text, form_is_given(values, max) ? "" : " (8 x ",
                form_is_given(values, max) ? "" : notebook, form_is_given(values, max) ? "" : " by default)");
}

/* A public authority asks a name that the world knows. Found here, and not when everything else is set up. */
static void acme_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *domain = form_text(values, "domain");
        if (!str_is(form_text(values, "tls.mode"), "acme") || !domain || !*domain || net_name_is_public(domain) ||
                form_is_given(values, "tls.acme_server"))
                return;
        int line, column;
        tree_place(tree, "tls.mode", &line, &column);
        diags_add(diags, line, column,
                "tls.mode: found acme, but %s is no public name, and Let's Encrypt knows no others; write "
                "tls.acme_server for an ACME server of your own, or choose tls.mode: files or tls.mode: self-signed",
                domain);
}

void form_rules(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        for (size_t i = 0; i < form_table_count; i++)
                if (form_table[i].when && form_table[i].type != FORM_GROUP && !form_in_items(&form_table[i]) &&
                        !form_of_other_target(&form_table[i], form_text(values, "target")))
                        mode_rule(tree, values, i, diags);
        acme_rule(tree, values, diags);
        worker_rule(tree, values, "dask.worker.cpus", "dask.max.cpus", "notebook.cpus", diags);
        worker_rule(tree, values, "dask.worker.ram", "dask.max.ram", "notebook.ram", diags);
        form_rules_monitoring(tree, values, diags);
        form_rules_kube(tree, values, diags);
}
