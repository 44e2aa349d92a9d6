"""Names, sizes, pods and routes: what needs no API server."""

import pytest
from dask_gateway_server.models import User
from pangeo_gateway.limits import Size
from pangeo_gateway.occupancy import Occupancy, memory, millicores, pod_size
from pangeo_gateway.pods import USER, cluster_options, label_of
from pangeo_gateway.traefik import configuration


@pytest.mark.parametrize(
    ("name", "label"),
    [  # as kubespawner.slugs.safe_slug(name, is_valid=is_valid_label) of 7.1.0 gives them
        ("alice", "alice"),
        ("alice.b_c-d", "alice.b_c-d"),
        ("Alice", "Alice"),
        ("a", "a"),
        ("a--b", "a-b---90827a2e"),
        ("_alice", "alice---e8ec4c3c"),
        ("alice-", "alice---e2c101bb"),
        ("9lives@home", "x-9lives-home---48b13dc1"),
        ("@", "x---c3641f85"),
        ("e" * 64, "eeeeeeeeeeeeeeeeeeeee---add5b41f"),
    ],
)
def test_labels_are_kubespawners(name, label):
    assert label_of(name) == label


@pytest.mark.parametrize(("text", "value"), [("1", 1000), ("0.5", 500), ("500m", 500), ("2.250", 2250), ("0", 0)])
def test_cpus(text, value):
    assert millicores(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2000000000", 2 * 10**9), ("2G", 2 * 10**9), ("1500M", 15 * 10**8), ("1Gi", 2**30), ("8k", 8000)],
)
def test_memory(text, value):
    assert memory(text) == value


def pod(name, user, phase="Pending", cpu="1", ram="2G"):
    return {
        "metadata": {"name": name, "annotations": {USER: user}},
        "spec": {"containers": [{"resources": {"limits": {"cpu": cpu, "memory": ram}}}]},
        "status": {"phase": phase},
    }


def test_a_pod_without_limits_counts_nothing():
    assert pod_size({"spec": {"containers": [{"name": "x"}]}}) == Size(0, 0)


def test_occupancy_counts_each_pod_once():
    each = Size(1000, 2 * 10**9)
    held = Occupancy(Size(4000, 100 * 10**9))
    assert held.fits("alice", each) == 4
    held.ask("alice", each, 3)
    assert held.fits("alice", each) == 1
    held.made("alice", each, "p1")
    held.seen(pod("p1", "alice"))
    held.seen(pod("p2", "alice"))  # the watch is sooner than the answer
    held.made("alice", each, "p2")
    held.failed("alice", each)
    assert held.use("alice") == Size(2000, 4 * 10**9)
    assert held.fits("bob", each) == 4  # somebody else
    held.gone(pod("p1", "alice"))
    held.seen(pod("p2", "alice", phase="Succeeded"))
    assert held.use("alice") == Size(0, 0) and held.fits("alice", each) == 4
    held.seen({"metadata": {"name": "x"}, "spec": {"containers": []}, "status": {}})  # nobody's


def test_a_pod_that_was_never_seen_is_forgotten():
    held = Occupancy(Size(4000, 100 * 10**9))
    held.ask("alice", Size(1000, 1))
    held.made("alice", Size(1000, 1), "p")
    assert held.unseen() == ["p"]
    held.forget("p")
    assert held.use("alice") == Size(0, 0) and held.unseen() == []


def test_the_smaller_of_cpus_and_memory_counts():
    held = Occupancy(Size(10_000, 5 * 10**9))
    assert held.fits("alice", Size(1000, 2 * 10**9)) == 2
    assert held.fits("alice", Size(6000, 10**9)) == 1
    assert held.fits("alice", Size(11_000, 10**9)) == 0


def test_what_traefik_is_told():
    alone = configuration("/services/dask-gateway", "http://api:8000", {})
    assert "tcp" not in alone  # an empty part is an error to it
    rule = alone["http"]["routers"]["api"]["rule"]
    assert rule == "PathPrefix(`/services/dask-gateway/`) && !PathPrefix(`/services/dask-gateway/api/v1/caas`)"
    two = configuration("/x", "http://api:8000", {"ns.b": "10.0.0.2:8786", "ns.a": "[fd00::1]:8786"})["tcp"]
    assert list(two["routers"]) == ["ns-a", "ns-b"]
    assert two["routers"]["ns-b"]["rule"] == "HostSNI(`daskgateway-ns.b`)"
    assert two["routers"]["ns-b"]["tls"] == {"passthrough": True}
    assert two["services"]["ns-a"]["loadBalancer"]["servers"] == [{"address": "[fd00::1]:8786"}]


def test_pods_of_a_cluster(settings):
    options = cluster_options(settings)
    asked = options.parse_options({"environment": "climate", "worker_cores": 0.5})
    made = options.get_configuration(asked, User("_alice"))
    assert made["image"] == "img/c:2" and made["worker_cores"] == 0.5 and made["idle_timeout"] == 900
    assert made["image_pull_secrets"] == [{"name": "registry"}]
    for part in ("scheduler", "worker"):
        spec = made[f"{part}_extra_pod_config"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 1000
        assert spec["nodeSelector"] == {"pool": "pangeo"}
        container = made[f"{part}_extra_container_config"]["securityContext"]
        assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert made[f"{part}_extra_pod_labels"] == {USER: label_of("_alice")}
        assert made[f"{part}_extra_pod_annotations"] == {USER: "_alice"}
    for wrong in (
        {"worker_cores": 2},
        {"worker_cores": float("nan")},
        {"worker_memory": 3},
        {"environment": "img/evil"},
        {"image": "x"},
    ):
        with pytest.raises((ValueError, TypeError)):
            options.parse_options(wrong)
