#include "exporter/kube_read.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/amount.h"
#include "client/kube/kubeconfig.h"
#include "exporter/api.h"
#include "exporter/families.h"

#define USERNAME  "hub.jupyter.org/username" /* label (escaped) and annotation (as it is) of KubeSpawner */
#define COMPONENT "app.kubernetes.io/component"
#define PORT      10250 /* a kubelet's, where its node does not say */
#define WATCHED   9100  /* a node exporter's (roles/monitoring/kubernetes.yaml) */

static const struct family RESTARTS = {.name = "kube_pod_container_status_restarts_total",
        .help = "How often a container was started again.",
        .type = FAMILY_COUNTER,
        .labels = "namespace,pod,container"};
static const struct family LAST_REASON = {.name = "kube_pod_container_status_last_terminated_reason",
        .help = "Why a container ended before it was started again, such as OOMKilled.",
        .labels = "namespace,pod,container,reason"};
const struct family *const KUBE_FAMILIES[] = {&POD_LABELS, &POD_ANNOTATIONS, &POD_CREATED, &POD_PHASE, &POD_SCHEDULED,
        &POD_INFO, &POD_CONTAINER, &POD_LIMITS, &POD_REQUESTS, &POD_LIMITS_MEMORY, &RESTARTS, &LAST_REASON,
        &SERVICE_LABELS, &NODE_INFO, &NODE_LABELS, &NODE_CAPACITY, &NODE_ALLOCATABLE, &HOME_SIZE, NULL};

int kube_read_open(const struct config *config, struct kube **ret, struct err **err)
{
        const struct config_kubernetes *k = &config->kubernetes;
        const struct kubeconfig_account account = {
                .server = k->api, .ca = k->ca, .token = k->token_file, .namespace = k->namespace_};
        const struct kube_options options = {
                .account = &account, .cancel = config->cancel, .timeout_ms = config->timeout_ms / 3, .retry_ms = -1};
        return kube_open(&options, ret, err);
}

int kube_read_one(const struct config *config, struct kube **kube, const char *api_version, const char *kind,
        const char *name, json_t **ret, struct err **err)
{
        const struct kube_ref ref = {
                .api_version = api_version, .kind = kind, .namespace = config->kubernetes.namespace_, .name = name};
        int r = *kube ? 0 : kube_read_open(config, kube, err);
        if (r < 0)
                return r;
        r = kube_get(*kube, &ref, ret, err);
        if (r < 0 && r != -ERR_NOT_FOUND)
                *kube = kube_close(*kube); /* the next one reads its files again */
        return r;
}

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text && *text ? text : NULL;
}

static const json_t *below(const json_t *object, const char *first, const char *second)
{
        return json_object_get(json_object_get(object, first), second);
}

static char *copy_or_null(const char *text)
{
        return text ? str_copy(text) : NULL;
}

/* The object's name, the first time that it is read. */
static const char *name_of(struct kube_reading *reading, const char *kind, const json_t *object)
{
        const char *name = text_of(json_object_get(object, "metadata"), "name");
        CLEANUP_FREE char *key = str_format("%s/%s", kind, name ? name : "");
        if (!name || json_object_get(reading->seen, key))
                return NULL;
        if (!reading->seen)
                reading->seen = json_object();
        json_object_set_new(reading->seen, key, json_true());
        return name;
}

/* "500m" or "2Gi"; false: nothing that could be one. */
static bool amount_of(const json_t *amounts, const char *key, double *ret)
{
        double value = kube_amount(json_object_get(amounts, key));
        if (!isfinite(value) || value < 0)
                return false;
        *ret = value;
        return true;
}

static const char *owner_of(const json_t *object)
{
        const char *user = text_of(below(object, "metadata", "annotations"), USERNAME);
        return user ? user : text_of(below(object, "metadata", "labels"), USERNAME);
}

/* ---- pods ---- */

