"""dask-gateway's controller: DaskClusters to pods. What differs from the original:

- it sees and needs rights in its own namespace only;
- no worker or scheduler is started against the cap of its user, whatever the DaskCluster says;
- a network policy a cluster: its pods reach each other and nobody else's, and its owner's server the dashboard;
- Traefik asks here for its routes (traefik.py);
- a scheduler that does not start in time ends its cluster;
- a cluster has ended when its pods have, and their end is asked for at once instead of being left to the garbage
  collector;
- pods that no node takes yet count as workers that start: the original makes them again after ten minutes.
"""

import asyncio
import time

from aiohttp import web
from dask_gateway_server.backends.kubernetes.controller import KubeController, get_cluster_key, get_container_status
from dask_gateway_server.backends.kubernetes.utils import k8s_timestamp, parse_k8s_timestamp
from dask_gateway_server.utils import FrozenAttrDict
from kubernetes_asyncio import client
from kubernetes_asyncio.client.rest import ApiException
from traitlets import Unicode

from . import informer, traefik
from .limits import scheduler_size, size, worker_size
from .occupancy import Occupancy
from .pods import USER, label_of
from .settings import load

informer.use()

OVERHEAD = 90 * 10**6  # nanny and resource tracker of a worker, which its own limit does not count
ROUTED_SECONDS = 15.0  # for Traefik to ask for a new route: it pauses after the controller was away
GRACE_SECONDS = 1  # of pods of a cluster that ends: there is nothing to save
TELL_SECONDS = 1.0
LOOK_SECONDS = 30.0
START_SECONDS = 900.0  # of a scheduler; an image may have to be pulled, a node made
ENDED = ("Stopped", "Failed")
COMPONENT = "app.kubernetes.io/component"


def is_worth_a_line(record) -> bool:
    """Not what is asked every second by machines and answered well."""
    return not record.getMessage().startswith(("200 GET /traefik", "200 GET /health"))


def username(cluster: dict) -> str:
    return cluster["spec"].get("username", "")


def owner(obj: dict) -> dict:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
    }


def network_policy(name: str, user: str, labels: dict, instance: str) -> dict:
    """The pods of a cluster among themselves, and its dashboard for its owner. What all clusters may do besides is in
    a policy that is always there."""
    mine = {"podSelector": {"matchLabels": {"gateway.dask.org/cluster": name, "gateway.dask.org/instance": instance}}}
    servers = {"matchLabels": {"component": "singleuser-server", USER: label_of(user)}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"dask-{name}", "labels": labels},
        "spec": {
            **mine,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [mine]},
                {"from": [{"podSelector": servers}], "ports": [{"port": 8787, "protocol": "TCP"}]},
            ],
            "egress": [{"to": [mine]}],
        },
    }


