"""The gateway's Python for Kubernetes without a cluster: run by run.sh with an environment of its image's lock. The API
server is a few dictionaries (World); what it would say to a watch is said to the controller's own handlers."""

import asyncio
import collections
import copy
import json
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "gateway" / "files"
sys.path.insert(0, str(FILES))

from aiohttp import web  # noqa: E402
from dask_gateway_server.backends.kubernetes.backend import KubeBackend  # noqa: E402
from dask_gateway_server.backends.kubernetes.controller import ClusterInfo  # noqa: E402
from dask_gateway_server.backends.kubernetes.utils import k8s_timestamp  # noqa: E402
from dask_gateway_server.models import ClusterStatus, User  # noqa: E402
from dask_gateway_server.workqueue import Backoff, WorkQueue  # noqa: E402
from kubernetes_asyncio.client.rest import ApiException  # noqa: E402
from pangeo_gateway import controller as controller_module  # noqa: E402
from pangeo_gateway import kubernetes as kubernetes_module  # noqa: E402
from pangeo_gateway.controller import KubernetesController  # noqa: E402
from pangeo_gateway.kubernetes import KubernetesBackend  # noqa: E402
from pangeo_gateway.limits import size  # noqa: E402
from pangeo_gateway.occupancy import Occupancy  # noqa: E402
from pangeo_gateway.pods import cluster_options  # noqa: E402
from pangeo_gateway.settings import Settings  # noqa: E402
from traitlets.config import Config  # noqa: E402

GB = 10**9
NAMESPACE = "pangeo"
KEYS = {}  # of clusters whose Secret is there


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "gateway.json"
    tree = {
        "namespace": NAMESPACE,
        "instance": "demo-dask-gateway",
        "api": "http://api:8000",
        "prefix": "/services/dask-gateway",
        "admin_token": "secret-of-the-provisioner",
        "labels": {"app.kubernetes.io/name": "dask-gateway", "release": "demo"},
        "environments": {
            "default": "pangeo",
            "image": "img/pangeo:1",
            "more": [{"name": "climate", "image": "img/c:2"}],
        },
        "worker": {"cpus": 1, "ram": 2},
        "maximum": {"cpus": 6, "ram": 11},
        "idle_minutes": 15,
        "pod": {
            "node_selector": {"pool": "pangeo"},
            "tolerations": [],
            "pull_secrets": [{"name": "registry"}],
            "python_path": "/etc/caas/dask",
            "volumes": [{"name": "code", "configMap": {"name": "code"}}],
            "mounts": [{"name": "code", "mountPath": "/etc/caas/dask", "readOnly": True}],
        },
    }
    path.write_text(json.dumps(tree))
    return Settings(tree, str(path))


class Cache:
    """An informer that is told by the tests."""

    def __init__(self):
        self.cache = {}

    def get(self, key, default=None):
        return self.cache.get(key, default)


