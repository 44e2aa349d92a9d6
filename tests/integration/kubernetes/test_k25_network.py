"""Who may reach whom: people's servers neither each other nor what is private, Dask's own paths and nothing beside them. And what the
pods may that are there meanwhile, which are of all kinds."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import dask_cluster
import pytest
from bed import SERVERS, Lab, eventually
from hubclient import HubClient

# Run in a pod: "open" when somebody answers at host:port, "refused" when there is nobody, "closed" when nothing comes back.
LOOK = """
import socket, sys, concurrent.futures
def look(target):
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except ConnectionRefusedError:
        return "refused"
    except socket.gaierror:
        return "no name"
    except OSError:
        return "closed"
    return "open"
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(*pool.map(look, sys.argv[1:]))
"""

T = TypeVar("T")
METADATA = "169.254.169.254:80"
CLUSTER = dask_cluster.START + 'print("cluster", cluster.name, "link", cluster.dashboard_link)'


def run_in(lab: Lab, pod: str, *command: str) -> str:
    """What a command in a pod prints."""
    return lab.bed.kubectl("-n", lab.namespace, "exec", pod, "--", *command, seconds=60)


def look(lab: Lab, pod: str, *targets: str) -> list[str]:
    """From a pod, what of each "host:port"."""
    out = run_in(lab, pod, "python3", "-c", LOOK, *targets)
    return out.split()


def pod_of(lab: Lab, labels: str) -> dict:
    def found() -> dict | None:
        pods = [p for p in lab.get("pod", labels) if p["status"].get("podIP") and p["status"]["phase"] == "Running"]
        return pods[0] if pods else None

    return eventually(found, 60)


def name(pod: dict) -> str:
    return pod["metadata"]["name"]


def ip(pod: dict) -> str:
    return pod["status"]["podIP"]


@pytest.fixture(scope="module")
def dora_pod(lab: Lab) -> Iterator[HubClient]:
    client = lab.signed_in("dora")
    client.spawn()
    yield client
    client.stop()


@contextlib.contextmanager
def cluster_of(client: HubClient) -> Iterator[tuple[str, str]]:
    """One with a worker: its name, and the address of its dashboard."""
    kernel = client.kernel()
    reply = kernel.run(CLUSTER, seconds=240)
    words = reply.text.split()
    assert reply.status == "ok" and "cluster" in words, reply.text
    yield words[words.index("cluster") + 1], words[words.index("link") + 1]
    kernel.run("cluster.shutdown()", seconds=60)
    kernel.close()


@pytest.fixture(scope="module")
def dask(lab: Lab, alice_pod: HubClient) -> Iterator[tuple[str, str]]:
    with cluster_of(alice_pod) as made:
        yield made


@pytest.fixture(scope="module")
def doras(dora_pod: HubClient) -> Iterator[str]:
    """The name of a cluster of dora's."""
    with cluster_of(dora_pod) as (made, _):
        yield made


def pods_of(lab: Lab, cluster: str) -> tuple[dict, dict]:
    """Scheduler and worker."""
    labels = f"gateway.dask.org/cluster={cluster.split('.')[1]},app.kubernetes.io/component"
    return pod_of(lab, labels + "=dask-scheduler"), pod_of(lab, labels + "=dask-worker")


def api_server(lab: Lab) -> str:
    found = lab.bed.get("endpoints", "default")[0]["subsets"][0]
    return f"{found['addresses'][0]['ip']}:{found['ports'][0]['port']}"


def server(lab: Lab, user: str) -> dict:
    return pod_of(lab, f"{SERVERS},hub.jupyter.org/username={user}")


def test_from_a_server(lab: Lab, alice_pod: HubClient, dora_pod: HubClient) -> None:
    alice, dora = server(lab, "alice"), server(lab, "dora")
    core = f"release={lab.name},component"
    gateway = f"release={lab.name},app.kubernetes.io/component"
    wanted = {
        f"{ip(pod_of(lab, core + '=hub'))}:8081": "open",
        f"{ip(pod_of(lab, core + '=proxy'))}:8000": "open",
        f"{ip(pod_of(lab, core + '=proxy'))}:8001": "closed",
        f"{ip(pod_of(lab, core + '=directory'))}:3636": "closed",
        "directory:636": "closed",
        f"{ip(pod_of(lab, gateway + '=traefik'))}:8000": "open",
        f"{ip(pod_of(lab, gateway + '=traefik'))}:8786": "open",
        f"{ip(pod_of(lab, gateway + '=gateway'))}:8000": "closed",
        f"{ip(pod_of(lab, gateway + '=controller'))}:8000": "closed",
        f"{ip(dora)}:8888": "closed",
        api_server(lab): "closed",
        "kubernetes.default:443": "closed",
        METADATA: "closed",
        "10.255.255.1:80": "closed",
        "192.168.1.1:443": "closed",
        "172.31.255.1:22": "closed",
        "100.100.100.200:80": "closed",
    }
    found = dict(zip(wanted, look(lab, name(alice), *wanted), strict=True))
    assert found == wanted


