"""How long a scheduler says it has had nothing to do: it is its user's process, so it may say anything."""

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pangeo_gateway.heartbeat import IdleTimes, idle_seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (0, 0),
        (12.5, 12.5),
        (None, None),
        (True, None),
        ("9", None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        ([], None),
    ],
)
def test_only_a_number_counts(said, seconds):
    assert idle_seconds({"idle_seconds": said}) == seconds


def test_a_heartbeat_that_is_none():
    assert idle_seconds({}) is None
    assert idle_seconds("hello") is None


def test_time_goes_on_between_heartbeats():
    now = [100.0]
    idle = IdleTimes(clock=lambda: now[0])
    assert idle.seconds("c") is None
    idle.heard("c", 5.0)
    now[0] += 10
    assert idle.seconds("c") == 15
    idle.heard("c", 0.0)
    now[0] += 10
    assert idle.seconds("c") == 0
    idle.heard("c", None)
    assert idle.seconds("c") is None
    idle.heard("c", 1.0)
    idle.forget("c")
    assert idle.seconds("c") is None


def test_what_is_heard_is_shown(gateway):
    async def scenario(g):
        cluster = await g.new("alice")
        beat = {
            "scheduler_address": "tls://127.0.0.1:1",
            "api_address": "http://127.0.0.1:2",
            "count": 0,
            "active_workers": [],
            "closing_workers": [],
            "closed_workers": [],
        }
        async with TestClient(TestServer(g.app)) as client:

            async def shown():
                token = {"Authorization": "token secret-of-the-provisioner"}
                said = await (await client.get("/api/v1/caas/clusters", headers=token)).json()
                return said["clusters"][0]["idle_seconds"]

            await g.backend.on_cluster_heartbeat(cluster.name, {**beat, "idle_seconds": 90})
            assert 90 <= await shown() < 100
            await g.backend.on_cluster_heartbeat(cluster.name, {**beat, "idle_seconds": 0})
            assert await shown() == 0
            await g.backend.on_cluster_heartbeat(cluster.name, {**beat, "idle_seconds": "long"})
            assert await shown() is None
            await g.backend.on_cluster_heartbeat(cluster.name, {**beat, "idle_seconds": 3})
            await g.backend.stop_cluster(cluster.name)
            await g.until(lambda: not g.groups)
            assert g.backend.idle.seconds(cluster.name) is None

    gateway(scenario)
