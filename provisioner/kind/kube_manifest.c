#include "kind/kube_manifest.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/base64.h"
#include "kind/inlay.h"
#include "kind/kube_parts.h"
#include "kind/kube_server.h"
#include "kind/spec.h"
#include "tree/subst.h"
#include "tree/tree.h"

void manifest_clear(struct manifest *manifest)
{
        kind_forget(manifest->object);
        kind_forget(manifest->hidden);
        *manifest = (struct manifest){0};
}

struct kube_ref manifest_ref(const json_t *spec)
{
        const json_t *object = json_object_get(spec, "object"), *metadata = json_object_get(object, "metadata");
        return (struct kube_ref){spec_text(object, "apiVersion", ""), spec_text(object, "kind", ""),
                spec_text(metadata, "namespace", NULL), spec_text(metadata, "name", "")};
}

char *manifest_name(const struct kube_ref *ref)
{
        char *text = ref->namespace ? str_format("%s %s in %s", ref->kind, ref->name, ref->namespace)
                                    : str_format("%s %s", ref->kind, ref->name);
        text[0] = (char)tolower((unsigned char)text[0]);
        return text;
}

int manifest_check(const json_t *object, struct err **err)
{
        if (spec_is_open(object))
                return 0;
        static const char *const keys[] = {"apiVersion", "kind"};
        const json_t *metadata = json_object_get(object, "metadata");
        for (size_t i = 0; i < 2; i++)
                if (!*spec_text(object, keys[i], ""))
                        return err_set(err, ERR_INVALID, "object.%s: text is wanted", keys[i]);
        const json_t *name = json_object_get(metadata, "name");
        if (!name || (!spec_is_open(name) && !*spec_text(metadata, "name", "")))
                return err_set(err, ERR_INVALID, "object.metadata.name: text is wanted");
        if (json_object_get(object, "status"))
                return err_set(err, ERR_INVALID, "object.status: it is the server's to say");
        return 0;
}

/* ---- whose ---- */

static const char *label(const json_t *live, const char *group, const char *name)
{
        return spec_text(json_object_get(json_object_get(live, "metadata"), group), name, "");
}

bool manifest_is_ours(const json_t *live, const char *cluster)
{
        return str_is(label(live, "labels", KUBE_LABEL_MANAGER), KUBE_MANAGED_BY) &&
               str_is(label(live, "labels", KUBE_LABEL_CLUSTER), cluster);
}

char *manifest_owner(const json_t *live)
{
        const char *cluster = label(live, "labels", KUBE_LABEL_CLUSTER);
        const char *release = label(live, "annotations", "meta.helm.sh/release-name");
        const char *manager = label(live, "labels", KUBE_LABEL_MANAGER);
        const char *writer = json_string_value(tree_get(live, "metadata.managedFields[0].manager"));
        if (*cluster)
                return str_format("the caas cluster %s", cluster);
        if (*release)
                return str_format("the Helm release %s", release);
        if (*manager)
                return str_format("%s", manager);
        return writer ? str_format("somebody else (made with %s)", writer) : str_copy("somebody else");
}

static bool is_one_of(const char *kind, const char *const *list)
{
        for (; *list; list++)
                if (str_is(kind, *list))
                        return true;
        return false;
}

bool manifest_is_shared(const struct kube_ref *ref)
{
        static const char *const list[] = {"Namespace", "CustomResourceDefinition", NULL};
        return is_one_of(ref->kind, list);
}

bool manifest_is_replaceable(const struct kube_ref *ref)
{
        static const char *const list[] = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob",
                "Service", "ConfigMap", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Ingress",
                "NetworkPolicy", "PodDisruptionBudget", "PriorityClass", "StorageClass", "IngressClass", "APIService",
                "IngressRoute", "Middleware", NULL};
        return is_one_of(ref->kind, list);
}

bool manifest_holds_data(const struct kube_ref *ref)
{
        static const char *const list[] = {"PersistentVolumeClaim", "PersistentVolume", NULL};
        return is_one_of(ref->kind, list);
}

/* ---- making ---- */

#define UNKNOWN "(known after apply)"

/* A copy in which nothing is open: for an output that is not known yet stands what stood there before, or, as that
 * would hide a change of text, a text that says so. */
static json_t *close_open(const json_t *tree, const json_t *before)
{
        const char *key;
        json_t *value, *copy;
        size_t i;
        if (json_object_get(tree, MARK_AFTER)) {
                bool text = !before || json_is_string(before) || subst_is_marker(before);
                return text ? json_string(UNKNOWN) : json_deep_copy(before);
        }
        if (json_is_object(tree)) {
                copy = json_object();
                json_object_foreach ((json_t *)tree, key, value)
                        json_object_set_new(copy, key, close_open(value, json_object_get(before, key)));
                return copy;
        }
        if (!json_is_array(tree))
                return json_copy((json_t *)tree);
        copy = json_array();
        json_array_foreach ((json_t *)tree, i, value)
                json_array_append_new(copy, close_open(value, json_array_get(before, i)));
        return copy;
}

