"""The whole product where systemd is the first process, as on most hosts: from nothing to nothing left."""

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask_cluster
import pytest
from conftest import PASSWORD
from hubclient import HubClient, Kernel
from machine import BUILD, ROOT, SUITES, Machine

# The network is the host's. Not the port of the other tests' clusters, which may still be there when only some tests run;
# ports inside of a cluster are claimed by looking which are free, so those of both differ.
PORT = 9743
FORM = f"""\
cluster: lab
target: host
notebook: {{cpus: 1, ram: 1, storage: 0.3}}
domain: localhost
external_ip: 127.0.0.1
port: {PORT}
dask: {{worker: {{cpus: 1, ram: 1}}, max: {{cpus: 3, ram: 3}}}}
monitoring: {{alert_email: root@example.org, smtp: {{host: localhost, port: 25, tls: false}}}}
"""
SERVICES = (
    "alertmanager",
    "caddy",
    "chp",
    "directory",
    "exporter",
    "gateway",
    "gateway_proxy",
    "hub",
    "monitoring_page",
    "node_exporter",
    "prometheus",
)
PACKAGED = (
    "caddy.service",
    "prometheus.service",
    "prometheus-alertmanager.service",
    "prometheus-node-exporter.service",
)
UNITS_SECONDS = 10
LOGS = ("logs", "lab", "hub", "--lines", "10000")
START_DASK = dask_cluster.START + "kept = client.submit(lambda: 7)\nprint(kept.result(timeout=60))"


class Lab(Machine):
    """A machine with the checkout, and the cluster "lab" in it."""

    def __init__(self, folder: Path) -> None:
        self.cache = os.environ.get("CAAS_CACHE") or str(Path.home() / ".cache" / "caas-test" / "downloads")
        Path(self.cache).mkdir(parents=True, exist_ok=True)
        super().__init__(SUITES[0], f"{ROOT}:/src", f"{self.cache}:/downloads")
        self.ca = folder / "ca.crt"

    def caas(self, *words: str, **options) -> str:
        return self.run(
            "env",
            "-u",
            "CAAS_STATE",
            "CAAS_CACHE=/downloads",
            f"/src/{BUILD.relative_to(ROOT)}/caas",
            *words,
            **options,
        )

    def client(self) -> HubClient:
        if not self.ca.exists():
            self.ca.write_text(self.run("cat", "/var/lib/caas/clusters/lab/ca/ca.crt"))
        return HubClient(f"https://localhost:{PORT}", str(self.ca), address="127.0.0.1")

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", "--no-pager", *words).strip()

    def units(self) -> set[str]:
        """All units of the product that systemd knows, whatever state they are in."""
        listed = self.systemctl("list-units", "--all", "--no-legend", "--plain", "caas*")
        return {line.split()[0] for line in listed.splitlines()}

    def users_units(self) -> set[str]:
        return {unit for unit in self.units() if unit.startswith(("caas-lab-jupyter_", "caas-lab-dask-"))}

    def wait_until_left(self, units: Callable[[], set[str]], *allowed: str) -> None:
        """Until there are no others, not even failed ones."""
        end = time.monotonic() + UNITS_SECONDS
        while left := units() - set(allowed):
            assert time.monotonic() < end, self.systemctl("list-units", "--all", "--no-legend", "--plain", *left)
            time.sleep(0.2)

    def open_homes(self) -> list[str]:
        """Mounts and loop devices of users' homes."""
        seen = self.shell("cat /proc/mounts; cat /sys/block/loop*/loop/backing_file 2>/dev/null; true")
        return [line for line in seen.splitlines() if "/clusters/lab/homes/" in line]

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        shown = self.systemctl("show", unit, "--property=" + ",".join(properties))
        return dict(line.split("=", 1) for line in shown.splitlines())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.up()
        lab.run("tee", "/root/lab.yaml", given=FORM)
        lab.caas("apply", "/root/lab.yaml", "--yes", seconds=900)
        lab.caas("user", "add", "lab", "alice", given=PASSWORD + "\n")
        lab.caas("grant", "lab", "alice")
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def alice(lab: Lab) -> HubClient:
    client = lab.client()
    assert client.login("alice", PASSWORD)[0] == 302
    client.spawn()
    return client


