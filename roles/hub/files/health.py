"""The health test of a cluster, run by `caas test` with any python3: it needs the standard library and client.py.

One JSON object on standard input: {"url", "ca", "user", "password", "address"?, "workers"?: 2, "dask"?: the form's
{"worker", "max"}, "checks"?: [names], "seconds"?: {"server": 120, "dask": 180}}. One JSON line a check on standard
output: {"check", "ok", "seconds", "message"}. Exit status 0 if all are ok. What was started is stopped again, whatever fails."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pangeo_hub.client import HubClient, HubError, Kernel, Reply  # noqa: E402

DASK = """
import time
from dask_gateway import GatewayCluster
began = time.monotonic()
refused = None
for workers, options in {plans}:
    cluster = None
    try:
        cluster = GatewayCluster(**options)
        cluster.scale(workers)
        break
    except Exception as error:
        if cluster is not None:
            cluster.shutdown()
        if "cap on all your Dask clusters" not in str(error):
            raise
        refused = error
else:
    raise refused
try:
    client = cluster.get_client()
    client.wait_for_workers(workers, timeout={seconds})
    import dask.array
    total = dask.array.ones((4000, 4000), chunks=(1000, 1000)).sum().compute()
    took = round(time.monotonic() - began, 1)
    each = options.get("worker_cores", 0), options.get("worker_memory", 0)
    print("RESULT", int(total), len(client.scheduler_info()["workers"]), took, *each)
    client.close()
finally:
    cluster.shutdown()
"""
LEAST_CPUS, LEAST_RAM = 0.1, 0.5  # of a worker, as the gateway's options have it
SCHEDULER_CPUS, SCHEDULER_RAM = 1.0, 1.0  # of a scheduler, at most
EXPECTED = 16_000_000


def plans(dask: dict[str, Any] | None, workers: int) -> list[tuple[int, dict[str, float]]]:
    """What is tried, in this order, until the cap on what a user may hold lets it pass: so many workers with such options.
    First as usual, unless that cannot fit beside a scheduler; then smaller ones, and in the end one alone."""
    if not dask:
        return [(workers, {})]
    most, usual = dask["max"], dask["worker"]
    cpus = max(0.0, most["cpus"] - min(SCHEDULER_CPUS, max(0.5, usual["cpus"])))
    ram = max(0.0, most["ram"] - min(SCHEDULER_RAM, max(LEAST_RAM, usual["ram"])))
    found: list[tuple[int, dict[str, float]]] = []
    if workers * usual["cpus"] <= cpus and workers * usual["ram"] <= ram:
        found.append((workers, {}))
    for count in dict.fromkeys((workers, 1)):
        each = {
            "worker_cores": max(LEAST_CPUS, _floor(min(usual["cpus"], cpus / count))),
            "worker_memory": max(LEAST_RAM, _floor(min(usual["ram"], ram / count))),
        }
        least = {"worker_cores": min(LEAST_CPUS, usual["cpus"]), "worker_memory": min(LEAST_RAM, usual["ram"])}
        found += [(count, each), (count, least)]
    return [plan for number, plan in enumerate(found) if plan not in found[:number]]


def _floor(size: float) -> float:
    return int(size * 100 + 1e-6) / 100


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
        # A proxy that has just begun knows no routes until the hub, which looks every second, has given them back.
        patience = time.monotonic() + 15
        while answer.status in (404, 502, 503) and time.monotonic() < patience:
            time.sleep(1)
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
            raise Failed(f"a cell gave {reply.status}: {_said(reply)}")
        return f"a cell ran as uid {words[1]} with Python {words[2]}"

    def dask(self) -> str:
        assert self.kernel is not None
        wanted = plans(self.wanted.get("dask"), self.workers)
        code = DASK.format(plans=wanted, seconds=self.seconds["dask"] // 2)
        reply = self.kernel.run(code, self.seconds["dask"])
        result = next((line.split() for line in reply.text.splitlines() if line.startswith("RESULT ")), None)
        if reply.status != "ok" or result is None:
            raise Failed(f"the Dask cluster failed ({reply.status}): {_said(reply)}")
        if int(result[1]) != EXPECTED:
            raise Failed(f"the sum is {result[1]} and not {EXPECTED}")
        count, each, cap = int(result[2]), "", ""
        if float(result[4]):
            each = f" of {float(result[4]):g} CPUs and {float(result[5]):g} GB"
        if count < self.workers or each:
            most = self.wanted["dask"]["max"]
            cap = f" (more do not fit into dask.max, {most['cpus']:g} CPUs and {most['ram']:g} GB, beside a scheduler)"
        words = f"{count} worker{'s' * (count != 1)}{each}"
        return f"{words} summed 16 million ones right, {result[3]} s with start and end of the cluster{cap}"

    def clean_up(self) -> str:
        if self.kernel is not None:
            self.kernel.close()
        seconds = self.client.stop()
        return f"the server stopped in {seconds:.1f} s"


def _said(reply: Reply) -> str:
    """In one line: what was raised, otherwise the end of what was printed."""
    lines = [" ".join(line.split()) for line in (reply.error or reply.text).splitlines() if line.strip()]
    said = " / ".join(lines) or "no output"
    return said[:600] if reply.error else said[-600:]


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
