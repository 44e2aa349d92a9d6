"""The backend's own parts: what it knows after a restart, what it tells processes, the provisioner's routes."""

import asyncio
import gc
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from conftest import Gateway
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User
from pangeo_gateway.backend import HostBackend, start_time


def test_clusters_are_known_after_a_restart(settings):
    async def scenario():
        async with Gateway(settings) as g:
            cluster = await g.new("alice")
            await g.scale(cluster, 2)
            await g.beat(cluster, 2)
            await g.until(lambda: g.workers(cluster) == 2)
            await g.beat(cluster, 2)
            left = dict(g.groups)
        again = Gateway(settings)
        again.groups.update(left)
        again.groups["dask-0123456789abcdef0123456789abcdef-scheduler"] = "alice"  # of a gateway that was killed
        async with again as g:
            known = g.backend.db.get_cluster(cluster.name)
            assert len(known.active_workers()) == 2
            assert g.groups == left  # what runs goes on; what belongs to nothing is ended
            routes = g.backend.proxy.routes
            await g.until(lambda: ("SNI", cluster.name) in routes)
            with pytest.raises(PublicException, match="cap"):
                await g.scale(known, 6)  # what it held before counts

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_dashboards_have_no_route(gateway):
    async def scenario(g):
        cluster = await g.new("alice")
        await g.until(lambda: ("SNI", cluster.name) in g.backend.proxy.routes)
        assert [path for kind, path in g.backend.proxy.routes if kind == "PATH"] == ["/"]
        model = (await g.backend.get_cluster(cluster.name)).to_dict()
        assert model["dashboard_route"] == f"/clusters/{cluster.name}/status"  # for the owner's server

    gateway(scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"api_address": "http://10.0.0.1:80"},
        {"api_address": "http://127.0.0.1:80/steal"},
        {"scheduler_address": "tls://evil.example:1"},
        {"scheduler_address": "tcp://127.0.0.1:1"},
        {"scheduler_address": None},
        {"count": -1},
        {"count": True},
        {"count": "9"},
        {"active_workers": "abc"},
    ],
)
def test_heartbeats_are_checked(gateway, change):
    async def scenario(g):
        cluster = await g.new("alice")
        good = {
            "scheduler_address": "tls://127.0.0.1:1",
            "api_address": "http://127.0.0.1:2",
            "count": 0,
            "active_workers": [],
            "closing_workers": [],
            "closed_workers": [],
        }
        await g.backend.on_cluster_heartbeat(cluster.name, good)
        with pytest.raises(PublicException, match="bad heartbeat"):
            await g.backend.on_cluster_heartbeat(cluster.name, {**good, **change})

    gateway(scenario)


def test_routes_of_the_provisioner(gateway):
    async def scenario(g):
        token = {"Authorization": "token secret-of-the-provisioner"}
        forgotten = []
        g.app["authenticator"] = SimpleNamespace(forget=forgotten.append)
        await g.new("alice")
        cluster = await g.new("alice")
        await g.scale(cluster, 1)
        await g.beat(cluster, 1)
        await g.until(lambda: g.workers(cluster) == 1)
        others = await g.new("bob")
        async with TestClient(TestServer(g.app)) as client:
            nobodys = [None, "token x", "secret-of-the-provisioner", "token \xfc", "token "]
            for bad in ({"Authorization": value} if value else {} for value in nobodys):
                assert (await client.get("/api/v1/caas/clusters", headers=bad)).status == 401
                assert (await client.delete("/api/v1/caas/users/bob/clusters", headers=bad)).status == 401
            said = await (await client.get("/api/v1/caas/clusters", headers=token)).json()
            assert {c["user"] for c in said["clusters"]} == {"alice", "bob"}
            one = next(c for c in said["clusters"] if c["name"] == cluster.name)
            assert (one["cpus"], one["memory"]) == (2, 3 * 10**9)  # a scheduler and a worker
            assert one["idle_seconds"] is None  # its scheduler says nothing of it
            assert said["users"]["alice"] == {"cpus": 3, "memory": 4 * 10**9}
            answer = await client.delete("/api/v1/caas/users/alice/clusters", headers=token)
            assert answer.status == 200 and await answer.json() == {"stopped": 2, "stopping": 0}
        assert forgotten == ["alice"]
        assert set(g.groups) == {f"dask-{others.name}-scheduler"}

    gateway(scenario)


def test_what_a_user_may_choose_is_bounded(gateway, settings):
    async def scenario(g):
        for wrong in (
            {"worker_cores": 1.5},
            {"worker_cores": 0},
            {"worker_memory": 2.1},
            {"worker_memory": 0.4},
            {"worker_cores": float("nan")},  # neither below nor above anything, and JSON brings it
            {"worker_memory": float("nan")},
            {"environment": "other"},
            {"scheduler_cmd": ["/bin/sh"]},
        ):
            with pytest.raises(PublicException):
                await g.backend.start_cluster(User("alice"), wrong)
        options, config = await g.backend.process_cluster_options(
            User("alice"), {"environment": "climate", "worker_cores": 0.5, "worker_memory": 0.5}
        )
        assert options["environment"] == "climate"
        assert config.worker_cmd[0].endswith("/env/climate/bin/python")
        assert config.folder.endswith("/env/climate-0123456789abcdef")
        assert (config.worker_cores, config.worker_memory, config.worker_threads) == (0.5, 5 * 10**8, 1)
        assert config.idle_timeout == 900

    gateway(scenario)


def test_start_time_tells_processes_apart():
    assert start_time(os.getpid()) > 0
    assert start_time(2**22 + 1) == 0


def test_what_it_starts_outlives_its_event_loop(tmp_path, monkeypatch):
    """A gateway that is stopped leaves clusters as they are. From Python 3.12 on asyncio kills what it has started."""
    monkeypatch.setattr("pangeo_gateway.backend.scheduler_size", lambda config: (1.0, 10**9))
    sandbox = SimpleNamespace(run_command=lambda *_: ["sleep", "600"])
    backend = SimpleNamespace(clusters_directory=str(tmp_path), sandbox=sandbox, _account=lambda cluster: None)
    cluster = SimpleNamespace(name="a", username="alice", config=SimpleNamespace(folder=str(tmp_path)))
    command = ["/opt/env/bin/dask-scheduler"]
    started = asyncio.run(HostBackend.start_process(backend, cluster, command, {}, "scheduler"))
    try:
        gc.collect()
        time.sleep(0.1)
        assert Path(f"/proc/{started['pid']}/stat").read_text().split()[2] in "RSD"
        assert start_time(started["pid"]) == started["started"]
    finally:
        os.kill(started["pid"], signal.SIGKILL)
    while start_time(started["pid"]) == started["started"]:  # it is not left as a zombie, which would look alive
        time.sleep(0.01)