@pytest.fixture(scope="module")
def kernel(alice: HubClient) -> Kernel:
    return alice.kernel()


def test_nothing_is_left_to_do(lab: Lab) -> None:
    assert json.loads(lab.caas("plan", "/root/lab.yaml", "--json"))["steps"] == []
    status = json.loads(lab.caas("status", "lab", "--json"))
    assert all(part["running"] for part in status["services"])


def test_every_service_is_a_unit(lab: Lab) -> None:
    units = [f"caas-lab-{name}.service" for name in SERVICES]
    assert lab.systemctl("is-active", *units).split() == ["active"] * len(units)
    assert lab.systemctl("is-enabled", *units).split() == ["enabled"] * len(units)
    assert lab.systemctl("is-system-running") == "running"
    # the packages' own services, which would take ports: neither running nor there at the next boot
    for unit in PACKAGED:
        assert lab.show(unit, "ActiveState", "UnitFileState") == {
            "ActiveState": "inactive",
            "UnitFileState": "disabled",
        }, unit
    # nor were they for a moment: what they keep would be there
    units = "-u prometheus -u prometheus-alertmanager -u prometheus-node-exporter"
    lab.shell(f"journalctl -q {units} --no-pager | grep -c Started", status=1)


def test_monitoring_sees_itself(lab: Lab) -> None:
    text = lab.run("cat", "/var/lib/caas/clusters/lab/monitoring/exporter.json")
    exporter = json.loads(text)
    listening = [line.split() for line in lab.run("ss", "-Hltnp").splitlines()]
    ours = [line[3] for line in listening if "prometheus" in line[-1] or "caas-exporter" in line[-1]]
    assert len(ours) == 4 and exporter["listen"] in ours and all(one.startswith("127.0.0.1:") for one in ours), ours
    client = lab.client()
    password = lab.caas("password", "lab").strip()
    assert client.login("admin", password)[0] == 302
    assert client.request("GET", "/services/monitoring/").status == 200  # programs are not led through the sign-in
    end = time.monotonic() + 60
    question = "/services/monitoring/prometheus/api/v1/query?query=" + "sum(up{job!~'dask_.*'})%20==%206"
    while not client.request("GET", question).json()["data"]["result"]:
        assert time.monotonic() < end, client.request("GET", "/services/monitoring/").text
        time.sleep(1)


def test_services_of_root_cannot_reach_into_the_kernel(lab: Lab) -> None:
    for name in ("hub", "gateway"):
        pid = lab.show(f"caas-lab-{name}", "MainPID")["MainPID"]
        status = dict(line.split(":", 1) for line in lab.run("cat", f"/proc/{pid}/status").splitlines())
        assert status["Uid"].split()[0] == "0" and status["Seccomp"].strip() == "2"
        for number in (16, 17, 22, 25, 34):  # modules, raw I/O, reboot, clock, kernel's log
            assert not int(status["CapBnd"], 16) >> number & 1, number
        assert int(status["CapBnd"], 16) >> 21 & 1  # mounts


def test_the_health_test_is_well(lab: Lab) -> None:
    said = lab.caas("test", "lab", seconds=300).splitlines()
    assert len(said) >= 8 and all(line.startswith("ok ") for line in said), said
    lab.wait_until_left(lab.users_units)


def test_a_server_is_a_unit_with_limits(lab: Lab, kernel: Kernel) -> None:
    (unit,) = lab.users_units()
    assert lab.show(unit, "ActiveState", "CPUQuotaPerSecUSec", "OOMPolicy", "TasksMax") == {
        "ActiveState": "active",
        "CPUQuotaPerSecUSec": "1s",
        "OOMPolicy": "continue",
        "TasksMax": "2048",
    }
    assert len(lab.open_homes()) == 2
    assert int(lab.show(unit, "MemoryMax")["MemoryMax"]) // 4096 == 10**9 // 4096  # rounded to pages, or not yet
    # of what a cell starts, the greedy one is killed; the server goes on
    greedy = "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'bytearray(2 * 10**9)']).returncode)"
    assert kernel.run(greedy).text.strip() == "-9"
    assert kernel.run("import os; print(os.getuid() >= 200000, os.path.expanduser('~'))").text.split() == [
        "True",
        "/home/alice",
    ]