/* Whose it is and what for, by what KubeSpawner and our gateway write on their pods. */
static void look_whose(const json_t *pod, struct view_pod *ret)
{
        static const struct {
                const char *component, *kind, *purpose;
        } known[] = {{"singleuser-server", "notebook", "user"}, {"dask-scheduler", "dask", "scheduler"},
                {"dask-worker", "dask", "worker"}};
        const json_t *labels = below(pod, "metadata", "labels");
        const char *component = text_of(labels, "component"), *user = owner_of(pod);
        if (!component)
                component = text_of(labels, COMPONENT);
        for (size_t i = 0; user && i < sizeof known / sizeof *known; i++)
                if (str_is(component, known[i].component)) {
                        ret->user = str_copy(user);
                        ret->kind = known[i].kind;
                        ret->purpose = known[i].purpose;
                }
}

static void add_amounts(struct kube_reading *reading, const struct view_pod *pod, const char *container,
        const json_t *resources, bool limits)
{
        const struct family *family = limits ? &POD_LIMITS : &POD_REQUESTS;
        const json_t *amounts = json_object_get(resources, limits ? "limits" : "requests");
        const char *const space = reading->namespace_; /* a label whose value is NULL is left out: node */
        const char *const cores[] = {"namespace", space, "pod", pod->name, "container", container, "node", pod->node,
                "resource", "cpu", "unit", "core", NULL};
        const char *const bytes[] = {"namespace", space, "pod", pod->name, "container", container, "node", pod->node,
                "resource", "memory", "unit", "byte", NULL};
        const char *const place[] = {
                "namespace", space, "pod", pod->name, "container", container, "node", pod->node, NULL};
        double value;
        if (amount_of(amounts, "cpu", &value))
                sink_add(reading->sink, family, value, cores);
        if (!amount_of(amounts, "memory", &value))
                return;
        sink_add(reading->sink, family, value, bytes);
        if (limits)
                sink_add(reading->sink, &POD_LIMITS_MEMORY, value, place);
}

/* "containerd://4f…" of a container that the kernel ended: as a whole, as it does with control groups v2. The kubelet's
 * own count of kills ends with the container. */
static void look_killed(struct kube_view *view, const struct view_pod *pod, const json_t *ended)
{
        const char *id = text_of(ended, "containerID"), *name = id ? strstr(id, "://") : NULL;
        if (!pod->user || !name || !str_is(text_of(ended, "reason"), "OOMKilled"))
                return;
        MEM_GROW(view->kill, view->kills, view->kill_room);
        view->kill[view->kills++] = (struct view_kill){
                .name = str_copy(name + strlen("://")), .user = str_copy(pod->user), .kind = pod->kind};
}

static void add_containers(struct kube_reading *reading, const struct view_pod *pod, const json_t *object)
{
        size_t i;
        json_t *container;
        json_array_foreach (below(object, "spec", "containers"), i, container) {
                const char *name = text_of(container, "name");
                if (!name)
                        continue;
                const json_t *resources = json_object_get(container, "resources");
                add_amounts(reading, pod, name, resources, true);
                add_amounts(reading, pod, name, resources, false);
                sink_add(reading->sink, &POD_CONTAINER, 1,
                        (const char *const[]){"namespace", reading->namespace_, "pod", pod->name, "container", name,
                                "image_spec", text_of(container, "image"), NULL});
        }
        json_array_foreach (below(object, "status", "containerStatuses"), i, container) {
                const char *name = text_of(container, "name"),
                           *reason = text_of(below(container, "lastState", "terminated"), "reason");
                const char *const labels[] = {
                        "namespace", reading->namespace_, "pod", pod->name, "container", name, NULL};
                const char *const why[] = {
                        "namespace", reading->namespace_, "pod", pod->name, "container", name, "reason", reason, NULL};
                double restarts;
                look_killed(reading->view, pod, below(container, "lastState", "terminated"));
                look_killed(reading->view, pod, below(container, "state", "terminated"));
                if (name && api_number(container, "restartCount", &restarts))
                        sink_add(reading->sink, &RESTARTS, restarts, labels);
                if (name && reason)
                        sink_add(reading->sink, &LAST_REASON, 1, why);
        }
}

