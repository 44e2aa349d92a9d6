"""The command lines of caas-home and caas-sandbox: a process of a user in its sandbox and control group.

caas-sandbox knows how groups are made on this host: by systemd where it is PID 1, by itself otherwise.
"""

import asyncio
import json
from typing import NamedTuple

TASKS = 1000


class HelperError(Exception):
    """A helper failed; the text is what it said."""


class Limits(NamedTuple):
    millicores: int
    memory: int


class Sandbox:
    def __init__(self, settings):
        self._program = settings["sandbox"]
        self._home_program = settings["home"]
        self._parent = settings["parent"]
        self._images = settings["images"]
        self._mounts = settings["mounts"]
        self._home_bytes = int(float(settings["storage"]) * 10**9)
        self._read_only = list(settings["read_only"])

    def home(self, user: str) -> str:
        return f"{self._mounts}/{user}"

    def mount_command(self, user: str, account) -> list[str]:
        return [
            self._home_program, "mount", "--images", self._images, "--mounts", self._mounts, "--user", user,
            "--uid", str(account.uid), "--gid", str(account.gid), "--bytes", str(self._home_bytes),
        ]  # fmt: skip

    def _group_command(self, verb: str, *words: str) -> list[str]:
        return [self._program, verb, "--parent", self._parent, *words]

    def run_command(self, group: str, user: str, account, limits: Limits, read_only, read_only_at, command):
        out = self._group_command("run", "--group", group, "--memory", str(limits.memory))
        out += ["--cpu", str(limits.millicores), "--tasks", str(TASKS), "--uid", str(account.uid)]
        out += ["--gid", str(account.gid), "--user", user, "--home", self.home(user)]
        for path in [*self._read_only, *read_only]:
            out += ["--read-only", path]
        for pair in read_only_at:
            out += ["--read-only-at", pair]
        return [*out, "--chdir", f"/home/{user}", "--", *command]

    async def mount(self, user: str, account) -> None:
        await run(self.mount_command(user, account))

    async def stop(self, group: str) -> None:
        """Kills what is in the group; fine if it is not there."""
        await run(self._group_command("stop", "--group", group))

    async def groups(self, prefix: str) -> list[str]:
        """Names of the groups that there are."""
        text = await run(self._group_command("show", "--prefix", prefix, "--json"))
        return [group["name"] for group in json.loads(text)]


async def run(command: list[str], seconds: float = 60) -> str:
    """Standard output of a helper. Raises HelperError with what it said on standard error."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise HelperError(f"{command[0]} took longer than {seconds:g} s") from None
    if process.returncode != 0:
        said = err.decode(errors="replace").strip()
        raise HelperError(said or f"{command[0]} ended with status {process.returncode}")
    return out.decode(errors="replace")
