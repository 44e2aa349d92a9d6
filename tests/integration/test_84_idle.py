"""What nobody uses is ended after the form's minutes, here the least it takes: one. What works goes on. All waits at once.

heidi looks at an open notebook and does nothing. ivan has a cell that computes and says nothing, and an idle kernel beside
it. judy runs a short cell now and then, and does not use her Dask cluster."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask_cluster
import pytest
from chromium import chromium, sign_in, wait
from conftest import PASSWORD, Cluster
from hubclient import HubClient, HubError, Kernel, Reply
from selenium import webdriver
from selenium.webdriver.common.by import By

IDLE = "idle: {notebook_minutes: 1, kernel_minutes: 1}\n"
# A minute, and then to be noticed: activity is told every 15 s, the cullers look every 10 and 15 s; and a machine may be busy.
LONGEST = 150
QUIET = 110  # seconds of a cell: longer than a minute and until it would have been noticed
LOOK = 3  # seconds between two looks
LISTED = "with Gateway() as gateway: print(len(gateway.list_clusters()))"


@dataclass
class Seen:
    ended: dict[str, float] = field(default_factory=dict)
    quiet: Reply | None = None
    servers: dict[str, bool] = field(default_factory=dict)  # when the wait was over; ivan's when his cell was


def runs(kernel: Kernel) -> bool:
    """Its process, seen from the host: a request to the server would be its use."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"kernel-{kernel.id}.json".encode() in (entry / "cmdline").read_bytes():
                return True
        except OSError:
            pass
    return False


def has_server(cluster: Cluster, name: str) -> bool:
    listed = cluster.caas.json("users", cluster.name)["users"]
    return any(user["name"] == name and user["server"] for user in listed)


def started(cluster: Cluster, name: str) -> HubClient:
    cluster.add_user(name)
    client = cluster.signed_in(name)
    client.spawn()
    return client


class Watch:
    """Looks every few seconds at what was added; when each was not there any more. judy's work goes on meanwhile."""

    def __init__(self, at_work: Kernel) -> None:
        self._at_work = at_work
        self._looks: dict[str, tuple[float, Callable[[], bool]]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.ended: dict[str, float] = {}  # seconds after it was last used
        self._thread.start()

    def add(self, name: str, there: Callable[[], bool]) -> None:
        self._looks = {**self._looks, name: (time.monotonic(), there)}

    def _run(self) -> None:
        while not self._end.wait(LOOK):
            self._at_work.run("1 + 1")
            for name, (began, there) in self._looks.items():
                if name not in self.ended and not there():
                    self.ended[name] = time.monotonic() - began

    def until_ended(self) -> None:
        """All that was added, or until the last one should have been."""
        while set(self.ended) != set(self._looks) and self._thread.is_alive():
            if time.monotonic() - max(began for began, _ in self._looks.values()) > LONGEST:
                break
            time.sleep(1)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def dask_is_there(kernel: Kernel) -> bool:
    return kernel.run(LISTED, seconds=60).text.split()[-1:] != ["0"]


@contextlib.contextmanager
def watching(at_work: Kernel) -> Iterator[Watch]:
    watch = Watch(at_work)
    try:
        yield watch
    finally:
        watch.stop()


def open_page(cluster: Cluster, browser: webdriver.Chrome) -> None:
    """A notebook with its kernel, as it is left open in a tab."""
    cluster.add_user("heidi")
    sign_in(browser, cluster.url, "heidi", PASSWORD)
    wait(browser, 60).until(lambda b: "login" not in b.current_url)
    cluster.signed_in("heidi").spawn()
    browser.get(f"{cluster.url}/user/heidi/lab/tree/welcome.ipynb")
    wait(browser, 120).until(lambda b: len(b.find_elements(By.CLASS_NAME, "jp-Cell")) > 3)


@pytest.fixture(scope="module")
def seen(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Each begins to be idle as soon as it is there: on a busy machine the next one may take longer than its minute."""
    form, found = cluster.form.read_text(), Seen()
    assert "idle_minutes: 10\n" in form
    cluster.form.write_text(form.replace("idle_minutes: 10\n", "idle_minutes: 1\n") + IDLE)
    try:
        cluster.apply()
        at_work = started(cluster, "judy").kernel()
        made = at_work.run(dask_cluster.START, seconds=240)
        assert made.status == "ok", made.text
        with chromium(tmp_path_factory.mktemp("profile")) as browser, watching(at_work) as watch:
            watch.add("dask", lambda: dask_is_there(at_work))
            ivan = started(cluster, "ivan")
            idle, quiet = ivan.kernel(), ivan.kernel()
            assert idle.run("1 + 1").status == "ok"
            watch.add("kernel", lambda: runs(idle))

            def compute() -> None:
                with contextlib.suppress(HubError):  # cut off: there is no answer then
                    found.quiet = quiet.run(f"import time; time.sleep({QUIET}); print('done')", seconds=QUIET + 60)
                found.servers["ivan"] = has_server(cluster, "ivan")

            computing = threading.Thread(target=compute)
            computing.start()
            open_page(cluster, browser)
            watch.add("server", lambda: has_server(cluster, "heidi"))
            watch.until_ended()
            computing.join()
            found.ended = watch.ended
            found.servers |= {name: has_server(cluster, name) for name in ("heidi", "judy")}
        yield found
    finally:
        cluster.form.write_text(form)
        cluster.apply()


def test_a_server_that_nobody_uses_is_stopped_though_its_page_is_open(seen: Seen) -> None:
    assert 55 < seen.ended["server"] < LONGEST, seen
    assert not seen.servers["heidi"]


def test_its_page_says_why(cluster: Cluster, seen: Seen) -> None:
    page = cluster.signed_in("heidi").request("GET", "/user/heidi/lab").text
    assert "had not been used for 1 minute" in page


def test_an_idle_kernel_is_ended_and_its_server_is_not(seen: Seen) -> None:
    assert 55 < seen.ended["kernel"] < LONGEST, seen
    assert seen.servers["ivan"], seen


def test_a_cell_that_computes_quietly_is_use(seen: Seen) -> None:
    assert seen.quiet == Reply("ok", "done\n"), seen


def test_who_works_is_left_alone(seen: Seen) -> None:
    assert seen.servers["judy"], seen


def test_an_idle_dask_cluster_is_closed(seen: Seen) -> None:
    assert 45 < seen.ended["dask"] < LONGEST, seen  # idle since before its user was answered
