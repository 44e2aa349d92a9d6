"""What a user's Dask pods look like on Kubernetes. Pure: from settings, options and user to the members of
KubeClusterConfig, which stand in the DaskCluster: later workers of a cluster are made like its first ones."""

import hashlib
import re
from typing import Any

from .options import bounded_options
from .settings import Settings

USER = "hub.jupyter.org/username"  # label and annotation, as KubeSpawner has them on the user's server
HOME = "/home/jovyan"
TMP = "/tmp"  # noqa: S108 # a volume of the pod's own
SCHEDULER_CPUS = 0.1  # guaranteed: most of the time it does nothing

_label = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def label_of(name: str) -> str:
    """A user's name as the value of a label, as KubeSpawner writes it (safe_slug): the name itself where it can be
    one, and nobody else's otherwise."""
    if _label.fullmatch(name) and "--" not in name:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-")[:21].rstrip("-")
    if words and not words[0].isalpha():
        words = "x-" + words[:19]
    return f"{words or 'x'}---{digest}"


def pod_settings(settings: Settings, memory: int) -> dict[str, Any]:
    """The members of a pod's spec, beside those of dask-gateway."""
    pod = settings["pod"]
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 100,
            "fsGroup": 100,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 20,  # where a node is drained; a cluster that ends is not waited for
        "nodeSelector": pod["node_selector"] or {},
        "tolerations": pod["tolerations"] or [],
        "volumes": [
            *pod["volumes"],
            # What does not fit into memory, and what a worker is sent to keep: bounded, because it is the node's disk.
            {"name": "tmp", "emptyDir": {"sizeLimit": str(max(10 * 10**9, 5 * memory))}},
        ],
    }


def container_settings(settings: Settings) -> dict[str, Any]:
    return {
        "workingDir": TMP,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [*settings["pod"]["mounts"], {"name": "tmp", "mountPath": TMP}],
    }


def environment(settings: Settings) -> dict[str, str]:
    return {
        "PYTHONPATH": settings["pod"]["python_path"],
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        "HOME": HOME,
        "DASK_TEMPORARY_DIRECTORY": f"{TMP}/dask",
        "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "1000",
        "DASK_DISTRIBUTED__WORKER__DAEMON": "True",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "CAAS_DASK_DASHBOARD": "key",  # caas_dask.py: who knows the cluster's key sees its dashboard
    }


def cluster_options(settings: Settings):
    """On Kubernetes: an environment is an image, the one of the notebooks."""
    images = settings.images
    pull_secrets = settings["pod"]["pull_secrets"] or []

    def more(options, user):
        scheduler_cpus, scheduler_memory = settings.scheduler
        who = {USER: label_of(user.name)}
        return {
            "image": images[options.environment],
            "image_pull_policy": "IfNotPresent",
            "image_pull_secrets": pull_secrets,
            "scheduler_cmd": ["python", "-m", "dask", "scheduler"],
            "worker_cmd": ["python", "-m", "dask", "worker"],
            "environment": environment(settings),
            "scheduler_cores": min(SCHEDULER_CPUS, scheduler_cpus),
            "scheduler_cores_limit": scheduler_cpus,
            "scheduler_extra_pod_config": pod_settings(settings, scheduler_memory),
            "worker_extra_pod_config": pod_settings(settings, settings.worker[1]),
            "scheduler_extra_container_config": {
                **container_settings(settings),
                "readinessProbe": {"periodSeconds": 1, "failureThreshold": 30},  # what a new cluster waits for
            },
            "worker_extra_container_config": container_settings(settings),
            "scheduler_extra_pod_labels": who,
            "worker_extra_pod_labels": who,
            "scheduler_extra_pod_annotations": {USER: user.name},
            "worker_extra_pod_annotations": {USER: user.name},
        }

    return bounded_options(settings, list(images), more)
