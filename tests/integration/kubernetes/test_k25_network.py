"""Who may reach whom: people's servers neither each other nor what is private, Dask's own paths and nothing beside them."""

import json
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def dask(lab: Lab, alice_pod: HubClient) -> Iterator[tuple[str, str]]:
    """A cluster of alice's with one worker: its name, and the address of its dashboard."""
    kernel = alice_pod.kernel()
    reply = kernel.run(CLUSTER, seconds=240)
    words = reply.text.split()
    assert reply.status == "ok" and "cluster" in words, reply.text
    yield words[words.index("cluster") + 1], words[words.index("link") + 1]
    kernel.run("cluster.shutdown()", seconds=60)
    kernel.close()


def server(lab: Lab, user: str) -> dict:
    return pod_of(lab, f"{SERVERS},hub.jupyter.org/username={user}")


def test_from_a_server(lab: Lab, alice_pod: HubClient, dora_pod: HubClient) -> None:
    alice, dora = server(lab, "alice"), server(lab, "dora")
    core = f"release={lab.name},component"
    gateway = f"release={lab.name},app.kubernetes.io/component"
    api_server = lab.bed.get("endpoints", "default")[0]["subsets"][0]
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
        f"{api_server['addresses'][0]['ip']}:{api_server['ports'][0]['port']}": "closed",
        "kubernetes.default:443": "closed",
        "169.254.169.254:80": "closed",
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
    mine = f"gateway.dask.org/cluster={dask[0].split('.')[1]},app.kubernetes.io/component"
    scheduler, worker = pod_of(lab, mine + "=dask-scheduler"), pod_of(lab, mine + "=dask-worker")
    core, gateway = f"release={lab.name},component", f"release={lab.name},app.kubernetes.io/component"
    api = ip(pod_of(lab, gateway + "=gateway"))
    from_worker = {
        f"{ip(scheduler)}:8786": "open",
        f"{ip(pod_of(lab, core + '=hub'))}:8081": "closed",
        f"{api}:8000": "closed",
        f"{ip(server(lab, 'alice'))}:8888": "closed",
        "kubernetes.default:443": "closed",
        "169.254.169.254:80": "closed",
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
    mine = f"gateway.dask.org/cluster={dask[0].split('.')[1]},app.kubernetes.io/component=dask-scheduler"
    address = ip(pod_of(lab, mine))
    code = (
        "import urllib.request, urllib.error\n"
        f"try: urllib.request.urlopen('http://{address}:8787/status', timeout=5)\n"
        "except urllib.error.HTTPError as e: print(e.code)"
    )
    assert run_in(lab, name(server(lab, "alice")), "python3", "-c", code).strip() == "403"


def test_policies_end_with_their_cluster(lab: Lab, alice_pod: HubClient, dask: tuple[str, str]) -> None:
    cluster = dask[0].split(".")[1]
    assert f"dask-{cluster}" in lab.names("networkpolicy")
    lab.kubectl("patch", "daskcluster", cluster, "--type=merge", "-p", '{"spec": {"active": false}}')
    eventually(lambda: not lab.get("pod", f"gateway.dask.org/cluster={cluster}"), 30)
    eventually(lambda: f"dask-{cluster}" not in lab.names("networkpolicy"), 30)