def test_from_a_worker_and_to_a_cluster(
    lab: Lab, alice_pod: HubClient, dora_pod: HubClient, dask: tuple[str, str]
) -> None:
    scheduler, worker = pods_of(lab, dask[0])
    core, gateway = f"release={lab.name},component", f"release={lab.name},app.kubernetes.io/component"
    api = ip(pod_of(lab, gateway + "=gateway"))
    from_worker = {
        f"{ip(scheduler)}:8786": "open",
        f"{ip(pod_of(lab, core + '=hub'))}:8081": "closed",
        f"{api}:8000": "closed",
        f"{ip(server(lab, 'alice'))}:8888": "closed",
        "kubernetes.default:443": "closed",
        METADATA: "closed",
        "192.168.1.1:443": "closed",
    }
    assert dict(zip(from_worker, look(lab, name(worker), *from_worker), strict=True)) == from_worker
    from_scheduler = {f"{api}:8000": "open", f"{ip(pod_of(lab, core + '=hub'))}:8081": "closed"}
    assert dict(zip(from_scheduler, look(lab, name(scheduler), *from_scheduler), strict=True)) == from_scheduler
    for user, dashboard in (("alice", "open"), ("dora", "closed")):
        ports = (8786, 8787, 8788)
        found = look(lab, name(server(lab, user)), *(f"{ip(scheduler)}:{port}" for port in ports))
        assert found == ["closed", dashboard, "closed"], user


def test_names_and_the_world_outside_are_open(lab: Lab, alice_pod: HubClient) -> None:
    pod = name(server(lab, "alice"))
    asked = "import socket; print(socket.gethostbyname('hub'))"
    assert run_in(lab, pod, "python3", "-c", asked).strip()
    # There may be no way to it from here; but the policy lets it through, and does not hold it back.
    policy = next(p for p in lab.get("networkpolicy") if p["metadata"]["name"] == "singleuser")
    assert "0.0.0.0/0" in json.dumps(policy["spec"]["egress"])


def test_a_dashboard_is_its_owners(lab: Lab, alice_pod: HubClient, dora_pod: HubClient, dask: tuple[str, str]) -> None:
    path = "/" + dask[1].lstrip("/")
    assert path.startswith("/user/alice/proxy/dask-gateway/clusters/")
    page = alice_pod.request("GET", path)
    assert page.status == 200 and "Status" in page.text, page.text[:500]
    # dora's own server asks the gateway in dora's name, which says no.
    others = dora_pod.request("GET", path.replace("/user/alice/", "/user/dora/"))
    assert others.status == 404, others.text[:500]
    # And who reaches the port needs the secret.
    address = ip(pods_of(lab, dask[0])[0])
    code = (
        "import urllib.request, urllib.error\n"
        f"try: urllib.request.urlopen('http://{address}:8787/status', timeout=5)\n"
        "except urllib.error.HTTPError as e: print(e.code)"
    )
    assert run_in(lab, name(server(lab, "alice")), "python3", "-c", code).strip() == "403"


def listened_at(lab: Lab, pod: dict) -> list[str]:
    """Each "host:port" at which others could reach a pod."""
    lines = run_in(lab, name(pod), "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").splitlines()
    sockets = [line.split() for line in lines]
    ports = {int(each[1].rpartition(":")[2], 16) for each in sockets if each[3] == "0A" and each[1][:8] != "0100007F"}
    return [f"{ip(pod)}:{port}" for port in sorted(ports)]


