"""Some hours of a cluster in a minute, and everything that dashboards and alerts ask of the Prometheus that has watched it: the scene
of lib/scene.py on this machine."""

import dataclasses
import json
import math
import os
import signal
import subprocess
from collections.abc import Iterator

import dask_cluster
import kubernetes_names
import promql
import pytest
import scene as scenes
from conftest import Cluster
from scene import EITHER, SHOWN, SILENT, ZERO, ZERO_OR_MORE, Scene, Stage
from test_50_survive import killed
from test_65_monitoring import Watcher, running

EVERY = 2  # seconds from one look to the next, of the exporter and of Prometheus
SILENT_HERE = SILENT | {
    "Overview / Disk of homes full in": "it is not said in the first hour",
    "Storage / Full in": "it is not said in the first hour",
    "clamp_min(predict_linear(caas_homes_free_bytes": "it is not said in the first hour",
    "alert DriftFound": "there was none",
    "alert GrafanaDown": "the cluster has none of its own",
    "alert VolumeFull": "the disks of a host have alerts of their own",
    "alert VolumeFilling": "the disks of a host have alerts of their own",
}
EITHER_HERE = EITHER | {
    "alert HostDiskFull": "how full it is",
    "alert HostDiskFilling": "how full it is, and whether it could take for three days what is written within seconds",
    "alert HomesDiskFull": "how full it is",
    "alert HomesDiskFilling": "whether it could take for three days what fills a home within seconds",
}
ZERO_HERE = ZERO | {
    "Provisioner / Changed by others": "there was nothing",
}
ZERO_OR_MORE_HERE = ZERO_OR_MORE | {
    "My usage / Home": "emma has stored nothing yet, or what her workers had no room for",
    "My usage / How full the home is": "emma has stored nothing yet, or what her workers had no room for",
    "Host capacity / By disk, if homes fill up": "how full this machine is",
    "Host capacity / Network": "all that is asked is on this machine",
}
# More than two workers keep in memory: some goes to disk, which is emma's home.
HOLD = "import os; held = client.map(lambda n: os.urandom(60_000_000), range(20), pure=False)"
# Of 1.5 GB.
LEAK_SLOWLY = """
import time
blocks = [bytearray(b'x' * 50_000_000) for _ in range(23)]
while True:
    blocks.append(bytearray(b'x' * 5_000_000))
    time.sleep(0.25)
"""
FILL = """
import time
try:
    with open("/home/finn/fill", "wb") as file:
        for step in range(1000):
            file.write(b"x" * 4_000_000); file.flush()
            time.sleep(0.02)
except OSError as error:
    print(error.errno)
"""


def often(cluster: Cluster) -> None:
    """Prometheus and the exporter look every two seconds, until an apply writes what the form says. And a file says when the
    last backup ended, as with monitoring.backup_stamp of the form."""
    folder = cluster.folder / "monitoring"
    config = json.loads((folder / "prometheus.yaml").read_text())
    exporter = json.loads((folder / "exporter.json").read_text())
    scenes.look_often(config, exporter, EVERY)
    exporter["backup"] = {"stamp": str(cluster.caas.folder / "scene-backup")}
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    (folder / "exporter.json").write_text(json.dumps(exporter))
    killed(cluster, "exporter")
    (pid,) = [int(pid) for pid, line in running(cluster).items() if line.startswith("/usr/bin/prometheus --config")]
    os.kill(pid, signal.SIGHUP)


def service(cluster: Cluster, verb: str, name: str) -> None:
    subprocess.run(["sv", verb, str(cluster.folder / "service" / name)], check=True, timeout=60)


@pytest.fixture(scope="module")
def scene(cluster: Cluster) -> Iterator[Scene]:
    stage = Stage(
        cluster,
        Watcher(cluster),
        LEAK_SLOWLY,
        FILL,
        back_up=(cluster.caas.folder / "scene-backup").touch,
        take_directory=lambda: service(cluster, "force-stop", "directory"),
        bring_directory=lambda: service(cluster, "up", "directory"),
        every=EVERY,
        silent=SILENT_HERE,
        either=EITHER_HERE,
        zero=ZERO_HERE,
        zero_or_more=ZERO_OR_MORE_HERE,
    )
    often(cluster)
    for user in ("emma", "finn"):
        cluster.add_user(user)
    made = scenes.play(stage)
    yield made
    last = made.emma.kernel()
    assert last.run(dask_cluster.STOP_ALL, seconds=60).status == "ok"
    made.emma.stop()


@pytest.mark.parametrize("user", [".*", "(emma|finn)"])  # all, and two chosen: as Grafana fills the variable in
def test_every_expression_of_dashboards_and_alerts_is_answered(scene: Scene, user: str) -> None:
    scene.ask_everything(user)


def test_what_shows_nothing_but_zeros_is_known(scene: Scene) -> None:
    scene.zeros_are_known()


