"""A cluster that has troubles: an API server that fails and breaks off in the middle of an apply, or lets us in no more, a network that
keeps no connection, a node without room, rules that refuse pods, images that cannot be had. All of it comes to the first cluster, and
goes again."""

import contextlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bed import ROOT, SERVERS, Bed, Lab, eventually
from cutting import Cutting
from faulty import Faulty
from hubclient import HubClient, HubError

IMAGES = ROOT / "roles" / "base" / "images.yaml"
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


def config_of(bed: Bed) -> dict[str, Any]:
    return json.loads(bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))


def hub_of(lab: Lab) -> dict[str, Any]:
    (hub,) = [item["metadata"] for item in lab.get("deployment") if item["metadata"]["name"] == "hub"]
    return hub


@contextlib.contextmanager
def through(lab: Lab, bed: Bed, kubeconfig: Path) -> Iterator[None]:
    """caas goes by this kubeconfig for the time, with the same form."""
    used = Path(re.search(r"kubeconfig: (.+)", lab.form.read_text())[1])  # type: ignore[index]
    used.write_bytes(kubeconfig.read_bytes())
    try:
        yield
    finally:
        used.write_bytes(bed.kubeconfig.read_bytes())


def hub_made_anew(lab: Lab, ram: float, waits: Callable[[], None] = lambda: None) -> float:
    """An apply that changes the hub's pod, once and without a failure; the seconds for which that was waited for. waits: is called when
    it begins to."""
    generation = hub_of(lab)["generation"]
    lab.form.write_text(
        re.sub(r"hub: {cpus: 0.1, ram: [0-9.]+}", f"hub: {{cpus: 0.1, ram: {ram}}}", lab.form.read_text())
    )
    process, events, said, waiting = lab.caas.start("apply", str(lab.form), "--yes", "--json"), [], [], False
    for line in process.stdout or []:
        said.append(line)
        event = json.loads(line) if line.startswith("{") else {}
        events.append(event)
        if not waiting and event.get("event") == "progress" and event["id"] == "hub/service":
            waiting = True
            waits()
    assert process.wait(60) == 0, "".join(said)
    begun = Counter(event["id"] for event in events if event.get("event") == "step_begin")
    assert begun["hub/service"] == 1 and set(begun.values()) == {1}, begun
    assert not [event for event in events if event.get("event") == "retry"], "".join(said)
    assert not [id for id in begun if id.startswith("identity/")], begun  # nor was it taken for changed
    assert hub_of(lab)["generation"] == generation + 1
    (done,) = [event for event in events if event.get("event") == "step_done" and event["id"] == "hub/service"]
    return done["duration_ms"] / 1000


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


def test_an_apply_whose_connections_are_cut(lab: Lab, bed: Bed, applied: str) -> None:
    """The same on a network that keeps none of them: watches end in their middle, again and again."""
    cutting = Cutting(lab.caas.folder / "cutting", config_of(bed), 1)
    try:
        with through(lab, bed, cutting.kubeconfig):
            waited = hub_made_anew(lab, 0.55)
    finally:
        cutting.stop()
    lab.plan(status=0)
    assert waited > 3 and cutting.cuts >= 3, (waited, cutting.cuts)


def test_a_plan_whose_connections_are_cut(lab: Lab, bed: Bed, applied: str) -> None:
    """Also the one to the directory, which goes through the API server: that it broke says nothing of what is in there."""
    cutting, said = Cutting(lab.caas.folder / "cutting-soon", config_of(bed), 3, soon=0.15), ""
    try:
        with through(lab, bed, cutting.kubeconfig):
            for _ in range(30):
                said = lab.plan(status=0, trace="ldap").stderr
                if "once more in" in said:
                    break
    finally:
        cutting.stop()
    assert "once more in" in said, (said, cutting.cuts)


# The admin of a test bed is of system:masters, who are never made to wait. SLOW takes as long as nobody answers a webhook.
SLOW = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slow", "labels": {"slow": "very"}}}
SLOW_SECONDS = 10
FEW = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: few, namespace: default}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: few}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: few, namespace: default}}]
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {{name: few}}
spec:
  type: Limited
  limited: {{nominalConcurrencyShares: 30, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {{type: Reject}}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: few}}
