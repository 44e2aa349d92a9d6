"""Restarts that users do not notice, and a service that will not start."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import dask_cluster
from bed import eventually
from conftest import PASSWORD, Cluster
from hubclient import HubClient


def service_pid(cluster: Cluster, name: str) -> int:
    text = (cluster.folder / "service" / name / "supervise" / "pid").read_text().strip()
    return int(text or 0)


def killed(cluster: Cluster, name: str) -> None:
    """Ends a service as a crash would; its supervisor starts it again."""
    before = service_pid(cluster, name)
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(0.2)
        if service_pid(cluster, name) not in (0, before):
            return
    raise AssertionError(f"{name} was not started again")


def ready(client: HubClient) -> bool:
    return bool(client.api("GET", f"/users/{client.user}").json()["servers"].get("", {}).get("ready"))


def answers(client: HubClient, path: str, seconds: float) -> float:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if client.request("GET", path, seconds=5).status == 200:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{path} did not answer within {seconds} s")


@contextmanager
def frozen(cluster: Cluster, user: str) -> Iterator[None]:
    """The user's server takes connections and says nothing, as one that a busy machine gives no time."""
    servers = [pid for pid, command in cluster.processes_by_id(user).items() if "jupyterhub.singleuser" in command]
    assert servers
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in servers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_hub_restart_keeps_servers_and_kernels(cluster: Cluster, alice: HubClient, dora: HubClient) -> None:
    """dora's too, which does not answer while the hub starts."""
    kernel, late = alice.kernel(), dora.kernel()
    kernel.run("kept = 42")
    late.run("kept = 6")
    with frozen(cluster, "dora"):
        killed(cluster, "hub")
        answers(alice, "/hub/api/", 60)
        assert kernel.run("print(kept)").text.strip() == "42"
        assert alice.request("GET", "/user/alice/api/status").status == 200
        assert alice.api("GET", "/users/alice").json()["servers"][""]["ready"]
        eventually(lambda: ready(dora), 60)
    assert late.run("print(kept * 7)").text.strip() == "42"


def test_a_start_that_a_crash_cuts_off_leaves_nothing(cluster: Cluster) -> None:
    carol = cluster.signed_in("carol")
    assert carol.api("POST", "/users/carol/server").status == 202
    end = time.monotonic() + 30
    while not any("singleuser" in line for line in cluster.processes("carol")):
        assert time.monotonic() < end
        time.sleep(0.02)
    killed(cluster, "hub")
    answers(carol, "/hub/api/", 60)
    end = time.monotonic() + 15
    while running := cluster.processes("carol"):  # or the hub knows it
        if carol.api("GET", "/users/carol").json().get("servers", {}).get("", {}).get("ready"):
            break
        assert time.monotonic() < end, running
        time.sleep(0.2)
    carol.stop()
    carol.spawn()
    assert carol.kernel().run("print(6 * 7)").text.strip() == "42"
    carol.stop()


def test_routes_are_back_within_seconds_of_a_proxy_restart(cluster: Cluster, alice: HubClient) -> None:
    kernel = alice.kernel()
    kernel.run("kept = 6")
    killed(cluster, "chp")
    assert answers(alice, "/user/alice/api/status", 15) < 15
    kernel.connect()
    assert kernel.run("print(kept * 7)").text.strip() == "42"
    assert alice.request("GET", "/services/dask-gateway/api/health").status == 200


def test_a_gateway_restart_keeps_running_clusters(cluster: Cluster, alice: HubClient) -> None:
    kernel = alice.kernel()
    made = kernel.run(
        dask_cluster.START + "kept = client.submit(lambda: 7)\nkept.result(timeout=60)",
        seconds=240,
    )
    assert made.status == "ok", made.text
    killed(cluster, "gateway")
    answers(alice, "/services/dask-gateway/api/health", 60)
    reply = kernel.run("print(client.submit(lambda x: x * 6, kept).result(timeout=60))", seconds=90)
    assert reply.text.strip().endswith("42"), reply.text
    listed = "from dask_gateway import Gateway\nwith Gateway() as g: print(len(g.list_clusters()))"
    assert kernel.run(listed, seconds=60).text.strip() == "1"
    assert kernel.run("client.close(); cluster.shutdown()", seconds=60).status == "ok"


