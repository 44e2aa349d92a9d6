#include "kind/kube_inventory.h"

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_manifest.h"
#include "kind/spec.h"
#include "tree/tree.h"

static const struct known {
        const char *api_version, *kind;
        bool namespaced;
} known[] = {
        {"v1", "Namespace", false},
        {"apiextensions.k8s.io/v1", "CustomResourceDefinition", false},
        {"rbac.authorization.k8s.io/v1", "ClusterRole", false},
        {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", false},
        {"scheduling.k8s.io/v1", "PriorityClass", false},
        {"networking.k8s.io/v1", "IngressClass", false},
        {"storage.k8s.io/v1", "StorageClass", false},
        {"apiregistration.k8s.io/v1", "APIService", false},
        {"v1", "ServiceAccount", true},
        {"rbac.authorization.k8s.io/v1", "Role", true},
        {"rbac.authorization.k8s.io/v1", "RoleBinding", true},
        {"v1", "ResourceQuota", true},
        {"v1", "LimitRange", true},
        {"v1", "ConfigMap", true},
        {"v1", "Secret", true},
        {"v1", "PersistentVolumeClaim", true},
        {"v1", "Service", true},
        {"networking.k8s.io/v1", "NetworkPolicy", true},
        {"policy/v1", "PodDisruptionBudget", true},
        {"apps/v1", "Deployment", true},
        {"apps/v1", "StatefulSet", true},
        {"apps/v1", "DaemonSet", true},
        {"apps/v1", "ReplicaSet", true},
        {"batch/v1", "Job", true},
        {"batch/v1", "CronJob", true},
        {"autoscaling/v2", "HorizontalPodAutoscaler", true},
        {"networking.k8s.io/v1", "Ingress", true},
        {"v1", "ReplicationController", true},
        {"v1", "PodTemplate", true},
        {"v1", "Pod", true},
};

/* A kind that is not served: there is nothing of it. One that we may not list is left out, and the first of them is
 * said in *denied, if somebody wants to know. */
static int list_kind(struct kube *kube, const struct kube_list *list, int (*each)(void *data, const json_t *object),
        void *data, struct err **denied, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_list(kube, list, each, data, NULL, &fault);
        if (r == 0 || r == -ERR_NOT_FOUND)
                return 0;
        if (r == -ERR_DENIED) {
                if (denied && !*denied)
                        *denied = STEAL(fault);
                return 0;
        }
        if (err)
                *err = STEAL(fault);
        return r;
}

json_t *kube_inventory_kind(const json_t *definition)
{
        const char *group = json_string_value(tree_get(definition, "spec.group")), *version = "";
        const char *kind = json_string_value(tree_get(definition, "spec.names.kind"));
        size_t i;
        const json_t *item;
        json_array_foreach (tree_get(definition, "spec.versions"), i, item)
                if (spec_bool(item, "served", false))
                        version = spec_text(item, "name", "");
        CLEANUP_FREE char *api_version = str_format("%s/%s", group ? group : "", version);
        return json_pack("{s:s, s:s}", "api_version", api_version, "kind", kind ? kind : "");
}

static int each_definition(void *data, const json_t *definition)
{
        if (str_is(json_string_value(tree_get(definition, "spec.scope")), "Namespaced"))
                json_array_append_new(data, kube_inventory_kind(definition));
        return 0;
}

static int custom(struct kube *kube, const char *namespace, const char *labels,
        int (*each)(void *data, const json_t *object), void *data, struct err **denied, struct err **err)
{
        json_auto_t *kinds = json_array();
        struct kube_list definitions = {
                .api_version = "apiextensions.k8s.io/v1", .kind = "CustomResourceDefinition", .page = 50};
        int r = list_kind(kube, &definitions, each_definition, kinds, denied, err);
        size_t i;
        json_t *kind;
        json_array_foreach (kinds, i, kind) {
                struct kube_list list = {.api_version = spec_text(kind, "api_version", ""),
                        .kind = spec_text(kind, "kind", ""),
                        .namespace = namespace,
                        .labels = labels};
                if (r == 0)
                        r = list_kind(kube, &list, each, data, denied, err);
        }
        return r;
}

int kube_inventory_ours(struct kube *kube, const char *cluster, const char *namespace,
        int (*each)(void *data, const json_t *object), void *data, struct err **err)
{
        CLEANUP_FREE char *labels =
                str_format("%s=%s,%s=%s", KUBE_LABEL_MANAGER, KUBE_MANAGED_BY, KUBE_LABEL_CLUSTER, cluster);
        CLEANUP_FREE char *own = str_format("metadata.name=%s", namespace);
        int r = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known && r == 0; i++) {
                struct kube_list list = {.api_version = known[i].api_version,
                        .kind = known[i].kind,
                        .namespace = known[i].namespaced ? namespace : NULL,
                        .labels = labels,
                        .fields = str_is(known[i].kind, "Namespace") ? own : NULL};
                r = list_kind(kube, &list, each, data, NULL, err);
        }
        return r < 0 ? r : custom(kube, namespace, labels, each, data, NULL, err);
}

int kube_inventory_namespace(struct kube *kube, const char *namespace, int (*each)(void *data, const json_t *object),
        void *data, struct err **err)
{
        CLEANUP_ERR struct err *denied = NULL;
        int r = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known && r == 0; i++) {
                struct kube_list list = {
                        .api_version = known[i].api_version, .kind = known[i].kind, .namespace = namespace};
                if (known[i].namespaced)
                        r = list_kind(kube, &list, each, data, &denied, err);
        }
        if (r == 0)
                r = custom(kube, namespace, NULL, each, data, &denied, err);
        if (r < 0 || !denied)
                return r;
        if (err)
                *err = STEAL(denied);
        return -ERR_DENIED;
}
