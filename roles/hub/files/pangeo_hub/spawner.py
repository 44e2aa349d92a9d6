"""Starts a person's server on a host: home mounted, limits set, nothing of others visible, under their own numeric uid.

HostSpawner is what both ways share; SandboxSpawner is the way for hosts without systemd (control groups and name spaces by
caas-sandbox), systemd.py the other one."""

import asyncio
import os
import re
import signal
import stat
import time
from collections.abc import AsyncIterator
from subprocess import DEVNULL, Popen
from typing import Any

from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import random_port
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Any as AnyTrait

from .accounts import Ids
from .base import PangeoSpawner, StartFailed, home_bytes, unknown_is_running
from .metrics import counted_start
from .port import HeldPort, Taken, hold, listener

HOME_SECONDS = 60.0
POLL_SECONDS = 0.1
LOG_NAME = ".jupyter-server.log"
LOG_LINES = 12
LOG_PREFIX = re.compile(r"^\[\w \d{4}-\d\d-\d\d [\d:.]+ \w+\] ")
# Keeps the server's output in the user's own home, where it counts against their space and is theirs to read. A full home
# must not keep the server from starting.
LAUNCH = 'log="$HOME/' + LOG_NAME + '"; if : >"$log"; then exec "$@" >>"$log" 2>&1; else exec "$@" >/dev/null 2>&1; fi'


