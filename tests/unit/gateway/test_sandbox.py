"""The command lines of the helpers."""

import asyncio

import pytest
from pangeo_gateway.sandbox import HelperError, Limits, Sandbox, run
from pangeo_gateway.settings import Account, Settings, account

ALICE = Account(70001, 70002)


def command(settings):
    sandbox = Sandbox(settings)
    return sandbox.run_command("dask-x-scheduler", "alice", ALICE, Limits(1500, 10**9), ["/c"], ["/a:/b"], ["python"])


def test_what_a_process_gets(settings):
    line = command(settings)
    assert line[:2] == ["/opt/caas-sandbox", "run"] and line[-2:] == ["--", "python"]
    pairs = list(zip(line, line[1:], strict=False))
    for pair in [
        ("--parent", "caas-unit"),
        ("--group", "dask-x-scheduler"),
        ("--memory", "1000000000"),
        ("--cpu", "1500"),
        ("--uid", "70001"),
        ("--gid", "70002"),
        ("--home", "/srv/mounts/alice"),
        ("--read-only", "/srv/notebook"),
        ("--read-only", "/c"),
        ("--read-only-at", "/a:/b"),
        ("--chdir", "/home/alice"),
    ]:
        assert pair in pairs
    assert "--no-cgroup" not in line  # it would run without limits


def test_groups_are_listed_and_stopped(settings, tmp_path):
    program = tmp_path / "caas-sandbox"
    program.write_text(
        """#!/bin/sh
echo "$@" >>"$0.log"
[ "$1" = stop ] || echo '[{"name": "dask-a-scheduler", "tasks": 3}, {"name": "dask-b-scheduler", "tasks": 0}]'
"""
    )
    program.chmod(0o755)
    sandbox = Sandbox({**settings, "sandbox": str(program)})
    assert asyncio.run(sandbox.groups("dask-")) == ["dask-a-scheduler", "dask-b-scheduler"]
    asyncio.run(sandbox.stop("dask-a-scheduler"))
    assert (tmp_path / "caas-sandbox.log").read_text().splitlines() == [
        "show --parent caas-unit --prefix dask- --json",
        "stop --parent caas-unit --group dask-a-scheduler",
    ]


def test_no_secret_in_a_command_line(settings):
    assert not any("secret" in word for word in command(settings))


def test_a_helper_that_fails_is_quoted():
    with pytest.raises(HelperError, match="no space"):
        asyncio.run(run(["/bin/sh", "-c", "echo no space >&2; exit 1"]))
    with pytest.raises(HelperError, match="longer than"):
        asyncio.run(run(["/bin/sleep", "30"], seconds=0.05))
    assert asyncio.run(run(["/bin/echo", "hello"])) == "hello\n"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "Alice", "root;", "service:x", "a" * 65, "mallory"])
def test_accounts_of_nobody(settings, name):
    assert account(settings["accounts"], name) is None


def test_accounts(settings, tmp_path):
    assert account(settings["accounts"], "alice") == (70001, 70001)
    assert account(str(tmp_path / "missing"), "alice") is None
    (tmp_path / "root.json").write_text('{"alice": {"uid": 0, "gid": 0}}')
    assert account(str(tmp_path / "root.json"), "alice") is None


@pytest.mark.parametrize(
    ("worker", "scheduler"),
    [
        ({"cpus": 4, "ram": 16}, (1.0, 10**9)),
        ({"cpus": 0.1, "ram": 0.25}, (0.5, 5 * 10**8)),
        ({"cpus": 1, "ram": 0.8}, (1.0, 8 * 10**8)),
    ],
)
def test_size_of_a_scheduler(worker, scheduler):
    assert Settings({"worker": worker}, "").scheduler == scheduler
