"""The controller: what really starts, counted by pods."""

import asyncio

import pytest
from dask_gateway_server.models import User
from pangeo_gateway.limits import Size


def cpus(b, user):
    return b.controller.occupancy.use(user).millicores / 1000


def test_a_scheduler_that_lies_gets_no_more(bed):
    async def scenario(b):
        first, second = await b.new("alice"), await b.new("alice")
        await asyncio.gather(b.beat(first, 1000), b.beat(second, 1000))
        for _ in range(3):
            await b.reconcile()
        assert len(b.world.workers()) == 4 and b.world.most_pods == 6
        # Even with the DaskClusters themselves changed.
        for key in (first, second):
            b.world.clusters[key]["spec"]["replicas"] = 1000
        await b.reconcile()
        assert len(b.world.workers()) == 4

    bed(scenario)


def test_who_waits_for_room_gets_it_when_a_pod_has_ended(bed):
    async def scenario(b):
        first, second = await b.new("alice"), await b.new("alice")
        await b.beat(first, 4)
        await b.beat(second, 4)
        assert (len(b.world.workers(first)), len(b.world.workers(second))) == (4, 0)
        b.world.run(b.world.workers())
        leaving = b.world.workers(first)[:3]
        b.world.clusters[first]["spec"]["replicas"] = 1
        for pod in leaving:
            await b.world.delete_namespaced_pod(pod["metadata"]["name"], "pangeo")
        await b.controller.settle()
        assert len(b.world.workers(second)) == 0  # they were told to go, but have not
        b.world.phase(leaving[0], "Succeeded", {"terminated": {"exitCode": 0}})
        await b.controller.settle()
        assert len(b.world.workers(second)) == 1
        for pod in leaving[1:]:
            b.world.gone(pod)
        await b.controller.settle()
        assert len(b.world.workers(second)) == 3

    bed(scenario)


def test_pods_that_no_node_takes_are_made_once(bed):
    async def scenario(b):
        key = await b.new("alice")
        await b.beat(key, 3)
        assert len(b.world.workers(key)) == 3
        info = b.controller.cluster_info[key]
        assert len(info.pending) == 3
        info.timestamp -= 1000  # ten minutes and more: expectations do not count any longer
        await b.reconcile()
        assert len(b.world.workers(key)) == 3

    bed(scenario)


def test_too_many_waiting_pods_go_as_many_as_are_too_many(bed):
    async def scenario(b):
        key = await b.new("alice")
        await b.beat(key, 5)
        await b.beat(key, 4)
        leaving = [p for p in b.world.workers(key) if p["metadata"].get("deletionTimestamp")]
        assert len(leaving) == 1

    bed(scenario)


def test_a_refused_pod_gives_its_room_back(bed):
    async def scenario(b):
        key = await b.new("alice")
        b.world.refuse_pods = 3
        await b.beat(key, 5)  # comes to rest when all are there: it tries again
        assert len(b.world.workers(key)) == 5
        assert b.controller.occupancy.use("alice") == Size(6000, 11 * 10**9)

    bed(scenario)


def test_the_policy_is_there_before_the_first_pod(bed):
    async def scenario(b):
        key = await b.new("_alice")
        policy, pods = b.world.policies[f"dask-{key.split('.')[1]}"]
        assert pods == 0
        same, owners = policy["spec"]["ingress"]
        assert same["from"][0]["podSelector"]["matchLabels"]["gateway.dask.org/cluster"] == key.split(".")[1]
        assert owners["ports"] == [{"port": 8787, "protocol": "TCP"}]
        assert owners["from"][0]["podSelector"]["matchLabels"] == {
            "component": "singleuser-server",
            "hub.jupyter.org/username": "alice---e8ec4c3c",
        }
        assert policy["metadata"]["ownerReferences"][0]["kind"] == "DaskCluster"

    bed(scenario)


