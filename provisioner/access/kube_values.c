#include "access/kube_values.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/tree.h"

/* What one is sure of, and at most how many times of it in CPUs: a burst at the start is short, and a quota may ask for
 * a limit. */
#define CPU_BURST 4.0
#define CPU_LEAST 1.0
/* API, controller and Traefik. */
#define GATEWAY_PODS 3
/* Of monitoring: beside Prometheus the page and, for mails, Alertmanager (MAIL_…), and a node exporter for each node
 * (NODE_…). */
#define PAGE_CPUS 0.02
#define PAGE_RAM  0.25
#define MAIL_CPUS 0.01
#define MAIL_RAM  0.1
#define NODE_CPUS 0.005
#define NODE_RAM  0.04
/* What only waits, such as who fetches images: what it is sure of, and at most. */
#define SMALL_CPUS      0.001
#define SMALL_RAM       0.01
#define SMALL_CPUS_MOST 0.1
#define SMALL_RAM_MOST  0.05
/* Of the hub's claim, as of the directory's, Caddy's and Grafana's. */
#define CLAIM_BYTES 1073741824.0
/* Of the hub, the proxy (four) and the gateway (three). */
#define CORE_SERVICES 8
/* GB beside what is kept: what came in last and is not packed yet, and what is being packed. */
#define UNPACKED_GB 2

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

static json_t *text_or_null(const json_t *object, const char *key)
{
        const char *text = text_of(object, key);
        return *text ? json_string(text) : json_null();
}

static json_t *or_empty(const json_t *object, const char *key, json_t *empty)
{
        json_t *value = json_object_get(object, key);
        if (!value || json_is_null(value))
                return empty;
        json_decref(empty);
        return json_incref(value);
}

/* ---- images ---- */

static int read_images(const char *data_dir, struct tree **ret, struct err **err)
{
        CLEANUP_FREE char *path = file_join(data_dir, "roles/base/images.yaml");
        int r = tree_load(path, ret, err);
        if (r < 0)
                return r;
        const char *name;
        json_t *image;
        json_object_foreach (tree_root(*ret), name, image)
                if (!json_is_string(image)) {
                        *ret = tree_free(*ret);
                        return err_set(err, ERR_INVALID, "%s: %s is no name of an image", path, name);
                }
        return 0;
}

static json_t *images_of(const json_t *list, const json_t *own)
{
        const char *registry = text_of(own, "registry"), *name;
        json_t *ret = json_pack("{s:s}", "exporter", text_of(own, "exporter")),
               *image; /* there is none but the form's */
        json_object_foreach ((json_t *)list, name, image) {
                const char *given = text_of(own, name), *ours = json_string_value(image);
                CLEANUP_FREE char *full = *given      ? str_copy(given)
                                          : *registry ? str_format("%s/%s", registry, ours)
                                                      : str_copy(ours);
                json_object_set_new(ret, name, json_string(full));
        }
        return ret;
}

/* ---- nodes ---- */

/* Taints and labels by which z2jh keeps nodes for the core or for users, as far as a cluster has such nodes. */
static json_t *tolerations_of(const json_t *own, const char *purpose)
{
        static const char *const taints[] = {"hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"};
        json_auto_t *given = or_empty(own, "tolerations", json_array());
        json_t *ret = json_copy(given);
        for (size_t i = 0; i < sizeof taints / sizeof *taints; i++)
                json_array_append_new(ret, json_pack("{s:s, s:s, s:s, s:s}", "key", taints[i], "operator", "Equal",
                                                   "value", purpose, "effect", "NoSchedule"));
        return ret;
}

static json_t *affinity_of(const char *purpose)
{
        return json_pack("{s:{s:[{s:i, s:{s:[{s:s, s:s, s:[s]}]}}]}}", "nodeAffinity",
                "preferredDuringSchedulingIgnoredDuringExecution", "weight", 100, "preference", "matchExpressions",
                "key", "hub.jupyter.org/node-purpose", "operator", "In", "values", purpose);
}

/* ---- sizes ---- */

static json_t *cpus(double cpus)
{
        CLEANUP_FREE char *text = str_format("%.0fm", fmax(1, round(cpus * 1000)));
        return json_string(text);
}