class World:
    """What the API server holds, and its answers."""

    def __init__(self):
        self.pods, self.clusters, self.policies = {}, {}, {}
        self.refuse_pods = 0  # so many creations fail, as by a quota
        self.most_pods = 0
        self.informed = []  # controllers

    async def create_namespaced_pod(self, namespace, pod):
        await asyncio.sleep(0)
        if self.refuse_pods:
            self.refuse_pods -= 1
            raise ApiException(status=403, reason="exceeded quota")
        pod = copy.deepcopy(pod)
        name = pod["metadata"].setdefault("name", pod["metadata"].get("generateName", "") + uuid.uuid4().hex[:5])
        if name in self.pods:
            raise ApiException(status=409)
        pod["metadata"].update(namespace=namespace, uid=uuid.uuid4().hex)
        pod["apiVersion"], pod["kind"] = "v1", "Pod"
        pod["status"] = {"phase": "Pending"}
        self.pods[name] = pod
        self.most_pods = max(self.most_pods, len(self.pods))
        self.tell(pod)
        return SimpleNamespace(metadata=SimpleNamespace(name=name), raw=pod)

    async def delete_namespaced_pod(self, name, namespace, grace_period_seconds=20):
        await asyncio.sleep(0)
        if name not in self.pods:
            raise ApiException(status=404)
        self.pods[name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.tell(self.pods[name])

    async def accept(self, *args, **kwargs):
        return None

    create_namespaced_secret = delete_namespaced_secret = create_namespaced_service = accept

    async def create_namespaced_network_policy(self, namespace, policy):
        self.policies[policy["metadata"]["name"]] = (policy, len(self.pods))

    async def delete_namespaced_network_policy(self, name, namespace):
        if self.policies.pop(name, None) is None:
            raise ApiException(status=404)

    async def create_namespaced_custom_object(self, group, version, namespace, plural, obj):
        await asyncio.sleep(0.01)
        obj = copy.deepcopy(obj)
        obj["metadata"].update(namespace=namespace, uid=uuid.uuid4().hex, creationTimestamp=k8s_timestamp())
        self.clusters[f"{namespace}.{obj['metadata']['name']}"] = obj

    async def patch_namespaced_custom_object(self, group, version, namespace, plural, name, patch):
        key = f"{namespace}.{name}"
        if key not in self.clusters:
            raise ApiException(status=404)
        for one in patch:
            self.clusters[key]["spec"][one["path"].removeprefix("/spec/")] = one["value"]

    # What happens by itself

    def tell(self, pod):
        for c in self.informed:
            key = f"{pod['metadata']['namespace']}.{pod['metadata']['name']}"
            old = c.informers["pod"].cache.get(key)
            c.informers["pod"].cache[key] = copy.deepcopy(pod)
            c.on_pod_update(copy.deepcopy(pod), old=old)

    def phase(self, pod, phase, state=None):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        pod["status"] = {"phase": phase, "podIP": "10.1.2.3"}
        if state:
            pod["status"]["containerStatuses"] = [{"name": component, "state": state}]
        self.tell(pod)

    def run(self, pods):
        for pod in list(pods):
            self.phase(pod, "Running", {"running": {}})

    def gone(self, pod):
        del self.pods[pod["metadata"]["name"]]
        for c in self.informed:
            c.informers["pod"].cache.pop(f"{pod['metadata']['namespace']}.{pod['metadata']['name']}", None)
            c.on_pod_delete(pod)

    def workers(self, key=None):
        return [
            p
            for p in self.pods.values()
            if p["metadata"]["labels"]["app.kubernetes.io/component"] == "dask-worker"
            and (key is None or p["metadata"]["labels"]["gateway.dask.org/cluster"] == key.split(".")[1])
        ]


class Controller(KubernetesController):
    """As its setup() leaves it, with no network."""

    def __init__(self, settings, world):
        super().__init__()
        self.gateway_instance = "demo-dask-gateway"
        self.common_labels = settings["labels"]
        self.proxy_prefix = settings["prefix"]
        self.api_url = "http://api:8000/api"
        self.settings = settings
        self.occupancy = Occupancy(size(*settings.maximum))
        self._short_of_room, self._offered, self._routed, self._told_at = {}, set(), {}, {}
        self.cluster_info = collections.defaultdict(ClusterInfo)
        self.stopped_clusters = {}
        self.queue = WorkQueue(backoff=Backoff(base_delay=0.01, max_delay=0.05))
        self.informers = {"cluster": Cache(), "pod": Cache(), "endpoints": Cache()}
        self.core_client = self.custom_client = world
        self.world = world
        self.api_client = SimpleNamespace(sanitize_for_serialization=lambda created: created.raw)
        self.informers["cluster"].cache = world.clusters
        world.informed.append(self)

    networking_client = property(lambda self: self.world)

    async def patch_cluster_status(self, namespace, name, status):
        self.world.clusters[f"{namespace}.{name}"]["status"] = dict(status)
        self.queue.put(f"{namespace}.{name}")  # what the watch would say

    async def settle(self):
        """Until there is nothing to do."""
        for _ in range(400):
            await asyncio.sleep(0.005)
            if self.queue.is_empty() and not self.queue._processing and not self.queue._timers:
                return
        raise AssertionError("it does not come to rest")


class Models:
    """The API's own records, as far as they are used here."""

    def __init__(self, clusters):
        self._clusters = clusters

    def get(self, key):
        if key not in self._clusters:
            return None
        namespace, _, name = key.partition(".")
        return SimpleNamespace(
            config={},
            start_time=0,
            status=ClusterStatus.RUNNING,
            dashboard_address=f"http://dask-{name}.{namespace}:8787",
            tls_key=KEYS.get(key, b""),
        )


class Bed:
    """API and controller over one world."""

    def __init__(self, settings):
        self.settings, self.world = settings, World()

    async def __aenter__(self):
        config = Config()
        config.KubernetesBackend.settings_path = self.settings.path
        config.KubernetesBackend.gateway_instance = self.settings["instance"]
        config.KubernetesBackend.common_labels = self.settings["labels"]
        config.KubernetesBackend.cluster_options = cluster_options(self.settings)
        config.KubeClusterConfig.namespace = NAMESPACE
        self.app = web.Application()
        self.backend = KubernetesBackend(config=config, gateway_address="127.0.0.1:1")
        self.backend.custom_client = self.world
        await self.backend.setup(self.app)
        self.controller = Controller(self.settings, self.world)
        self.reconciler = asyncio.ensure_future(self.controller.reconciler_loop())
        return self

    async def __aexit__(self, *exc):
        self.controller.queue.close()
        await self.reconciler
        await self.backend.session.close()

    async def new(self, name, **options):
        """A cluster that runs. Returns its key."""
        key = await self.backend.start_cluster(User(name), options)
        await self.reconcile(key)
        cluster = self.world.clusters[key]
        self.world.run([self.world.pods[f"dask-scheduler-{cluster['metadata']['name']}"]])
        service = f"{NAMESPACE}.dask-{cluster['metadata']['name']}"
        self.controller.informers["endpoints"].cache[service] = {"subsets": [{"addresses": [{}]}]}
        await self.reconcile(key)
        assert cluster["status"]["phase"] == "Running"
        return key

    async def reconcile(self, *keys):
        for key in keys or list(self.world.clusters):
            self.controller.queue.put(key)
        await self.controller.settle()

    async def beat(self, key, count):
        msg = {"count": count, "active_workers": [], "closing_workers": [], "closed_workers": []}
        await self.backend.on_cluster_heartbeat(key, msg)
        await self.reconcile(key)

    async def scale(self, key, count):
        return await self.ask(key, {"op": "scale", "count": count})

    async def ask(self, key, msg):
        """What the route does, without a scheduler to tell. Returns what the scheduler would be told."""
        sent = []

        async def forward(self, model, msg):
            sent.append(msg)

        original = kubernetes_module.KubeBackend.forward_message_to_scheduler
        kubernetes_module.KubeBackend.forward_message_to_scheduler = forward
        try:
            await self.backend.forward_message_to_scheduler(SimpleNamespace(name=key), msg)
        finally:
            kubernetes_module.KubeBackend.forward_message_to_scheduler = original
        return sent[0]


@pytest.fixture
def bed(settings, monkeypatch):
    async def setup(self, app):
        await super(KubeBackend, self).setup(app)
        self.clusters = Models(self.custom_client.clusters)
        self.informer = SimpleNamespace(cache=self.custom_client.clusters)

    monkeypatch.setattr(KubeBackend, "setup", setup)
    monkeypatch.setattr(controller_module, "ROUTED_SECONDS", 0.01)
    monkeypatch.setattr(controller_module, "TELL_SECONDS", 0.02)

    def run(scenario):
        async def main():
            async with Bed(settings) as b:
                await scenario(b)

        asyncio.run(asyncio.wait_for(main(), 30))

    return run
