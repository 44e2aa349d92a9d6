"""Nothing is left but claims; and they are taken up again. A lost journal is rebuilt from what is there."""

import json
import shutil

from bed import HOMES, PASSWORD, Bed, Lab


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


def test_destroy_leaves_only_claims_and_says_so(lab: Lab) -> None:
    before = everything(lab)
    assert before["deployment"] and before["secret"], before
    said = lab.caas.run("destroy", lab.name, "--yes").stdout
    assert everything(lab) == {}
    assert not [pod for pod in lab.get("pod") if "deletionTimestamp" not in pod["metadata"]]
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
