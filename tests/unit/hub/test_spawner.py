import asyncio
import datetime
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, Popen, run
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.utils import random_port, utcnow
from pangeo_hub.accounts import Accounts
from pangeo_hub.choices import Choices
from pangeo_hub.port import HeldPort, Taken, hold, listener
from pangeo_hub.settings import Settings
from pangeo_hub.spawner import (
    LOG_NAME,
    PangeoSpawner,
    SandboxSpawner,
    StartFailed,
    home_bytes,
    start_ticks,
)
from pangeo_hub.systemd import PangeoSystemdSpawner


@pytest.fixture
def spawner(settings: Settings, tmp_path: Path) -> SandboxSpawner:
    accounts = Accounts(tmp_path / "users.json")
    accounts.remember("alice", 60001, 60002)
    made = SandboxSpawner(settings=settings, accounts=accounts, choices=Choices(settings))
    made.user = SimpleNamespace(name="alice", groups=[], url="/user/alice/")
    made.orm_spawner = SimpleNamespace(
        name="", user_options=None, server=None, last_activity=None, started=None, state={}
    )
    (tmp_path / "mounts" / "alice").mkdir(parents=True)
    return made


def log(spawner: PangeoSpawner) -> Path:
    return Path(spawner._home) / LOG_NAME


def test_the_command_shows_only_what_is_asked_for(spawner: SandboxSpawner) -> None:
    spawner._choice = spawner._resolve({"profile": "large"})
    words = spawner.sandbox_command(spawner._ids(), "--parent", "p")
    assert words[:4] == ["/bin/true", "run", "--parent", "p"]
    assert words[words.index("--uid") + 1] == "60001"
    assert words[words.index("--gid") + 1] == "60002"
    assert words[words.index("--home") + 1] == f"{spawner.settings['homes']['mounts']}/alice"
    assert words[words.index("--read-only") + 1] == "/srv/env/notebook/pangeo"
    assert words[words.index("--") + 1 :][:2] == ["/bin/sh", "-c"]
    assert "/srv/env/notebook/pangeo/bin/python" in words


def test_who_is_not_known_is_told_what_to_do(spawner: SandboxSpawner) -> None:
    spawner.user.name = "bob"
    with pytest.raises(StartFailed, match="sign in again"):
        spawner._ids()


def test_bad_options_are_a_bad_request(spawner: SandboxSpawner) -> None:
    with pytest.raises(StartFailed) as failed:
        spawner._resolve({"profile": "100%huge"})
    assert failed.value.status_code == 400
    assert "100%huge" in failed.value.jupyterhub_message


def test_the_log_of_the_server(spawner: SandboxSpawner) -> None:
    assert spawner.log_lines() == []
    log(spawner).write_text("\n".join(f"line {number}" for number in range(30)))
    assert spawner.log_lines(2) == ["line 28", "line 29"]
    spawner._began = 4e9
    assert spawner.log_lines() == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_hostile_log_is_not_read_and_not_waited_for(spawner: SandboxSpawner, kind: str, tmp_path: Path) -> None:
    if kind == "link":
        (tmp_path / "secret").write_text("token")
        log(spawner).symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(log(spawner))
    else:
        log(spawner).mkdir()
    assert spawner.log_lines() == []