static void add_state(struct kube_reading *reading, const struct view_pod *pod, const json_t *object)
{
        static const char *const phases[] = {"Pending", "Running", "Succeeded", "Failed", "Unknown"};
        const char *space = reading->namespace_, *phase = text_of(json_object_get(object, "status"), "phase");
        for (size_t i = 0; phase && i < sizeof phases / sizeof *phases; i++)
                sink_add(reading->sink, &POD_PHASE, str_is(phase, phases[i]),
                        (const char *const[]){"namespace", space, "pod", pod->name, "phase", phases[i], NULL});
        sink_add(reading->sink, &POD_SCHEDULED, pod->node != NULL,
                (const char *const[]){"namespace", space, "pod", pod->name, "condition", "true", NULL});
        if (pod->created > 0)
                sink_add(reading->sink, &POD_CREATED, pod->created,
                        (const char *const[]){"namespace", space, "pod", pod->name, NULL});
        sink_add(reading->sink, &POD_INFO, 1,
                (const char *const[]){"namespace", space, "pod", pod->name, "node", pod->node, NULL});
}

/* A pod of the node exporter's DaemonSet. One that is on its way out is left out: its node gets another, and two would
 * say the same twice. One whose node is away stays: it is to be missed. */
static void look_target(struct kube_view *view, const struct view_pod *pod, const json_t *object)
{
        const char *component = text_of(below(object, "metadata", "labels"), "component"),
                   *where = text_of(json_object_get(object, "status"), "podIP");
        if (!str_is(component, "node-exporter") || !pod->node || !where || where[strspn(where, "0123456789abcdef.:")] ||
                below(object, "metadata", "deletionTimestamp") ||
                !str_is(text_of(json_object_get(object, "status"), "phase"), "Running"))
                return;
        bool six = strchr(where, ':');
        MEM_GROW(view->target, view->targets, view->target_room);
        view->target[view->targets++] = (struct view_target){.node = str_copy(pod->node),
                .address = str_format("%s%s%s:%d", six ? "[" : "", where, six ? "]" : "", WATCHED)};
}

void kube_read_pod(struct kube_reading *reading, const json_t *object)
{
        struct kube_view *view = reading->view;
        const json_t *labels = below(object, "metadata", "labels");
        const char *name = name_of(reading, "Pod", object);
        if (!name)
                return;
        struct view_pod pod = {
                .name = str_copy(name), .node = copy_or_null(text_of(json_object_get(object, "spec"), "nodeName"))};
        look_whose(object, &pod);
        look_target(view, &pod, object);
        api_time(below(object, "metadata", "creationTimestamp"), &pod.created);
        MEM_GROW(view->pod, view->pods, view->pod_room);
        view->pod[view->pods++] = pod;
        sink_add(reading->sink, &POD_LABELS, 1,
                (const char *const[]){"namespace", reading->namespace_, "pod", name, "label_app",
                        text_of(labels, "app"), "label_component", text_of(labels, "component"),
                        "label_app_kubernetes_io_component", text_of(labels, COMPONENT),
                        "label_hub_jupyter_org_username", text_of(labels, USERNAME), "label_gateway_dask_org_cluster",
                        text_of(labels, "gateway.dask.org/cluster"), NULL});
        const char *user = text_of(below(object, "metadata", "annotations"), USERNAME);
        if (user)
                sink_add(reading->sink, &POD_ANNOTATIONS, 1,
                        (const char *const[]){"namespace", reading->namespace_, "pod", name,
                                "annotation_hub_jupyter_org_username", user, NULL});
        add_state(reading, &pod, object);
        add_containers(reading, &pod, object);
}

/* ---- claims and services ---- */

void kube_read_claim(struct kube_reading *reading, const json_t *object)
{
        struct kube_view *view = reading->view;
        const char *name = name_of(reading, "PersistentVolumeClaim", object), *user = owner_of(object);
        bool home = str_is(text_of(below(object, "metadata", "labels"), "component"), "singleuser-storage");
        double size = 0;
        if (!name)
                return;
        amount_of(below(object, "status", "capacity"), "storage", &size);
        MEM_GROW(view->claim, view->claims, view->claim_room);
        view->claim[view->claims++] =
                (struct view_claim){.name = str_copy(name), .user = copy_or_null(home ? user : NULL), .size = size};
        if (!home || !user || size <= 0)
                return;
        if (!reading->homes)
                reading->homes = json_object();
        double before = json_real_value(json_object_get(reading->homes, user));
        json_object_set_new(reading->homes, user, json_real(before + size));
}