def test_a_front_restart_interrupts_nothing(cluster: Cluster, alice: HubClient) -> None:
    kernel = alice.kernel()
    kernel.run("kept = 6")
    killed(cluster, "caddy")
    answers(alice, "/user/alice/api/status", 30)
    kernel.connect()
    assert kernel.run("print(kept * 7)").text.strip() == "42"


def questions(cluster: Cluster) -> set[str]:
    """What the hub asks the directory right now: its open connections to it."""
    uri = json.loads((cluster.folder / "hub" / "hub.json").read_text())["directory"]["uri"]
    port = f":{urlsplit(uri).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_to_it = {f"socket:[{part[9]}]" for part in lines if part[2].endswith(port)}
    held = set()
    for descriptor in Path(f"/proc/{service_pid(cluster, 'hub')}/fd").iterdir():
        with suppress(FileNotFoundError):
            held.add(os.readlink(descriptor))
    return held & open_to_it


def test_a_directory_that_hangs_holds_up_nobody_else(cluster: Cluster, alice: HubClient) -> None:
    """It takes connections and says nothing: who signs in is told so after a while, and the hub goes on meanwhile."""
    kernel, hub = alice.kernel(), cluster.client()
    directory, answered = service_pid(cluster, "directory"), 0
    os.kill(directory, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(10) as pool:  # more than ask the directory at once
            asking = [pool.submit(cluster.client().login, "dora", PASSWORD) for _ in range(10)]
            while not all(one.done() for one in asking):
                asked = questions(cluster)
                assert hub.request("GET", "/hub/health", seconds=60).status == 200
                answered += bool(asked & questions(cluster))
                assert kernel.run("print(6 * 7)").text.strip() == "42"
                time.sleep(0.1)
    finally:
        os.kill(directory, signal.SIGCONT)
    answers = [one.result() for one in asking]
    assert {status for status, _ in answers} == {503}, answers
    assert all("does not answer right now" in text for _, text in answers), answers
    assert answered  # while a question to the directory was open: a hub that waits for it itself says nothing meanwhile
    cluster.signed_in_again("dora")


def test_the_health_test_says_what_failed_and_leaves_nothing(cluster: Cluster, alice: HubClient) -> None:
    gateway = str(cluster.folder / "service" / "gateway")
    subprocess.run(["sv", "force-stop", gateway], check=True, timeout=60)
    try:
        said = cluster.caas.run("test", cluster.name, status=1, seconds=600).stdout
    finally:
        subprocess.run(["sv", "start", gateway], check=True, timeout=60)
        answers(alice, "/services/dask-gateway/api/health", 60)
    (failed,) = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert failed.split()[1] == "dask" and "/services/dask-gateway/" in failed, said
    assert re.search(r"\b50[23]\b", failed), said
    assert re.search(r"the Dask cluster failed \(error\): \w+: ", failed), (
        said
    )  # what was raised, no piece of a traceback
    assert cluster.left_of_tests() == [], said


def test_what_was_stopped_by_hand_is_drift_and_is_repaired(cluster: Cluster) -> None:
    subprocess.run(["sv", "force-stop", str(cluster.folder / "service" / "gateway")], check=True, timeout=60)
    plan = cluster.caas.run("plan", str(cluster.form), status=2).stdout
    assert "gateway/service" in plan
    cluster.apply()
    cluster.caas.run("plan", str(cluster.form))
    done = cluster.caas.json("history", cluster.name, "--number", "1")[0]["steps"]
    assert ("gateway/service", "not running") in [(step["resource"], step["reason"]) for step in done]


def test_a_file_changed_by_hand_is_shown_and_repaired(cluster: Cluster) -> None:
    path = next((cluster.folder / "proxy").glob("[Cc]addy*"))
    before = path.read_text()
    path.write_text(before + "\n# by hand\n")
    assert "proxy/" in cluster.caas.run("plan", str(cluster.form), status=2).stdout
    cluster.apply()
    assert path.read_text() == before


def test_logs_say_something(cluster: Cluster) -> None:
    assert "JupyterHub" in cluster.caas.run("logs", cluster.name, "hub").stdout
    lines = [json.loads(line) for line in cluster.caas.run("logs", cluster.name, "--json").stdout.splitlines()]
    assert {"hub", "gateway"} <= {line["service"] for line in lines}
    assert any(line["service"] == "hub" and "JupyterHub" in line["text"] for line in lines)