def test_a_home_that_cannot_be_opened_says_so(spawner: SandboxSpawner, tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho 'caas-home: no space left on device' >&2\nexit 1\n")
    helper.chmod(0o755)
    spawner.settings.raw["homes"]["helper"] = str(helper)
    with pytest.raises(StartFailed, match="no space left"):
        asyncio.run(spawner._mount_home(spawner._ids()))


def test_the_home_has_the_forms_size(settings: Settings) -> None:
    assert home_bytes(settings) == 1_500_000_000


@pytest.mark.parametrize(
    ("idle_minutes", "age_hours", "words"),
    [(5, 1, "stopped it"), (61, 2, "not been used for 60 minutes"), (5, 200, "run for 168 hours")],
)
def test_why_it_was_stopped(spawner: SandboxSpawner, idle_minutes: int, age_hours: int, words: str) -> None:
    now = utcnow(with_tz=False)
    spawner.orm_spawner.last_activity = now - datetime.timedelta(minutes=idle_minutes)
    spawner.orm_spawner.started = now - datetime.timedelta(hours=age_hours)
    assert words in spawner.explain_stop()


def test_why_it_ended_by_itself(spawner: SandboxSpawner) -> None:
    assert "memory" in spawner.explain_end(137)
    assert "exit status 1" in spawner.explain_end(1)


def test_the_reason_outlives_server_and_hub(spawner: SandboxSpawner) -> None:
    spawner.stopped_because = "it had not been used for 60 minutes"
    spawner.pid = os.getpid()
    spawner.clear_state()
    state = spawner.get_state()
    assert state == {"stopped_because": "it had not been used for 60 minutes"}
    spawner.stopped_because = ""
    spawner.load_state(state)
    assert spawner.stopped_because == "it had not been used for 60 minutes"


def test_a_server_is_found_again_but_not_taken_for_another_process(spawner: SandboxSpawner) -> None:
    spawner.load_state({"pid": os.getpid(), "started_ticks": start_ticks(os.getpid())})
    assert asyncio.run(spawner.poll()) is None
    spawner.load_state({"pid": os.getpid(), "started_ticks": 1})
    assert asyncio.run(spawner.poll()) == 0
    assert start_ticks(2**22 + 1) is None


def test_a_start_that_a_killed_hub_left_is_ended(spawner: SandboxSpawner, monkeypatch: Any) -> None:
    ended = []

    async def end_group(self: Any) -> None:
        ended.append(self.group)

    monkeypatch.setattr(SandboxSpawner, "_end_group", end_group)
    assert asyncio.run(spawner.poll()) == 0
    assert not ended  # nothing was ever started
    monkeypatch.setattr(SandboxSpawner, "server", SimpleNamespace(port=1))
    assert asyncio.run(spawner.poll()) == 0
    assert ended == ["jupyter-alice"]
    monkeypatch.setattr(SandboxSpawner, "pending", "spawn")
    asyncio.run(spawner.poll())
    assert len(ended) == 1  # one that is being started just now


def test_a_start_that_is_broken_off_ends_at_once(spawner: SandboxSpawner, monkeypatch: Any) -> None:
    monkeypatch.setattr(SandboxSpawner, "server", SimpleNamespace(base_url="/user/alice/", port=0))
    spawner.withdrawn = "access was withdrawn"
    for start in (spawner.wait_until_answers(), spawner.prepare()):
        with pytest.raises(StartFailed, match="access was withdrawn"):
            asyncio.run(start)


@contextmanager
def serving(spawner: SandboxSpawner, monkeypatch: Any, uid: int, silent: int = 0) -> Iterator[list[str]]:
    """What this process is asked at the port of the spawner's server, which is to be uid's; the first times it says nothing."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) > silent:
                self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setattr(SandboxSpawner, "server", SimpleNamespace(base_url="/user/alice/", port=0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        spawner.port, spawner._uid = server.server_port, uid
        spawner.load_state({"pid": os.getpid(), "started_ticks": start_ticks(os.getpid()), "uid": uid})
        yield asked
        assert spawner._held
        spawner._held._socket.close()
        server.shutdown()


def test_an_answer_from_somebody_elses_port_is_no_answer(spawner: SandboxSpawner, monkeypatch: Any) -> None:
    with serving(spawner, monkeypatch, 60001):
        assert (listener(spawner.port) or [None])[0] == os.getuid()
        with pytest.raises(StartFailed, match="Another program"):
            asyncio.run(spawner.wait_until_answers())
        spawner._uid = os.getuid()
        asyncio.run(spawner.wait_until_answers())


def test_a_server_that_breaks_off_at_first_is_waited_for(spawner: SandboxSpawner, monkeypatch: Any) -> None:
    """As one does that a busy machine keeps from answering: what tornado raises then is no OSError."""
    with serving(spawner, monkeypatch, os.getuid(), silent=2) as asked:
        asyncio.run(spawner.wait_until_answers())
        assert len(asked) == 3


SERVER = """
import os, socket, sys, time
os.setgid(60001), os.setuid(60001)
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))  # with SO_REUSEADDR, as Jupyter's
print("up", flush=True)
time.sleep(600)
"""
THIEF = """
import os, socket, sys
os.setgid(60002), os.setuid(60002)
for address in ("127.0.0.1", "0.0.0.0"):
    for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
        with socket.socket() as taken:
            for option in options:
                taken.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                taken.bind((address, int(sys.argv[1])))
                taken.listen()
                print("taken")
            except OSError:
                pass