void kube_read_service(struct kube_reading *reading, const json_t *object)
{
        const char *name = name_of(reading, "Service", object);
        if (name)
                sink_add(reading->sink, &SERVICE_LABELS, 1,
                        (const char *const[]){"namespace", reading->namespace_, "service", name, NULL});
}

/* ---- nodes ---- */

/* Where its kubelet can be reached, by the first of these kinds that the node has: certificates that the cluster's
 * signer gives out are for all of them. NULL: nowhere. The caller frees. */
static char *url_of(const json_t *object)
{
        static const char *const types[] = {"InternalIP", "InternalDNS", "Hostname"};
        const json_t *list = below(object, "status", "addresses"),
                     *endpoints = below(object, "status", "daemonEndpoints");
        const json_t *given = below(endpoints, "kubeletEndpoint", "Port");
        json_int_t port = json_integer_value(given);
        size_t i;
        json_t *address;
        if (port < 1 || port > 65535)
                port = PORT;
        for (size_t type = 0; type < sizeof types / sizeof *types; type++)
                json_array_foreach (list, i, address) {
                        const char *where = text_of(address, "address");
                        bool wanted = str_is(text_of(address, "type"), types[type]), six = where && strchr(where, ':');
                        if (wanted && where &&
                                !where[strspn(where, "0123456789abcdefghijklmnopqrstuvwxyz"
                                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:-")])
                                return str_format(
                                        "https://%s%s%s:%d", six ? "[" : "", where, six ? "]" : "", (int)port);
                }
        return NULL;
}

static void add_node_amounts(
        struct kube_reading *reading, const struct family *family, const char *node, const json_t *amounts)
{
        double value;
        if (amount_of(amounts, "cpu", &value))
                sink_add(reading->sink, family, value,
                        (const char *const[]){"node", node, "resource", "cpu", "unit", "core", NULL});
        if (amount_of(amounts, "memory", &value))
                sink_add(reading->sink, family, value,
                        (const char *const[]){"node", node, "resource", "memory", "unit", "byte", NULL});
}

void kube_read_node(struct kube_reading *reading, const json_t *object)
{
        struct kube_view *view = reading->view;
        const char *name = name_of(reading, "Node", object);
        const json_t *labels = below(object, "metadata", "labels"), *status = json_object_get(object, "status");
        if (!name)
                return;
        MEM_GROW(view->node, view->nodes, view->node_room);
        view->node[view->nodes++] = (struct view_node){.name = str_copy(name), .url = url_of(object)};
        sink_add(reading->sink, &NODE_INFO, 1, (const char *const[]){"node", name, NULL});
        sink_add(reading->sink, &NODE_LABELS, 1,
                (const char *const[]){"node", name, "label_hub_jupyter_org_node_purpose",
                        text_of(labels, "hub.jupyter.org/node-purpose"), "label_k8s_dask_org_node_purpose",
                        text_of(labels, "k8s.dask.org/node-purpose"), "label_node_kubernetes_io_instance_type",
                        text_of(labels, "node.kubernetes.io/instance-type"), "label_topology_kubernetes_io_zone",
                        text_of(labels, "topology.kubernetes.io/zone"), "label_cloud_google_com_gke_nodepool",
                        text_of(labels, "cloud.google.com/gke-nodepool"), "label_eks_amazonaws_com_nodegroup",
                        text_of(labels, "eks.amazonaws.com/nodegroup"), "label_alpha_eksctl_io_nodegroup_name",
                        text_of(labels, "alpha.eksctl.io/nodegroup-name"), "label_kubernetes_azure_com_agentpool",
                        text_of(labels, "kubernetes.azure.com/agentpool"), NULL});
        add_node_amounts(reading, &NODE_CAPACITY, name, json_object_get(status, "capacity"));
        add_node_amounts(reading, &NODE_ALLOCATABLE, name, json_object_get(status, "allocatable"));
}

/* ---- the end ---- */

void kube_read_end(struct kube_reading *reading)
{
        const char *user;
        json_t *size;
        json_object_foreach (reading->homes, user, size)
                sink_add(reading->sink, &HOME_SIZE, json_real_value(size), (const char *const[]){"user", user, NULL});
        json_decref(reading->seen);
        json_decref(reading->homes);
        reading->seen = reading->homes = NULL;
}
