"""A cluster that has troubles: an API server that fails and breaks off in the middle of an apply, a node without room, rules that
refuse pods, images that cannot be had. All of it comes to the first cluster, and goes again."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bed import SERVERS, Bed, Lab, eventually
from faulty import Faulty
from hubclient import HubClient, HubError

NOWHERE = "registry.invalid/ocean:1"
PLACES = "component=user-placeholder"
MIB = 1024**2
UNITS = {"Ki": 1024, "Mi": MIB, "Gi": 1024**3, "k": 1000, "M": 1000**2, "G": 1000**3}


def amount(text: str) -> int:
    """Of memory, in bytes."""
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    return int(text.removesuffix(unit)) * UNITS.get(unit, 1)


@pytest.fixture(scope="module")
def faulty(lab: Lab, bed: Bed) -> Iterator[Faulty]:
    config = json.loads(bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    made = Faulty(lab.caas.folder / "faulty", config)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def applied(lab: Lab, bed: Bed, faulty: Faulty) -> Iterator[str]:
    """What an apply says that adds a place held free and an environment that is nowhere, past an API server with troubles."""
    before = lab.form.read_text()
    more = f'environments: [{{name: nowhere, description: Cannot be had, image: "{NOWHERE}"}}]\n'
    added = before.replace("kubernetes:\n", "kubernetes:\n  placeholders: 1\n", 1) + more
    lab.form.write_text(added.replace(str(bed.kubeconfig), str(faulty.kubeconfig)))
    done = lab.apply()
    faulty.kubeconfig.write_bytes(bed.kubeconfig.read_bytes())  # what comes after goes straight
    yield done.stdout + done.stderr
    lab.form.write_text(before)
    lab.apply()
    assert "user-placeholder" not in lab.names("statefulset")
    lab.settled()


@pytest.fixture(scope="module")
def lost(lab: Lab, applied: str) -> Iterator[list[str]]:
    """What finn is told in the end, whose server is of an image that is nowhere: its start goes on beside the tests before."""
    lab.add_user("finn")
    client, told = lab.signed_in("finn"), []

    def start() -> None:
        try:
            client.spawn({"environment": "nowhere"})
        except HubError as error:
            told.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    yield told
    thread.join()


@pytest.fixture
def dora(lab: Lab) -> Iterator[HubClient]:
    client = lab.signed_in("dora")
    yield client
    client.stop()


def test_an_apply_past_a_server_with_troubles(lab: Lab, faulty: Faulty, applied: str) -> None:
    assert set(faulty.faults) >= {"429", "500", "503", "lost"}, (faulty.faults, faulty.asked)
    assert (
        faulty.faults["cut"] or not faulty.asked["watch"]
    )  # where a list takes longer than it is looked, none is begun
    assert "nothing to do" in lab.plan(status=0).stdout.lower()
    assert lab.caas.json("history", lab.name)[0]["outcome"] == "done"


def test_images_are_fetched_beforehand(lab: Lab, lost: list[str]) -> None:
    pullers = {item["metadata"]["name"]: item["status"] for item in lab.get("daemonset")}
    assert pullers["continuous-image-puller"]["numberReady"] == 1
    assert pullers["image-puller-nowhere"].get("numberReady", 0) == 0

    def said() -> bool:
        services = lab.caas.json("status", lab.name, status=1)["services"]
        puller = next(item for item in services if item["name"] == "image-puller-nowhere")
        return not puller["ready"] and NOWHERE in puller["message"]

    eventually(said, 30)


# Nobody's Pod Security level is stricter than what our pods keep to; rules of a tenancy's own are.
RULE = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  validations:
    - expression: "!has(object.metadata.labels) || !('component' in object.metadata.labels) || object.metadata.labels.component != 'proxy'"
      message: only the network department runs proxies
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"""
PROXY = """\
apiVersion: v1
kind: Pod
metadata: {name: asked, labels: {component: proxy}}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: a, image: a, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
"""


@pytest.fixture
def rule(lab: Lab, bed: Bed) -> Iterator[None]:
    made = RULE.format(name="no-proxies", namespace=lab.namespace)
    bed.kubectl("create", "-f", "-", given=made)
    words = ["create", "--dry-run=server", "-f", "-"]
    try:
        eventually(lambda: "network department" in bed.refused(*words, "-n", lab.namespace, given=PROXY), 30)
        yield
    finally:
        bed.kubectl("delete", "-f", "-", given=made)


def proxy_of(lab: Lab) -> tuple[str, int]:
    (pod,) = lab.get("pod", "component=proxy")
    (deployment,) = [item for item in lab.get("deployment") if item["metadata"]["name"] == "proxy"]
    return pod["metadata"]["uid"], deployment["metadata"]["generation"]


def test_rules_that_refuse_a_pod_take_nothing_away(lab: Lab, rule: None, lost: list[str]) -> None:
    form, before = lab.form.read_text(), proxy_of(lab)
    try:
        lab.form.write_text(form.replace("proxy: {cpus: 0.05, ram: 0.25}", "proxy: {cpus: 0.05, ram: 0.3}"))
        said = lab.apply(status=1).stderr
    finally:
        lab.form.write_text(form)
    for word in (
        "deployment proxy",
        "its pods would be refused",
        "no-proxies",
        "only the network department runs proxies",
    ):
        assert word in said, said
    assert proxy_of(lab) == before
    lab.plan(status=0)


