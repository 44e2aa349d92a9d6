/* kube.requirements: what a Kubernetes cluster must have before anything is changed. Everything that is missing is said
 * at once. There is nothing to apply, and its state never changes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/amount.h"
#include "kind/kube_manifest.h"
#include "kind/kube_server.h"
#include "kind/nothing.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define VERSION_MIN  "1.30"
#define FINDINGS_MAX (64 * 1024)
#define ROUNDING     1e-9 /* of sums of tenths */

static const struct spec_field fields[] = {
        {"version", SPEC_TEXT, false},
        {"rights", SPEC_ANY, false},
        {"without", SPEC_TEXT, false},
        {"storage_class", SPEC_STRING, false},
        {"expandable", SPEC_BOOL, false},
        {"ingress_class", SPEC_STRING, false},
        {"tls_secret", SPEC_TEXT, false},
        {"quota", SPEC_OBJECT, false},
        {"crds", SPEC_ANY, false},
        {"nodes", SPEC_BOOL, false},
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

/* ---- findings, a line each ---- */

struct look {
        struct kind_ctx *ctx;
        struct kube *kube;
        const json_t *spec;
        const struct recorded *recorded;
        const char *namespace;
        double nodes; /* that take one pod each of what runs everywhere; 0 = not counted yet */
        struct buf findings;
};

static void add(struct look *look, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct look *look, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        buf_format(&look->findings, "%s%s", look->findings.length ? "\n" : "", text);
}

static int read_one(struct look *look, const char *api_version, const char *kind, const char *name, json_t **ret)
{
        struct kube_ref ref = {api_version, kind, NULL, name};
        return kube_get(look->kube, &ref, ret, NULL);
}

static void check_version(struct look *look)
{
        CLEANUP_FREE char *version = NULL;
        if (kube_version(look->kube, &version, NULL) < 0)
                return;
        const char *wanted = spec_text(look->spec, "version", VERSION_MIN);
        long have[2] = {0}, need[2] = {0};
        char *end;
        have[0] = strtol(version + (*version == 'v'), &end, 10);
        have[1] = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
        need[0] = strtol(wanted, &end, 10);
        need[1] = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
        if (have[0] < need[0] || (have[0] == need[0] && have[1] < need[1]))
                add(look, "%s runs Kubernetes %s, and %s or newer is needed", kube_server(look->kube), version, wanted);
}

/* ---- rights ---- */

struct rights {
        struct kube_permission *item;
        size_t count, capacity;
        json_t *names;   /* of resources without their subresource */
        json_t *without; /* for each item: what makes it unnecessary, "" */
};

static const char *without_of(const struct rights *rights, size_t i)
{
        return json_string_value(json_array_get(rights->without, i));
}

static bool same_thing(const struct rights *rights, size_t i, size_t j)
{
        const struct kube_permission *a = &rights->item[i], *b = &rights->item[j];
        return str_is(a->resource, b->resource) && str_is(a->group, b->group) && !a->namespace == !b->namespace &&
               (a->subresource ? str_is(a->subresource, b->subresource) : !b->subresource) &&
               str_is(without_of(rights, i), without_of(rights, j));
}

/* Some are wanted only where an object is not there yet, or may not be seen. */
static bool is_there(struct look *look, const json_t *unless)
{
        return unless && read_one(look, spec_text(unless, "api_version", ""), spec_text(unless, "kind", ""),
                                 spec_text(unless, "name", ""), NULL) == 0;
}

static void add_rights(struct look *look, struct rights *rights, const json_t *entry)
{
        size_t i, j;
        const json_t *verb, *resource;
        const char *without = spec_text(entry, "without", spec_text(look->spec, "without", ""));
        if (is_there(look, json_object_get(entry, "unless")))
                return;
        json_array_foreach (json_object_get(entry, "resources"), i, resource)
                json_array_foreach (json_object_get(entry, "verbs"), j, verb) {
                        MEM_GROW(rights->item, rights->count, rights->capacity);
                        const char *name = json_string_value(resource), *slash = strchr(name, '/');
                        json_t *plain = json_stringn(name, slash ? (size_t)(slash - name) : strlen(name));
                        json_array_append_new(rights->names, plain);
                        json_array_append_new(rights->without, json_string(without));
                        rights->item[rights->count++] = (struct kube_permission){.verb = json_string_value(verb),
                                .group = spec_text(entry, "group", ""),
                                .resource = json_string_value(plain),
                                .subresource = slash ? slash + 1 : NULL,
                                .namespace = spec_bool(entry, "cluster", false) ? NULL : look->namespace};
                }
}

/* "create, patch deployments.apps", all verbs of a resource in one line; and what in the form makes them unnecessary.
 */
static void say_missing(struct look *look, const struct rights *rights, const bool *allowed)
{
        for (size_t i = 0; i < rights->count; i++) {
                const struct kube_permission *p = &rights->item[i];
                const char *without = without_of(rights, i);
                bool same_before = i > 0 && same_thing(rights, i - 1, i);
                CLEANUP_BUF struct buf verbs = BUF_INIT(500);
                if (same_before)
                        continue;
                for (size_t j = i; j < rights->count && same_thing(rights, i, j); j++)
                        if (!allowed[j])
                                buf_format(&verbs, "%s%s", verbs.length ? ", " : "", rights->item[j].verb);
                if (verbs.length)
                        add(look, "the account of context %s may not %s %s%s%s%s%s in %s%s%s%s%s",
                                kube_context(look->kube), verbs.data, p->resource, p->subresource ? "/" : "",
                                p->subresource ? p->subresource : "", *p->group ? "." : "", p->group,
                                p->namespace ? "namespace " : "the cluster", p->namespace ? p->namespace : "",
                                *without ? " (not needed with " : "", without, *without ? ")" : "");
        }
}

static int check_rights(struct look *look, struct err **err)
{
        struct rights rights = {.names = json_array(), .without = json_array()};
        size_t i;
        const json_t *entry;
        json_array_foreach (json_object_get(look->spec, "rights"), i, entry)
                add_rights(look, &rights, entry);
        int r = 0;
        if (rights.count) {
                CLEANUP_FREE bool *allowed = mem_zero_array(rights.count, sizeof *allowed);
                r = kube_can(look->kube, rights.item, rights.count, allowed, err);
                if (r == 0)
                        say_missing(look, &rights, allowed);
        }
        free(rights.item);
        json_decref(rights.names);
        json_decref(rights.without);
        return r;
}

/* ---- storage ---- */

static int each_class(void *data, const json_t *class)
{
        json_t **found = data;
        const json_t *notes = tree_get(class, "metadata.annotations");
        if (str_is(spec_text(notes, "storageclass.kubernetes.io/is-default-class", ""), "true")) {
                json_decref(*found);
                *found = json_incref((json_t *)class);
        }
        return 0;
}

static void check_storage(struct look *look)
{
        const char *name = spec_text(look->spec, "storage_class", "");
        json_auto_t *class = NULL;
        struct kube_list list = {.api_version = "storage.k8s.io/v1", .kind = "StorageClass"};
        if (!json_object_get(look->spec, "storage_class"))
                return;
        int r = *name ? read_one(look, "storage.k8s.io/v1", "StorageClass", name, &class)
                      : kube_list(look->kube, &list, each_class, &class, NULL, NULL);
        if (r == -ERR_NOT_FOUND)
                add(look, "there is no StorageClass %s (kubectl get storageclass lists them)", name);
        else if (r == 0 && !class)
                add(look, "the cluster has no default StorageClass: make one the default, or name one in "
                          "kubernetes.storage_class");
        else if (r == 0 && spec_bool(look->spec, "expandable", true) &&
                 !spec_bool(class, "allowVolumeExpansion", false))
                add(look,
                        "StorageClass %s cannot expand volumes, and so homes could never grow: set "
                        "allowVolumeExpansion: true in it if its driver can, or choose another in "
                        "kubernetes.storage_class",
                        json_string_value(tree_get(class, "metadata.name")));
}

static void check_ingress(struct look *look)
{
        const char *name = spec_text(look->spec, "ingress_class", "");
        json_auto_t *class = NULL;
        if (*name && read_one(look, "networking.k8s.io/v1", "IngressClass", name, &class) == -ERR_NOT_FOUND)
                add(look, "there is no IngressClass %s (kubectl get ingressclass lists them)", name);
}

/* Without it the Ingress' controller would show a certificate of its own, which no browser trusts. */
static void check_tls_secret(struct look *look)
{
        const char *name = spec_text(look->spec, "tls_secret", NULL);
        struct kube_ref ref = {"v1", "Secret", look->namespace, name};
        json_auto_t *secret = NULL;
        if (!name)
                return;
        int r = kube_get(look->kube, &ref, &secret, NULL);
        const json_t *data = json_object_get(secret, "data");
        bool whole = json_object_get(data, "tls.crt") && json_object_get(data, "tls.key");
        if (r == -ERR_NOT_FOUND || (r == 0 && !whole))
                add(look,
                        "%s %s in namespace %s for the Ingress (kubernetes.tls_secret): kubectl -n %s create secret "
                        "tls %s --cert=FILE --key=FILE",
                        r < 0 ? "there is no Secret" : "there is no tls.crt and tls.key in Secret", name,
                        look->namespace, look->namespace, name);
}

/* ---- the namespace, if it is there ---- */

static void check_namespace(struct look *look)
{
        json_auto_t *namespace = NULL;
        if (read_one(look, "v1", "Namespace", look->namespace, &namespace) < 0)
                return;
        if (tree_get(namespace, "metadata.deletionTimestamp"))
                add(look, "namespace %s is just being deleted: wait until it is gone", look->namespace);
}

/* Counts a node, but for one that is kept for others by a taint: ours may bear it, but it is better to ask for too
 * little here than to refuse what would fit. (Kubernetes' own taints say how a node is.) */
static int count_node(void *data, const json_t *node)
{
        static const char own[] = "node.kubernetes.io/";
        const json_t *taint;
        size_t i;
        json_array_foreach (tree_get(node, "spec.taints"), i, taint)
                if (!str_starts(spec_text(taint, "key", ""), own) &&
                        !str_is(spec_text(taint, "effect", ""), "PreferNoSchedule"))
                        return 0;
        ++*(double *)data;
        return 0;
}

/* Beyond the first, which what a quota has to leave counts already. Who may not list nodes is asked for one. */
static double further_nodes(struct look *look, const json_t *each)
{
        CLEANUP_BUF struct buf selector = BUF_INIT(FINDINGS_MAX);
        const char *key;
        json_t *value;
        if (look->nodes == 0) {
                json_object_foreach (json_object_get(each, "selector"), key, value)
                        buf_format(&selector, "%s%s=%s", selector.length ? "," : "", key, json_string_value(value));
                struct kube_list list = {
                        .api_version = "v1", .kind = "Node", .labels = selector.length ? selector.data : NULL};
                if (kube_list(look->kube, &list, count_node, &look->nodes, NULL, NULL) < 0 || look->nodes < 1)
                        look->nodes = 1;
        }
        return look->nodes - 1;
}

/* One for pods with a deadline, a priority or no requests counts none of ours; one for those without does. */
static bool counts_ours(const json_t *quota)
{
        const json_t *scope;
        size_t i;
        json_array_foreach (tree_get(quota, "spec.scopes"), i, scope)
                if (!str_starts(json_string_value(scope), "Not"))
                        return false;
        json_array_foreach (tree_get(quota, "spec.scopeSelector.matchExpressions"), i, scope) {
                const char *how = spec_text(scope, "operator", "");
                bool without = str_is(how, "DoesNotExist") || str_is(how, "NotIn");
                if (!without && !str_starts(spec_text(scope, "scopeName", ""), "Not"))
                        return false;
        }
        return true;
}

static int each_quota(void *data, const json_t *quota)
{
        static const struct {
                const char *key, *names[3], *unit;
        } known[] = {
                {"cpu", {"requests.cpu", "cpu", NULL}, "CPUs"},
                {"limits_cpu", {"limits.cpu", NULL}, "CPUs"},
                {"memory", {"requests.memory", "memory", NULL}, "bytes of memory"},
                {"limits_memory", {"limits.memory", NULL}, "bytes of memory"},
                {"pods", {"pods", "count/pods", NULL}, "pods"},
                {"storage", {"requests.storage", NULL}, "bytes of storage"},
                {"claims", {"persistentvolumeclaims", "count/persistentvolumeclaims", NULL}, "claims"},
                {"services", {"services", "count/services", NULL}, "Services"},
                {"balancers", {"services.loadbalancers", NULL}, "balancers"},
                {"node_ports", {"services.nodeports", NULL}, "ports of the nodes"},
        };
        struct look *look = data;
        const json_t *needs = json_object_get(look->spec, "quota"), *each = json_object_get(needs, "each_node"),
                     *hard = tree_get(quota, "status.hard"), *used = tree_get(quota, "status.used");
        if (!hard) /* just made: its controller has not counted yet, and the limit holds all the same */
                hard = tree_get(quota, "spec.hard");
        if (!counts_ours(quota))
                return 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                for (const char *const *name = known[i].names; *name; name++) {
                        double need = kube_amount(json_object_get(needs, known[i].key));
                        double more = kube_amount(json_object_get(each, known[i].key));
                        double room = kube_amount(json_object_get(hard, *name));
                        double taken = kube_amount(json_object_get(used, *name));
                        if (!look->recorded && !isnan(taken)) /* afterwards what is used is used by us, too */
                                room -= taken;
                        if (!isnan(more) && !isnan(room))
                                need += more * further_nodes(look, each);
                        if (!isnan(need) && !isnan(room) && need - room > need * ROUNDING)
                                add(look, "the quota %s of namespace %s leaves %g %s (%s), and the form needs %g",
                                        json_string_value(tree_get(quota, "metadata.name")), look->namespace, room,
                                        known[i].unit, *name, need);
                }
        return 0;
}

static void check_quota(struct look *look)
{
        struct kube_list list = {.api_version = "v1", .kind = "ResourceQuota", .namespace = look->namespace};
        if (json_object_get(look->spec, "quota"))
                kube_list(look->kube, &list, each_quota, look, NULL, NULL);
}

/* Definitions of others under our names: a version of theirs that ours do not speak. */
static void check_definitions(struct look *look)
{
        size_t i, j;
        const json_t *wanted, *version;
        json_array_foreach (json_object_get(look->spec, "crds"), i, wanted) {
                json_auto_t *found = NULL;
                const char *name = spec_text(wanted, "name", ""), *needed = spec_text(wanted, "version", "");
                bool served = false;
                if (read_one(look, "apiextensions.k8s.io/v1", "CustomResourceDefinition", name, &found) < 0 ||
                        manifest_is_ours(found, look->ctx->cluster))
                        continue;
                json_array_foreach (tree_get(found, "spec.versions"), j, version)
                        served |= str_is(spec_text(version, "name", ""), needed) && spec_bool(version, "served", false);
                CLEANUP_FREE char *owner = manifest_owner(found);
                if (!served)
                        add(look,
                                "the definition %s belongs to %s and does not serve version %s: update that "
                                "installation, or remove it",
                                name, owner, needed);
        }
}

static int each_node(void *data, const json_t *node)
{
        const json_t *condition;
        size_t i;
        bool ready = false;
        json_array_foreach (tree_get(node, "status.conditions"), i, condition)
                ready |= str_is(spec_text(condition, "type", ""), "Ready") &&
                         str_is(spec_text(condition, "status", ""), "True");
        *(bool *)data |= ready && !json_is_true(tree_get(node, "spec.unschedulable"));
        return *(bool *)data;
}

static void check_nodes(struct look *look)
{
        bool found = false;
        struct kube_list list = {.api_version = "v1", .kind = "Node"};
        if (spec_bool(look->spec, "nodes", true) && kube_list(look->kube, &list, each_node, &found, NULL, NULL) == 0 &&
                !found)
                add(look, "the cluster has no node that is ready and takes pods");
}

/* ---- */

static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        struct look look = {.ctx = ctx,
                .spec = r->spec,
                .recorded = recorded,
                .namespace = kube_namespace_of(ctx),
                .findings = BUF_INIT(FINDINGS_MAX)};
        int result = kube_of(ctx, &look.kube, err);
        if (result == 0)
                result = check_rights(&look, err); /* the first request: an unreachable server is said by it alone */
        if (result < 0)
                return result;
        check_version(&look);
        check_nodes(&look);
        check_namespace(&look);
        check_storage(&look);
        check_ingress(&look);
        check_tls_secret(&look);
        check_quota(&look);
        check_definitions(&look);
        if (look.findings.length)
                result = err_set(err, ERR_INVALID, "%s", look.findings.data);
        buf_clear(&look.findings);
        return result;
}

/* Which Kubernetes cluster this is, so that another one behind the same kubeconfig is noticed later (access/session.c).
 * Who may not look at it goes without. */
static json_t *identity(struct kind_ctx *ctx)
{
        struct kube_ref ref = {"v1", "Namespace", NULL, "kube-system"};
        json_auto_t *object = NULL;
        struct kube *kube;
        const char *uid = NULL;
        if (kube_of(ctx, &kube, NULL) == 0 && kube_get(kube, &ref, &object, NULL) == 0)
                uid = json_string_value(tree_get(object, "metadata.uid"));
        return json_pack("{s:s}", "cluster", uid ? uid : "");
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)r, (void)recorded, (void)state, (void)err;
        *ret_outputs = identity(ctx);
        return 0;
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        *ret_outputs = identity(ctx);
        return nothing_observe(ctx, r, ret_state, err);
}

extern const struct kind kind_kube_requirements;
const struct kind kind_kube_requirements = {
        .name = "kube.requirements",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .preflight = preflight,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = adopt,
};
