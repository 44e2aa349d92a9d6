"""The API: cap 6 CPUs and 11 GB, workers 1 CPU and 2 GB, a scheduler 1 CPU and 1 GB."""

import asyncio
import base64
import json
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from conftest import KEYS
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User
from pangeo_gateway import kubernetes, requests
from pangeo_gateway.metrics import metrics_secret
from pangeo_gateway.pods import USER


def test_scale_up_to_the_cap_and_no_further(bed):
    async def scenario(b):
        key = await b.new("alice")
        with pytest.raises(PublicException, match="6 CPUs and 11 GB.*at most 5"):
            await b.scale(key, 6)
        await b.scale(key, 5)
        await b.beat(key, 5)
        assert len(b.world.workers(key)) == 5

    bed(scenario)


def test_all_clusters_count_and_only_ones_own(bed):
    async def scenario(b):
        first, second = await b.new("alice"), await b.new("alice")
        await b.scale(first, 3)
        await b.beat(first, 3)
        with pytest.raises(PublicException, match="at most 1 in this cluster"):
            await b.scale(second, 2)
        await b.scale(second, 1)
        await b.beat(second, 1)
        with pytest.raises(PublicException, match="the scheduler of a new cluster needs"):
            await b.backend.start_cluster(User("alice"), {})
        await b.scale(await b.new("bob"), 5)

    bed(scenario)


def test_two_requests_at_once_do_not_get_the_same_room(bed):
    async def scenario(b):
        keys = [await b.new("alice"), await b.new("alice")]
        answers = await asyncio.gather(*(b.scale(k, 3) for k in keys), return_exceptions=True)
        assert sum(isinstance(a, PublicException) for a in answers) == 1

    bed(scenario)


def test_many_new_clusters_at_once(bed):
    async def scenario(b):
        many = (b.backend.start_cluster(User("alice"), {}) for _ in range(20))
        answers = await asyncio.gather(*many, return_exceptions=True)
        assert sum(isinstance(a, str) for a in answers) == 6
        assert len(b.world.clusters) == 6

    bed(scenario)


def test_who_has_closed_a_cluster_may_make_the_next_one(bed):
    async def scenario(b):
        key = await b.new("alice")
        await b.beat(key, 5)
        await b.backend.stop_cluster(key)
        await b.reconcile(key)
        asked = asyncio.ensure_future(b.backend.start_cluster(User("alice"), {}))
        await asyncio.sleep(0.1)
        assert not asked.done() and len(b.world.clusters) == 1  # its pods are there still
        for pod in list(b.world.pods.values()):
            b.world.gone(pod)
        await b.controller.settle()
        assert await asked in b.world.clusters

    bed(scenario)


def test_a_cluster_that_could_not_be_made_holds_nothing(bed):
    async def scenario(b):
        async def fail(*args):
            raise OSError("away")

        b.world.create_namespaced_custom_object, kept = fail, b.world.create_namespaced_custom_object
        for _ in range(10):
            with pytest.raises(OSError):
                await b.backend.start_cluster(User("alice"), {})
        b.world.create_namespaced_custom_object = kept
        await b.new("alice")
        assert len(b.backend.list_alive()) == 1

    bed(scenario)


def test_adapt_is_bounded_and_says_so(bed):
    async def scenario(b):
        key = await b.new("alice")
        told = await b.ask(key, {"op": "adapt", "minimum": 1, "maximum": 50, "active": True})
        assert (told["minimum"], told["maximum"]) == (1, 5)
        assert "adapt(maximum=5)" in requests.warning.get()
        requests.warning.set(None)

    bed(scenario)


def test_a_cluster_that_is_gone(bed):
    async def scenario(b):
        with pytest.raises(PublicException, match="not running"):
            await b.scale("pangeo.0123", 1)
        await b.beat("pangeo.0123", 1)
        await b.backend.stop_cluster("pangeo.0123")

    bed(scenario)


