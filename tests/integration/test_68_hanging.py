"""What the exporter asks hangs, all at once: each costs its own figures, and never the scrape."""

import ctypes
import json
import os
import signal
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import promql
import pytest
from bed import eventually
from conftest import Cluster
from hubclient import HubClient
from test_50_survive import service_pid
from test_65_monitoring import Watcher
from test_67_scene import often

UNTOUCHED = {"cgroup", "pod", "part", "certificate", "backup", "directory"}
# Of a hub that hangs.
ALERTS = {
    "TargetDown": 'up{job="hub"}',
    "SourceDown": 'caas_source_up{source="hub"}',
    "PartDown": 'caas_part_up{part="hub"}',
}
LIBC = ctypes.CDLL(None, use_errno=True)


def scrape(cluster: Cluster) -> dict[str, float]:
    """What the exporter says. Where it waited for what hangs it would say nothing at all: the home's server never answers."""
    config = json.loads((cluster.folder / "monitoring" / "exporter.json").read_text())
    request = urllib.request.Request(f"http://{config['listen']}/metrics")
    request.add_header("Authorization", f"Bearer {config['token']}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def locked(journal: Path) -> Iterator[None]:
    """As by a program that lets nobody read beside it."""
    held = sqlite3.connect(journal, isolation_level=None)
    try:
        held.execute("PRAGMA locking_mode = EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        held.execute("ROLLBACK")
        held.close()


@contextmanager
def home_that_hangs(cluster: Cluster) -> Iterator[None]:
    """Of somebody who is not there, on a file system whose server never says a word."""
    homes = cluster.folder / "homes"
    image, mount = homes / "images" / "zoe.xfs", homes / "mounts" / "zoe"
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    with ExitStack() as undo:
        undo.callback(os.close, server)  # last of all: who waits for an answer is told that none will come
        mount.mkdir()
        undo.callback(mount.rmdir)
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
        if LIBC.mount(b"none", bytes(mount), b"fuse", 0, options) < 0:
            raise OSError(ctypes.get_errno(), "cannot mount")
        undo.callback(LIBC.umount2, bytes(mount), 2)  # MNT_DETACH
        os.link(homes / "images" / "alice.xfs", image)
        undo.callback(image.unlink)
        yield


def down(said: dict[str, float]) -> set[str]:
    return {name.split('"')[1] for name, value in said.items() if name.startswith("caas_source_up{") and not value}


def all_are_well(cluster: Cluster) -> None:
    def well() -> bool:
        try:
            said = scrape(cluster)
        except OSError:  # it begins
            return False
        up = [value for name, value in said.items() if name.startswith(("caas_source_up{", "caas_part_up{"))]
        return len(up) >= 15 and all(up) and said["caas_directory_up"] == 1

    eventually(well, 60)


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="there is no /dev/fuse on this machine")
def test_each_costs_its_own_figures_only(cluster: Cluster, alice: HubClient) -> None:
    often(cluster)
    all_are_well(cluster)
    expected = {"hub", "gateway", "dask", "home", "run"}
    with ExitStack() as trouble:
        trouble.enter_context(locked(cluster.caas.state / "journal.sqlite"))
        trouble.enter_context(home_that_hangs(cluster))
        for service in ("hub", "gateway", "directory"):
            trouble.enter_context(stopped(service_pid(cluster, service)))
        (cluster.caas.state / "journal.sqlite").touch()  # the exporter looks again when it has changed
        end, said = time.monotonic() + 90, {}
        while not (down(said) == expected and said.get("caas_directory_up") == 0):
            assert time.monotonic() < end, (down(said), said.get("caas_directory_up"))
            assert not down(said) & UNTOUCHED, down(said)
            time.sleep(0.5)
            said = scrape(cluster)
        # What those say that are well is new all the same.
        ages = {
            name.split('"')[1]: time.time() - value
            for name, value in said.items()
            if name.startswith("caas_source_last_success_timestamp_seconds{")
        }
        assert ages["cgroup"] < 10 and ages["pod"] < 10 and max(ages["part"], ages["directory"]) < 30, ages
        assert said['caas_user_memory_bytes{user="alice",kind="notebook"}'] > 0
        assert said['caas_part_up{part="hub"}'] == said['caas_part_up{part="gateway"}'] == 0
        assert said['caas_part_up{part="entry"}'] == 1
        watcher, alerts = Watcher(cluster), {alert.name: alert.expr for alert in promql.alerts()}
        for name, of_the_hub in ALERTS.items():
            watcher.wait(f"({alerts[name]}) and {of_the_hub}")
    all_are_well(cluster)
