#include "exporter/families.h"

#define POD       "namespace,pod"
#define CONTAINER "namespace,pod,container,node"
#define NAMED     "namespace,pod,container,node,name"
#define AMOUNT    "namespace,pod,container,node,resource,unit"
#define CLAIM     "namespace,persistentvolumeclaim,node"
#define NODE      "node,resource,unit"

const struct family CONTAINER_CPU = {.name = "container_cpu_usage_seconds_total",
        .help = "Processor time of a container: a server, Dask scheduler or worker.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = NAMED};
const struct family CONTAINER_WORKING_SET = {.name = "container_memory_working_set_bytes",
        .help = "Memory of a container without the page cache that can be dropped at once.",
        .unit = "bytes",
        .labels = NAMED ",hub_jupyter_org_node_purpose,k8s_dask_org_node_purpose"};
const struct family CONTAINER_RSS = {.name = "container_memory_rss",
        .help = "Memory of a container that is no page cache, in bytes.",
        .labels = NAMED};
const struct family CONTAINER_OOM = {.name = "container_oom_events_total",
        .help = "Out-of-memory kills in a container.",
        .type = FAMILY_COUNTER,
        .labels = NAMED};
const struct family CONTAINER_PROCESSES = {.name = "container_processes",
        .help = "Processes of a container: on a host of one of the cluster's own services; under systemd threads, too.",
        .labels = NAMED};
const struct family CONTAINER_LIMIT = {.name = "container_spec_memory_limit_bytes",
        .help = "Memory limit of a container.",
        .unit = "bytes",
        .labels = NAMED};

const struct family HOME_USED = {.name = "caas_home_used_bytes",
        .help = "What a user has stored. Of a home that is not in use: what was seen when it last was; on a host "
                "before "
                "that what its image takes on the disk.",
        .unit = "bytes",
        .labels = "user"};
const struct family HOME_SIZE = {
        .name = "caas_home_size_bytes", .help = "What a user can store.", .unit = "bytes", .labels = "user"};
const struct family VOLUME_USED = {.name = "kubelet_volume_stats_used_bytes",
        .help = "What is stored in a volume, such as a user's home.",
        .unit = "bytes",
        .labels = CLAIM};
const struct family VOLUME_CAPACITY = {.name = "kubelet_volume_stats_capacity_bytes",
        .help = "What a volume holds in all.",
        .unit = "bytes",
        .labels = CLAIM};
const struct family VOLUME_AVAILABLE = {.name = "kubelet_volume_stats_available_bytes",
        .help = "What a volume still has room for.",
        .unit = "bytes",
        .labels = CLAIM};

const struct family POD_LABELS = {.name = "kube_pod_labels",
        .help = "Labels of a pod; on a host those that a server or Dask process would have.",
        .labels = POD ",label_app,label_component,label_app_kubernetes_io_component,"
                      "label_hub_jupyter_org_username,label_gateway_dask_org_cluster"};
const struct family POD_ANNOTATIONS = {.name = "kube_pod_annotations",
        .help = "Annotations of a pod; on a host those that a server or Dask process would have.",
        .labels = POD ",annotation_hub_jupyter_org_username"};
const struct family POD_CREATED = {
        .name = "kube_pod_created", .help = "When a pod was made, as Unix time.", .labels = POD};
const struct family POD_PHASE = {
        .name = "kube_pod_status_phase", .help = "1 for the phase that a pod is in.", .labels = POD ",phase"};
const struct family POD_SCHEDULED = {.name = "kube_pod_status_scheduled",
        .help = "Whether a pod has its node; a host's always has.",
        .labels = POD ",condition"};
const struct family POD_INFO = {.name = "kube_pod_info", .help = "Where a pod runs.", .labels = POD ",node"};
const struct family POD_CONTAINER = {.name = "kube_pod_container_info",
        .help = "The image of a container; on a host the environment that a server was started with.",
        .labels = POD ",container,image_spec"};
const struct family POD_LIMITS = {
        .name = "kube_pod_container_resource_limits", .help = "What a container may use.", .labels = AMOUNT};
const struct family POD_REQUESTS = {.name = "kube_pod_container_resource_requests",
        .help = "What a container has been promised: on a host, what it may use.",
        .labels = AMOUNT};
const struct family POD_LIMITS_MEMORY = {.name = "kube_pod_container_resource_limits_memory_bytes",
        .help = "Memory limit of a container, under an older name of kube-state-metrics.",
        .unit = "bytes",
        .labels = CONTAINER};

const struct family SERVICE_LABELS = {.name = "kube_service_labels",
        .help = "A service, such as the hub: dashboards list their hubs by it.",
        .labels = "namespace,service"};
const struct family NODE_INFO = {.name = "kube_node_info", .help = "A node; a host is its only one.", .labels = "node"};
const struct family NODE_LABELS = {.name = "kube_node_labels",
        .help = "Labels of a node that say what it is for and of what kind; a host has none.",
        .labels = "node,label_hub_jupyter_org_node_purpose,label_k8s_dask_org_node_purpose,"
                  "label_node_kubernetes_io_instance_type,label_topology_kubernetes_io_zone,"
                  "label_cloud_google_com_gke_nodepool,label_eks_amazonaws_com_nodegroup,"
                  "label_alpha_eksctl_io_nodegroup_name,label_kubernetes_azure_com_agentpool"};
const struct family NODE_CAPACITY = {
        .name = "kube_node_status_capacity", .help = "Processors and memory of a node.", .labels = NODE};
const struct family NODE_ALLOCATABLE = {.name = "kube_node_status_allocatable",
        .help = "Processors and memory of a node that pods can have: on a host all of them.",
        .labels = NODE};