@pytest.mark.parametrize(
    "msg", [{"count": -1}, {"count": True}, {"count": "9"}, {"active_workers": "abc"}, {"closed_workers": None}]
)
def test_heartbeats_are_checked(bed, msg):
    async def scenario(b):
        key = await b.new("alice")
        good = {"count": 0, "active_workers": [], "closing_workers": [], "closed_workers": []}
        await b.backend.on_cluster_heartbeat(key, good)
        with pytest.raises(PublicException, match="bad heartbeat"):
            await b.backend.on_cluster_heartbeat(key, {**good, **msg})

    bed(scenario)


def test_objects_belong_to_the_service_account(bed, monkeypatch, tmp_path):
    claims = {"kubernetes.io": {"namespace": "pangeo", "serviceaccount": {"name": "api-x", "uid": "u-1"}}}
    token = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    path = tmp_path / "token"
    path.write_text(f"head.{token}.signature")
    monkeypatch.setattr(kubernetes, "TOKEN", str(path))

    async def scenario(b):
        key = await b.new("alice")
        meta = b.world.clusters[key]["metadata"]
        assert meta["ownerReferences"] == [
            {"apiVersion": "v1", "kind": "ServiceAccount", "name": "api-x", "uid": "u-1"}
        ]
        assert meta["labels"][USER] == "alice" and meta["annotations"][USER] == "alice"

    bed(scenario)
    monkeypatch.setattr(kubernetes, "TOKEN", str(tmp_path / "none"))
    assert kubernetes.own_account() is None


def test_routes_of_the_provisioner(bed, monkeypatch):
    async def scenario(b):
        token = {"Authorization": "token secret-of-the-provisioner"}
        forgotten = []
        b.app["authenticator"] = SimpleNamespace(forget=forgotten.append)
        await b.new("alice")
        key = await b.new("alice")
        await b.scale(key, 1)
        await b.beat(key, 1)
        b.world.run(b.world.workers())
        others = await b.new("bob")
        await b.reconcile()
        async with TestClient(TestServer(b.app)) as client:
            for bad in ({}, {"Authorization": "token x"}):
                assert (await client.get("/api/v1/caas/clusters", headers=bad)).status == 401
                assert (await client.delete("/api/v1/caas/users/bob/clusters", headers=bad)).status == 401
            said = await (await client.get("/api/v1/caas/clusters", headers=token)).json()
            assert {c["user"] for c in said["clusters"]} == {"alice", "bob"}
            assert said["users"]["alice"] == {"cpus": 3, "memory": 4 * 10**9}
            one = next(c for c in said["clusters"] if c["name"] == key)
            assert (one["workers"], one["workers_running"], one["workers_wanted"]) == (1, 1, 1)
            assert one["metrics"] is None  # its key is not known yet
            monkeypatch.setitem(KEYS, key, b"key")
            said = await (await client.get("/api/v1/caas/clusters", headers=token)).json()
            told = {c["name"]: c["metrics"] for c in said["clusters"]}
            name = key.split(".")[1]
            assert told[key] == {"url": f"http://dask-{name}.pangeo:8787/metrics", "secret": metrics_secret(b"key")}
            assert told[others] is None and "key" not in told[key]["secret"]

            async def kubelet():
                while b.world.workers() or len(b.world.pods) > 1:
                    await b.reconcile()
                    for p in [p for p in b.world.pods.values() if p["metadata"].get("deletionTimestamp")]:
                        b.world.gone(p)

            kubelet = asyncio.ensure_future(kubelet())
            answer = await client.delete("/api/v1/caas/users/alice/clusters", headers=token)
            assert answer.status == 200 and await answer.json() == {"stopped": 2, "stopping": 0}
            await kubelet
        assert forgotten == ["alice"]
        assert list(b.world.pods) == [f"dask-scheduler-{others.split('.')[1]}"]

    bed(scenario)