def test_restarts_keep_servers_and_dask(lab: Lab, alice: HubClient, kernel: Kernel) -> None:
    assert kernel.run("mine = 42").status == "ok"
    assert kernel.run(START_DASK, seconds=240).text.strip().endswith("7")
    before = {unit: lab.show(unit, "ActiveEnterTimestampMonotonic") for unit in lab.users_units()}
    assert len(before) >= 3  # the server, the scheduler, a worker
    for name in ("hub", "gateway"):
        lab.systemctl("restart", f"caas-lab-{name}")
    wait_for(alice, "/hub/api/", "/services/dask-gateway/api/health")
    assert kernel.run("print(mine)").text.strip() == "42"
    reply = kernel.run("print(client.submit(lambda x: x * 6, kept).result(timeout=60))", seconds=90)
    assert reply.text.strip().endswith("42"), reply.text
    assert alice.api("GET", "/users/alice").json()["servers"][""]["ready"]
    assert {unit: lab.show(unit, "ActiveEnterTimestampMonotonic") for unit in before} == before
    lab.caas("plan", "/root/lab.yaml")  # somebody's restart is no drift


def test_top_shows_what_services_of_users_use(lab: Lab) -> None:
    """The server, of which a process was killed for its memory, the scheduler and the worker: they are groups of systemd here."""
    end = time.monotonic() + 60
    while True:
        shown = json.loads(lab.caas("top", "lab", "--once", "--json", seconds=60))
        (alice,) = [user for user in shown["users"] if user["user"] == "alice"]
        there = alice["dask"]["workers"] == 1 and (alice["dask"]["memory_bytes"] or 0) > 3e7
        if there and alice["notebook"]["cpu"] is not None:  # which takes two looks
            break
        assert time.monotonic() < end, alice
    notebook = alice["notebook"]
    assert 3e7 < notebook["memory_bytes"] < 1e9 and abs(notebook["memory_limit_bytes"] - 1e9) < 1e7, notebook
    assert notebook["processes"] > 1 and notebook["oom_kills"] >= 1, notebook


def test_logs_come_from_the_journal(lab: Lab) -> None:
    said = re.search(".*JupyterHub", lab.caas(*LOGS))
    elsewhere = lab.run("env", "-u", "CAAS_STATE", "TZ=JST-9", f"/src/{BUILD.relative_to(ROOT)}/caas", *LOGS)
    assert said and said[0] in elsewhere  # in UTC, wherever one is
    lines = [json.loads(line) for line in lab.caas(*LOGS, "--json").splitlines()]
    assert any("JupyterHub" in str(line["MESSAGE"]) for line in lines)  # as journalctl has them
    for name in SERVICES:
        lab.caas("logs", "lab", name)


def test_revoke_ends_the_server_and_dask(lab: Lab, alice: HubClient) -> None:
    assert len(lab.users_units()) >= 3
    lab.caas("revoke", "lab", "alice")
    lab.wait_until_left(lab.users_units)
    assert alice.request("GET", "/hub/api/user").status in (401, 403)
    assert lab.client().login("alice", PASSWORD)[0] == 403


def test_destroy_leaves_nothing(lab: Lab) -> None:
    lab.caas("destroy", "lab", "--yes", "--delete-data")
    lab.wait_until_left(lab.units, "caas.slice")  # empty, and shared by all clusters of a host
    assert lab.systemctl("--failed", "--all", "--no-legend", "--plain") == ""
    assert lab.run(*shlex.split("find /etc/systemd /run/systemd -name '*caas*'")) == ""
    assert not lab.open_homes()
    assert "caas" not in lab.run("cat", "/etc/passwd", "/etc/group")
    assert "/var/lib/caas/clusters/lab" not in lab.run("ps", "axww", "-o", "args")
    lab.run("test", "!", "-e", "/var/lib/caas/clusters/lab")


def wait_for(client: HubClient, *paths: str) -> None:
    end = time.monotonic() + 60
    for path in paths:
        while not answers(client, path):
            assert time.monotonic() < end, f"{path} does not answer"
            time.sleep(0.2)


def answers(client: HubClient, path: str) -> bool:
    try:
        return client.request("GET", path, seconds=5).status == 200
    except OSError:
        return False