/* GB of the form are 10^9 bytes. */
static json_t *memory(double gb)
{
        CLEANUP_FREE char *text = str_format("%.0fM", fmax(1, round(gb * 1000)));
        return json_string(text);
}

static double most_cpus(double sure_cpus)
{
        return fmax(CPU_LEAST, CPU_BURST * sure_cpus);
}

static json_t *size(double sure_cpus, double gb)
{
        return json_pack("{s:{s:o, s:o}, s:{s:o, s:o}}", "requests", "cpu", cpus(sure_cpus), "memory", memory(gb),
                "limits", "cpu", cpus(most_cpus(sure_cpus)), "memory", memory(gb));
}

static double notebook_number(const json_t *form, const char *key)
{
        return json_number_value(json_object_get(json_object_get(form, "notebook"), key));
}

/* CPUs that the server of one user is sure of. */
static double sure_cpus_of(const json_t *form)
{
        json_t *own = json_object_get(form, "kubernetes");
        return json_number_value(json_object_get(own, "cpu_guarantee")) * notebook_number(form, "cpus");
}

static json_t *sizes_of(const json_t *form)
{
        json_t *ret = json_object(), *part;
        const char *name;
        json_object_foreach (json_object_get(json_object_get(form, "kubernetes"), "resources"), name, part)
                json_object_set_new(ret, name,
                        size(json_number_value(json_object_get(part, "cpus")),
                                json_number_value(json_object_get(part, "ram"))));
        json_object_set_new(ret, "notebook", size(sure_cpus_of(form), notebook_number(form, "ram")));
        json_object_set_new(ret, "page", size(PAGE_CPUS, PAGE_RAM));
        json_object_set_new(ret, "mail", size(MAIL_CPUS, MAIL_RAM));
        json_object_set_new(ret, "node", size(NODE_CPUS, NODE_RAM));
        json_object_set_new(ret, "small",
                json_pack("{s:{s:o, s:o}, s:{s:o, s:o}}", "requests", "cpu", cpus(SMALL_CPUS), "memory",
                        memory(SMALL_RAM), "limits", "cpu", cpus(SMALL_CPUS_MOST), "memory", memory(SMALL_RAM_MOST)));
        return ret;
}

static const json_t *monitoring_of(const json_t *form)
{
        return json_object_get(form, "monitoring");
}

static bool is_watched(const json_t *form)
{
        return json_is_true(json_object_get(monitoring_of(form), "enabled"));
}

static bool has_grafana(const json_t *form)
{
        return is_watched(form) && str_is(text_of(monitoring_of(form), "grafana"), "install");
}

static bool is_mailed(const json_t *form)
{
        return is_watched(form) && *text_of(monitoring_of(form), "alert_email");
}

/* GB of Prometheus' claim. */
static json_int_t watching_gb(const json_t *form)
{
        return json_integer_value(json_object_get(monitoring_of(form), "retention_gb")) + UNPACKED_GB;
}

/* ---- which parts there are ---- */

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
        return str_is(word, a) || str_is(word, b) || str_is(word, c);
}

static const char *entry_name(const json_t *form)
{
        const char *entry = text_of(json_object_get(form, "kubernetes"), "entry");
        return *entry ? entry : "loadbalancer";
}

static const char *tls_mode(const json_t *form)
{
        return text_of(json_object_get(form, "tls"), "mode");
}

static bool has_own_tls(const json_t *form)
{
        return is_one_of(tls_mode(form), "acme", "files", "self-signed");
}

static bool has_front(const json_t *form)
{
        return has_own_tls(form) && !str_is(entry_name(form), "ingress");
}

static bool has_directory(const json_t *form)
{
        return !str_is(text_of(json_object_get(form, "identity"), "provider"), "freeipa");
}

static int pods_of(const json_t *form, const char *part)
{
        if (str_is(part, "prometheus") || str_is(part, "exporter"))
                return is_watched(form);
        if (str_is(part, "grafana"))
                return has_grafana(form);
        if (str_is(part, "front"))
                return has_front(form);
        if (str_is(part, "directory"))
                return has_directory(form);
        return str_is(part, "gateway") ? GATEWAY_PODS : 1;
}

/* ---- what a quota has to leave ---- */