def test_a_pod_security_level_that_somebody_took_away(lab: Lab, bed: Bed, lost: list[str]) -> None:
    label = "pod-security.kubernetes.io/enforce"
    bed.kubectl("label", "namespace", lab.namespace, f"{label}=privileged", "--overwrite")
    shown = lab.plan(status=2).stdout
    assert "privileged" in shown and "restricted" in shown, shown
    lab.apply()
    labels = json.loads(bed.kubectl("get", "namespace", lab.namespace, "-o", "json"))["metadata"]["labels"]
    assert labels[label] == "restricted"


def listeners(lab: Lab, pod: dict[str, Any]) -> set[int]:
    """Ports that a pod listens at on all its addresses, those of IPv6 as well."""
    words = ["exec", pod["metadata"]["name"], "--", "cat", "/proc/net/tcp6"]
    lines = lab.bed.kubectl("-n", lab.namespace, *words).splitlines()[1:]
    sockets = [line.split() for line in lines]
    return {int(each[1].rpartition(":")[2], 16) for each in sockets if each[3] == "0A" and each[1].startswith("0" * 32)}


def test_everything_listens_on_ipv6(lab: Lab, alice_pod: HubClient, lost: list[str]) -> None:
    """The test bed has pods with addresses of IPv4 alone; but their name spaces have both."""
    gateway = "app.kubernetes.io/name=dask-gateway,app.kubernetes.io/component"
    wanted = {
        "component=hub": {8081},
        "component=proxy": {8000, 8001},
        "component=autohttps": {8080, 8443},
        "component=directory": {3636},
        f"{SERVERS},hub.jupyter.org/username=alice": {8888},
        f"{gateway}=gateway": {8000},
        f"{gateway}=controller": {8000},
        f"{gateway}=traefik": {8000, 8786, 9000},
    }
    found = {labels: listeners(lab, lab.get("pod", labels)[0]) & ports for labels, ports in wanted.items()}
    assert found == wanted


def evict(lab: Lab, labels: str) -> str:
    """What the API server says to whoever drains a node; it only tries."""
    pod = lab.get("pod", labels)[0]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": lab.namespace},
        "deleteOptions": {"dryRun": ["All"]},
    }
    path = f"/api/v1/namespaces/{lab.namespace}/pods/{pod}/eviction"
    return lab.bed.refused("create", "--raw", path, "-f", "-", given=json.dumps(eviction))


def test_a_node_is_drained_of_the_core_and_of_no_server(lab: Lab, alice_pod: HubClient, lost: list[str]) -> None:
    assert "disruption budget" in evict(lab, f"{SERVERS},hub.jupyter.org/username=alice")
    for component in ("hub", "proxy", "directory"):
        assert evict(lab, f"component={component},release={lab.name}") == ""


def test_a_server_whose_image_cannot_be_had(lost: list[str]) -> None:
    eventually(lambda: lost, 60)
    assert f"could not be fetched ({NOWHERE})" in lost[0], lost


def free_memory(bed: Bed) -> int:
    """What the node has left for requests."""
    (node,) = json.loads(bed.kubectl("get", "nodes", "-o", "json"))["items"]
    left = amount(node["status"]["allocatable"]["memory"])
    for pod in json.loads(bed.kubectl("get", "pods", "-A", "-o", "json"))["items"]:
        if pod["status"]["phase"] in ("Running", "Pending") and pod["spec"].get("nodeName"):
            containers = pod["spec"]["containers"]
            left -= sum(amount(c.get("resources", {}).get("requests", {}).get("memory", "0")) for c in containers)
    return left


@pytest.fixture
def full(lab: Lab, bed: Bed, lost: list[str]) -> Iterator[None]:
    """The node has no room but the place that is held free."""
    place = eventually(lambda: [p for p in lab.get("pod", PLACES) if p["status"]["phase"] == "Running"], 60)[0]
    eventually(lambda: not lab.get("pod", f"{SERVERS},hub.jupyter.org/username=finn"), 60)
    image = place["spec"]["containers"][0]["image"]
    room = {"requests": {"memory": str(free_memory(bed) - 100 * MIB)}}
    filler = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "filler", "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pause", "image": image, "resources": room}],
        },
    }
    bed.kubectl("create", "-f", "-", given=json.dumps(filler))
    bed.kubectl("wait", "pod/filler", "-n", "default", "--for=condition=Ready", "--timeout=60s")
    yield
    bed.kubectl("delete", "pod", "filler", "-n", "default", "--ignore-not-found")


def test_a_place_gives_way_to_a_user(lab: Lab, full: None, dora: HubClient) -> None:
    dora.spawn()
    (server,) = lab.get("pod", f"{SERVERS},hub.jupyter.org/username=dora")
    assert server["status"]["phase"] == "Running"
    events = lab.get("event")
    assert [e for e in events if e["reason"] == "Preempted" and e["involvedObject"]["name"] == "user-placeholder-0"]
    (place,) = lab.get("pod", PLACES)
    assert place["status"]["phase"] == "Pending"
    # Which is as it should be.
    services = {item["name"]: item for item in lab.caas.json("status", lab.name, status=1)["services"]}
    assert services["user-placeholder"]["running"] and services["user-placeholder"]["ready"] is None
    assert "memory" in services["user-placeholder"]["message"], services["user-placeholder"]
    # And held free again, once there is room.
    dora.stop()
    eventually(lambda: lab.get("pod", PLACES)[0]["status"]["phase"] == "Running", 60)
