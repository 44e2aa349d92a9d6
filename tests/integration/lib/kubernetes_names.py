"""What dashboards made for JupyterHub on Kubernetes ask, above all those of jupyterhub/grafana-dashboards: by the names of
kube-state-metrics, cAdvisor and node exporter, and joined on labels of pods, users, groups and nodes."""

import math

from prometheus import Prometheus

OWNER = "annotation_hub_jupyter_org_username"
OWNERS = f'group by (namespace, pod, {OWNER}) (kube_pod_annotations{{{OWNER}!=""}})'
SERVERS = (
    "group by (namespace, pod, label_component)"
    ' (kube_pod_labels{label_app="jupyterhub", label_component="singleuser-server"})'
)
NODES = "group by (node) (kube_node_labels)"
SHARED = '{mountpoint="/shared-volume", component="shared-volume-metrics"}'
MEMORY = 'container_memory_working_set_bytes{name!="", pod=~"jupyter-.*"}'


COMPONENTS = (
    "* on (namespace, pod) group_left (container, label_component) group by (label_component, pod, namespace)"
    ' (kube_pod_labels{label_app="jupyterhub", label_component!="singleuser-server"})'
)


def of_group(label: str, source: str) -> str:
    """Who is in which group, by a label of what is joined with it."""
    info = f'label_replace(jupyterhub_user_group_info{{usergroup!="multiple"}}, "{label}", "$1", "{source}", "(.+)")'
    return f"on (namespace, {label}) group_right () group by (namespace, {label}, usergroup) ({info})"


def by_owner(expr: str) -> str:
    return f"sum by (namespace, {OWNER}) ({expr} * on (namespace, pod) group_left ({OWNER}) {OWNERS})"


def by_node(expr: str, whole: str) -> str:
    return f"sum by (node) ({expr} * on (node) group_left () {NODES}) / sum by (node) ({whole})"