struct room {
        double cpus, gb;           /* requests */
        double cpus_most, gb_most; /* limits: a quota may be on either */
        int pods;
};

static void add_part(struct room *room, int times, double sure_cpus, double gb)
{
        room->cpus += times * sure_cpus;
        room->cpus_most += times * most_cpus(sure_cpus);
        room->gb += times * gb;
        room->gb_most += times * gb;
}

static json_t *room_json(const struct room *room)
{
        return json_pack("{s:f, s:f, s:f, s:f, s:i}", "cpu", round(room->cpus * 1000) / 1000, "limits_cpu",
                round(room->cpus_most * 1000) / 1000, "memory", round(room->gb * 1e9), "limits_memory",
                round(room->gb_most * 1e9), "pods", room->pods);
}

/* What runs on every node: who fetches images, of each environment, and the node exporter. */
static struct room each_node_of(const json_t *form)
{
        int fetching = 1 + (int)json_array_size(json_object_get(form, "environments"));
        struct room room = {.cpus = fetching * SMALL_CPUS,
                .gb = fetching * SMALL_RAM,
                .cpus_most = fetching * SMALL_CPUS_MOST,
                .gb_most = fetching * SMALL_RAM_MOST,
                .pods = fetching + is_watched(form)};
        add_part(&room, is_watched(form), NODE_CPUS, NODE_RAM);
        return room;
}

static void add_core(struct room *room, const json_t *form)
{
        json_t *part;
        const char *name;
        json_object_foreach (json_object_get(json_object_get(form, "kubernetes"), "resources"), name, part) {
                int pods = pods_of(form, name);
                add_part(room, pods, json_number_value(json_object_get(part, "cpus")),
                        json_number_value(json_object_get(part, "ram")));
                room->pods += pods;
        }
        add_part(room, is_watched(form), PAGE_CPUS, PAGE_RAM);
        add_part(room, is_mailed(form), MAIL_CPUS, MAIL_RAM);
}

/* Its limit is what the form gives it, not a multiple of what it is sure of. */
static void add_server(struct room *room, const json_t *form)
{
        room->cpus += sure_cpus_of(form);
        room->cpus_most += notebook_number(form, "cpus");
        room->gb += notebook_number(form, "ram");
        room->gb_most += notebook_number(form, "ram");
        room->pods++;
}

/* A balancer is reached by ports of the nodes, too: for plain HTTP as well. */
static int node_ports_of(const char *entry)
{
        return str_is(entry, "loadbalancer") ? 2 : str_is(entry, "nodeport");
}

static void add_services(json_t *quota, const json_t *form)
{
        const char *entry = entry_name(form);
        int services = CORE_SERVICES + has_directory(form) + 2 * is_watched(form) + has_grafana(form);
        json_object_set_new(quota, "services", json_integer(services));
        json_object_set_new(quota, "balancers", json_integer(str_is(entry, "loadbalancer")));
        json_object_set_new(quota, "node_ports", json_integer(node_ports_of(entry)));
}

/* What a quota of the namespace has to leave: the cluster itself on one node, its claims and the server of one user. */
static json_t *quota_of(const json_t *form)
{
        struct room each = each_node_of(form), room = each;
        int small = 1 + has_directory(form) + str_is(tls_mode(form), "acme") + has_grafana(form);
        double watching = is_watched(form) ? (double)watching_gb(form) * 1e9 : 0;
        add_core(&room, form);
        add_server(&room, form);
        json_t *ret = room_json(&room), *each_node = room_json(&each);
        json_object_set_new(ret, "claims", json_integer(small + is_watched(form) + 1));
        json_object_set_new(
                ret, "storage", json_real(small * CLAIM_BYTES + watching + notebook_number(form, "storage") * 1e9));
        add_services(ret, form);
        json_object_set_new(
                each_node, "selector", or_empty(json_object_get(form, "kubernetes"), "node_selector", json_object()));
        json_object_set_new(ret, "each_node", each_node);
        return ret;
}

/* ---- the way in ---- */

#define ISSUER         "cert-manager.io/issuer"
#define CLUSTER_ISSUER "cert-manager.io/cluster-issuer"

