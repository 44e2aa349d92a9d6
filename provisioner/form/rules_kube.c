/* What has to hold between the fields of a Kubernetes target, and which fields other targets do not have. */
#include "form/rules_kube.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/number.h"
#include "tree/path.h"

static const struct {
        const char *mode, *target, *entry, *instead;
} modes[] = {
        {"acme", "kubernetes", "ingress",
                "with an Ingress, cert-manager gets certificates by ACME: kubernetes.cert_issuer"},
        {"acme", "kubernetes", "nodeport", "an ACME server asks at ports 80 and 443, which are the proxy's in front"},
        {"secret", "host", NULL, "secret is of Kubernetes"},
        {"secret", "kubernetes", "loadbalancer",
                "a Secret is for an Ingress (kubernetes.entry: ingress); write tls.mode: files"},
        {"secret", "kubernetes", "nodeport",
                "a Secret is for an Ingress (kubernetes.entry: ingress); write tls.mode: files"},
        {"cert-manager", "host", NULL, "cert-manager is of Kubernetes; write tls.mode: acme"},
        {"cert-manager", "kubernetes", "loadbalancer",
                "cert-manager is asked for an Ingress (kubernetes.entry: ingress); write "
                "tls.mode: acme"},
        {"cert-manager", "kubernetes", "nodeport", "cert-manager is asked for an Ingress (kubernetes.entry: ingress)"},
        {"proxy", "host", NULL, "on this machine the pages are never served without TLS"},
        {"proxy", "kubernetes", "loadbalancer",
                "whoever came by the balancer would speak without TLS; it is for "
                "kubernetes.entry: nodeport"},
        {"proxy", "kubernetes", "ingress",
                "users would come to the Ingress without TLS; it is for kubernetes.entry: nodeport"},
};

static void add(struct tree *tree, struct diags *diags, const char *path, const char *message)
{
        int line, column;
        tree_place(tree, path, &line, &column);
        diags_add(diags, line, column, "%s: %s", path, message);
}

static void tls_rule(struct tree *tree, const struct form_values *values, const char *target, struct diags *diags)
{
        const char *mode = form_text(values, "tls.mode"), *entry = form_text(values, "kubernetes.entry");
        if (!mode || !form_is_given(values, "tls.mode"))
                return;
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
                if (!str_is(modes[i].mode, mode) || !str_is(modes[i].target, target) ||
                        (modes[i].entry && !str_is(modes[i].entry, entry)))
                        continue;
                CLEANUP_FREE char *text = str_format("found %s, which cannot be with %s%s: %s", mode,
                        modes[i].entry ? "kubernetes.entry: " : "target: ", modes[i].entry ? modes[i].entry : target,
                        modes[i].instead);
                add(tree, diags, "tls.mode", text);
        }
}

/* What names a certificate for an Ingress is, where the form says no mode, the mode: there has to be an Ingress. */
static void ingress_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        static const struct {
                const char *field, *mode;
        } of_ingress[] = {{"kubernetes.tls_secret", "secret"}, {"kubernetes.cert_issuer", "cert-manager"}};
        const char *entry = form_text(values, "kubernetes.entry"), *mode = form_text(values, "tls.mode");
        if (!entry || str_is(entry, "ingress") || form_is_given(values, "tls.mode"))
                return;
        for (size_t i = 0; i < sizeof of_ingress / sizeof *of_ingress; i++) {
                int line, column;
                if (!str_is(mode, of_ingress[i].mode))
                        continue;
                tree_key_place(tree, of_ingress[i].field, &line, &column);
                diags_add(diags, line, column,
                        "%s: only used with kubernetes.entry: ingress, and kubernetes.entry is %s%s",
                        of_ingress[i].field, entry,
                        form_is_given(values, "kubernetes.entry") ? "" : " here by default");
        }
}

/* A balancer's address makes a name; behind an Ingress or a proxy there is none to be had. */
static void domain_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *entry = form_text(values, "kubernetes.entry");
        if (!entry || str_is(entry, "loadbalancer") || form_is_given(values, "domain") ||
                form_is_given(values, "external_ip"))
                return;
        int line, column;
        tree_key_place(tree, "kubernetes.entry", &line, &column);
        diags_add(diags, line, column,
                "domain: missing; it is required with kubernetes.entry: %s: a DNS name of at most 253 characters",
                entry);
}

static void namespace_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *name = form_text(values, "kubernetes.namespace");
        if (name && str_starts(name, "kube-") && form_is_given(values, "kubernetes.namespace")) {
                CLEANUP_FREE char *text = str_format("found %s, which is one of Kubernetes' own; take another", name);
                add(tree, diags, "kubernetes.namespace", text);
        }
}