def at_once(ask: Callable[[T], list[str]], of: Iterable[T]) -> list[list[str]]:
    """What is closed is waited for some seconds each time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, of))


def test_dask_clusters_of_two_users_are_apart(lab: Lab, dask: tuple[str, str], doras: str) -> None:
    alices, others = pods_of(lab, dask[0]), pods_of(lab, doras)
    ports = {name(pod): listened_at(lab, pod) for pod in (*alices, *others)}
    assert all(ports.values()) and f"{ip(others[0])}:8786" in ports[name(others[0])], ports
    targets = [target for pod in (*alices, *others) for target in ports[name(pod)]]
    for mine in (alices, others):
        own = {target for pod in mine for target in ports[name(pod)]}
        wanted = ["open" if target in own else "closed" for target in targets]
        assert at_once(lambda pod: look(lab, name(pod), *targets), mine) == [wanted, wanted], ports


def test_no_part_reaches_the_metadata_service(lab: Lab) -> None:
    """Those that go anywhere else: the API server may be at any address."""
    gateway = f"release={lab.name},app.kubernetes.io/component"
    parts = [f"release={lab.name},component=hub", gateway + "=gateway", gateway + "=controller"]
    pods, targets = [name(pod_of(lab, labels)) for labels in parts], (METADATA, api_server(lab))
    assert at_once(lambda pod: look(lab, pod, *targets), pods) == [["closed", "open"]] * 3


def test_the_other_parts_reach_what_they_lead_to(lab: Lab, alice_pod: HubClient) -> None:
    """There is no Python in them: asked is from their networks."""
    core, gateway = f"release={lab.name},component", f"release={lab.name},app.kubernetes.io/component"
    hub, notebook = f"{ip(pod_of(lab, core + '=hub'))}:8081", f"{ip(server(lab, 'alice'))}:8888"
    api = f"{ip(pod_of(lab, gateway + '=gateway'))}:8000"
    targets = (METADATA, api_server(lab), hub, notebook, api)
    wanted = {
        "caddy": ["closed", "open", "closed", "closed", "closed"],
        "node": ["closed", "closed", "open", "open", "closed"],
        "traefik": ["closed", "closed", "closed", "closed", "open"],
        "ns-slapd": ["closed"] * 5,
    }

    def found(program: str) -> list[str]:
        pid = lab.bed.inside("pgrep", "-x", program).split()[0]
        return lab.bed.inside("nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", LOOK, *targets).split()

    assert dict(zip(wanted, at_once(found, wanted), strict=True)) == wanted


def part(pod: dict) -> str:
    labels = pod["metadata"]["labels"]
    return labels.get("component") or labels["app.kubernetes.io/component"]


def test_pods_know_the_cluster_and_may_write_where_they_have_to(lab: Lab, dask: tuple[str, str]) -> None:
    pods = [pod for pod in lab.get("pod") if pod["status"]["phase"] == "Running"]
    users = {"singleuser-server", "dask-scheduler", "dask-worker"}
    core = {"hub", "proxy", "autohttps", "directory", "gateway", "controller", "traefik", "continuous-image-puller"}
    assert {part(pod) for pod in pods} == users | core
    gateway, tokens = f"{lab.name}-dask-gateway", {}
    for pod in pods:
        spec, name_ = pod["spec"], name(pod)
        sources = [
            source for volume in spec.get("volumes", []) for source in volume.get("projected", {}).get("sources", [])
        ]
        if any("serviceAccountToken" in source for source in sources):
            tokens[part(pod)] = spec["serviceAccountName"]
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}, name_
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name_
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            security = spec["securityContext"] | container["securityContext"]
            assert security["runAsNonRoot"] is True and security["runAsUser"] > 0, name_
            assert security.get("readOnlyRootFilesystem", False) is (part(pod) not in users), name_
            assert security["allowPrivilegeEscalation"] is False, name_
            may = {"add": ["NET_BIND_SERVICE"]} if part(pod) == "autohttps" else {}  # upstream's file asks for it
            assert security["capabilities"] == {"drop": ["ALL"], **may}, name_
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name_
    assert tokens == {"hub": "hub", "gateway": f"api-{gateway}", "controller": f"controller-{gateway}"}


def test_policies_end_with_their_cluster(lab: Lab, alice_pod: HubClient, dask: tuple[str, str]) -> None:
    cluster = dask[0].split(".")[1]
    assert f"dask-{cluster}" in lab.names("networkpolicy")
    lab.kubectl("patch", "daskcluster", cluster, "--type=merge", "-p", '{"spec": {"active": false}}')
    eventually(lambda: not lab.get("pod", f"gateway.dask.org/cluster={cluster}"), 30)
    eventually(lambda: f"dask-{cluster}" not in lab.names("networkpolicy"), 30)