# The question, and labels that a series of its answer has to have.
QUESTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "hubs there are": ('kube_service_labels{service="hub"}', {}),
    "memory of each user": (by_owner(MEMORY), {OWNER: "emma"}),
    "memory of each group": (f"sum by (usergroup) ({by_owner(MEMORY)} * {of_group(OWNER, 'username')})", {}),
    "processor of each user": (by_owner('irate(container_cpu_usage_seconds_total{name!=""}[5m])'), {OWNER: "emma"}),
    "memory of containers that is no page cache": (
        'sum by (namespace, pod) (container_memory_rss{name!="", pod=~"jupyter-.*"})',
        {"pod": "jupyter-emma"},
    ),
    "limits of containers": (
        'max by (namespace, pod) (container_spec_memory_limit_bytes{name!="", pod=~"jupyter-.*"})',
        {"pod": "jupyter-emma"},
    ),
    "kills of containers": (
        'sum by (namespace, pod) (rate(container_oom_events_total{pod=~"jupyter-.*"}[5m]))',
        {"pod": "jupyter-emma"},
    ),
    "cores that may be had": (by_owner('kube_pod_container_resource_limits{resource="cpu"}'), {OWNER: "emma"}),
    "memory promised": (by_owner('kube_pod_container_resource_requests{resource="memory"}'), {OWNER: "emma"}),
    "cores promised": (by_owner('kube_pod_container_resource_requests{resource="cpu"}'), {OWNER: "emma"}),
    "homes of each group": (
        "sum by (usergroup) (max by (namespace, directory) (dirsize_total_size_bytes) *"
        f" {of_group('directory', 'username_safe')})",
        {},
    ),
    "files of each home": ("max by (directory) (dirsize_entries_count)", {"directory": "emma"}),
    "free on the disk of the hub": (
        'sum by (namespace) (kubelet_volume_stats_available_bytes{persistentvolumeclaim="hub-db-dir"})'
        ' / sum by (namespace) (kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="hub-db-dir"})',
        {},
    ),
    "free on the disk of homes": (
        f"min by (namespace) (node_filesystem_avail_bytes{SHARED} / node_filesystem_size_bytes{SHARED})",
        {},
    ),
    "age of servers": (f"time() - kube_pod_created * on (namespace, pod) {SERVERS}", {}),
    "share of the limit": (
        f"max by (namespace, pod) ({MEMORY} * on (namespace, pod) group_left () {SERVERS})"
        " / sum by (namespace, pod) (kube_pod_container_resource_limits_memory_bytes"
        f" * on (namespace, pod) group_left () {SERVERS})",
        {},
    ),
    "starts of containers that were not their first": (
        "sum by (namespace, pod) (kube_pod_container_status_restarts_total)"
        ' unless on (namespace, pod) kube_pod_container_status_last_terminated_reason{reason="Completed"}',
        {},
    ),
    "servers that have a node": (
        f'sum by (namespace) (kube_pod_status_scheduled{{condition="true"}} * on (namespace, pod) {SERVERS})',
        {},
    ),
    "nodes": ("count(kube_node_info)", {}),
    "stored in each home": (
        'max by (persistentvolumeclaim) (kubelet_volume_stats_used_bytes{persistentvolumeclaim=~"claim-.*"})',
        {"persistentvolumeclaim": "claim-emma"},
    ),
    "memory of components": (
        f'sum by (label_component) (container_memory_working_set_bytes{{name!=""}} {COMPONENTS})',
        {"label_component": "hub"},
    ),
    "processor of components": (
        f'sum by (label_component) (irate(container_cpu_usage_seconds_total{{name!=""}}[5m]) {COMPONENTS})',
        {"label_component": "hub"},
    ),
    "processes of components": (
        f'sum by (label_component) (container_processes{{name!=""}} {COMPONENTS})',
        {"label_component": "hub"},
    ),
    "images": ('sum by (image_spec) (kube_pod_container_info{container="notebook"})', {}),
    "servers of each node": (
        f'sum by (node) (kube_pod_info{{node!=""}} * on (namespace, pod) group_left () {SERVERS})',
        {},
    ),
    "servers that run": (
        'sum by (namespace) (group by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1)'
        f" * on (namespace, pod) {SERVERS})",
        {},
    ),
    "memory of the node that is promised": (
        by_node(
            'kube_pod_container_resource_requests{resource="memory"}', 'kube_node_status_allocatable{resource="memory"}'
        ),
        {},
    ),
    "cores of the node that are busy": (
        by_node('rate(node_cpu_seconds_total{mode!="idle"}[1m])', 'kube_node_status_capacity{resource="cpu"}'),
        {},
    ),
    "kills for memory of the node": (f"node_vmstat_oom_kill * on (node) group_left () {NODES}", {}),
    "answers of the hub": (
        'sum by (code) (jupyterhub_request_duration_seconds_count{app="jupyterhub", namespace!=""})',
        {"code": "200"},
    ),
    "starts": ('jupyterhub_server_spawn_duration_seconds_count{status="success", namespace!=""}', {}),
    "who was active": ('max by (namespace) (jupyterhub_active_users{period="24h"})', {}),
}

# Of these, what is not there on a host, and why.
NOT_ON_A_HOST = {
    "starts of containers that were not their first": "a server or a Dask process that has ended is not started again",
}
# Of these, what is not there on Kubernetes, and why.
NOT_ON_KUBERNETES = {
    "processes of components": "of pods, what a kubelet says in short has no number of processes but users'",
    "homes of each group": "prometheus-dirsize-exporter would have to mount the homes",
    "files of each home": "prometheus-dirsize-exporter would have to mount the homes",
    "free on the disk of homes": "a node exporter would have to mount their volume, and each home has its own",
}


def answered(prometheus: Prometheus, question: str) -> bool:
    """With a number, by a series that has the labels."""
    expr, labels = QUESTIONS[question]
    found = prometheus.get("query", query=expr)["result"]
    mine = [one for one in found if labels.items() <= one["metric"].items()]
    return any(math.isfinite(float(one["value"][1])) for one in mine)
