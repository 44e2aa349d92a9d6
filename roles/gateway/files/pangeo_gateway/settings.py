"""gateway.json, the values that the provisioner writes beside this code (0600: it holds tokens)."""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

USER_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,63}")
GB = 10**9
MIN_WORKER_RAM = GB // 2  # a worker that has only started holds 250 MB


class Account(NamedTuple):
    uid: int
    gid: int


class Settings(dict):
    """The tree of gateway.json, and where it was read from."""

    def __init__(self, tree: dict[str, Any], path: str):
        super().__init__(tree)
        self.path = path

    @property
    def worker(self) -> tuple[float, int]:
        """Default and largest size of a worker: CPUs, bytes."""
        w = self["worker"]
        return float(w["cpus"]), int(float(w["ram"]) * GB)

    @property
    def scheduler(self) -> tuple[float, int]:
        """Size of a scheduler: CPUs, bytes. It counts as what its user holds."""
        cpus, ram = self.worker
        return min(1.0, max(0.5, cpus)), min(GB, max(MIN_WORKER_RAM, ram))

    @property
    def maximum(self) -> tuple[float, int]:
        """What one user may hold over all clusters: CPUs, bytes."""
        m = self["maximum"]
        return float(m["cpus"]), int(float(m["ram"]) * GB)

    @property
    def environments(self) -> dict[str, str]:
        """Folder of each environment by name, the default first. Each is a link that an update moves."""
        e = self["environments"]
        names = [e["default"], *(item["name"] for item in e["more"] or [])]
        return {name: f"{e['folder']}/{name}" for name in names}

    @property
    def images(self) -> dict[str, str]:
        """On Kubernetes: the image of each environment by name, the default first."""
        e = self["environments"]
        return {e["default"]: e["image"], **{item["name"]: item["image"] for item in e["more"] or []}}


def load(path: str) -> Settings:
    return Settings(json.loads(Path(path).read_text(encoding="utf-8")), os.path.abspath(path))


def account(path: str, name: str) -> Account | None:
    """The uid and gid that the hub remembers of who signed in. None: nobody of that name did."""
    if not USER_NAME.fullmatch(name):
        return None
    try:
        ids = json.loads(Path(path).read_text(encoding="utf-8")).get(name)
    except FileNotFoundError:
        return None
    if not ids or int(ids["uid"]) <= 0 or int(ids["gid"]) <= 0:
        return None
    return Account(int(ids["uid"]), int(ids["gid"]))
