"""Some hours of a cluster in a minute: users come, compute, leak memory, fill a home, the directory goes and comes back. Then
everything that dashboards and alerts ask is asked of the Prometheus that has watched it."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dask_cluster
import kubernetes_names
import promql
import pytest
from conftest import PASSWORD, Cluster
from hubclient import HubClient
from test_50_survive import killed
from test_65_monitoring import Watcher, running

EVERY = 2  # seconds from one look to the next, of the exporter and of Prometheus
SETTLED = 60  # seconds, and of a busy machine: what happened is in what Prometheus has

# What the scene gives nothing to, and why; it is an error if something comes all the same.
SILENT = {
    "Overview / Disk of homes full in": "it is not said in the first hour",
    "Storage / Full in": "it is not said in the first hour",
    "clamp_min(predict_linear(caas_homes_free_bytes": "it is not said in the first hour",
    "My usage / Killed for memory": "it is emma who looks, and finn's kernel that was killed",
    "alert MailsFailing": "the form has nobody who is sent mails",
    "alert ApplyFailed": "it went well",
    "alert DriftFound": "there was none",
    "alert CertificateExpiring": "they are new",
    "alert CertificateExpired": "they are new",
    "alert SamplesDropped": "two dozen users are not too many",
    "alert SpawnsFailing": "every server started",
    "alert GrafanaDown": "the cluster has none of its own",
    "alert VolumeFull": "the disks of a host have alerts of their own",
    "alert VolumeFilling": "the disks of a host have alerts of their own",
    "alert DirectorySlow": "it does not answer at all, or fast",
    "alert TargetDown": "all of them answer",
    "alert SourceDown": "none but that of the directory, which has an alert of its own",
}
# What this machine decides: how busy it is, how full. Both are right.
EITHER = {
    "alert HubSlow": "how busy it is",
    "alert HubErrors": "how busy it is",
    "alert SpawnsSlow": "how busy it is",
    "alert PartDown": "how busy it is: on a crowded machine a part may answer late",
    "alert MonitoringPageDown": "how busy it is, as for the other parts",
    "alert HostMemoryShort": "how full it is",
    "alert HostDiskFull": "how full it is",
    "alert HostDiskFilling": "how full it is, and whether it could take for three days what is written within seconds",
    "alert HomesDiskFull": "how full it is",
    "alert HomesDiskFilling": "whether it could take for three days what fills a home within seconds",
}

# Panels of which every figure is 0, and why; any other has to show more, so that one that is always 0 is noticed.
ZERO = {
    "Dask / Idle for ten minutes": "nobody waits for so long here",
    "My usage / Killed": "it is emma who looks, and finn's kernel that was killed",
    "Provisioner / Changed by others": "there was nothing",
    "Provisioner / Prometheus on disk": "for the first two hours it has everything in hand",
}
# Those that may be.
ZERO_OR_MORE = {
    "Dask / Spilled to disk": "emma's workers have room for nearly all of what they hold",
    "My usage / Home": "emma has stored nothing yet, or what her workers had no room for",
    "My usage / How full the home is": "emma has stored nothing yet, or what her workers had no room for",
    "Host capacity / If each fills their memory": "how full this machine is",
    "Host capacity / If each uses what others use": "how full this machine is",
    "Host capacity / By CPU, as others use it": "how busy this machine is",
    "Host capacity / By disk, if homes fill up": "how full this machine is",
    "Host capacity / Network": "all that is asked is on this machine",
}

COMPUTE = """
import time
from dask_gateway import GatewayCluster
cluster = GatewayCluster()
cluster.scale(2)
client = cluster.get_client()
client.wait_for_workers(2, timeout=120)
def work(number):
    time.sleep(0.1)
    return bytes(1_000_000)
for _ in range(4):
    many = client.map(work, range(40), pure=False)
    print(client.submit(lambda *all: sum(map(len, all)), *many, pure=False).result(timeout=120))
    time.sleep(1)