class KubernetesController(KubeController):
    name = "pangeo-gateway-controller"
    settings_path = Unicode(help="controller.json", config=True)

    async def setup(self):
        self.settings = load(self.settings_path)
        self.occupancy = Occupancy(size(*self.settings.maximum))
        self._short_of_room = {}  # clusters that want more than fits: their user, by key
        self._offered = set()  # clusters whose scheduler Traefik is told of before they count as running
        self._told_at = {}  # when numbers of workers were told last, by key
        self._routed = {}  # of those: set when Traefik has asked
        self.log.addFilter(is_worth_a_line)
        self.app.add_routes([web.get("/traefik", self.routes), web.get("/health", self.health)])
        await super().setup()
        self.task_pool.spawn(self.look_around())

    @property
    def networking_client(self):
        return client.NetworkingV1Api(api_client=self.api_client)

    async def health(self, request):
        return web.json_response({"status": "pass"})

    # Routes

    def schedulers(self) -> dict[str, str]:
        out = {}
        for key, cluster in self.informers["cluster"].cache.items():
            status = cluster.get("status") or {}
            if status.get("phase", "Pending") not in ("Pending", "Running") or not cluster["spec"].get("active", True):
                continue
            if status.get("phase") != "Running" and key not in self._offered:
                continue
            pod = self.informers["pod"].get(f"{cluster['metadata']['namespace']}.{status.get('schedulerPod')}")
            address = pod and pod["status"].get("podIP")
            if address:
                out[key] = f"[{address}]:8786" if ":" in address else f"{address}:8786"
        return out

    async def routes(self, request):
        told = self.schedulers()
        for key in told.keys() & self._routed.keys():
            self._routed[key].set()
        return web.json_response(traefik.configuration(self.proxy_prefix, self.settings["api"], told))

    async def create_ingressroute_if_not_exists(self, cluster, sched_pod):
        return "none"  # no way to the dashboard but the owner's own server

    async def create_ingressroutetcp_if_not_exists(self, cluster, sched_pod):
        """Returns when Traefik has been told, or should have been: a running cluster can be reached."""
        key = get_cluster_key(sched_pod)
        if key in self._offered:  # it waited for that before
            return "none"
        self._offered.add(key)
        routed = self._routed[key] = asyncio.Event()
        try:
            await asyncio.wait_for(routed.wait(), ROUTED_SECONDS)
        except TimeoutError:
            self.log.warning("Traefik has not asked for the route of %s yet", key)
        finally:
            del self._routed[key]
        return "none"

    # What there is

    def on_pod_update(self, pod, old=None):
        super().on_pod_update(pod, old)
        self.occupancy.seen(pod)
        key = get_cluster_key(pod)
        if key is None:
            return
        component = pod["metadata"]["labels"].get(COMPONENT)
        phase = pod["status"].get("phase")
        if component == "dask-worker" and phase == "Pending" and get_container_status(pod, component) is None:
            self.cluster_info[key].on_worker_pending(pod["metadata"]["name"])
        if old is None or old["status"].get("phase") != phase or self._is_running(pod) != self._is_running(old):
            self.queue.put(key)
            if phase in ("Succeeded", "Failed"):
                self._room_for(pod)

    def on_pod_delete(self, pod):
        super().on_pod_delete(pod)
        self.occupancy.gone(pod)
        self._room_for(pod)
        key = get_cluster_key(pod)
        if key is not None:
            self.queue.put(key)

    @staticmethod
    def _is_running(pod) -> bool:
        status = get_container_status(pod, pod["metadata"]["labels"].get(COMPONENT, ""))
        return bool(status and "running" in (status.get("state") or {}))

    def _room_for(self, pod):
        """A pod has ended: who waits for what it held?"""
        user = (pod["metadata"].get("annotations") or {}).get(USER)
        for key in [key for key, name in self._short_of_room.items() if name == user]:
            del self._short_of_room[key]
            self.queue.put(key)

    async def look_around(self):
        """For what no event tells of."""
        unseen = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            # A pod that was made and deleted while the watch was broken is never seen.
            now = set(self.occupancy.unseen())
            for name in now & unseen:
                self.occupancy.forget(name)
            unseen = now
            for key, cluster in self.informers["cluster"].cache.items():
                if self.is_late(cluster):
                    self.queue.put(key)

    @staticmethod
    def is_late(cluster) -> bool:
        """It should run by now."""
        age = time.time() - parse_k8s_timestamp(cluster["metadata"]["creationTimestamp"]) / 1000
        return (cluster.get("status") or {}).get("phase", "Pending") == "Pending" and age > START_SECONDS

    def pods_of(self, name: str) -> list[dict]:
        return [
            pod
            for pod in self.informers["pod"].cache.values()
            if pod["metadata"]["labels"].get("gateway.dask.org/cluster") == name
        ]

    def on_cluster_delete(self, cluster):
        key = f"{cluster['metadata']['namespace']}.{cluster['metadata']['name']}"
        super().on_cluster_delete(cluster)
        self.cluster_info.pop(key, None)
        self._offered.discard(key)
        self._short_of_room.pop(key, None)
        self._told_at.pop(key, None)

    # Clusters

    async def handle_cluster(self, cluster):
        status = cluster.get("status") or {}
        if status.get("phase", "Pending") in ENDED:
            return await super().handle_cluster(cluster)
        if not cluster["spec"].get("active", True) or status.get("phase") == "Stopping":
            return await self.end_cluster(cluster, status.get("final", "Stopped"))
        if self.is_late(cluster):
            self.log.warning("Cluster %s has not started in time", cluster["metadata"]["name"])
            return await self.end_cluster(cluster, "Failed")
        answer = await super().handle_cluster(cluster)
        if answer is None:
            return None, False
        new, requeue = answer
        if new is not None and new.get("phase") == "Failed":  # its scheduler is gone
            return await self.end_cluster(cluster, "Failed")
        if new is not None:
            new.update(self._workers_to_tell(cluster, new))
        return new, requeue

    def _workers_to_tell(self, cluster, new) -> dict[str, int]:
        """Its numbers of workers, but the old ones if those are all that changed and were told a moment ago: hundreds
        that start would otherwise be as many updates of the DaskCluster."""
        key = f"{cluster['metadata']['namespace']}.{cluster['metadata']['name']}"
        counts, old = self._workers(cluster), cluster.get("status") or {}
        known = {name: old[name] for name in counts if name in old}
        now = time.monotonic()
        if known == counts:
            return counts
        if len(known) == len(counts) and {**new, **known} == old and now < self._told_at.get(key, 0) + TELL_SECONDS:
            self.queue.put_after(key, TELL_SECONDS)
            return known
        self._told_at[key] = now
        return counts

    def _workers(self, cluster) -> dict[str, int]:
        pods = [
            p
            for p in self.pods_of(cluster["metadata"]["name"])
            if p["metadata"]["labels"].get(COMPONENT) == "dask-worker"
            and p["status"].get("phase") not in ("Succeeded", "Failed")
        ]
        running = sum(self._is_running(p) for p in pods)
        return {"workersRunning": running, "workersStarting": len(pods) - running}

    async def end_cluster(self, cluster, final: str):
        """Asks all its pods to end; it has ended when they have."""
        namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
        status = dict(cluster.get("status") or {})
        self._offered.discard(f"{namespace}.{name}")
        pods = self.pods_of(name)
        leaving = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
        # Each by itself: a deletecollection does one after the other.
        await asyncio.gather(
            *(
                self.ignoring_missing(
                    self.core_client.delete_namespaced_pod(
                        p["metadata"]["name"], namespace, grace_period_seconds=GRACE_SECONDS
                    )
                )
                for p in leaving
            )
        )
        if status.get("phase") != "Stopping":
            self.log.info("Ending %s.%s (%s) with %d pods", namespace, name, final, len(pods))
            await self.cleanup_cluster_resources(status, namespace)
            policies = self.networking_client
            await self.ignoring_missing(policies.delete_namespaced_network_policy(f"dask-{name}", namespace))
        if pods:
            status.update(self._workers(cluster), phase="Stopping", final=final)
        else:
            status.update(phase=final, completionTime=k8s_timestamp(), workersRunning=0, workersStarting=0)
            status.pop("final", None)
        return status, False

    @staticmethod
    async def ignoring_missing(call):
        try:
            return await call
        except ApiException as e:
            if e.status != 404:
                raise

    async def create_secret_if_not_exists(self, cluster):
        """The first of a cluster's objects; its policy is there before its first pod."""
        name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
        policy = network_policy(name, username(cluster), self.get_labels(name), self.gateway_instance)
        policy["metadata"]["ownerReferences"] = [owner(cluster)]
        try:
            await self.networking_client.create_namespaced_network_policy(namespace, policy)
        except ApiException as e:
            if e.status != 409:
                raise
        return await super().create_secret_if_not_exists(cluster)

    # The cap of a user

    async def handle_pending_cluster(self, cluster):
        user, scheduler = username(cluster), f"dask-scheduler-{cluster['metadata']['name']}"
        # What is known of a cluster's status may be older than its scheduler, which would then wait for itself.
        if not (cluster.get("status") or {}).get("schedulerPod") and not self.occupancy.has(user, scheduler):
            config = FrozenAttrDict(cluster["spec"]["config"])
            if self.occupancy.fits(user, scheduler_size(config)) < 1:
                return self._wait_for_room(cluster), False
        return await super().handle_pending_cluster(cluster)

    def _wait_for_room(self, cluster):
        key = f"{cluster['metadata']['namespace']}.{cluster['metadata']['name']}"
        if key not in self._short_of_room:
            self.log.info(
                "Cluster %s of %s waits: %s are in use", key, username(cluster), self.occupancy.use(username(cluster))
            )
        self._short_of_room[key] = username(cluster)
        return {"phase": "Pending", **(cluster.get("status") or {})}

    async def create_scheduler_pod_if_not_exists(self, cluster):
        config = FrozenAttrDict(cluster["spec"]["config"])
        user, each = username(cluster), scheduler_size(config)
        self.occupancy.ask(user, each)
        try:
            name, pod = await super().create_scheduler_pod_if_not_exists(cluster)
        except BaseException:
            self.occupancy.failed(user, each)
            raise
        self.occupancy.made(user, each, name)
        return name, pod

    async def handle_scale_up(self, cluster, sched_pod, info, replicas, delta):
        config = FrozenAttrDict(cluster["spec"]["config"])
        user, each = username(cluster), worker_size(config)
        fit = min(delta, self.occupancy.fits(user, each))
        if fit < delta:
            self._wait_for_room(cluster)
        if fit <= 0:
            return await self.delete_ended(cluster, info)
        self.occupancy.ask(user, each, fit)  # nothing waits between count and promise
        made = []
        self_create = self.create_pod

        async def create(namespace, pod, info=None):
            created = await self_create(namespace, pod, info)
            made.append(created.metadata.name)
            self.occupancy.made(user, each, created.metadata.name)
            return created

        try:
            return await self._scale_up(cluster, sched_pod, info, replicas, fit, create)
        finally:
            if len(made) < fit:
                self.occupancy.failed(user, each, fit - len(made))

    async def _scale_up(self, cluster, sched_pod, info, replicas, count, create):
        name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
        pod = self.make_pod(namespace, name, FrozenAttrDict(cluster["spec"]["config"]), is_worker=True)
        pod["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": sched_pod["metadata"]["name"],
                "uid": sched_pod["metadata"]["uid"],
            }
        ]
        info.set_expectations(creates=count)
        self.log.info("Cluster %s.%s wants %d workers: starting %d", namespace, name, replicas, count)
        failed, left, batch = False, count, 1
        while left and not failed:
            tried = min(batch, left)
            results = await asyncio.gather(
                *(create(namespace, pod, info) for _ in range(tried)), return_exceptions=True
            )
            failed = any(isinstance(r, BaseException) for r in results)
            left, batch = left - tried, 2 * batch
        info.creates -= left  # those are not tried: a quota, mostly
        return await self.delete_ended(cluster, info) or failed

    async def handle_scale_down(self, cluster, sched_pod, info, replicas, delta):
        """Workers that have not started go first, as many as are too many; the rest is told to go by its scheduler."""
        namespace = cluster["metadata"]["namespace"]
        surplus = sorted(info.pending)[: max(0, -delta)]
        failed = await self.delete_ended(cluster, info)
        if not surplus:
            return failed
        info.set_expectations(deletes=len(surplus))
        results = await asyncio.gather(*(self.delete_pod(namespace, p, info) for p in surplus), return_exceptions=True)
        return failed or any(isinstance(r, BaseException) for r in results)

    async def delete_ended(self, cluster, info):
        namespace = cluster["metadata"]["namespace"]
        pods = [self.informers["pod"].get(f"{namespace}.{n}") for n in info.succeeded | info.failed]
        names = [p["metadata"]["name"] for p in pods if p and not p["metadata"].get("deletionTimestamp")]
        results = await asyncio.gather(*(self.delete_pod(namespace, n) for n in names), return_exceptions=True)
        return any(isinstance(r, BaseException) for r in results)

    async def delete_pod(self, namespace, pod_name, info=None):
        try:
            await self.core_client.delete_namespaced_pod(pod_name, namespace)
        except ApiException as e:
            if info is not None:
                info.deletes -= 1
            if e.status != 404:
                self.log.warning("Failed to delete pod %s/%s: %s", namespace, pod_name, e.reason)
                raise

    # Pods

    def get_scheduler_command(self, namespace, cluster_name, config):
        return [*super().get_scheduler_command(namespace, cluster_name, config), "--preload", "caas_dask"]

    def get_worker_command(self, namespace, cluster_name, config):
        limit = max(config.worker_memory // 2, config.worker_memory - OVERHEAD)
        return [
            *config.worker_cmd,
            f"tls://{self.make_service_name(cluster_name)}.{namespace}:8786",
            "--name",
            "$(DASK_GATEWAY_WORKER_NAME)",
            "--nthreads",
            str(config.worker_threads),
            "--memory-limit",
            str(limit),
            "--no-dashboard",
            "--preload",
            "caas_dask",
        ]


main = KubernetesController.launch_instance

if __name__ == "__main__":
    main()
