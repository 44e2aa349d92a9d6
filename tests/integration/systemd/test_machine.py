"""What depends on systemd being PID 1, in a machine of namespaces: the machine itself, caas-home and caas-sandbox there."""

import json
import shlex
import signal
import time
from collections.abc import Iterator

import pytest
from machine import BUILD, SUITES, Machine

HOME_BYTES = 100_000_000  # the least a form may ask for
LIMITS = shlex.split("--memory 300000000 --cpu 500 --tasks 100")


class SandboxMachine(Machine):
    def sandbox(self, group: str, *command: str) -> list[str]:
        who = shlex.split("--uid 60001 --gid 60001 --user alice --home /var/homes/mounts/alice")
        return [
            "/programs/caas-sandbox",
            "run",
            "--parent",
            "caas-my-lab",
            "--group",
            group,
            *LIMITS,
            *who,
            "--",
            *command,
        ]

    def groups(self) -> list[dict]:
        return json.loads(self.run("/programs/caas-sandbox", "show", "--parent", "caas-my-lab", "--json"))


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest) -> Iterator[SandboxMachine]:
    machine = SandboxMachine(request.param, f"{BUILD}:/programs")
    try:
        machine.up()
        machine.run(
            *shlex.split(
                "/programs/caas-home mount --images /var/homes/images --mounts /var/homes/mounts --user alice"
            ),
            *shlex.split(f"--uid 60001 --gid 60001 --bytes {HOME_BYTES}"),
        )
        yield machine
    finally:
        machine.down()


def test_systemd_is_first(machine: SandboxMachine) -> None:
    assert machine.run("cat", "/proc/1/comm") == "systemd\n"
    assert machine.run("systemctl", "is-system-running").strip() == "running"
    assert machine.run("systemctl", "--failed", "--no-legend", "--plain") == ""
    machine.run("sh", "-c", "exit 9", status=9)


def test_services_of_systemd(machine: SandboxMachine) -> None:
    """The unit test that has nothing to test where systemd is not the first process."""
    said = machine.run("/programs/unit/kind/test_service_systemd")
    assert "skip" not in said and "3 test(s) run" in said, said


def test_unit_with_limits(machine: SandboxMachine) -> None:
    machine.shell(
        "systemd-run --quiet --unit=limited -p MemoryMax=100M -p CPUQuota=50% -p Delegate=yes sh -c 'echo here I am; sleep 100'"
    )
    show = machine.run(
        "systemctl",
        "show",
        "limited",
        "-p",
        "MemoryMax",
        "-p",
        "CPUQuotaPerSecUSec",
        "-p",
        "Delegate",
        "-p",
        "ActiveState",
    )
    assert set(show.split()) == {
        "MemoryMax=104857600",
        "CPUQuotaPerSecUSec=500ms",
        "Delegate=yes",
        "ActiveState=active",
    }
    machine.run("systemctl", "stop", "limited")
    assert "here I am" in machine.run("journalctl", "-u", "limited", "-o", "cat", "--no-pager")


def test_scope_is_killed_at_its_limit(machine: SandboxMachine) -> None:
    machine.run(
        *shlex.split("systemd-run --scope --quiet -p MemoryMax=100M python3 -c 'x = bytearray(300 << 20)'"),
        status=-signal.SIGKILL,
    )
    assert machine.run(*shlex.split("systemd-run --scope --quiet -p MemoryMax=100M echo fits")) == "fits\n"


def test_sandbox_in_a_scope(machine: SandboxMachine) -> None:
    out = machine.run(
        *machine.sandbox(
            "jupyter-alice",
            "sh",
            "-c",
            "id -un; cat /sys/fs/cgroup/memory*/memory.limit* /sys/fs/cgroup/memory.max; exit 3",
        ),
        status=3,
    )
    assert out.splitlines()[0] == "alice"
    assert "299999232" in out
    wait_until(lambda: machine.groups() == [])


def test_sandbox_survives_and_stops(machine: SandboxMachine) -> None:
    script = "trap 'echo bye; exit 4' TERM; python3 -c 'x = bytearray(400 << 20)'; echo killed $?; while :; do sleep 0.05; done"
    server = machine.start(*machine.sandbox("jupyter-alice", "bash", "-c", script))
    assert server.stdout is not None
    while "killed 137" not in (line := server.stdout.readline()):  # one process is killed, the scope goes on
        assert line, "the sandbox ended"
    (group,) = machine.groups()
    assert group["name"] == "jupyter-alice"
    assert group["memory_limit"] == 299999232 and group["cpu_limit"] == 500
    units = machine.run("systemctl", "list-units", "--no-legend", "--plain", "caas*")
    assert "caas-my-lab-jupyter-alice.scope" in units and "caas-my_lab.slice" in units
    machine.shell("kill -TERM $(pgrep -f -o 'caas-sandbox run --entered')")
    assert server.wait(timeout=20) == 4
    assert server.stdout.read().strip() == "bye"


def test_sandbox_is_ended(machine: SandboxMachine) -> None:
    deaf = machine.start(
        *machine.sandbox("jupyter-alice", "bash", "-c", "trap '' TERM; echo up; while :; do sleep 1; done")
    )
    assert deaf.stdout is not None and deaf.stdout.readline() == "up\n"
    next_one = machine.run(*machine.sandbox("jupyter-alice", "echo", "second"))  # takes the name over
    assert next_one == "second\n"
    assert deaf.wait(timeout=20) in (137, -signal.SIGKILL)
    third = machine.start(*machine.sandbox("dask-1-worker-2", "bash", "-c", "echo up; sleep 1000"))
    assert third.stdout is not None and third.stdout.readline() == "up\n"
    machine.run(*shlex.split("/programs/caas-sandbox stop --parent caas-my-lab --prefix dask-1-"))
    assert third.wait(timeout=20) in (137, -signal.SIGKILL)
    assert machine.groups() == []


def test_the_whole_slice_is_ended(machine: SandboxMachine) -> None:
    scope = machine.start(*machine.sandbox("jupyter-alice", "bash", "-c", "echo up; sleep 1000"))
    assert scope.stdout is not None and scope.stdout.readline() == "up\n"
    unit = "--unit=caas-my-lab-jupyter-bob --slice=caas-my_lab.slice -p MemoryMax=50M"  # as the hub starts servers
    machine.run(*shlex.split(f"systemd-run --quiet {unit} sleep 1000"))
    machine.run(*shlex.split("/programs/caas-sandbox stop --parent caas-my-lab --all"))
    assert scope.wait(timeout=20) in (137, -signal.SIGKILL)
    wait_until(lambda: machine.run("systemctl", "list-units", "--all", "--no-legend", "--plain", "caas-my-lab*") == "")
    machine.run(*shlex.split("/programs/caas-sandbox stop --parent caas-my-lab --all"))  # again: nothing to do


def test_home_grows_in_use(machine: SandboxMachine) -> None:
    before = int(machine.run("stat", "-f", "-c", "%b", "/var/homes/mounts/alice"))
    machine.run(
        *shlex.split("/programs/caas-home grow --images /var/homes/images --mounts /var/homes/mounts --bytes 600000000")
    )
    assert int(machine.run("stat", "-f", "-c", "%b", "/var/homes/mounts/alice")) - before > 490_000_000 // 4096
    machine.run(*shlex.split("/programs/caas-home unmount --images /var/homes/images --mounts /var/homes/mounts --all"))


def wait_until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