spec:
  priorityLevelConfiguration: {{name: few}}
  matchingPrecedence: 10
  rules:
    - subjects: [{{kind: ServiceAccount, serviceAccount: {{name: few, namespace: default}}}}]
      resourceRules: [{{verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"]}}]
      nonResourceRules: [{{verbs: ["*"], nonResourceURLs: ["*"]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: few}}
webhooks:
  - name: nobody.example.org
    clientConfig: {{url: "https://{host}:{port}/"}}
    rules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}]
    objectSelector: {{matchLabels: {{slow: very}}}}
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
    timeoutSeconds: {seconds}
"""


@pytest.fixture
def few(lab: Lab, bed: Bed) -> Iterator[Bed]:
    """The kubeconfig of an account for which there is a priority level of its own."""
    with socket.create_server((bed.host, 0)) as nobody:
        made = FEW.format(host=bed.host, port=nobody.getsockname()[1], seconds=SLOW_SECONDS)
        bed.kubectl("apply", "--server-side", "-f", "-", given=made)
        try:
            config = config_of(bed)
            config["users"][0]["user"] = {"token": bed.kubectl("create", "token", "few", "-n", "default").strip()}
            path = lab.caas.folder / "few.kubeconfig"
            path.write_text(json.dumps(config))
            path.chmod(0o600)
            yield Bed(path, bed.name, own=False)
        finally:
            bed.kubectl("delete", "-f", "-", given=made)


def refused_by(bed: Bed, level: str) -> int:
    """How many requests of this priority level got a 429 so far."""
    lines = bed.kubectl("get", "--raw", "/metrics").splitlines()
    wanted = [line for line in lines if line.startswith("apiserver_flowcontrol_rejected_requests_total{")]
    return sum(int(float(line.split()[-1])) for line in wanted if f'priority_level="{level}"' in line)


def test_an_apply_that_is_told_to_come_later(lab: Lab, bed: Bed, applied: str, few: Bed) -> None:
    """429 of the real server's Priority and Fairness, to all that we ask while one slow request has the only place."""

    def one_place() -> None:
        patch = json.dumps({"spec": {"limited": {"nominalConcurrencyShares": 0}}})
        bed.kubectl("patch", "prioritylevelconfiguration", "few", "--type=merge", "-p", patch)
        few.kubectl("create", "--dry-run=server", "-f", "-", "-n", "default", given=json.dumps(SLOW))
        patch = json.dumps({"spec": {"limited": {"nominalConcurrencyShares": 30}}})
        bed.kubectl("patch", "prioritylevelconfiguration", "few", "--type=merge", "-p", patch)

    slow = threading.Thread(target=one_place)
    with through(lab, bed, few.kubeconfig):
        waited = hub_made_anew(lab, 0.5, slow.start)
    slow.join()
    lab.plan(status=0)
    # How many were refused, and from when on, is a matter of which came first.
    assert waited > SLOW_SECONDS / 2 and refused_by(bed, "few") >= 2, (waited, refused_by(bed, "few"))


def test_a_gateway_that_is_ready_and_knows_no_route(lab: Lab, applied: str) -> None:
    """That Traefik answers for itself says nothing of routes: whenever it was changed, it is asked for one."""
    name, controller = (f"{part}-{lab.name}-dask-gateway" for part in ("traefik", "routes"))
    said: list[str] = []
    available: list[str] = []

    def lead_astray(hosts: list[dict[str, Any]] | None) -> None:
        patch = {"spec": {"template": {"spec": {"hostAliases": hosts}}}}
        lab.kubectl("patch", "deployment", name, "--type=merge", "-p", json.dumps(patch))

    def asked_for_a_route(line: str) -> bool:
        event = json.loads(line) if line.startswith("{") else {}
        asked = event.get("event") == "progress" and event["id"] == "gateway/probe"
        return asked and "status 404 instead of 200" in event["text"]

    lead_astray([{"ip": "127.0.0.1", "hostnames": [f"{controller}.{lab.namespace}"]}])
    (image,) = re.findall("^traefik: docker.io/library/(.+)$", IMAGES.read_text(), re.MULTILINE)
    images = f"kubernetes:\n  images: {{traefik: '{image}'}}\n"  # the same by another name
    lab.form.write_text(lab.form.read_text().replace("kubernetes:\n", images, 1))
    try:
        process = lab.caas.start("apply", str(lab.form), "--yes", "--json")
        for line in process.stdout or []:
            said.append(line)
            if not available and asked_for_a_route(line):
                available.append(lab.kubectl("get", "deployment", name, "-o", "jsonpath={.status.availableReplicas}"))
                lead_astray(None)
        assert process.wait(60) == 0, "".join(said)
    finally:
        lead_astray(None)
    assert available == ["1"], "".join(said)


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
    core, gateway = f"release={lab.name},component", f"release={lab.name},app.kubernetes.io/component"
    parts = {name: f"{core}={name}" for name in ("hub", "proxy", "directory")}
    parts |= {f"dask-gateway-{name}": f"{gateway}={name}" for name in ("gateway", "controller", "traefik")}
    # Each counts the one pod that it is for, and lets it go; that of servers, of which one may be on its way, lets none.
    wanted = dict.fromkeys(parts, (1, 1)) | {"singleuser-server": (1, 0)}

    def budgets() -> dict[str, tuple[int, int]]:
        found = {item["metadata"]["name"]: item["status"] for item in lab.get("pdb")}
        found["singleuser-server"]["expectedPods"] = min(1, found["singleuser-server"]["expectedPods"])
        return {name: (one["expectedPods"], one["disruptionsAllowed"]) for name, one in found.items()}

    with contextlib.suppress(AssertionError):  # they are counted a moment later
        eventually(lambda: budgets() == wanted, 30)
    assert budgets() == wanted
    for labels in parts.values():
        assert evict(lab, labels) == ""


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
