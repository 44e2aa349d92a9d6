#include "kind/kube_remove.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_inventory.h"
#include "kind/kube_manifest.h"
#include "kind/kube_server.h"
#include "kind/kube_write.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define NAMED_MAX 5

/* ---- a namespace: what is in it that is not ours ---- */

struct guests {
        const char *cluster;
        struct buf names;
        size_t count;
};

/* What every namespace has, and what goes with what it belongs to. */
static bool comes_by_itself(const json_t *object)
{
        const char *kind = spec_text(object, "kind", ""), *name = json_string_value(tree_get(object, "metadata.name"));
        return json_array_size(tree_get(object, "metadata.ownerReferences")) > 0 ||
               (str_is(kind, "ServiceAccount") && str_is(name, "default")) ||
               (str_is(kind, "ConfigMap") && (str_is(name, "kube-root-ca.crt") || str_is(name, "istio-ca-root-cert") ||
                                                     str_is(name, "openshift-service-ca.crt")));
}

static int each_guest(void *data, const json_t *object)
{
        struct guests *guests = data;
        bool going = tree_get(object, "metadata.deletionTimestamp") != NULL;
        bool claim = str_is(spec_text(object, "kind", ""), "PersistentVolumeClaim");
        if (going || (comes_by_itself(object) && !claim))
                return 0;
        if (manifest_is_ours(object, guests->cluster) && !claim)
                return 0; /* it has a resource of its own, or had one */
        if (guests->count++ < NAMED_MAX)
                buf_format(&guests->names, "%s%s/%s", guests->names.length ? ", " : "", spec_text(object, "kind", ""),
                        json_string_value(tree_get(object, "metadata.name")));
        return 0;
}

static int look_for_guests(
        struct kind_ctx *ctx, struct kube *kube, const char *namespace, char **ret_kept, struct err **err)
{
        struct guests guests = {ctx->cluster, BUF_INIT(2000), 0};
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_inventory_namespace(kube, namespace, each_guest, &guests, &fault);
        if (r == -ERR_DENIED && !guests.count) /* it would all go with the namespace */
                *ret_kept = str_format(
                        "namespace %s: what else is in it is not known (%s); kubectl delete namespace %s deletes it",
                        namespace, fault->message, namespace);
        if (r == -ERR_DENIED)
                r = 0;
        if (r < 0 && err)
                *err = STEAL(fault);
        if (r == 0 && guests.count)
                *ret_kept = str_format("namespace %s: there is more in it (%s%s)", namespace, guests.names.data,
                        guests.count > NAMED_MAX ? " and others" : "");
        buf_clear(&guests.names);
        return r;
}

/* ---- a definition: objects of it elsewhere ---- */

static int each_use(void *data, const json_t *object)
{
        char **where = data;
        const char *namespace = json_string_value(tree_get(object, "metadata.namespace"));
        *where = str_copy(namespace ? namespace : "the whole cluster");
        return 1;
}

/* Until one is found. *denied: that they may not be seen, if it is not said yet. */
static int list_uses(
        struct kube *kube, const struct kube_list *list, char **where, struct err **denied, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = *where ? 0 : kube_list(kube, list, each_use, where, NULL, &fault);
        if (r == -ERR_DENIED && !*denied)
                *denied = STEAL(fault);
        if (r >= 0 || r == -ERR_DENIED || r == -ERR_NOT_FOUND)
                return 0;
        if (err)
                *err = STEAL(fault);
        return r;
}

/* An account that has no more rights than it needs sees one namespace alone. */
static int look_for_uses(struct kind_ctx *ctx, struct kube *kube, const json_t *live, const char *name, char **ret_kept,
        struct err **err)
{
        const char *own = kube_namespace_of(ctx);
        json_auto_t *kind = kube_inventory_kind(live);
        CLEANUP_FREE char *where = NULL, *fields = str_format("metadata.namespace!=%s", own),
                          *selector = str_format("%s=%s,%s", KUBE_LABEL_MANAGER, KUBE_MANAGED_BY, KUBE_LABEL_CLUSTER);
        const struct kube_list objects = {.api_version = spec_text(kind, "api_version", ""),
                .kind = spec_text(kind, "kind", ""),
                .fields = str_is(json_string_value(tree_get(live, "spec.scope")), "Namespaced") ? fields : NULL,
                .page = 1};
        /* another cluster of ours may need it soon, and may have the same name in its own namespace */
        const struct kube_list clusters = {
                .api_version = "apps/v1", .kind = "Deployment", .labels = selector, .fields = fields, .page = 1};
        CLEANUP_ERR struct err *denied = NULL;
        int r = list_uses(kube, &objects, &where, &denied, err);
        if (r == 0)
                r = list_uses(kube, &clusters, &where, &denied, err);
        if (r == 0 && where)
                *ret_kept = str_format("customResourceDefinition %s: it is used in %s", name, where);
        else if (r == 0 && denied)
                *ret_kept = str_format("customResourceDefinition %s: who else uses it is not known (%s); kubectl "
                                       "delete crd %s deletes it, and in every namespace all that is of it",
                        name, denied->message, name);
        return r;
}

/* ---- */

int kube_remove(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, bool keep, char **ret_kept,
        struct err **err)
{
        json_auto_t *live = NULL;
        CLEANUP_ERR struct err *fault = NULL;
        CLEANUP_FREE char *name = manifest_name(ref), *kept = NULL;
        int r = kube_get(kube, ref, &live, &fault);
        if (r == -ERR_NOT_FOUND)
                return 0;
        if (r < 0) {
                if (err)
                        *err = STEAL(fault);
                return r;
        }
        const char *uid = json_string_value(tree_get(live, "metadata.uid"));
        if (!manifest_is_ours(live, ctx->cluster)) {
                CLEANUP_FREE char *owner = manifest_owner(live);
                *ret_kept = str_format("%s: it belongs to %s", name, owner);
                return 0;
        }
        /* A namespace stays as long as there is something in it, and no longer. */
        if (keep && !ctx->delete_data && !str_is(ref->kind, "Namespace")) {
                *ret_kept = STEAL(name);
                return 0;
        }
        if (str_is(ref->kind, "Namespace"))
                r = look_for_guests(ctx, kube, ref->name, &kept, err);
        else if (str_is(ref->kind, "CustomResourceDefinition"))
                r = look_for_uses(ctx, kube, live, ref->name, &kept, err);
        if (r < 0)
                return r;
        if (kept) {
                *ret_kept = STEAL(kept);
                return 0;
        }
        return write_delete(ctx, kube, ref, uid, err);
}
