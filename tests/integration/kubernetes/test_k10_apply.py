"""From nothing to a cluster that works, and nothing to do after it."""

from bed import Lab

WORKLOADS = {"hub", "proxy", "directory"}
KINDS = """ConfigMap DaemonSet Deployment NetworkPolicy PersistentVolumeClaim PodDisruptionBudget Role RoleBinding Secret
 Service ServiceAccount StatefulSet"""


def test_everything_is_ours_by_label(lab: Lab) -> None:
    """Whatever is there, unless it belongs to another object, or users came to it."""
    kinds = set()
    for item in lab.bed.everything(lab.namespace):
        labels, notes = item["metadata"].get("labels", {}), item["metadata"].get("annotations", {})
        home = labels.get("component") == "singleuser-storage"
        # Endpoints have the labels of their Service, and nobody whom they belong to.
        if home or item["kind"] == "Endpoints" or item["metadata"].get("ownerReferences"):
            continue
        name = f"{item['kind']}/{item['metadata']['name']}"
        assert labels.get("app.kubernetes.io/managed-by") == "caas", name
        assert labels.get("caas.pangeo.io/cluster") == lab.name, name
        assert "/" in notes.get("caas.pangeo.io/resource", ""), name
        kinds.add(item["kind"])
    assert kinds == set(KINDS.split())
    assert lab.names("deployment", f"caas.pangeo.io/cluster={lab.name}") >= {"hub", "proxy"}


def test_nothing_is_to_be_done(lab: Lab) -> None:
    shown = lab.plan(status=0).stdout
    assert "othing to do" in shown, shown
    lab.apply()
    assert len(lab.caas.json("history", lab.name)) == 1


def test_status_counts_pods(lab: Lab) -> None:
    status = lab.settled()
    services = {item["name"]: item for item in status["services"]}
    assert set(services) >= WORKLOADS, services
    assert all(item["pods"]["ready"] == item["pods"]["wanted"] for item in services.values()), services
    assert status["differs"]["total"] == 0 and status["target"] == "kubernetes"
    assert status["access"]["url"].startswith("https://")
    text = lab.caas.run("status", lab.name).stdout
    assert "hub" in text and "as applied    yes" in text


def test_status_says_why_not(lab: Lab) -> None:
    lab.kubectl("scale", "deployment/proxy", "--replicas=0")
    said = lab.caas.run("status", lab.name, status=1).stdout
    assert "proxy" in said and "scaled down" in said
    assert lab.apply().returncode == 0
    lab.settled()


def test_list_knows_it(lab: Lab) -> None:
    found = {item["name"]: item for item in lab.caas.json("list")}
    assert found[lab.name]["target"] == "kubernetes" and found[lab.name]["state"] == "applied"
    assert found[lab.name]["url"].startswith("https://pangeo.")


def test_secrets_are_nowhere_in_the_journal_or_the_plan(lab: Lab) -> None:
    password = lab.caas.run("password", lab.name).stdout.strip()
    journal = b"".join(path.read_bytes() for path in lab.caas.state.glob("journal.sqlite*"))
    assert len(password) >= 8 and password.encode() not in journal
    key = (lab.folder / "ca" / "ca.key").read_text().splitlines()[1]
    assert key.encode() not in journal
