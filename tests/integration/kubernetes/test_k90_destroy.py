"""Nothing is left but claims; and they are taken up again. A lost journal is rebuilt from what is there. Then the form beside the tests,
as it stands there: installed and removed by a program that is killed again and again."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator

import dask_cluster
import pytest
from bed import HOMES, PASSWORD, ROOT, Bed, Lab, eventually

GUESTS = {"ConfigMap/somebody-elses"}  # of an earlier test
# What is begun or waited for when caas is killed.
AT_INSTALL = (
    ("step_begin", "base/namespace"),
    ("step_begin", "gateway/definition"),
    ("progress", "identity/service"),
    ("progress", "hub/service"),
)
AT_DESTROY = (("step_begin", "hub/service"), ("step_begin", "gateway/definition"), ("step_begin", "base/namespace"))


def test_a_lost_state_folder_is_rebuilt(lab: Lab) -> None:
    lost = lab.caas.folder / "lost"
    shutil.move(lab.caas.state, lost)
    try:
        lab.caas.run("adopt", str(lab.form))
    except AssertionError:  # the tests that follow need one
        shutil.rmtree(lab.caas.state, ignore_errors=True)
        shutil.move(lost, lab.caas.state)
        raise
    lab.plan(status=0)
    lab.signed_in("alice")


def everything(lab: Lab) -> dict[str, set[str]]:
    kinds = "deployment statefulset daemonset service secret configmap role rolebinding serviceaccount networkpolicy"
    found = {kind: lab.names(kind, f"caas.pangeo.io/cluster={lab.name}") for kind in f"{kinds} pdb".split()}
    return {kind: names for kind, names in found.items() if names}


def inside(lab: Lab) -> set[str]:
    """All that its namespace holds, with our labels or without, of every kind."""
    return {f"{item['kind']}/{item['metadata']['name']}" for item in lab.bed.everything(lab.namespace)}


def outside(lab: Lab) -> set[str]:
    """What is in no namespace and of this cluster: made by caas and labelled as no other's, or with the namespace's name."""
    found = set()
    for item in lab.bed.everything(None):
        meta = item["metadata"]
        made = any(field.get("manager") == "caas" for field in meta.get("managedFields", []))
        of = meta.get("labels", {}).get("caas.pangeo.io/cluster", lab.name)
        named = [*re.split(r"\W+", meta["name"]), item.get("spec", {}).get("claimRef", {}).get("namespace")]
        if (made and of == lab.name) or lab.namespace in named:
            found.add(item["kind"] if item["kind"] == "PersistentVolume" else f"{item['kind']}/{meta['name']}")
    return found


def ends_with(look: Callable[[Lab], set[str]], lab: Lab, wanted: set[str]) -> None:
    """What belongs to an object that is gone goes a moment after it."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: look(lab) == wanted, 60)
    assert look(lab) == wanted


def test_destroy_leaves_only_claims_and_says_so(lab: Lab) -> None:
    """While somebody computes."""
    alice = lab.with_server("alice")
    assert alice.kernel().run(dask_cluster.START, seconds=240).status == "ok"
    before, guests = everything(lab), inside(lab) & GUESTS
    assert before["deployment"] and before["secret"], before
    kept = {f"PersistentVolumeClaim/{name}" for name in lab.names("pvc", HOMES) | {"directory-data"}}
    said = lab.caas.run("destroy", lab.name, "--yes").stdout
    assert everything(lab) == {}
    assert not [pod for pod in lab.get("pod") if "deletionTimestamp" not in pod["metadata"]]
    ends_with(inside, lab, kept | guests)
    ends_with(outside, lab, {f"Namespace/{lab.namespace}", "PersistentVolume"})
    claims = lab.get("pvc")
    assert any("alice" in item["metadata"]["name"] for item in claims)
    assert not {"prometheus", "grafana"} & {
        item["metadata"]["name"] for item in claims
    }  # what they kept goes, and that is said
    assert "monitoring/data" in said and "grafana/data" in said, said
    assert "claim" in said and "kept" in said, said


def test_apply_takes_them_up_again(lab: Lab) -> None:
    lab.apply()
    lab.caas.run("grant", lab.name, "alice")
    client = lab.signed_in("alice", PASSWORD)
    client.spawn()
    kernel = client.kernel()
    assert kernel.run("import os; print(open(os.path.expanduser('~/kept')).read())").text.strip() == "still here"
    kernel.close()