@pytest.mark.parametrize(
    "where", ["Storage / Full in", "Overview / Disk of homes full in", "Storage / Disk of the homes"]
)
def test_when_the_disk_is_full_is_answered_in_time(cluster: Cluster, scene: Scene, where: str) -> None:
    """As it is after the first hour, which is ten seconds here."""
    (query,) = [one for one in promql.queries() if one.where == where and "offset 1h" in one.expr]
    hasty = dataclasses.replace(query, expr=query.expr.replace("offset 1h", "offset 10s"))
    (one,), wrong = promql.answer(scene.asked(), hasty, {"cluster": cluster.name}, over=False)
    assert not wrong and math.isfinite(one.values[0]) and one.values[0] >= 0


def test_what_is_excused_is_asked() -> None:
    assert scenes.unneeded(SILENT_HERE, EITHER_HERE, ZERO_HERE, ZERO_OR_MORE_HERE) == []


@pytest.mark.parametrize("where", SHOWN)
def test_what_happened_is_shown(scene: Scene, where: str) -> None:
    scene.shows(where, SHOWN[where])


@pytest.mark.parametrize("question", kubernetes_names.QUESTIONS)
def test_kubernetes_dashboards_are_answered(scene: Scene, question: str) -> None:
    expr, labels = kubernetes_names.QUESTIONS[question]
    series, wrong = scene.asked().series(expr, over=True)
    assert not wrong, wrong
    mine = [one for one in series if labels.items() <= one.labels.items()]
    answered = any(math.isfinite(value) for one in mine for value in one.values)
    assert not series if question in kubernetes_names.NOT_ON_A_HOST else answered, (expr, series)


def test_the_directory_has_an_alert_of_its_own(scene: Scene) -> None:
    scene.directory_has_an_alert_of_its_own()


def test_the_directory_was_away_and_is_back(scene: Scene) -> None:
    scene.directory_was_away_and_is_back()


def test_sums_of_workers_follow_what_they_do(scene: Scene) -> None:
    """By their heartbeats to the scheduler: results go to disk and away again, and then one of the two workers."""
    watcher, kernel = scene.stage.watcher, scene.emma.kernel()
    watcher.wait('caas_dask_cluster_idle_seconds{user="emma"} > 5')  # since the directory was away
    threads = watcher.wait('dask_worker_threads{user="emma"}')
    limit = watcher.wait('caas_dask_worker_memory_limit_bytes{user="emma"}')
    sent = watcher.wait('dask_worker_transfer_outgoing_bytes_total{user="emma"} > 0')
    assert threads == 2 and limit == pytest.approx(2 * 0.91e9, rel=0.01)
    dask_cluster.scale(kernel, 2)
    kernel.run(HOLD)
    for query in (
        'dask_worker_memory_bytes{user="emma", type="spilled"} > 5e7',
        'dask_worker_tasks{user="emma", state="disk"} > 0',
        'dask_worker_spill_bytes_total{user="emma", activity="disk-write"} > 5e7',
        'sum(dask_worker_memory_bytes{user="emma", type!="spilled"}) > 5e8',
        'caas_dask_worker_memory_fullest_ratio{user="emma"} > 0.3',
    ):
        watcher.wait(query)
    kernel.run("del held")
    watcher.wait('dask_worker_memory_bytes{user="emma", type="spilled"} < 5e7')  # the 40 MB of the scene may stay there
    dask_cluster.scale(kernel, 1)
    watcher.wait('dask_worker_threads{user="emma"} == 1')
    assert watcher.wait('caas_dask_worker_memory_limit_bytes{user="emma"}') == limit / 2
    assert watcher.wait('dask_worker_transfer_outgoing_bytes_total{user="emma"}') >= sent
    assert watcher.wait('dask_worker_spill_bytes_total{user="emma", activity="disk-write"}') > 5e7
    assert kernel.run(dask_cluster.STOP_ALL, seconds=60).status == "ok"
    watcher.wait_gone('{dask_cluster!="", user="emma"}')
    kernel.close()


def test_a_run_that_was_stopped_and_what_others_changed_are_told(cluster: Cluster, scene: Scene) -> None:
    """`often` has changed two files, which the apply that puts them right finds, and is stopped at its beginning."""
    process = cluster.caas.start("apply", str(cluster.form), "--yes", "--json")
    for line in process.stdout or []:
        if line.startswith("{") and json.loads(line).get("event") == "run_begin":
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=120)
    assert cluster.caas.json("history", cluster.name)[0]["outcome"] == "cancelled"
    try:
        watcher = Watcher(cluster)
        for alert in promql.alerts():
            if alert.name in ("ApplyFailed", "DriftFound"):
                watcher.wait(alert.expr)
        assert watcher.wait("caas_drift_resources") >= 2
    finally:
        cluster.apply()
