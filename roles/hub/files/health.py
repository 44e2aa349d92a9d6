"""The health test of a cluster, run by `caas test` with the hub environment's python.

One JSON object on standard input: {"url", "ca", "user", "password", "address"?, "workers"?: 2, "checks"?: [names],
"seconds"?: {"server": 120, "dask": 180}}. One JSON line a check on standard output: {"check", "ok", "seconds", "message"}.
Exit status 0 if all are ok. What was started is stopped again, whatever fails."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pangeo_hub.client import HubClient, HubError, Kernel  # noqa: E402

DASK = """
import time
from dask_gateway import GatewayCluster
began = time.monotonic()
cluster = GatewayCluster()
try:
    cluster.scale({workers})
    client = cluster.get_client()
    client.wait_for_workers({workers}, timeout={seconds})
    import dask.array
    total = dask.array.ones((4000, 4000), chunks=(1000, 1000)).sum().compute()
    print("RESULT", int(total), len(client.scheduler_info()["workers"]), round(time.monotonic() - began, 1))
    client.close()
finally:
    cluster.shutdown()
"""
EXPECTED = 16_000_000


class Failed(Exception):
    """A check did not pass; the text says why."""


class Health:
    """Checks in order; each one needs those before it."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.seconds = {"server": 120, "dask": 180, **(wanted.get("seconds") or {})}
        self.workers = int(wanted.get("workers") or 2)
        self.client = HubClient(wanted["url"], wanted.get("ca") or "", wanted.get("address"))
        self.kernel: Kernel | None = None
        self.started = False
        self.ok = True

    def tell(self, check: str, ok: bool, began: float, message: str) -> None:
        self.ok = self.ok and ok
        line = {"check": check, "ok": ok, "seconds": round(time.monotonic() - began, 2), "message": message}
        print(json.dumps(line), flush=True)

    def try_(self, check: str, action: Callable[[], str]) -> bool:
        began = time.monotonic()
        try:
            message = action()
        except (Failed, HubError, OSError, ValueError) as error:
            self.tell(check, False, began, str(error) or type(error).__name__)
            return False
        self.tell(check, True, began, message)
        return True

    def run(self) -> None:
        steps: list[tuple[str, Callable[[], str]]] = [
            ("reach", self.reach),
            ("sign-in", self.sign_in),
            ("server", self.server),
            ("notebook", self.notebook),
            ("dask", self.dask),
        ]
        only = self.wanted.get("checks")
        steps = [step for step in steps if not only or step[0] in only]
        try:
            for number, (check, action) in enumerate(steps):
                if not self.try_(check, action):
                    for name, _ in steps[number + 1 :]:
                        self.tell(name, False, time.monotonic(), f"not tried, because {check} failed")
                    break
        finally:
            if self.started:
                self.try_("clean up", self.clean_up)

    def reach(self) -> str:
        answer = self.client.request("GET", "/hub/health", seconds=15)
        if answer.status != 200:
            raise Failed(f"{self.client.base}/hub/health answers {answer.status}: is the hub running? See `caas logs`.")
        return f"{self.client.base} answers, and its certificate is good"

    def sign_in(self) -> str:
        status, text = self.client.login(self.wanted["user"], self.wanted["password"])
        if status != 302:
            raise Failed(f"{self.wanted['user']} was not let in ({status}): {' '.join(text.split())[:300]}")
        return f"{self.wanted['user']} signed in"

    def server(self) -> str:
        if self.client.api("GET", f"/users/{self.wanted['user']}").json().get("servers"):
            raise Failed(f"{self.wanted['user']} has a server already; it is left alone")
        self.started = True
        events = self.client.spawn(seconds=self.seconds["server"])
        return f"the server was ready after {events[-1]['at']} s"

    def notebook(self) -> str:
        self.kernel = self.client.kernel()
        reply = self.kernel.run("import os, sys; print(sum(range(101)), os.getuid(), sys.version.split()[0])", 60)
        words = reply.text.split()
        if reply.status != "ok" or words[:1] != ["5050"]:
            raise Failed(f"a cell gave {reply.status}: {reply.text[-500:]}")
        return f"a cell ran as uid {words[1]} with Python {words[2]}"

    def dask(self) -> str:
        assert self.kernel is not None
        code = DASK.format(workers=self.workers, seconds=self.seconds["dask"] // 2)
        reply = self.kernel.run(code, self.seconds["dask"])
        result = next((line.split() for line in reply.text.splitlines() if line.startswith("RESULT ")), None)
        if reply.status != "ok" or result is None:
            raise Failed(f"the Dask cluster failed ({reply.status}): {_last_lines(reply.text)}")
        if int(result[1]) != EXPECTED:
            raise Failed(f"the sum is {result[1]} and not {EXPECTED}")
        return f"{result[2]} workers summed 16 million ones right, {result[3]} s with start and end of the cluster"

    def clean_up(self) -> str:
        if self.kernel is not None:
            self.kernel.close()
        seconds = self.client.stop()
        return f"the server stopped in {seconds:.1f} s"


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())[-600:] or "no output"


def main() -> int:
    wanted = json.load(sys.stdin)
    try:
        health = Health(wanted)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        line = {
            "check": "reach",
            "ok": False,
            "seconds": 0,
            "message": f"cannot use the CA {wanted.get('ca')}: {error}",
        }
        print(json.dumps(line))
        return 1
    health.run()
    return 0 if health.ok else 1


if __name__ == "__main__":
    sys.exit(main())