class HostSpawner(PangeoSpawner):
    """In front of another Spawner class, which starts and watches processes of this host."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._held: HeldPort | None = None
        self._uid: int | None = None  # which the server runs under

    # --- what is kept in the hub's database ---

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self._uid is not None:
            state["uid"] = self._uid
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._uid = state.get("uid")

    # --- start ---

    def _ids(self) -> Ids:
        ids = self.accounts.get(self.user.name)
        if ids is None:
            raise StartFailed(
                "The hub does not know your uid yet. Sign out, sign in again and start the server again.",
                403,
                "no_account",
            )
        return ids

    @property
    def _home(self) -> str:
        """Where the home is mounted on the host; the server sees it as /home/NAME."""
        return f"{self.settings['homes']['mounts']}/{self.user.name}"

    async def prepare(self) -> Ids:
        """All that comes before the process: choice, account, home."""
        choice = self.begin()
        ids = self._ids()
        self._uid = ids.uid
        self.port = random_port()  # the last one's may be held by what is left of its connections
        self._steps.append("Opening your home folder")
        await self._mount_home(ids)
        self._steps.append(f"Starting JupyterLab, environment {choice.environment.name}")
        return ids

    async def _mount_home(self, ids: Ids) -> None:
        homes = self.settings["homes"]
        command = [homes["helper"], "mount", "--images", homes["images"], "--mounts", homes["mounts"]]
        command += ["--user", self.user.name, "--uid", str(ids.uid), "--gid", str(ids.gid)]
        command += ["--bytes", str(home_bytes(self.settings))]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, errors = await asyncio.wait_for(process.communicate(), HOME_SECONDS)
        except TimeoutError:
            process.kill()
            raise StartFailed(
                "Your home folder could not be opened in time. Please tell an administrator.", outcome="home"
            ) from None
        if process.returncode != 0:
            text = errors.decode(errors="replace").strip()
            self.log.error("mounting the home of %s failed (%s): %s", self.user.name, process.returncode, text)
            last = text.splitlines()[-1] if text else f"exit status {process.returncode}"
            raise StartFailed(
                f"Your home folder could not be opened: {last}. Please tell an administrator.", outcome="home"
            )

    def server_command(self) -> list[str]:
        """The command inside of the sandbox. A path by way of the environment's link, so that scripts that the user
        installs go on working after an update."""
        assert self._choice is not None
        python = f"{self._choice.environment.path}/bin/python"
        return ["/bin/sh", "-c", LAUNCH, "server", python, "-m", "jupyterhub.singleuser", *self.get_args()]

    def sandbox_command(self, ids: Ids, *limits: str) -> list[str]:
        """caas-sandbox with what the server may see; limits are further options."""
        assert self._choice is not None
        sandbox = self.settings["sandbox"]
        name, path = self.user.name, self._choice.environment.path
        command = [sandbox["helper"], "run", *limits, "--uid", str(ids.uid), "--gid", str(ids.gid)]
        command += ["--user", name, "--home", self._home, "--chdir", f"/home/{name}"]
        # The link and what it leads to: a server that runs keeps what it started with when an update moves the link.
        for visible in dict.fromkeys([path, os.path.realpath(path), *sandbox["read_only"]]):
            command += ["--read-only", visible]
        return [*command, "--", *self.server_command()]

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """No look-up of the account: the host need not know it."""
        env["USER"] = env["LOGNAME"] = self.user.name
        env["HOME"] = f"/home/{self.user.name}"
        env["SHELL"] = "/bin/bash"
        return env

    def get_env(self) -> dict[str, str]:
        env = self.user_env(super().get_env())
        if self._choice is not None:
            env["PATH"] = f"{env['HOME']}/.local/bin:{self._choice.environment.path}/bin:/usr/local/bin:/usr/bin:/bin"
            env["CAAS_ENVIRONMENT"] = self._choice.environment.name
        # In the sandbox's own /tmp: a server starts also when the home is full.
        env["JUPYTER_RUNTIME_DIR"] = "/tmp/jupyter"
        return env

    async def wait_until_answers(self) -> None:
        """Returns as soon as the server answers HTTP. The hub's own waiting backs off to seconds between its looks.

        Ports are shared with everybody on this host: an answer counts only if the user's own uid holds the port, or
        somebody quicker could be sent what is meant for this user."""
        client = AsyncHTTPClient()
        url = f"http://127.0.0.1:{self.port}{self.server.base_url}api"
        end = time.monotonic() + self.start_timeout - 1
        while time.monotonic() < end:
            self._fail_if_withdrawn()
            status = await self.poll()
            if status is not None:
                raise StartFailed(
                    f"The server ended while it was starting (exit status {status}). {await self.last_words()}",
                    outcome="ended",
                )
            try:
                response = await client.fetch(url, raise_error=False, request_timeout=5, follow_redirects=False)
                if response.code < 500:
                    self._hold_port(self.port)
                    return
            except Taken:
                raise StartFailed(
                    "Another program took the server's port. Please try again.", outcome="port_taken"
                ) from None
            except (OSError, HTTPClientError):
                pass  # not listening yet, or too busy to take the connection
            await asyncio.sleep(POLL_SECONDS)
        raise StartFailed(
            f"The server did not answer within {self.start_timeout} seconds. {await self.last_words()}",
            outcome="timeout",
        )

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Steps and then the server's own new log lines, until the hub stops asking."""
        told, seen, percent = 0, 0, 5
        while True:
            for step in self._steps[told:]:
                percent = min(90, percent + 15)
                yield {"progress": percent, "message": step}
            told = len(self._steps)
            lines = self.log_lines(200) if told >= 2 else []
            for line in lines[seen:]:
                percent = min(95, percent + 3)
                yield {"progress": percent, "message": LOG_PREFIX.sub("", line)}
            seen = max(seen, len(lines))
            await asyncio.sleep(0.5)

    def log_lines(self, count: int = LOG_LINES) -> list[str]:
        """The last lines of the server's log. The home belongs to its user: no link is followed, no pipe waited for."""
        try:
            descriptor = os.open(f"{self._home}/{LOG_NAME}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_mtime < self._began:  # of the server before this one
                return []
            text = os.pread(descriptor, 32768, max(0, status.st_size - 32768)).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
        return [line.rstrip()[:300] for line in text.splitlines() if line.strip()][-count:]

    async def last_words(self) -> str:
        """What the server said last, for the page that says that it failed."""
        lines = self.log_lines(4)
        return "Its last words were: " + " / ".join(lines) if lines else "It said nothing."

    # --- its port ---

    def _hold_port(self, port: int) -> None:
        """Raises Taken if the user's server is not who listens there."""
        if self._held or self._uid is None:
            return
        try:
            self._held = hold(port, self._uid)
        except OSError as error:  # in a container that takes even root's right to look into processes
            self.log.warning("the port of the server of %s cannot be held: %s", self.user.name, error)
            self._uid = None  # not tried again

    async def poll(self) -> int | None:
        """Of one that runs, also after a restart of the hub, the port is held. One that lost it to somebody is ended."""
        status = await super().poll()
        if status is not None or self._held or self.pending == "spawn" or not self.server:
            return status
        if listener(self.server.port) is None:
            return None
        try:
            self._hold_port(self.server.port)
        except Taken as error:
            self.log.error("the server of %s is ended: %s", self.user.name, error)
            self.stopped_because, self._uid = "another program took its port", None
            await self.stop(now=True)
            return 1
        return None

    def run_post_stop_hook(self) -> Any:
        """What the hub calls last, when no route leads to the server any more."""
        if self._held:
            self._held.release()
            self._held = None
        return super().run_post_stop_hook()

    # --- why it ended ---

    def explain_end(self, status: int) -> str:
        """As of every server, and where its log is."""
        if status in (137, -9):
            return "it was killed, most likely because it needed more memory than it has"
        return f"it ended by itself (exit status {status}); the last lines of its log are in ~/{LOG_NAME}"


class SandboxSpawner(HostSpawner, LocalProcessSpawner):
    """A child process of the hub in control groups and name spaces of its own; it outlives the hub and is found again by
    process id and start time."""

    started_ticks = AnyTrait(None, help="Start time of the process in the kernel's ticks: tells a reused process id")

    @property
    def group(self) -> str:
        return f"jupyter-{self.user.name}" + (f"--{self.name}" if self.name else "")

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self.pid and self.started_ticks:
            state["started_ticks"] = self.started_ticks
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.started_ticks = state.get("started_ticks")

    def clear_state(self) -> None:
        super().clear_state()
        self.started_ticks = None

    @counted_start
    async def start(self) -> tuple[str, int]:
        ids = await self.prepare()
        sandbox = self.settings["sandbox"]
        size = self._choice.size
        limits = ["--parent", sandbox["parent"], "--group", self.group, "--memory", str(size.memory_bytes)]
        limits += ["--cpu", str(size.millicores), "--tasks", str(sandbox["tasks"])]
        command = self.sandbox_command(ids, *limits)
        self.log.info("starting %s: %.2f GB, %g CPU", self.group, size.ram, size.cpus)
        log = f"{sandbox['logs']}/{self.group}.log"
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as output:
            self.proc = Popen(
                command,
                env=self.get_env(),
                cwd="/",
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self.proc.pid
        self.started_ticks = start_ticks(self.pid)
        await self.wait_until_answers()
        return ("127.0.0.1", self.port)

    async def last_words(self) -> str:
        try:
            with open(
                f"{self.settings['sandbox']['logs']}/{self.group}.log", encoding="utf-8", errors="replace"
            ) as file:
                said = file.read(4096).strip()
        except OSError:
            said = ""
        return f"{said.splitlines()[-1]}." if said else await super().last_words()

    @unknown_is_running
    async def poll(self) -> int | None:
        """A hub that was killed in the midst of a start did not write down which process it is: what was started ends."""
        unknown = not self.pid and self.server and self.pending != "spawn"
        status = await super().poll()
        if unknown:
            await self._end_group()
        return status

    async def _signal(self, sig: int) -> bool:
        if self.proc is None and start_ticks(self.pid) != self.started_ticks:
            return False  # another process has got the number
        return await super()._signal(sig)

    async def stop(self, now: bool = False) -> None:
        if not self.stopped_because:
            self.stopped_because = self.explain_stop()
        if not now and await self.poll() is None:
            await self._signal(signal.SIGTERM)
            await self.wait_for_death(self.stop_seconds)
        # Terminals, background jobs, and a server that did not listen: all that is left in the group.
        await self._end_group()
        await self.wait_for_death(self.kill_timeout)

    async def _end_group(self) -> None:
        sandbox = self.settings["sandbox"]
        command = [sandbox["helper"], "stop", "--parent", sandbox["parent"], "--group", self.group]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        if process.returncode != 0:
            self.log.error("ending what is left of %s: %s", self.group, errors.decode(errors="replace").strip())


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None
