"""What nobody uses is ended after the form's minutes, here the least it takes: one. What works goes on. All waits at once.

heidi looks at an open notebook and does nothing. ivan has a cell that computes and says nothing, and an idle kernel beside
it. judy runs a short cell now and then, and does not use her Dask cluster."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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
DASK = """
from dask_gateway import Gateway, GatewayCluster
cluster = GatewayCluster()
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
"""
LISTED = "with Gateway() as gateway: print(len(gateway.list_clusters()))"


@dataclass
class Seen:
    ended: dict[str, float] = field(default_factory=dict)  # seconds after it was last used
    quiet: Reply | None = None
    servers: dict[str, bool] = field(default_factory=dict)  # at the end


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


def opened(cluster: Cluster, browser: webdriver.Chrome) -> None:
    """A notebook with its kernel, as it is left open in a tab."""
    sign_in(browser, cluster.url, "heidi", PASSWORD)
    wait(browser, 60).until(lambda b: "login" not in b.current_url)
    browser.get(f"{cluster.url}/user/heidi/lab/tree/welcome.ipynb")
    wait(browser, 120).until(lambda b: len(b.find_elements(By.CLASS_NAME, "jp-Cell")) > 3)


def look_until_ended(cluster: Cluster, idle: Kernel, at_work: Kernel, began: dict[str, float]) -> dict[str, float]:
    """Seconds until each was gone; what was not within LONGEST is left out."""
    ended: dict[str, float] = {}
    looks = {
        "server": lambda: has_server(cluster, "heidi"),
        "kernel": lambda: runs(idle),
        "dask": lambda: at_work.run(LISTED, seconds=30).text.split()[-1] != "0",
    }
    while len(ended) < len(looks) and time.monotonic() - max(began.values()) < LONGEST:
        time.sleep(LOOK)
        for name in set(looks) - set(ended):
            if not looks[name]():
                ended[name] = time.monotonic() - began[name]
        at_work.run("1 + 1")
    return ended


@pytest.fixture(scope="module")
def seen(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    form = cluster.form.read_text()
    assert "idle_minutes: 10\n" in form
    cluster.form.write_text(form.replace("idle_minutes: 10\n", "idle_minutes: 1\n") + IDLE)
    found = Seen()
    try:
        cluster.apply()
        heidi, ivan, judy = (started(cluster, name) for name in ("heidi", "ivan", "judy"))
        with chromium(tmp_path_factory.mktemp("profile")) as browser:
            at_work = judy.kernel()
            made = at_work.run(DASK, seconds=240)
            assert made.status == "ok", made.text
            began = {"dask": time.monotonic()}
            opened(cluster, browser)
            began["server"] = time.monotonic()
            idle, quiet = ivan.kernel(), ivan.kernel()
            began["kernel"] = time.monotonic()
            assert idle.run("1 + 1").status == "ok"

            def compute() -> None:
                with contextlib.suppress(HubError):  # cut off: there is no answer then
                    found.quiet = quiet.run(f"import time; time.sleep({QUIET}); print('done')", seconds=QUIET + 60)

            computing = threading.Thread(target=compute)
            computing.start()
            found.ended = look_until_ended(cluster, idle, at_work, began)
            computing.join()
            found.servers = {name: has_server(cluster, name) for name in ("heidi", "ivan", "judy")}
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
    assert 55 < seen.ended["dask"] < LONGEST, seen
