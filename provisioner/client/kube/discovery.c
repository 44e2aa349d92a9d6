/* Which kinds the server has, and the paths of their objects. */
#include <string.h>

#include "base/mem.h"
#include "client/kube/private.h"

#define GREETING_MS 2000

/* Kinds of stable versions keep their names for ever, and every server that we can work with has them: it need not be
 * asked, group by group. Those of v1 come with the answer that says that the server is there. */
static const struct standing {
        const char *api_version, *kind, *plural;
        bool everywhere; /* not in namespaces */
} standing[] = {
        {"apps/v1", "DaemonSet", "daemonsets", false},
        {"apps/v1", "Deployment", "deployments", false},
        {"apps/v1", "ReplicaSet", "replicasets", false},
        {"apps/v1", "StatefulSet", "statefulsets", false},
        {"batch/v1", "CronJob", "cronjobs", false},
        {"batch/v1", "Job", "jobs", false},
        {"networking.k8s.io/v1", "Ingress", "ingresses", false},
        {"networking.k8s.io/v1", "IngressClass", "ingressclasses", true},
        {"networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", false},
        {"policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", false},
        {"rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", true},
        {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", true},
        {"rbac.authorization.k8s.io/v1", "Role", "roles", false},
        {"rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", false},
        {"scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", true},
        {"storage.k8s.io/v1", "StorageClass", "storageclasses", true},
};

static const struct standing *find_standing(const char *api_version, const char *kind)
{
        for (size_t i = 0; i < sizeof standing / sizeof *standing; i++)
                if (str_is(standing[i].api_version, api_version) && str_is(standing[i].kind, kind))
                        return &standing[i];
        return NULL;
}

static bool good_version(const char *api_version)
{
        const char *slash = api_version ? strchr(api_version, '/') : NULL;
        return api_version && *api_version && (!slash || !strchr(slash + 1, '/')) && !strpbrk(api_version, "?#% ");
}

static char *base_path(const char *api_version)
{
        return str_format("/%s/%s", strchr(api_version, '/') ? "apis" : "api", api_version);
}

/* Asks for the kinds of one group and version; with a limit, once and for so long. Needs discovery_lock. */
static int discover(struct kube *kube, const char *api_version, int limit_ms, struct err **err)
{
        CLEANUP_FREE char *path = base_path(api_version);
        CLEANUP_FREE char *what = str_format("look up the kinds of %s", api_version);
        json_auto_t *answer = NULL;
        const struct kube_request request = {.path = path, .what = what, .timeout_ms = limit_ms, .calm = limit_ms > 0};
        int r = kube_ask(kube, &request, &answer, err);
        if (r < 0)
                return r;
        json_auto_t *kinds = json_object();
        size_t i;
        json_t *item;
        json_array_foreach (json_object_get(answer, "resources"), i, item) {
                const char *plural = json_string_value(json_object_get(item, "name"));
                const char *kind = json_string_value(json_object_get(item, "kind"));
                if (plural && kind && *plural && !strchr(plural, '/'))
                        json_object_set_new(kinds, kind,
                                json_pack("{s:s, s:b}", "plural", plural, "namespaced",
                                        json_is_true(json_object_get(item, "namespaced"))));
        }
        json_object_set(kube->discovery, api_version, kinds);
        return 0;
}

static int find(struct kube *kube, const char *api_version, const char *kind, char **ret_plural, bool *ret_namespaced,
        struct err **err)
{
        const json_t *entry = json_object_get(json_object_get(kube->discovery, api_version), kind);
        struct err *why = NULL;
        int r = entry ? 0 : discover(kube, api_version, 0, &why);
        if (r < 0 && r != -ERR_NOT_FOUND) {
                err_set(err, (enum err_code) - r, "%s", why->message);
                err_free(why);
                return r;
        }
        err_free(why);
        entry = json_object_get(json_object_get(kube->discovery, api_version), kind);
        if (!entry)
                return err_set(err, ERR_NOT_FOUND,
                        "%s knows no kind %s of %s: its CustomResourceDefinition is not there, or the server is of "
                        "another version",
                        kube->config.server, kind, api_version);
        *ret_plural = str_copy(json_string_value(json_object_get(entry, "plural")));
        *ret_namespaced = json_is_true(json_object_get(entry, "namespaced"));
        return 0;
}

static int resource(struct kube *kube, const char *api_version, const char *kind, char **ret_plural,
        bool *ret_namespaced, struct err **err)
{
        if (!good_version(api_version) || !kind || !*kind)
                return err_set(err, ERR_INVALID, "an object needs apiVersion and kind (%.100s, %.100s)",
                        api_version ? api_version : "none", kind ? kind : "none");
        const struct standing *known = find_standing(api_version, kind);
        if (known) {
                *ret_plural = str_copy(known->plural);
                *ret_namespaced = !known->everywhere;
                return 0;
        }
        pthread_mutex_lock(&kube->discovery_lock);
        int r = find(kube, api_version, kind, ret_plural, ret_namespaced, err);
        pthread_mutex_unlock(&kube->discovery_lock);
        return r;
}

void kube_greet(struct kube *kube)
{
        pthread_mutex_lock(&kube->discovery_lock);
        discover(kube, "v1", GREETING_MS, NULL);
        pthread_mutex_unlock(&kube->discovery_lock);
}

int kube_knows(struct kube *kube, const char *api_version, const char *kind, bool *ret_namespaced, struct err **err)
{
        CLEANUP_FREE char *plural = NULL;
        bool namespaced = false;
        int r = resource(kube, api_version, kind, &plural, &namespaced, err);
        if (r == 0 && ret_namespaced)
                *ret_namespaced = namespaced;
        return r;
}

static void add_segment(struct buf *path, const char *text)
{
        CLEANUP_FREE char *escaped = http_escape(text);
        buf_format(path, "/%s", escaped);
}

int kube_path(struct kube *kube, const char *api_version, const char *kind, const char *namespace, const char *name,
        char **ret, struct err **err)
{
        CLEANUP_FREE char *plural = NULL;
        bool namespaced = false;
        int r = resource(kube, api_version, kind, &plural, &namespaced, err);
        if (r < 0)
                return r;
        bool in = namespaced && namespace && *namespace;
        if (name && (!*name || str_is(name, ".") || str_is(name, "..")))
                return err_set(err, ERR_INVALID, "%s without a name", kind);
        if (name && namespaced && !in)
                return err_set(err, ERR_INVALID, "%s %.100s: which namespace?", kind, name);
        CLEANUP_BUF struct buf path = BUF_INIT(KUBE_PATH_MAX);
        CLEANUP_FREE char *base = base_path(api_version);
        buf_str(&path, base);
        if (in) {
                buf_str(&path, "/namespaces");
                add_segment(&path, namespace);
        }
        add_segment(&path, plural);
        if (name)
                add_segment(&path, name);
        if (path.truncated)
                return err_set(err, ERR_INVALID, "%s: the name is too long", kind);
        *ret = buf_steal(&path);
        return 0;
}

void kube_query(struct buf *path, const char *key, const char *value)
{
        CLEANUP_FREE char *escaped = http_escape(value);
        buf_format(path, "%c%s=%s", path->data && strchr(path->data, '?') ? '&' : '?', key, escaped);
}

char *kube_name_of(const struct kube_ref *ref)
{
        bool in = ref->namespace && *ref->namespace;
        return str_format("%s %s%s%s", ref->kind ? ref->kind : "object", in ? ref->namespace : "", in ? "/" : "",
                ref->name ? ref->name : "(without a name)");
}