def test_a_scheduler_waits_for_room_too(bed):
    async def scenario(b):
        first = await b.new("alice")
        await b.beat(first, 5)
        obj = b.world.clusters[first]
        other = {
            **obj,
            "metadata": {**obj["metadata"], "name": "f" * 32},
            "status": {},
            "spec": {**obj["spec"], "replicas": 0},
        }
        b.world.clusters["pangeo." + "f" * 32] = other
        await b.reconcile()
        assert "dask-scheduler-" + "f" * 32 not in b.world.pods
        b.world.gone(b.world.workers()[0])
        b.world.clusters[first]["spec"]["replicas"] = 4
        await b.reconcile()
        assert "dask-scheduler-" + "f" * 32 in b.world.pods and cpus(b, "alice") == 6

    bed(scenario)


def test_a_scheduler_does_not_wait_for_itself(bed):
    """The cap is full with it, and the watch has not told of the status yet that names it."""

    async def scenario(b):
        keys = [await b.backend.start_cluster(User("alice"), {}) for _ in range(6)]
        await b.reconcile()
        assert cpus(b, "alice") == 6 and b.controller._short_of_room == {}
        for key in keys:
            b.world.clusters[key]["status"] = {}
        await b.reconcile()
        assert b.controller._short_of_room == {}
        for key in keys:
            assert b.world.clusters[key]["status"]["schedulerPod"] in b.world.pods

    bed(scenario)


@pytest.mark.parametrize("reason", ["stopped", "scheduler"])
def test_a_cluster_has_ended_when_its_pods_have(bed, reason):
    async def scenario(b):
        key = await b.new("alice")
        await b.beat(key, 2)
        b.world.run(b.world.workers())
        await b.reconcile()
        assert b.world.clusters[key]["status"]["workersRunning"] == 2
        if reason == "stopped":
            await b.backend.stop_cluster(key)
        else:
            scheduler = b.world.pods[f"dask-scheduler-{key.split('.')[1]}"]
            b.world.phase(scheduler, "Failed", {"terminated": {"exitCode": 1}})
        await b.reconcile()
        status = b.world.clusters[key]["status"]
        assert status["phase"] == "Stopping" and b.controller.schedulers() == {}
        assert all(p["metadata"]["deletionTimestamp"] for p in b.world.pods.values())
        assert b.world.policies == {}
        for pod in list(b.world.pods.values()):
            b.world.gone(pod)
        await b.controller.settle()
        status = b.world.clusters[key]["status"]
        assert status["phase"] == ("Stopped" if reason == "stopped" else "Failed")
        assert status["completionTime"] and cpus(b, "alice") == 0
        await b.reconcile()
        assert b.world.clusters[key]["status"] == status  # and stays so

    bed(scenario)


def test_traefik_is_told_of_schedulers_that_run(bed):
    async def scenario(b):
        key = await b.new("alice")
        assert b.controller.schedulers() == {key: "10.1.2.3:8786"}
        await b.backend.stop_cluster(key)
        assert b.controller.schedulers() == {}

    bed(scenario)


def test_commands(bed):
    async def scenario(b):
        key = await b.new("alice")
        await b.beat(key, 1)
        scheduler = b.world.pods[f"dask-scheduler-{key.split('.')[1]}"]["spec"]["containers"][0]
        worker = b.world.workers()[0]["spec"]["containers"][0]
        assert scheduler["args"][:4] == ["python", "-m", "dask", "scheduler"] and "caas_dask" in scheduler["args"]
        assert scheduler["readinessProbe"]["httpGet"]["path"] == "/api/health"
        assert scheduler["readinessProbe"]["periodSeconds"] == 1
        assert worker["args"][:4] == ["python", "-m", "dask", "worker"] and "--no-dashboard" in worker["args"]
        limit = int(worker["args"][worker["args"].index("--memory-limit") + 1])
        assert limit < int(worker["resources"]["limits"]["memory"])
        assert {"name": "PYTHONPATH", "value": "/etc/caas/dask"} in worker["env"]

    bed(scenario)


def test_a_cluster_that_does_not_start_in_time_has_failed(bed):
    async def scenario(b):
        key = await b.backend.start_cluster(User("alice"), {})
        await b.reconcile()
        assert b.world.clusters[key]["status"]["phase"] == "Pending"
        b.world.clusters[key]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        await b.reconcile()
        for pod in list(b.world.pods.values()):
            b.world.gone(pod)
        await b.controller.settle()
        assert b.world.clusters[key]["status"]["phase"] == "Failed" and b.world.pods == {}

    bed(scenario)
