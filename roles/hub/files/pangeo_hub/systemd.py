"""Servers on hosts with systemd: a transient unit holds the limits, caas-sandbox inside of it hides the rest of the host."""

from systemdspawner import SystemdSpawner, systemd

from .spawner import PangeoSpawner, StartFailed


class PangeoSystemdSpawner(PangeoSpawner, SystemdSpawner):
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
            "PrivateTmp": "yes",
            "UMask": "0027",
            # The first signal goes to caas-sandbox, which passes it on to the server and to nobody else.
            "KillMode": "mixed",
            "TimeoutStopSec": "5",
            "SuccessExitStatus": "143",
        }

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
            raise StartFailed("systemd could not start the server. Please tell an administrator.")
        await self.wait_until_answers(ids)
        return ("127.0.0.1", self.port)

    async def stop(self, now: bool = False) -> None:
        if not self.stopped_because:
            self.stopped_because = self.explain_stop()
        await super().stop(now=now)
