"""What is wrong is said before anything is changed, so that somebody can put it right."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bed import Bed, Lab, eventually
from conftest import Caas
from faulty import Faulty

NAMESPACE = "bad-input"


@pytest.fixture
def bad(lab: Lab, bed: Bed) -> Iterator[Lab]:
    """A second cluster's form; whatever comes of it is gone afterwards."""
    made = Lab(lab.caas, bed, NAMESPACE)
    yield made
    if NAMESPACE in {item["name"] for item in made.caas.json("list")}:
        made.write_form()
        made.caas.run("destroy", NAMESPACE, "--yes", "--delete-data")
    bed.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s", seconds=150)


def refused(bad: Lab, *words: str) -> str:
    done = bad.apply(status=1)
    said = done.stdout + done.stderr
    for word in words:
        assert word in said, said
    return said


def untouched(bad: Lab) -> None:
    assert not bad.bed.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found").strip()


def test_a_wrong_context_names_those_that_there_are(bad: Lab) -> None:
    bad.write_form(extra="  context: elsewhere\n")
    refused(bad, "elsewhere", "admin")
    untouched(bad)


def test_a_kubeconfig_that_is_not_there(bad: Lab) -> None:
    bad.form.write_text(bad.form.read_text().replace(str(bad.bed.kubeconfig), "nowhere/kubeconfig"))
    refused(bad, "nowhere/kubeconfig")


