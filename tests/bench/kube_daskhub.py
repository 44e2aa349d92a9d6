"""The real daskhub chart, installed by helm: of its own repository, or what BENCH_CHART names (a folder, an archive). Where
neither can be had, the bench says so and does without.

None of its pods finds a node, and its services are plain ones, so that what is measured ends with the last object accepted, as on
the other sides. Its hook that waits for pulled images is off; what it pulls all the time is there."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import note

REPOSITORY = "https://helm.dask.org/"
PULL_SECONDS = 20
RELEASE = "daskhub"
NOWHERE = {"nodeSelector": {"bench": "nowhere"}}
PLAIN = {"service": {"type": "ClusterIP"}}
TOKEN = "0" * 64
VALUES = {
    "jupyterhub": {
        "hub": {**NOWHERE, "services": {"dask-gateway": {"apiToken": TOKEN}}},
        "proxy": {"chp": NOWHERE, **PLAIN},
        "scheduling": {"userScheduler": NOWHERE},
        "singleuser": NOWHERE,
        "prePuller": {"hook": {"enabled": False}},
    },
    "dask-gateway": {
        "gateway": {**NOWHERE, "auth": {"jupyterhub": {"apiToken": TOKEN}}},
        "controller": NOWHERE,
        "traefik": {**NOWHERE, **PLAIN},
    },
}


class Daskhub:
    """In `space`. chart: None where it cannot be had."""

    def __init__(self, folder: Path, helm: Sequence[str | Path], kubectl: Callable[..., str], space: str) -> None:
        folder.mkdir()
        self.helm, self.kubectl, self.space, self.folder = helm, kubectl, space, folder
        self.values = folder / "values.json"
        self.values.write_text(json.dumps(VALUES))
        given = os.environ.get("BENCH_CHART")
        self.chart = Path(given).resolve() if given else self._pull()

    def _pull(self) -> Path | None:
        words = ["pull", RELEASE, "--repo", REPOSITORY, "--destination", self.folder]
        try:
            done = subprocess.run([*self.helm, *words], capture_output=True, text=True, timeout=PULL_SECONDS)
            why = " ".join(done.stderr.split())[-200:]
        except subprocess.TimeoutExpired:
            why = f"no answer within {PULL_SECONDS} s"
        found = sorted(self.folder.glob("*.tgz"))
        if not found:
            note(
                f"without the real daskhub chart, which cannot be had from {REPOSITORY}: {why}; BENCH_CHART can name it"
            )
        return found[0] if found else None

    def command(self) -> list[str | Path]:
        assert self.chart
        words = ["upgrade", "--install", RELEASE, self.chart, "-n", self.space, "--create-namespace"]
        return [*self.helm, *words, "--values", self.values]

    def objects(self) -> int:
        """Of the release that is installed."""
        words = ["get", "manifest", RELEASE, "-n", self.space]
        done = subprocess.run([*self.helm, *words], capture_output=True, text=True, check=True, timeout=60)
        return sum(line.startswith("kind:") for line in done.stdout.splitlines())

    def remove(self) -> None:
        """Also what it has outside of its namespace."""
        words = ["uninstall", RELEASE, "-n", self.space, "--ignore-not-found", "--wait"]
        subprocess.run([*self.helm, *words], capture_output=True, text=True, check=True, timeout=300)
        self.kubectl("delete", "namespace", self.space, "--ignore-not-found", "--wait=true", "--timeout=300s")