"""
# More than two workers keep in memory: some goes to disk, which is emma's home.
HOLD = "import os; held = client.map(lambda n: os.urandom(60_000_000), range(20), pure=False)"
LEAK = "blocks = []\nfor _ in range(60): blocks.append(bytearray(b'x' * 50_000_000))"
# The last tenth slowly, so that somebody sees it.
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


@dataclass
class Scene:
    watcher: Watcher
    began: float
    emma: HubClient

    def asked(self) -> promql.Asked:
        now = time.time()
        return promql.Asked(self.watcher.url, now, now - self.began, self.watcher.context, EVERY)


def often(cluster: Cluster) -> None:
    """Prometheus and the exporter look every two seconds, until an apply writes what the form says. And a file says when the
    last backup ended, as with monitoring.backup_stamp of the form."""
    folder = cluster.folder / "monitoring"
    config = json.loads((folder / "prometheus.yaml").read_text())
    config["global"] |= {
        "scrape_interval": f"{EVERY}s",
        "scrape_timeout": f"{EVERY}s",
        "evaluation_interval": f"{EVERY}s",
    }
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    exporter = json.loads((folder / "exporter.json").read_text())
    exporter |= {"refresh_seconds": EVERY, "backup": {"stamp": str(cluster.caas.folder / "scene-backup")}}
    (folder / "exporter.json").write_text(json.dumps(exporter))
    killed(cluster, "exporter")
    (pid,) = [int(pid) for pid, line in running(cluster).items() if line.startswith("/usr/bin/prometheus --config")]
    os.kill(pid, signal.SIGHUP)


def service(cluster: Cluster, verb: str, name: str) -> None:
    subprocess.run(["sv", verb, str(cluster.folder / "service" / name)], check=True, timeout=60)


def compute(emma: HubClient) -> None:
    reply = emma.kernel().run(COMPUTE, seconds=240)
    assert reply.text.split() == ["40000000"] * 4, reply


def leak_and_fill(finn: HubClient) -> None:
    for code in (LEAK_SLOWLY, LEAK, LEAK):
        assert finn.kernel().run(code, seconds=120).status == "dead"
    assert finn.kernel().run(FILL, seconds=120).text.strip() == "28"


def lose_the_directory(cluster: Cluster, watcher: Watcher) -> None:
    service(cluster, "force-stop", "directory")
    try:
        for _ in range(4):
            assert cluster.client().login("emma", PASSWORD)[0] != 302
        watcher.wait("caas_directory_up == 0")
    finally:
        service(cluster, "up", "directory")
    watcher.wait("caas_directory_up == 1")
    cluster.signed_in_again("emma")


@pytest.fixture(scope="module")
def scene(cluster: Cluster) -> Iterator[Scene]:
    watcher = Watcher(cluster)
    often(cluster)
    for user in ("emma", "finn"):
        cluster.add_user(user)
    watcher.wait("count(count_over_time(up[5s]) >= 2) == count(up) and count(up == 1) == count(up)")
    watcher.wait("count(caas_source_up == 1) == count(caas_source_up)")
    began = time.time()
    assert cluster.client().login("emma", "wrong")[0] == 403
    guess = cluster.client()
    for number in range(60):  # of nobody whom the directory would have to be asked for
        assert guess.login(f"no body {number}", "guessed")[0] == 403
    assert cluster.client().login("bob", PASSWORD)[0] == 403
    emma, finn = cluster.signed_in("emma"), cluster.signed_in("finn")
    emma.spawn()
    finn.spawn()
    (cluster.caas.folder / "scene-backup").touch()
    with ThreadPoolExecutor() as both:
        for done in [both.submit(compute, emma), both.submit(leak_and_fill, finn)]:
            done.result(timeout=300)
    lose_the_directory(cluster, watcher)
    finn.stop()
    yield Scene(watcher, began, emma)
    last = emma.kernel()
    assert last.run(dask_cluster.STOP_ALL, seconds=60).status == "ok"
    emma.stop()


def fault(asked: promql.Asked, query: promql.Query, variables: dict[str, str]) -> str:
    """What is wrong with the answer to a query, or ""."""
    if query.kind == "values":
        return promql.values_of(asked, query, variables)[1]
    over = query.kind != "instant"  # an alert may have been over again
    series, wrong = promql.answer(asked, query, variables, over)
    if wrong:
        return wrong
    finite = any(math.isfinite(value) for one in series for value in one.values)
    text = f"{query.where}: {query.expr}"
    if why := promql.reason(text, SILENT):
        return f"gives {series}, though {why}" if series else ""
    if query.where in EITHER:
        return ""
    return "" if finite else f"{'gives only NaN' if series else 'finds nothing'}: {query.expr}"


@pytest.mark.parametrize("user", [".*", "(emma|finn)"])  # all, and two chosen: as Grafana fills the variable in
def test_every_expression_of_dashboards_and_alerts_is_answered(cluster: Cluster, scene: Scene, user: str) -> None:
    end = time.monotonic() + SETTLED
    left = [query for query in promql.queries() if user == ".*" or "$user" in query.expr]
    said = ["nothing was asked yet"]
    while said:
        asked, variables = scene.asked(), {"cluster": cluster.name, "user": user, "me": "emma"}
        wrong = [(query, fault(asked, query, variables)) for query in left]
        left = [query for query, one in wrong if one]
        said = [f"{query.where}: {one}" for query, one in wrong if one]
        assert not said or time.monotonic() < end, "\n".join(said)


def test_what_shows_nothing_but_zeros_is_known(cluster: Cluster, scene: Scene) -> None:
    zero = promql.only_zeros(scene.asked(), {"cluster": cluster.name, "me": "emma"})
    assert sorted(zero - set(ZERO_OR_MORE)) == sorted(ZERO)


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
    """An exception that nobody needs any more is taken out."""
    texts = [f"{query.where}: {query.expr}" for query in promql.queries()]
    excused = (*SILENT, *EITHER, *ZERO, *ZERO_OR_MORE)
    assert [part for part in excused if not any(part in text for text in texts)] == []


# Panel or alert → what its answer has to show of the scene: labels of a series with values above 0.
SHOWN = {
    "Identity and sign-ins / In the time shown": [
        {"outcome": outcome} for outcome in ("success", "wrong_password", "not_a_member", "directory_away")
    ],
    "Identity and sign-ins / Requests not answered": [{}],
    "Users / Killed for memory": [{"user": "finn", "kind": "notebook"}],
    "Users / annotation Killed for memory": [{"user": "finn", "kind": "notebook"}],
    "Users / Memory, Dask": [{"user": "emma"}],
    "Users / Stopped servers": [{"status": "success"}],
    "Overview / Starts of servers": [{"outcome": "success"}],
    "Overview / Alerts that are firing": [{"alertname": "KernelsKilled", "user": "finn"}],
    "Dask / Workers": [{"user": "emma"}],
    "Dask / Tasks by state": [{"state": "memory"}],
    "Dask / Memory of workers": [{"type": "managed"}, {"type": "unmanaged"}],
    "Dask / Busy threads": [{}],
    "Dask / Workers that come and leave": [{}],
    "Dask / Tasks done with": [{"user": "emma"}],
    "Dask / Results held": [{"user": "emma"}],
    "Dask / Moved between workers": [{"user": "emma"}],
    "alert DirectoryAway": [{}],
    "alert SignInsFailing": [{}],
    "alert ManyWrongPasswords": [{}],
    "alert BackupOld": [{}],
    "alert HomeFull": [{"user": "finn"}],
    "alert HomeFilling": [{"user": "finn"}],
    "alert UserAtMemoryLimit": [{"user": "finn", "kind": "notebook"}],
    "alert KernelsKilled": [{"user": "finn", "kind": "notebook"}],
    "alert DaskUserAtCap": [{"user": "emma"}],
}


@pytest.mark.parametrize("where", SHOWN)
def test_what_happened_is_shown(cluster: Cluster, scene: Scene, where: str) -> None:
    found: list[promql.Series] = []
    for query in promql.queries():
        if query.where == where:
            found += promql.answer(scene.asked(), query, {"cluster": cluster.name}, over=query.kind != "instant")[0]
    for labels in SHOWN[where]:
        mine = [one for one in found if labels.items() <= one.labels.items()]
        assert any(value > 0 for one in mine for value in one.values) or where.startswith("alert ") and mine, found


@pytest.mark.parametrize("question", kubernetes_names.QUESTIONS)
def test_kubernetes_dashboards_are_answered(scene: Scene, question: str) -> None:
    expr, labels = kubernetes_names.QUESTIONS[question]
    series, wrong = scene.asked().series(expr, over=True)
    assert not wrong, wrong
    mine = [one for one in series if labels.items() <= one.labels.items()]
    answered = any(math.isfinite(value) for one in mine for value in one.values)
    assert not series if question in kubernetes_names.NOT_ON_A_HOST else answered, (expr, series)


def test_the_directory_has_an_alert_of_its_own(cluster: Cluster, scene: Scene) -> None:
    for query in promql.queries():
        if query.where in ("alert PartDown", "alert SourceDown"):
            series, wrong = promql.answer(scene.asked(), query, {"cluster": cluster.name}, over=True)
            assert not wrong, wrong
            assert not [one for one in series if "directory" in one.labels.values()], series


def test_the_directory_was_away_and_is_back(scene: Scene) -> None:
    away = scene.watcher.value("min_over_time(caas_directory_up[5m]) == 0 and caas_directory_up == 1")
    assert away is not None


def test_sums_of_workers_follow_what_they_do(scene: Scene) -> None:
    """By their heartbeats to the scheduler: results go to disk and away again, and then one of the two workers."""
    watcher, kernel = scene.watcher, scene.emma.kernel()
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
