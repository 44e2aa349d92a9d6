"""Some hours of a cluster in minutes: users come, compute, leak memory, fill a home, the directory goes and comes back. And what
the Prometheus that has watched it has to say to everything that dashboards and alerts ask."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import promql
from bed import PASSWORD, Lab
from hubclient import HubClient
from prometheus import Prometheus

if TYPE_CHECKING:
    from conftest import Cluster

HOME = 'caas_home_used_bytes{user="finn"} / caas_home_size_bytes{user="finn"}'
SEEN = 180  # seconds: the exporter asks what is in volumes once a minute
SETTLED = 60  # seconds, and of a busy machine: what happened is in what Prometheus has

# What the scene gives nothing to, wherever it is played, and why; it is an error if something comes all the same.
SILENT = {
    "My usage / Killed for memory": "it is emma who looks, and finn's kernel that was killed",
    "alert MailsFailing": "the form has nobody who is sent mails",
    "alert ApplyFailed": "it went well",
    "alert CertificateExpiring": "they are new",
    "alert CertificateExpired": "they are new",
    "alert SamplesDropped": "two dozen users are not too many",
    "alert SpawnsFailing": "every server started",
    "alert DirectorySlow": "it does not answer at all, or fast",
    "alert TargetDown": "all of them answer",
    "alert SourceDown": "none but that of the directory, which has an alert of its own",
}
# What the machine decides: how busy it is, how full. Both are right.
EITHER = {
    "alert HubSlow": "how busy it is",
    "alert HubErrors": "how busy it is",
    "alert SpawnsSlow": "how busy it is",
    "alert PartDown": "how busy it is: on a crowded machine a part may answer late",
    "alert MonitoringPageDown": "how busy it is, as for the other parts",
    "alert HostMemoryShort": "how full it is",
}

# Panels of which every figure is 0, and why; any other has to show more, so that one that is always 0 is noticed.
ZERO = {
    "Dask / Idle for ten minutes": "nobody waits for so long here",
    "My usage / Killed": "it is emma who looks, and finn's kernel that was killed",
    "Provisioner / Prometheus on disk": "for the first two hours it has everything in hand",
}
# Those that may be.
ZERO_OR_MORE = {
    "Dask / Spilled to disk": "emma's workers have room for nearly all of what they hold",
    "Host capacity / If each fills their memory": "how full this machine is",
    "Host capacity / If each uses what others use": "how full this machine is",
    "Host capacity / By CPU, as others use it": "how busy this machine is",
}

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
LEAVE_AND_COME = """
cluster.scale(1)
while len(client.scheduler_info()["workers"]) > 1: time.sleep(0.2)
cluster.scale(2)
client.wait_for_workers(2, timeout=120)
"""
LEAK = "blocks = []\nfor _ in range(60): blocks.append(bytearray(b'x' * 50_000_000))"


@dataclass(frozen=True)
class Stage:
    """Where it is played, and what is different there."""

    cluster: "Cluster | Lab"
    watcher: Prometheus
    leak_slowly: str  # a cell: the last tenth slowly, so that somebody sees it
    fill: str  # a cell that fills the home, and says the number of the error that ends it
    back_up: Callable[[], None]
    take_directory: Callable[[], None]
    bring_directory: Callable[[], None]
    every: int  # seconds from one look to the next, of the exporter and of Prometheus
    silent: dict[str, str]
    either: dict[str, str]
    zero: dict[str, str]
    zero_or_more: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """One that was played: the questions about it."""

    stage: Stage
    began: float
    emma: HubClient

    def asked(self) -> promql.Asked:
        now, watcher = time.time(), self.stage.watcher
        return promql.Asked(watcher.url, now, now - self.began, watcher.context, self.stage.every)

    def ask_everything(self, user: str) -> None:
        """What the variable `user` is put into: all, if it stands for everybody."""
        end = time.monotonic() + SETTLED
        left = [query for query in promql.queries() if user == ".*" or "$user" in query.expr]
        said = ["nothing was asked yet"]
        while said:
            asked, variables = self.asked(), {"cluster": self.stage.cluster.name, "user": user, "me": "emma"}
            wrong = [(query, self._fault(asked, query, variables)) for query in left]
            left = [query for query, one in wrong if one]
            said = [f"{query.where}: {one}" for query, one in wrong if one]
            assert not said or time.monotonic() < end, "\n".join(said)

    def _fault(self, asked: promql.Asked, query: promql.Query, variables: dict[str, str]) -> str:
        """What is wrong with the answer to a query, or ""."""
        if query.kind == "values":
            return promql.values_of(asked, query, variables)[1]
        over = query.kind != "instant"  # an alert may have been over again
        series, wrong = promql.answer(asked, query, variables, over)
        if wrong:
            return wrong
        finite = any(math.isfinite(value) for one in series for value in one.values)
        text = f"{query.where}: {query.expr}"
        if query.where in self.stage.either:
            return ""
        if why := promql.reason(text, self.stage.silent):
            return f"gives {series}, though {why}" if series else ""
        return "" if finite else f"{'gives only NaN' if series else 'finds nothing'}: {query.expr}"

    def shows(self, where: str, wanted: list[dict[str, str]]) -> None:
        found: list[promql.Series] = []
        for query in promql.queries():
            if query.where == where:
                variables = {"cluster": self.stage.cluster.name}
                found += promql.answer(self.asked(), query, variables, over=query.kind != "instant")[0]
        for labels in wanted:
            mine = [one for one in found if labels.items() <= one.labels.items()]
            assert any(value > 0 for one in mine for value in one.values) or where.startswith("alert ") and mine, found

    def zeros_are_known(self) -> None:
        zero = promql.only_zeros(self.asked(), {"cluster": self.stage.cluster.name, "me": "emma"})
        assert sorted(zero - set(self.stage.zero_or_more)) == sorted(self.stage.zero)

    def directory_has_an_alert_of_its_own(self) -> None:
        for query in promql.queries():
            if query.where in ("alert PartDown", "alert SourceDown"):
                series, wrong = promql.answer(self.asked(), query, {"cluster": self.stage.cluster.name}, over=True)
                assert not wrong, wrong
                assert not [one for one in series if "directory" in one.labels.values()], series

    def directory_was_away_and_is_back(self) -> None:
        away = self.stage.watcher.value("min_over_time(caas_directory_up[5m]) == 0 and caas_directory_up == 1")
        assert away is not None


def look_often(prometheus: dict[str, Any], exporter: dict[str, Any], every: int) -> None:
    """In the settings of both, until an apply writes again what the form says."""
    times = ("scrape_interval", "scrape_timeout", "evaluation_interval")
    prometheus["global"] |= dict.fromkeys(times, f"{every}s")
    exporter["refresh_seconds"] = every


def unneeded(*excuses: dict[str, str]) -> list[str]:
    """Exceptions that nobody needs any more."""
    texts = [f"{query.where}: {query.expr}" for query in promql.queries()]
    return [part for some in excuses for part in some if not any(part in text for text in texts)]


def compute(emma: HubClient, stage: Stage) -> None:
    kernel = emma.kernel()
    reply = kernel.run(COMPUTE, seconds=240)
    assert reply.text.split() == ["40000000"] * 4, reply
    stage.watcher.wait('dask_scheduler_workers_removed_total{user="emma"} >= 0')  # or nobody saw that it rose
    reply = kernel.run(LEAVE_AND_COME, seconds=240)
    assert reply.status == "ok", reply


def leak_and_fill(finn: HubClient, stage: Stage) -> None:
    for code in (stage.leak_slowly, LEAK, LEAK):
        assert finn.kernel().run(code, seconds=240).status == "dead"
    stage.watcher.wait(f"{HOME} < 0.5")  # so that it is seen to grow
    assert finn.kernel().run(stage.fill, seconds=120).text.strip() == "28"


def lose_the_directory(stage: Stage) -> None:
    stage.take_directory()
    try:
        for _ in range(4):
            assert stage.cluster.client().login("emma", PASSWORD)[0] != 302
        stage.watcher.wait("caas_directory_up == 0")
    finally:
        stage.bring_directory()
    stage.watcher.wait("caas_directory_up == 1")
    stage.cluster.signed_in_again("emma")


def play(stage: Stage) -> Scene:
    """emma and finn have accounts, and nothing runs of them. Afterwards emma's server does, and her Dask cluster."""
    cluster, watcher = stage.cluster, stage.watcher
    watcher.wait(
        f"count(count_over_time(up[{stage.every * 5 // 2}s]) >= 2) == count(up) and count(up == 1) == count(up)"
    )
    watcher.wait("count(caas_source_up == 1) == count(caas_source_up)")
    began = time.time()
    assert cluster.client().login("emma", "wrong")[0] == 403
    guess = cluster.client()
    for number in range(60):  # of nobody whom the directory would have to be asked for
        assert guess.login(f"no body {number}", "guessed")[0] == 403
    assert cluster.client().login("bob", PASSWORD)[0] == 403
    emma, finn = cluster.signed_in("emma"), cluster.signed_in("finn")
    with ThreadPoolExecutor() as both:
        for done in [both.submit(user.spawn) for user in (emma, finn)]:
            done.result(timeout=300)
        stage.back_up()
        for done in [both.submit(compute, emma, stage), both.submit(leak_and_fill, finn, stage)]:
            done.result(timeout=600)
    lose_the_directory(stage)
    watcher.wait(f"{HOME} > 0.95", SEEN)
    finn.stop()
    return Scene(stage, began, emma)