"""


def user_server() -> tuple[Popen[str], int]:
    port = random_port()
    process = Popen([sys.executable, "-c", SERVER, str(port)], stdout=PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process, port


def thefts(port: int) -> int:
    done = run([sys.executable, "-c", THIEF, str(port)], stdout=PIPE, text=True, check=True)
    return done.stdout.count("taken")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_the_port_of_a_dead_server_is_nobodys_until_no_route_leads_there(
    spawner: SandboxSpawner, monkeypatch: Any
) -> None:
    """Held from the hub's first look on, here one after a restart of the hub; over the end of the server; until released."""

    async def live() -> None:
        process, port = user_server()
        monkeypatch.setattr(SandboxSpawner, "server", SimpleNamespace(port=port))
        spawner.load_state({"pid": process.pid, "started_ticks": start_ticks(process.pid), "uid": 60001})
        assert await spawner.poll() is None
        assert thefts(port) == 0
        process.kill()
        process.wait()
        await asyncio.sleep(0.1)
        assert listener(port) is None  # connections are refused: nobody waits for an answer
        assert await spawner.poll() == 0
        assert thefts(port) == 0
        spawner.run_post_stop_hook()
        assert thefts(port) > 0

    asyncio.run(live())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_server_whose_port_is_somebody_elses_is_ended(spawner: SandboxSpawner, monkeypatch: Any) -> None:
    stopped: list[bool] = []

    async def stop(_: Any, now: bool = False) -> None:
        stopped.append(now)

    monkeypatch.setattr(SandboxSpawner, "stop", stop)
    process, port = user_server()
    monkeypatch.setattr(SandboxSpawner, "server", SimpleNamespace(port=port))
    spawner.load_state({"pid": process.pid, "started_ticks": start_ticks(process.pid), "uid": 60003})
    assert asyncio.run(spawner.poll()) == 1
    assert stopped == [True]
    assert "took its port" in spawner.stopped_because
    process.kill()
    process.wait()


def test_nobody_listens_is_not_mistaken_for_somebody() -> None:
    with pytest.raises(Taken):
        hold(1, 60001)
    with pytest.raises(OSError, match="no process"):
        HeldPort(60001, 1)


def test_why_it_ended_is_known_before_the_hub_forgets_the_server(spawner: SandboxSpawner) -> None:
    seen: list[str] = []
    spawner.add_poll_callback(lambda: seen.append(spawner.stopped_because))
    spawner.proc = Popen(["/bin/sh", "-c", "exit 137"])
    spawner.proc.wait()
    asyncio.run(spawner.poll_and_notify())
    assert "memory" in seen[0]


def test_limits_of_a_unit(spawner: SandboxSpawner) -> None:
    choice = spawner._resolve({"profile": "large"})
    stand_in = SimpleNamespace(_choice=choice, settings=spawner.settings)
    properties = PangeoSystemdSpawner.unit_properties(stand_in)
    assert properties["MemoryMax"] == "32000000000"
    assert properties["MemorySwapMax"] == "0"
    assert properties["CPUQuota"] == "800%"
    assert properties["TasksMax"] == "100"
    assert properties["CollectMode"] == "inactive-or-failed"
