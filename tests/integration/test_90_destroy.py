"""Nothing is left but user data; and that is there again after the next apply."""

import subprocess
import time
from pathlib import Path

from conftest import PASSWORD, Cluster


def leftovers(cluster: Cluster) -> dict[str, list[str]]:
    """Processes, mounts, units and accounts of the cluster that are still there."""
    mark = str(cluster.folder)
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mark in line:
                processes.append(f"{entry.name} {line[:120]}")
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if mark in line]
    loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
    # Whose an account is stands in its comment; its group goes with it.
    accounts = [line for line in Path("/etc/passwd").read_text().splitlines() if f":caas {cluster.name} " in line]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/caas-{cluster.name}") if path.is_dir()]
    return {
        "processes": processes,
        "mounts": mounts,
        "loops": [line for line in loops.splitlines() if mark in line],
        "accounts": accounts,
        "groups": groups,
    }


def test_destroy_keeps_user_data_and_says_where(cluster: Cluster) -> None:
    before = leftovers(cluster)
    assert before["processes"] and before["accounts"], before  # else it would not be seen that they go
    said = cluster.caas.run("destroy", cluster.name, "--yes").stdout
    assert str(cluster.folder / "homes") in said
    time.sleep(1)
    assert leftovers(cluster) == {"processes": [], "mounts": [], "loops": [], "accounts": [], "groups": []}
    kept = {path.relative_to(cluster.folder).parts[0] for path in cluster.folder.rglob("*")}
    assert kept <= {"homes", "directory"}, kept
    assert {path.name for path in (cluster.folder / "homes" / "images").iterdir()} >= {"alice.xfs"} or any(
        "alice" in path.name for path in (cluster.folder / "homes" / "images").iterdir()
    )


def test_destroy_of_what_never_was_is_refused(cluster: Cluster) -> None:
    assert "never-was" in cluster.caas.run("destroy", "never-was", "--yes", status=1).stderr


def test_apply_gives_users_their_accounts_and_homes_back(cluster: Cluster) -> None:
    cluster.write_form(storage=0.8)
    cluster.apply()
    cluster.caas.run("grant", cluster.name, "alice")
    client = cluster.signed_in("alice", PASSWORD)
    client.spawn()
    kernel = client.kernel()
    assert kernel.run("print(open('/home/alice/kept').read())").text.strip() == "still here"
    kernel.close()


def test_destroy_with_the_data(cluster: Cluster) -> None:
    cluster.caas.run("destroy", cluster.name, "--yes", "--delete-data")
    assert not cluster.folder.exists()
    assert not any(leftovers(cluster).values())
    assert not list((cluster.caas.state / "claims").rglob("*/*"))
