"""kill -9 of the real thing, beside the first cluster: the same command goes on and ends where it should."""

import signal

import pytest
from conftest import Cluster, kill_after

POINTS = (
    0.3,
    1.5,
    4,
    9,
    16,
    25,
)  # seconds into the run; what is already done is not done again, so they reach all of it


@pytest.fixture(scope="module")
def second(cluster: Cluster) -> Cluster:
    return Cluster(cluster.caas, "second", 9643)


def test_killed_again_and_again_it_converges(second: Cluster) -> None:
    killed = [kill_after(second.caas.start("apply", str(second.form), "--yes"), point) for point in POINTS]
    assert sum(killed) >= 3, killed
    second.apply()
    second.caas.run("plan", str(second.form))
    outcomes = [run["outcome"] for run in second.caas.json("history", second.name)]
    assert outcomes[0] == "done" and "interrupted" in outcomes


def test_ctrl_c_stops_cleanly_and_goes_on(second: Cluster) -> None:
    second.write_form(cpus=0.7)
    process = second.caas.start("apply", str(second.form), "--yes", "--json")
    assert process.stdout is not None
    for line in process.stdout:  # many steps come after the first one, and the hub's new start takes its time
        if '"step_begin"' in line:
            break
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 1, said
    assert second.caas.json("history", second.name)[0]["outcome"] == "cancelled", said
    second.caas.run("plan", str(second.form), status=2)
    second.apply()
    second.caas.run("plan", str(second.form))


def test_two_clusters_side_by_side(cluster: Cluster, second: Cluster) -> None:
    second.add_user("alice")
    kernel_uids = []
    for one in (cluster, second):
        client = one.signed_in("alice")
        if not client.api("GET", "/users/alice").json().get("servers"):
            client.spawn()
        kernel_uids.append(int(client.kernel().run("import os; print(os.getuid())").text))
    assert kernel_uids[0] != kernel_uids[1]
    assert {item["name"] for item in cluster.caas.json("list")} == {cluster.name, "second"}


def test_destroy_killed_again_and_again(second: Cluster) -> None:
    for point in (0.3, 1.0, 2.0):
        kill_after(second.caas.start("destroy", second.name, "--yes", "--delete-data"), point)
        if "second" not in {item["name"] for item in second.caas.json("list")}:
            break
    else:
        second.caas.run("destroy", second.name, "--yes", "--delete-data")
    assert "second" not in {item["name"] for item in second.caas.json("list")}
    assert not second.folder.exists()
