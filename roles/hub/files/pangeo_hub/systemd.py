"""Servers on hosts with systemd: a transient unit holds the limits, caas-sandbox inside of it hides the rest of the host."""

import asyncio
from subprocess import PIPE

from systemdspawner import SystemdSpawner, systemd

from .base import StartFailed, unknown_is_running
from .metrics import counted_start
from .spawner import HostSpawner


class UnitSpawner(SystemdSpawner):
    """The stock class takes a systemctl that fails, while systemd is updated or too busy, for the end of the server."""

    async def poll(self) -> int | None:
        process = await asyncio.create_subprocess_exec(
            "systemctl", "is-active", self.unit_name, stdout=PIPE, stderr=PIPE
        )
        state, errors = await process.communicate()
        if process.returncode == 0:
            return None
        if not state.strip():  # of a unit that is not there, too, it says a state
            raise OSError(errors.decode(errors="replace").strip() or f"systemctl ended with {process.returncode}")
        return 1


class PangeoSystemdSpawner(HostSpawner, UnitSpawner):
    """Unlike the stock class: numeric uid of the directory (no account on the host), no swap, a limit of processes, home and
    environment bound into a private view. The unit starts as root and caas-sandbox gives that up: systemd itself refuses a
    User= that the host does not know."""

    def unit_properties(self) -> dict[str, str]:
        size = self._choice.size
        return {
            "MemoryMax": str(size.memory_bytes),
            "MemorySwapMax": "0",
            "CPUQuota": f"{size.millicores / 10:g}%",
            "TasksMax": str(self.settings["sandbox"]["tasks"]),
            "NoNewPrivileges": "yes",
            "UMask": "0027",
            # The first signal goes to caas-sandbox, which passes it on to the server and to nobody else.
            "KillMode": "mixed",
            "TimeoutStopSec": "20",
            "SuccessExitStatus": "143",
            # Else one that had to be killed is kept as failed, and is still there when the cluster is long gone.
            "CollectMode": "inactive-or-failed",
        }

    @unknown_is_running
    async def poll(self) -> int | None:
        return await super().poll()

    @counted_start
    async def start(self) -> tuple[str, int]:
        ids = await self.prepare()
        if await systemd.service_running(self.unit_name):  # a remnant the hub does not know
            await systemd.stop_service(self.unit_name)
        if await systemd.service_failed(self.unit_name):
            await systemd.reset_service(self.unit_name)
        command = self.sandbox_command(ids, "--no-cgroup")
        self.log.info("starting %s: %.2f GB, %g CPU", self.unit_name, self._choice.size.ram, self._choice.size.cpus)
        status = await systemd.start_transient_service(
            self.unit_name,
            cmd=command[:1],
            args=command[1:],
            working_dir="/",
            environment_variables=self.get_env(),
            properties=self.unit_properties(),
            slice=self.slice or None,
        )
        if status != 0:
            raise StartFailed("systemd could not start the server. Please tell an administrator.", outcome="refused")
        await self.wait_until_answers()
        return ("127.0.0.1", self.port)

    async def last_words(self) -> str:
        """Of caas-sandbox, if the server itself came to say nothing."""
        if self.log_lines(1):
            return await super().last_words()
        process = await asyncio.create_subprocess_exec(
            *["journalctl", "--unit", self.unit_name, "--lines", "20", "--output", "cat", "--no-pager"],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        said = [line for line in output.decode(errors="replace").splitlines() if line.startswith("caas-sandbox: ")]
        return f"{said[-1]}." if said else await super().last_words()

    async def stop(self, now: bool = False) -> None:
        if not self.stopped_because:
            self.stopped_because = self.explain_stop()
        stopping = asyncio.ensure_future(systemd.stop_service(self.unit_name))
        done, _ = await asyncio.wait({stopping}, timeout=0 if now else self.stop_seconds)
        if not done:
            kill = await asyncio.create_subprocess_exec("systemctl", "kill", "--signal=KILL", self.unit_name)
            await kill.wait()
        await stopping
