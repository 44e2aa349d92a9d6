"""dask-gateway's API on Kubernetes, with a cap a user. One instance serves a cluster.

Requests are answered by what the DaskClusters of a user want; what really starts is decided by the controller
(controller.py), which counts pods. So a scheduler, which is its user's own process, may say in its heartbeats what it
likes."""

import asyncio
import base64
import json
import time
from types import SimpleNamespace

from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.backends.kubernetes import KubeBackend
from dask_gateway_server.backends.kubernetes.utils import parse_k8s_timestamp
from kubernetes_asyncio.client.rest import ApiException
from traitlets import Unicode

from . import admin, informer
from .heartbeat import BadHeartbeat, IdleTimes, checked_counts, idle_seconds
from .limits import Ledger, Refused, size
from .metrics import metrics_of
from .pods import USER, label_of
from .requests import CappedRequests, add_warning
from .settings import load

informer.use()

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 # a path
ENDED = ("Stopped", "Failed")
LEAVING_SECONDS = 10.0


class Held(SimpleNamespace):
    """A DaskCluster as the ledger and the provisioner's routes see it."""


def held(name: str, obj: dict, count: int | None) -> Held:
    """count: what its scheduler said last, if that is known better than by the object."""
    spec, status = obj["spec"], obj.get("status") or {}
    phase = status.get("phase", "Pending")
    made = obj["metadata"].get("creationTimestamp")
    running, starting = int(status.get("workersRunning", 0)), int(status.get("workersStarting", 0))
    return Held(
        name=name,
        username=spec.get("username", ""),
        options=spec.get("options") or {},
        config=SimpleNamespace(**(spec.get("config") or {})),
        count=int(spec.get("replicas", 0)) if count is None else count,
        phase=phase,
        started=parse_k8s_timestamp(made) / 1000 if made else time.time(),
        alive=phase not in ENDED,
        leaving=phase == "Stopping" or not spec.get("active", True),
        running=running,
        processes=running + starting,
    )


class KubernetesLedger(Ledger):
    def is_alive(self, cluster):
        return cluster.alive

    def is_leaving(self, cluster):
        return cluster.leaving

    def staying(self, cluster):
        return 0  # nothing is granted by what runs: it is the controller that starts

    def processes(self, cluster):
        return cluster.processes


def own_account() -> dict | None:
    """The ServiceAccount of this pod as an owner: what belongs to it ends with it."""
    try:
        with open(TOKEN, encoding="utf-8") as f:
            claims = f.read().split(".")[1]
    except (OSError, IndexError):
        return None
    account = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["kubernetes.io"]["serviceaccount"]
    return {"apiVersion": "v1", "kind": "ServiceAccount", "name": account["name"], "uid": account["uid"]}


class KubernetesBackend(CappedRequests, KubeBackend):
    settings_path = Unicode(help="gateway.json", config=True)

    async def setup(self, app):
        self.settings = load(self.settings_path)
        self.ledger = KubernetesLedger(size(*self.settings.maximum))
        self.idle = IdleTimes()
        self.owner = own_account()
        self._new = {}  # clusters that were asked for and are not in the informer yet, by name
        self._counts = {}  # what schedulers said last, by name
        self.log.addFilter(lambda record: not record.getMessage().startswith("200 GET /api/health"))
        app.middlewares.append(add_warning)
        app.add_routes(admin.routes(self, self.settings["admin_token"]))
        await super().setup(app)

    # What there is

    def _held(self, name, obj):
        return held(name, obj, self._counts.get(name))

    def _all(self):
        known = {name: self._held(name, obj) for name, obj in self.informer.cache.items()}
        for name in [name for name in self._new if name in known]:
            del self._new[name]
        return {**self._new, **known}

    def clusters_of(self, username):
        return [c for c in self._all().values() if c.username == username]

    def held(self, model):
        cluster = self._all().get(model.name)
        if cluster is None:
            raise PublicException(f"cluster {model.name} is not running")
        return cluster

    def list_alive(self):
        return [c for c in self._all().values() if c.alive]

    def describe(self, cluster):
        return {
            "status": cluster.phase.lower(),
            "workers": cluster.processes,
            "workers_running": cluster.running,
            "started": cluster.started,
            "metrics": metrics_of(self.clusters.get(cluster.name)),
        }

    async def ended(self, clusters, seconds):
        names = {c.name for c in clusters}
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until and any(c.name in names for c in self.list_alive()):
            await asyncio.sleep(0.1)

    # The cap of a user

    async def start_cluster(self, user, cluster_options):
        options, config = await self.process_cluster_options(user, cluster_options)
        obj = self.make_cluster_object(user.name, options, config)
        name = f"{config.namespace}.{obj['metadata']['name']}"
        until = asyncio.get_running_loop().time() + LEAVING_SECONDS
        while True:
            mine = self.clusters_of(user.name)
            # From here to the new entry nothing waits, so no second request comes between check and entry.
            try:
                self.ledger.check_new(mine, config)
                self._new[name] = held(name, obj, 0)
                break
            except Refused as e:
                # Who has just closed a cluster need not know that its pods take a moment to end.
                if not any(c.alive and c.leaving for c in mine) or asyncio.get_running_loop().time() > until:
                    raise PublicException(str(e)) from None
            await asyncio.sleep(0.2)
        self.log.info("Creating cluster %s for user %s", name, user.name)
        try:
            await self.custom_client.create_namespaced_custom_object(
                "gateway.dask.org", self.crd_version, config.namespace, "daskclusters", obj
            )
        except BaseException:
            self._new.pop(name, None)
            raise
        return name

    def make_cluster_object(self, username, options, config):
        obj = super().make_cluster_object(username, options, config)
        obj["metadata"]["labels"][USER] = label_of(username)
        obj["metadata"]["annotations"] = {**obj["metadata"]["annotations"], USER: username}
        if self.owner:
            obj["metadata"]["ownerReferences"] = [self.owner]
        return obj

    async def stop_cluster(self, cluster_name, failed=False):
        cluster = self._all().get(cluster_name)
        if cluster is not None:
            self.ledger.drop(cluster)
        try:
            await super().stop_cluster(cluster_name, failed)
        except ApiException as e:
            if e.status != 404:
                raise

    async def on_cluster_heartbeat(self, cluster_name, msg):
        cluster = self._all().get(cluster_name)
        if cluster is None:
            return
        idle = idle_seconds(msg)
        try:
            msg = checked_counts(msg)
        except BadHeartbeat as e:
            self.log.warning("Cluster %s of %s sent a bad heartbeat: %s", cluster_name, cluster.username, e)
            raise PublicException(f"bad heartbeat: {e}") from None
        self.idle.heard(cluster_name, idle)
        self.ledger.arrived(cluster, msg["count"])
        # More than could ever start is nothing to remember. Whether these can start now, the controller sees.
        msg["count"] = self._counts[cluster_name] = min(msg["count"], self.ledger.most(cluster))
        await super().on_cluster_heartbeat(cluster_name, msg)

    async def sync_cluster(self, cluster_name):
        await super().sync_cluster(cluster_name)
        cluster = self.clusters.get(cluster_name)
        if cluster is None or cluster.stop_time is not None:
            self._counts.pop(cluster_name, None)
            self.idle.forget(cluster_name)
            self.ledger.drop(SimpleNamespace(name=cluster_name))
