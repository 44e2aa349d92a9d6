"""The command lines of caas-home and caas-sandbox: a process of a user in its sandbox and control group.

Where systemd is PID 1 it makes the group (a scope with the same limits); otherwise caas-sandbox does.
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
        self._systemd = bool(settings["systemd"])
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

    def _slice(self) -> str:
        """caas-sandbox's slice of the cluster ("-" would mean "child of"): all that is in it ends with the cluster."""
        prefix, _, cluster = self._parent.partition("-")
        return f"{prefix}-{cluster.replace('-', '_')}.slice"

    def _unit(self, group: str) -> str:
        return f"{self._parent}-{group}.scope"

    def run_command(self, group: str, user: str, account, limits: Limits, read_only, binds, command):
        out = []
        if self._systemd:
            out += [
                "systemd-run", "--scope", "--quiet", "--collect", f"--unit={self._unit(group)}",
                f"--slice={self._slice()}", f"--description=Dask of {user}",
                "-p", f"MemoryMax={limits.memory}", "-p", "MemorySwapMax=0",
                "-p", f"CPUQuota={max(1, limits.millicores // 10)}%", "-p", f"TasksMax={TASKS}", "--",
            ]  # fmt: skip
        out += [
            self._program, "run", "--parent", self._parent, "--group", group, "--memory", str(limits.memory),
            "--cpu", str(limits.millicores), "--tasks", str(TASKS), "--uid", str(account.uid),
            "--gid", str(account.gid), "--user", user, "--home", self.home(user),
        ]  # fmt: skip
        for path in [*self._read_only, *read_only]:
            out += ["--read-only", path]
        for bind in binds:
            out += ["--bind", bind]
        if self._systemd:
            out.append("--no-cgroup")
        return [*out, "--chdir", f"/home/{user}", "--", *command]

    def stop_commands(self, group: str) -> list[list[str]]:
        """To be run one after another; that there is nothing to stop is no failure."""
        if self._systemd:
            unit = self._unit(group)
            return [["systemctl", "kill", "--signal=SIGKILL", unit], ["systemctl", "stop", unit]]
        return [[self._program, "stop", "--parent", self._parent, "--group", group]]

    async def mount(self, user: str, account) -> None:
        await run(self.mount_command(user, account))

    async def stop(self, group: str) -> None:
        commands = self.stop_commands(group)
        for command in commands:
            try:
                await run(command)
            except HelperError:
                if not self._systemd:  # systemctl fails for a scope that has gone, which is what was wanted
                    raise

    async def groups(self, prefix: str) -> list[str]:
        """Names of the groups that there are."""
        if self._systemd:
            unit = f"{self._parent}-{prefix}*.scope"
            text = await run(["systemctl", "list-units", "--type=scope", "--all", "--plain", "--no-legend", unit])
            names = [line.split()[0] for line in text.splitlines() if line.strip()]
            return [n.removeprefix(f"{self._parent}-").removesuffix(".scope") for n in names]
        text = await run([self._program, "show", "--parent", self._parent, "--prefix", prefix, "--json"])
        tree = json.loads(text or "[]")
        if isinstance(tree, dict):
            tree = tree.get("groups", [])
        return [g["name"] if isinstance(g, dict) else g for g in tree]


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