/* What controllers that know these need for uploads and for kernels that are open for days; the form's come on top. */
static json_t *annotations_of(const json_t *own, const char *entry, const char *mode)
{
        json_t *ret = json_object();
        if (str_is(entry, "ingress")) {
                static const char *const nginx[][2] = {
                        {"nginx.ingress.kubernetes.io/proxy-body-size", "0"},
                        {"nginx.ingress.kubernetes.io/proxy-read-timeout", "86400"},
                        {"nginx.ingress.kubernetes.io/proxy-send-timeout", "86400"},
                };
                for (size_t i = 0; i < sizeof nginx / sizeof *nginx; i++)
                        json_object_set_new(ret, nginx[i][0], json_string(nginx[i][1]));
                if (str_is(mode, "cert-manager"))
                        json_object_set_new(ret, CLUSTER_ISSUER, json_string(text_of(own, "cert_issuer")));
        }
        json_object_update(ret, json_object_get(own, "annotations"));
        return ret;
}

/* Under this name alone, cert-manager and what we make ourselves do not get into each other's way. */
static const char *tls_secret_of(const json_t *own, const char *mode)
{
        if (str_is(mode, "secret"))
                return text_of(own, "tls_secret");
        return str_is(mode, "cert-manager") ? "jupyterhub-certificate" : "jupyterhub-tls";
}

/* "" where the form's own annotations say that it is of another kind. */
static const char *issuer_of(const json_t *own)
{
        const json_t *notes = json_object_get(own, "annotations");
        bool other = json_object_get(notes, ISSUER "-kind") || json_object_get(notes, ISSUER "-group");
        return other ? "" : text_of(own, "cert_issuer");
}

/* Where somebody comes from is only seen if no node on the way puts its own address there. Whoever does not ask for
 * that may have every node take connections. */
static json_t *traffic_of(const json_t *form)
{
        bool asked = is_watched(form) && json_array_size(json_object_get(monitoring_of(form), "scrape_from"));
        return asked ? json_string("Local") : json_null();
}

static json_t *entry_of(const json_t *form, const json_t *own)
{
        const char *entry = entry_name(form), *mode = tls_mode(form);
        json_t *port = json_object_get(own, "node_port");
        return json_pack("{s:s, s:o, s:b, s:b, s:s, s:s, s:o, s:o, s:o, s:o}", "entry", entry, "annotations",
                annotations_of(own, entry, mode), "own_tls", (int)has_own_tls(form), "front", (int)has_front(form),
                "tls_secret", tls_secret_of(own, mode), "issuer", issuer_of(own), "node_port",
                json_integer_value(port) > 0 ? json_incref(port) : json_null(), "balancer_ip",
                text_or_null(form, "external_ip"), "early", str_is(mode, "acme") ? json_true() : json_null(), "traffic",
                traffic_of(form));
}

int kube_values(const char *data_dir, const char *cluster, const json_t *form, json_t **ret, struct err **err)
{
        const json_t *own = json_object_get(form, "kubernetes");
        const json_t *images = json_object_get(own, "images");
        const char *namespace = text_of(own, "namespace"), *pull_secret = text_of(images, "pull_secret");
        struct tree *list = NULL;
        int r = read_images(data_dir, &list, err);
        if (r < 0)
                return r;
        json_t *secrets = json_array();
        if (*pull_secret)
                json_array_append_new(secrets, json_pack("{s:s}", "name", pull_secret));
        json_t *all = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "namespace",
                *namespace ? namespace : cluster, "ingress_class", text_or_null(own, "ingress_class"), "storage_class",
                text_or_null(own, "storage_class"), "node_selector", or_empty(own, "node_selector", json_object()),
                "tolerations", tolerations_of(own, "core"), "pull_secrets", secrets, "images",
                images_of(tree_root(list), images), "resources", sizes_of(form));
        json_object_set_new(all, "affinity", affinity_of("core"));
        json_object_set_new(all, "user_tolerations", tolerations_of(own, "user"));
        json_object_set_new(all, "user_affinity", affinity_of("user"));
        json_object_set_new(all, "quota", quota_of(form));
        CLEANUP_FREE char *claim = str_format("%lldG", (long long)watching_gb(form));
        json_object_set_new(all, "prometheus_storage", json_string(claim));
        json_object_update_new(all, entry_of(form, own));
        *ret = all;
        tree_free(list);
        return 0;
}