def test_destroy_with_the_data(lab: Lab, bed: Bed) -> None:
    lab.caas.run("destroy", lab.name, "--yes", "--delete-data")
    assert not lab.folder.exists()
    assert not bed.names("pvc", lab.namespace, HOMES)
    assert lab.name not in {item["name"] for item in lab.caas.json("list")}
    guests = inside(lab)
    assert guests <= GUESTS
    ends_with(outside, lab, {f"Namespace/{lab.namespace}"} if guests else set())


@pytest.fixture(scope="module")
def example(lab: Lab) -> Iterator[Lab]:
    """The cluster of tests/forms/kubernetes.yaml, of which only the kubeconfig is another: nothing of it is there."""
    text = (ROOT / "tests" / "forms" / "kubernetes.yaml").read_text()
    theirs = "kubeconfig: /var/tmp/caas-testbed-tb/admin.kubeconfig\n"
    assert text.count(theirs) == 1
    made = Lab(lab.caas, lab.bed, re.search(r"(?m)^cluster: (.+)$", text)[1])  # type: ignore[index]
    made.form = lab.caas.folder / "kubernetes.yaml"
    made.form.write_text(text.replace(theirs, f"kubeconfig: {lab.bed.kubeconfig}\n"))
    yield made
    if made.name in {item["name"] for item in lab.caas.json("list")}:
        lab.caas.run("destroy", made.name, "--yes", "--delete-data")


def kill_at(lab: Lab, event: str, step: str, *words: str) -> None:
    """When it says so; it has to have come to that."""
    process, said = lab.caas.start(*words, "--yes", "--json"), []
    for line in process.stdout or []:
        said.append(line)
        if f'"{event}"' in line and f'"{step}"' in line:
            break
    ended = process.poll()
    process.kill()
    process.communicate()
    assert ended is None, "".join(said)[-3000:]


def test_a_first_install_that_is_killed_goes_on(example: Lab) -> None:
    for event, step in AT_INSTALL:
        kill_at(example, event, step, "apply", str(example.form))
    example.apply()
    assert "othing to do" in example.plan(status=0).stdout
    outcomes = [run["outcome"] for run in example.caas.json("history", example.name)]
    assert outcomes[: len(AT_INSTALL) + 1] == ["done", *["interrupted"] * len(AT_INSTALL)]


def test_the_form_beside_the_tests_works(example: Lab) -> None:
    lines = example.caas.run("test", example.name, "--json", seconds=600).stdout.splitlines()
    checks = {item["check"]: item for item in map(json.loads, lines)}
    assert {"sign-in", "server", "notebook", "dask"} <= set(checks), checks
    assert all(item["ok"] for item in checks.values()), checks
    example.plan(status=0)


def test_a_destroy_that_is_killed_goes_on(example: Lab) -> None:
    guests = inside(example) & GUESTS
    for event, step in AT_DESTROY:
        kill_at(example, event, step, "destroy", example.name)
    example.caas.run("destroy", example.name, "--yes")
    ends_with(inside, example, {"PersistentVolumeClaim/directory-data"} | guests)
    ends_with(outside, example, {f"Namespace/{example.namespace}", "PersistentVolume"})
    example.caas.run("destroy", example.name, "--yes", "--delete-data")
    assert inside(example) <= guests


def test_a_definition_of_another_version_and_another_owner_is_refused(lab: Lab, bed: Bed) -> None:
    """Only now, as the first cluster has brought its own."""
    name, labels = "daskclusters.gateway.dask.org", {"app.kubernetes.io/managed-by": "Helm"}
    notes = {"meta.helm.sh/release-name": "dhub"}
    names = {"plural": "daskclusters", "singular": "daskcluster", "kind": "DaskCluster", "listKind": "DaskClusterList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    theirs = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": labels, "annotations": notes},
        "spec": {
            "group": "gateway.dask.org",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v2", "served": True, "storage": True, "schema": schema}],
        },
    }
    bed.kubectl("wait", "--for=delete", f"crd/{name}", "--timeout=60s", status=None)
    bed.kubectl("create", "-f", "-", given=json.dumps(theirs))
    try:
        done = lab.apply(status=1)
        said = done.stdout + done.stderr
        assert name in said and "the Helm release dhub" in said, said
        assert everything(lab) == {}  # the namespace may be there: a guest of an earlier test holds it
        versions = bed.kubectl("get", "crd", name, "-o", "jsonpath={.spec.versions[*].name}")
        assert versions == "v2"
    finally:
        bed.kubectl("delete", "crd", name)