/* Of all images there is only this one that nobody publishes. */
static void monitoring_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        if (!json_is_true(form_value(values, "monitoring.enabled")) ||
                form_is_given(values, "kubernetes.images.exporter") ||
                form_is_bad(values, "kubernetes.images.exporter"))
                return;
        add(tree, diags, "monitoring.enabled",
                "found true, which on Kubernetes needs kubernetes.images.exporter, and that is missing: the image that "
                "`make exporter-image` makes, in a registry of yours");
}

static void toleration_rules(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)form_value(values, "kubernetes.tolerations"), i, item) {
                CLEANUP_FREE char *at = path_item("kubernetes.tolerations", i);
                CLEANUP_FREE char *value = path_key(at, "value");
                bool exists = str_is(json_string_value(json_object_get(item, "operator")), "Exists");
                bool has_value = *json_string_value(json_object_get(item, "value"));
                bool has_key = *json_string_value(json_object_get(item, "key"));
                if (exists && has_value)
                        add(tree, diags, value, "has no place beside operator: Exists, which stands for all values");
                if (!exists && !has_key)
                        add(tree, diags, at, "names no key; all taints are tolerated with operator: Exists");
        }
}

/* Items are checked without the fields around them: which of theirs a target has is looked at here. */
static void item_rule(struct tree *tree, const struct form_field *field, const char *target, struct diags *diags)
{
        CLEANUP_FREE char *list_path = str_copy_n(field->path, strcspn(field->path, "["));
        const json_t *list = tree_get(tree_root(tree), list_path);
        size_t i;
        json_t *item;
        if (!json_is_array(list))
                return;
        json_array_foreach (list, i, item) {
                CLEANUP_FREE char *at = path_item(list_path, i);
                CLEANUP_FREE char *path = path_key(at, form_leaf(field));
                bool given = json_object_get(item, form_leaf(field)), used = str_is(field->when_value, target);
                int line, column;
                if (!json_is_object(item) || given == used)
                        continue;
                if (given) {
                        tree_key_place(tree, path, &line, &column);
                        diags_add(diags, line, column, "%s: only used with target: %s, and target is %s", path,
                                field->when_value, target);
                } else if (field->required) {
                        CLEANUP_FREE char *allowed = form_allowed(field);
                        tree_key_place(tree, at, &line, &column);
                        diags_add(diags, line, column, "%s: missing; it is required with target: %s: %s", path, target,
                                allowed);
                }
        }
}

static void gpu_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)form_value(values, "profiles"), i, item) {
                json_int_t gpus = json_integer_value(json_object_get(item, "gpus"));
                CLEANUP_FREE char *at = path_item("profiles", i);
                CLEANUP_FREE char *path = path_key(at, "gpus");
                if (gpus == 0)
                        continue;
                CLEANUP_FREE char *text = str_format(
                        "found %lld, but GPUs are handed out with target: kubernetes only; take the line out",
                        (long long)gpus);
                add(tree, diags, path, text);
        }
}

/* Does it stand in a block of which that is said already? */
static bool in_such_block(const struct form_field *field, const char *target)
{
        for (size_t i = 0; i < form_table_count; i++) {
                size_t length = strlen(form_table[i].path);
                if (form_is_block(&form_table[i]) && form_of_other_target(&form_table[i], target) &&
                        strncmp(field->path, form_table[i].path, length) == 0 && field->path[length] == '.')
                        return true;
        }
        return false;
}

/* All of a block that another target has, or a field of that kind, in one finding. */
static void block_rule(struct tree *tree, const struct form_field *field, const char *target,
        const struct form_values *values, struct diags *diags)
{
        const json_t *block = tree_get(tree_root(tree), field->path);
        int line, column;
        if (!block || json_is_null(block))
                return;
        tree_key_place(tree, field->path, &line, &column);
        diags_add(diags, line, column, "%s: only used with target: %s, and target is %s%s", field->path,
                field->when_value, target, form_is_given(values, "target") ? "" : " here by default");
}

void form_rules_kube(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *target = form_text(values, "target");
        if (!target)
                return;
        for (size_t i = 0; i < form_table_count; i++)
                if (form_in_items(&form_table[i]) && str_is(form_table[i].when, "target"))
                        item_rule(tree, &form_table[i], target, diags);
        for (size_t i = 0; i < form_table_count; i++)
                if (str_is(form_table[i].when, "target") && !form_in_items(&form_table[i]) &&
                        form_of_other_target(&form_table[i], target) && !in_such_block(&form_table[i], target))
                        block_rule(tree, &form_table[i], target, values, diags);
        tls_rule(tree, values, target, diags);
        if (!str_is(target, "kubernetes")) {
                gpu_rule(tree, values, diags);
                return;
        }
        ingress_rule(tree, values, diags);
        domain_rule(tree, values, diags);
        namespace_rule(tree, values, diags);
        monitoring_rule(tree, values, diags);
        toleration_rules(tree, values, diags);
}