/* The values of secrets in `filled`, found by where the markers stand in `tree`. */
static void collect_hidden(const json_t *tree, const json_t *filled, json_t *hidden)
{
        const char *key;
        json_t *value;
        size_t i;
        if (json_object_get(tree, MARK_SECRET) || json_object_get(tree, MARK_JOIN)) {
                if (subst_has_marker(tree, MARK_SECRET) && json_is_string(filled) && json_string_length(filled) > 0)
                        json_array_append_new(hidden, json_string(json_string_value(filled)));
                return;
        }
        json_object_foreach ((json_t *)tree, key, value)
                collect_hidden(value, json_object_get(filled, key), hidden);
        json_array_foreach ((json_t *)tree, i, value)
                collect_hidden(value, json_array_get(filled, i), hidden);
}

/* stringData becomes data: what is sent is then what is read back. */
static void encode_secret(json_t *object)
{
        json_t *texts = json_object_get(object, "stringData"), *value;
        if (!texts)
                return;
        json_t *data = json_object_get(object, "data");
        if (!data) {
                data = json_object();
                json_object_set_new(object, "data", data);
        }
        const char *key;
        json_object_foreach (texts, key, value) {
                CLEANUP_FREE char *plain = spec_scalar_text(value);
                size_t length = json_is_string(value) ? json_string_length(value) : strlen(plain);
                char *encoded = base64_encode(json_is_string(value) ? json_string_value(value) : plain, length);
                json_object_set_new(data, key, json_string(encoded));
                mem_wipe_free(encoded, strlen(encoded));
        }
        json_object_del(object, "stringData");
}

static json_t *member(json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);
        if (!json_is_object(value)) {
                value = json_object();
                json_object_set_new(object, key, value);
        }
        return value;
}

static void mark(json_t *object, const char *cluster, const char *id)
{
        json_t *metadata = member(object, "metadata");
        json_t *labels = member(metadata, "labels");
        json_object_set_new(labels, KUBE_LABEL_MANAGER, json_string(KUBE_MANAGED_BY));
        json_object_set_new(labels, KUBE_LABEL_CLUSTER, json_string(cluster));
        json_object_set_new(member(metadata, "annotations"), KUBE_ANNOTATION_RESOURCE, json_string(id));
}

static void hand_over(struct manifest *from, struct manifest *to)
{
        *to = *from;
        *from = (struct manifest){0};
}

int manifest_make(struct kind_ctx *ctx, struct kube *kube, const struct resource *r, const json_t *before,
        struct manifest *ret, struct err **err)
{
        CLEANUP_MANIFEST struct manifest m = {0};
        json_auto_t *source = kube_parts_object(r->spec);
        json_auto_t *closed = before ? close_open(source, before) : json_incref(source);
        int result = kind_resolve(ctx, closed, &m.object, err);
        if (result == 0)
                result = inlay_fill(m.object, err);
        if (result < 0)
                return result;
        kube_parts_drop_null(m.object);
        m.hidden = json_array();
        collect_hidden(closed, m.object, m.hidden);
        mark(m.object, ctx->cluster, r->id);
        m.secret = str_is(spec_text(m.object, "kind", ""), "Secret") || json_array_size(m.hidden) > 0;
        if (str_is(spec_text(m.object, "kind", ""), "Secret"))
                encode_secret(m.object);
        bool namespaced = false;
        result = kube_knows(
                kube, spec_text(m.object, "apiVersion", ""), spec_text(m.object, "kind", ""), &namespaced, err);
        if (result < 0)
                return result;
        json_t *metadata = json_object_get(m.object, "metadata");
        if (namespaced && !*spec_text(metadata, "namespace", ""))
                json_object_set_new(metadata, "namespace", json_string(kube_namespace_of(ctx)));
        else if (!namespaced)
                json_object_del(metadata, "namespace");
        m.ref = (struct kube_ref){spec_text(m.object, "apiVersion", ""), spec_text(m.object, "kind", ""),
                spec_text(metadata, "namespace", NULL), spec_text(metadata, "name", "")};
        hand_over(&m, ret);
        return 0;
}

int manifest_turn(const json_t *spec)
{
        const json_t *object = json_object_get(spec, "object");
        const char *kind = spec_text(object, "kind", "");
        if (str_starts(spec_text(object, "apiVersion", ""), "apps/") || str_is(kind, "Job") || str_is(kind, "Pod"))
                return 2;
        return str_is(kind, "Service") || str_is(kind, "PersistentVolumeClaim");
}