def with_config(bad: Lab, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """The form names a kubeconfig that was changed."""
    config = json.loads(bad.bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    change(config)
    path = bad.caas.folder / f"{name}.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    bad.form.write_text(bad.form.read_text().replace(str(bad.bed.kubeconfig), str(path)))


def token(config: dict[str, Any], text: str) -> None:
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": text}}]


def test_nobody_at_the_address(bad: Lab) -> None:
    with_config(bad, "nobody", lambda config: config["clusters"][0]["cluster"].update(server="https://127.0.0.1:9"))
    refused(bad, "127.0.0.1:9")


def test_missing_rights_are_named_all_at_once(bad: Lab) -> None:
    bad.bed.kubectl("create", "serviceaccount", "weak", "-n", "default")
    try:
        weak = bad.bed.kubectl("create", "token", "weak", "-n", "default").strip()
        images = "  images: {exporter: registry.invalid/nothing:1}\n"
        bad.write_form(extra=images, top="monitoring: {enabled: true}\n")
        with_config(bad, "weak", lambda config: token(config, weak))
        said = refused(bad, "deployments", "secrets", "persistentvolumeclaims", "get nodes/metrics")
        (line,) = [line for line in said.splitlines() if "clusterroles" in line]
        assert "(not needed with monitoring.nodes: false)" in line
        (line,) = [line for line in said.splitlines() if "create, patch, delete namespaces" in line]
        assert f"in the cluster (not needed with the namespace {NAMESPACE} made before)" in line
        assert weak not in said
        untouched(bad)
    finally:
        bad.bed.kubectl("delete", "serviceaccount", "weak", "-n", "default")


def signed_token(bed: Bed, expires: int) -> str:
    """Of an account without rights, as the API server would have made it: kubectl makes none that expire soon."""
    account = json.loads(bed.kubectl("get", "serviceaccount", "default", "-n", "default", "-o", "json"))["metadata"]
    issuer = "https://kubernetes.default.svc.cluster.local"
    names = {"namespace": "default", "serviceaccount": {"name": "default", "uid": account["uid"]}}
    times = {"iat": expires - 3600, "nbf": expires - 3600, "exp": expires}
    who = {"iss": issuer, "aud": [issuer], "sub": "system:serviceaccount:default:default", "kubernetes.io": names}

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    first = f"{text(json.dumps({'alg': 'RS256'}).encode())}.{text(json.dumps({**who, **times}).encode())}"
    sign = ["openssl", "dgst", "-sha256", "-sign", bed.folder / "pki" / "sa.key"]
    return f"{first}.{text(subprocess.run(sign, input=first.encode(), check=True, capture_output=True).stdout)}"


def test_an_expired_token_says_since_when(bad: Lab) -> None:
    now = int(time.time())
    with_config(bad, "fresh", lambda config: token(config, signed_token(bad.bed, now + 600)))
    refused(bad, "may not", "deployments")
    bad.write_form()
    with_config(bad, "expired", lambda config: token(config, signed_token(bad.bed, now - 60)))
    when = time.strftime("%Y-%m-%d", time.gmtime(now - 60))
    said = refused(bad, "does not know us (401)", f"expired at {when}", "sign in to the cluster again")
    assert "may not" not in said, said
    untouched(bad)


def test_no_default_storage_class(bad: Lab) -> None:
    classes = json.loads(bad.bed.kubectl("get", "storageclass", "-o", "json"))["items"]
    mark = "storageclass.kubernetes.io/is-default-class"
    default = next(
        item["metadata"]["name"] for item in classes if item["metadata"].get("annotations", {}).get(mark) == "true"
    )
    bad.bed.kubectl("annotate", "storageclass", default, f"{mark}=false", "--overwrite")
    try:
        refused(bad, "StorageClass")
        untouched(bad)
    finally:
        bad.bed.kubectl("annotate", "storageclass", default, f"{mark}=true", "--overwrite")


def test_a_storage_class_that_is_not_there(bad: Lab) -> None:
    bad.write_form(extra="  storage_class: nowhere\n")
    refused(bad, "nowhere")
    untouched(bad)


def test_a_storage_class_whose_volumes_cannot_grow(bad: Lab) -> None:
    (standard, *_) = json.loads(bad.bed.kubectl("get", "storageclass", "-o", "json"))["items"]
    stiff = {key: standard[key] for key in ("apiVersion", "kind", "provisioner")} | {"metadata": {"name": "stiff"}}
    bad.bed.kubectl("create", "-f", "-", given=json.dumps(stiff))
    try:
        bad.write_form(extra="  storage_class: stiff\n")
        refused(bad, "StorageClass stiff cannot expand volumes", "allowVolumeExpansion")
        untouched(bad)
    finally:
        bad.bed.kubectl("delete", "storageclass", "stiff")


# Each a little too small; of the limits, what is requested would fit.
SMALL = {
    "requests.cpu=500m": "0.5 CPUs (requests.cpu), and the form needs 0.501",
    "limits.cpu=8": "8 CPUs (limits.cpu), and the form needs 8.1",
    "requests.memory=4G": "4e+09 bytes of memory (requests.memory), and the form needs 4.01e+09",
    "limits.memory=4040M": "4.04e+09 bytes of memory (limits.memory), and the form needs 4.05e+09",
    "requests.storage=3G": "3e+09 bytes of storage (requests.storage), and the form needs 3.14748e+09",
    "persistentvolumeclaims=2": "2 claims (persistentvolumeclaims), and the form needs 3",
    "services=8": "8 Services (services), and the form needs 9",
    "services.loadbalancers=0": "0 balancers (services.loadbalancers), and the form needs 1",
    "services.nodeports=1": "1 ports of the nodes (services.nodeports), and the form needs 2",
}


def test_a_quota_that_is_too_small(bad: Lab) -> None:
    bad.bed.kubectl("create", "namespace", NAMESPACE)
    bad.kubectl("create", "quota", "small", f"--hard={','.join(SMALL)}")
    refused(bad, *[f"the quota small of namespace {NAMESPACE} leaves {said}" for said in SMALL.values()])
    assert not bad.names("deployment") and not bad.names("service") and not bad.names("pvc")


def test_a_quota_that_more_nodes_need_more_of(bad: Lab) -> None:
    """Of what runs on each node there is one pod a node: room for one is not enough for three."""
    bad.bed.kubectl("create", "namespace", NAMESPACE)
    bad.kubectl("create", "quota", "few", "--hard=pods=10")
    labels = {"pool": "far"}
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"far{n}", "labels": labels}} for n in range(3)]
    try:
        bad.bed.kubectl("create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
        bad.write_form(extra="  node_selector: {pool: far}\n")
        refused(bad, f"the quota few of namespace {NAMESPACE} leaves 10 pods (pods), and the form needs 11")
    finally:
        bad.bed.kubectl("delete", "node", "-l", "pool=far")


def test_an_object_of_our_name_that_is_not_ours_is_left(bad: Lab) -> None:
    """In a namespace that lets only the strictest level of Pod Security in, which all of ours has."""
    bad.bed.kubectl("create", "namespace", NAMESPACE)
    bad.bed.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    bad.kubectl("create", "deployment", "hub", "--image=nothing", "--replicas=0")
    said = refused(bad, "hub", "not")
    assert "eployment" in said
    (hub,) = [item for item in bad.get("deployment") if item["metadata"]["name"] == "hub"]
    assert hub["spec"]["template"]["spec"]["containers"][0]["image"] == "nothing"


def test_an_image_that_cannot_be_pulled_ends_the_step_with_the_reason(bad: Lab) -> None:
    bad.write_form(extra="  images: {proxy: registry.invalid/nothing:1}\n")
    said = refused(bad, "registry.invalid/nothing:1")
    assert "proxy" in said and ("pull" in said.lower()), said


def test_a_domain_that_does_not_lead_there(bad: Lab) -> None:
    bad.write_form(top="domain: nowhere.invalid\ntls: {mode: self-signed}\n")
    said = refused(bad, "nowhere.invalid", "DNS entry")
    assert "10.97." in said
    assert "hub" not in bad.names("deployment")


# ---- ways to sign in, where the form names no kubeconfig

KEEPER = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: keeper, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keeper}
rules: [{apiGroups: [""], resources: [secrets], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keeper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keeper}
subjects: [{kind: ServiceAccount, name: keeper, namespace: default}]
"""
PLUGIN = """\
#!/bin/sh
case $KUBERNETES_EXEC_INFO in *'"kind":"ExecCredential"'*) ;; *) exit 3 ;; esac
printf '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "%s"}}' "$(cat "$TOKEN")"
"""
IN_A_POD = """\
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && cp -r "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"
"""


@pytest.fixture(scope="module")
def keeper(bed: Bed) -> Iterator[str]:
    """The token of an account that may keep secrets, which nobody else in these tests may, and nothing else."""
    bed.kubectl("create", "-f", "-", given=KEEPER)
    yield bed.kubectl("create", "token", "keeper", "-n", "default").strip()
    bed.kubectl("delete", "-f", "-", given=KEEPER)


def signs_in(bad: Lab, token: str, environment: dict[str, str], program: list[str | Path]) -> str:
    """What caas says that is run so, and has found out who it is."""
    lines = bad.form.read_text().splitlines(keepends=True)
    bad.form.write_text("".join(line for line in lines if not line.startswith("  kubeconfig:")))
    caas = Caas(bad.caas.folder)
    caas.environment = {**caas.environment, "HOME": "/nonexistent", **environment}
    caas.program = program
    said = caas.run("apply", str(bad.form), "--yes", status=1).stderr
    assert re.search("may not [a-z, ]+ deployments", said) and not re.search("may not [a-z, ]+ secrets", said), said
    assert token not in said
    untouched(bad)
    return said


@pytest.mark.parametrize("user", ["plugin", "file"])
def test_an_account_of_several_kubeconfigs(bad: Lab, keeper: str, user: str, tmp_path: Path) -> None:
    """Clusters in the one, users in the other, whose files are beside it: a token, or a program that makes one."""
    (tmp_path / "token").write_text(keeper + "\n")
    (tmp_path / "plugin").write_text(PLUGIN)
    (tmp_path / "plugin").chmod(0o755)
    env = [{"name": "TOKEN", "value": str(tmp_path / "token")}]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "env": env}
    entry = {"exec": {**plugin, "interactiveMode": "Never"}} if user == "plugin" else {"tokenFile": "token"}
    config = json.loads(bad.bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    name = config["contexts"][0]["context"]["user"]
    users = {"apiVersion": "v1", "kind": "Config", "users": [{"name": name, "user": entry}]}
    for file, text in (("clusters", {**config, "users": []}), ("users", users)):
        (tmp_path / file).write_text(json.dumps(text))
        (tmp_path / file).chmod(0o600)
    files = ":".join(str(tmp_path / file) for file in ("nowhere", "clusters", "users"))
    signs_in(bad, keeper, {"KUBECONFIG": files}, bad.caas.program)


def test_the_account_of_a_pod(bad: Lab, keeper: str, tmp_path: Path) -> None:
    """As the kubelet lays it out."""
    cluster = json.loads(bad.bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))["clusters"][0][
        "cluster"
    ]
    server = urlsplit(cluster["server"])
    (tmp_path / "token").write_text(keeper)
    (tmp_path / "namespace").write_text("default")
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    where = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "KUBECONFIG": "",
    }
    said = signs_in(bad, keeper, where, ["unshare", "--mount", "sh", "-c", IN_A_POD, tmp_path, *bad.caas.program])
    assert "context in-cluster" in said, said


# ---- the end of what was made, past an API server with troubles


def test_a_destroy_past_a_server_with_troubles(bad: Lab, bed: Bed) -> None:
    """It answers 429, 500 and 503, loses answers, does not delete one thing, goes away and comes back."""
    wanted = "10.97.255.9"  # which no balancer of this cloud can have
    bad.write_form(top=f"external_ip: {wanted}\ntls: {{mode: self-signed}}\n")
    with_config(bad, "troubled", lambda _: None)
    refused(bad, f"external_ip is {wanted}, but the balancer has the address 10.97.")
    assert wanted in {item["spec"].get("loadBalancerIP") for item in bad.get("service")}
    faulty = Faulty(
        bad.caas.folder / "troubled", json.loads(bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    )
    (bad.caas.folder / "troubled.kubeconfig").write_bytes(faulty.kubeconfig.read_bytes())
    try:
        faulty.keeps = "/services/hub"
        done = bad.caas.run("destroy", NAMESPACE, "--yes", "--delete-data", status=1)
        assert "hub/endpoint" in done.stderr, done.stderr
        assert "hub" in bad.names("service")
        assert bad.folder.exists() and NAMESPACE in {item["name"] for item in bad.caas.json("list")}
        faulty.keeps = ""
        process = bad.caas.start("destroy", NAMESPACE, "--yes", "--delete-data", "--json")
        next(line for line in process.stdout or [] if '"step_done"' in line)
        bed.fault("stop", "kube-apiserver")
        time.sleep(5)
        assert process.poll() is None
        bed.fault("start", "kube-apiserver")
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    finally:
        faulty.stop()
        bed.fault("start", "kube-apiserver")
        (bad.caas.folder / "troubled.kubeconfig").write_bytes(bed.kubeconfig.read_bytes())
    assert set(faulty.faults) >= {"429", "500", "503", "lost"} and faulty.asked["DELETE"] > 20, (
        faulty.faults,
        faulty.asked,
    )
    eventually(lambda: not bed.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found").strip(), 60)
    assert not bad.folder.exists() and NAMESPACE not in {item["name"] for item in bad.caas.json("list")}
