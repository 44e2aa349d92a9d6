"""The desired state of a cluster, as caas recorded it, in the words of ansible-core's own modules.

    playbook.py JOURNAL CLUSTER UV FOLDER      writes FOLDER/{playbook.json,ansible.cfg,files/}

It is written to be fast: no facts, pipelining, one task for all packages, folders copied as folders, nothing asked of a
service but whether it runs and is defined as it should be. Left out, because ansible-core has no module for it: the directory's
instance, entries and groups, claimed ports and uids, and what caas itself does not look at when nothing has changed (probes,
requirements). What holds secrets is taken from the file as it lies there."""

import json
import os
import pwd
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

Task = dict[str, Any]
CONFIG = """\
[defaults]
gathering = explicit
interpreter_python = /usr/bin/python3
retry_files_enabled = False
nocows = True
host_key_checking = False
[connection]
pipelining = True
"""


class Playbook:
    cluster_folder: Path

    def __init__(self, folder: Path, uv: str) -> None:
        self.folder, self.uv = folder, uv
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.packages: list[str] = []
        self.tasks: list[Task] = []
        self.left_out: dict[str, int] = {}

    def add(self, name: str, module: str, arguments: dict[str, Any], **more: Any) -> None:
        self.tasks.append({"name": name, f"ansible.builtin.{module}": arguments, **more})

    def owned(self, spec: dict[str, Any]) -> dict[str, Any]:
        return {"owner": str(spec.get("owner", "root")), "group": str(spec.get("group", "root"))}

    def copy_of(self, path: str) -> str:
        """The file's content, put where the playbook's own files are."""
        target = self.files / f"{len(os.listdir(self.files))}"
        target.write_bytes(Path(path).read_bytes())
        return str(target)

    # ---- one for each kind
    def directory(self, name: str, spec: dict[str, Any]) -> None:
        self.add(
            name,
            "file",
            {"path": spec["path"], "state": "directory", "mode": spec.get("mode", "0755"), **self.owned(spec)},
        )

    def file(self, name: str, spec: dict[str, Any]) -> None:
        self.add(
            name,
            "copy",
            {
                "src": self.copy_of(spec["path"]),
                "dest": spec["path"],
                "mode": spec.get("mode", "0644"),
                **self.owned(spec),
            },
        )

    def tree(self, name: str, spec: dict[str, Any]) -> None:
        source = self.files / name.replace("/", "-")
        for relative, content in spec["files"].items():
            (source / relative).parent.mkdir(parents=True, exist_ok=True)
            (source / relative).write_text(content)
        modes = {"mode": spec.get("mode", "0644"), "directory_mode": "0755"}
        self.add(
            name, "copy", {"src": f"{source}/", "dest": f"{spec['path']}/", **modes, **self.owned(spec)}, tags=["slow"]
        )

    def certificate(self, name: str, spec: dict[str, Any]) -> None:
        owner = self.owned(spec)
        for key, mode in (("certificate", "0644"), ("key", spec.get("key_mode", "0600"))):
            self.add(f"{name} {key}", "file", {"path": spec[key], "state": "file", "mode": mode, **owner})

    def package(self, _: str, spec: dict[str, Any]) -> None:
        self.packages += spec["packages"]

    def account(self, name: str, spec: dict[str, Any]) -> None:
        comment = pwd.getpwnam(spec["name"]).pw_gecos  # as it is stored: a colon cannot be
        wanted = {"name": spec["name"], "home": spec["home"], "comment": comment}
        self.add(name, "user", {**wanted, "system": True, "create_home": False})

    def venv(self, name: str, spec: dict[str, Any]) -> None:
        """An environment of the same lock that has pip in it, as ansible's module wants one."""
        path = self.folder / name.replace("/", "-")
        lock = self.files / f"{path.name}.txt"
        lock.write_text(spec["requirements"])
        environment = {**os.environ, "UV_NO_PROGRESS": "1", "UV_CACHE_DIR": f"{os.environ['CAAS_CACHE']}/uv"}
        fill = [self.uv, "pip", "install", "--quiet", "--python", path / "bin/python", "--require-hashes", "-r", lock]
        make = [self.uv, "venv", "--quiet", "--seed", "--python", "/usr/bin/python3", path]
        for command in (make, fill):
            subprocess.run(command, check=True, env=environment)
        # The module wants "packaging" in the Python that runs it; ansible's own has it.
        self.add(
            name,
            "pip",
            {"requirements": str(lock), "virtualenv": str(path), "virtualenv_command": "/usr/bin/python3 -m venv"},
            vars={"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            tags=["slow"],
        )

    def npm(self, name: str, spec: dict[str, Any]) -> None:
        made = f"{os.path.realpath(spec['path'])}/.caas-complete"
        self.add(name, "command", {"argv": ["npm", "ci"], "chdir": spec["path"], "creates": made})

    def homes(self, name: str, spec: dict[str, Any]) -> None:
        for key in ("images", "mounts"):
            mode = f"{os.stat(spec[key]).st_mode & 0o7777:04o}"
            self.add(f"{name} {key}", "file", {"path": spec[key], "state": "directory", "mode": mode})

    def service(self, name: str, spec: dict[str, Any]) -> None:
        cluster = self.cluster_folder
        if os.path.isdir("/run/systemd/system"):
            unit = f"caas-{cluster.name}-{spec['name']}.service"
            path = f"/etc/systemd/system/{unit}"
            self.add(f"{name} unit", "copy", {"src": self.copy_of(path), "dest": path, "mode": "preserve"})
            self.add(name, "systemd_service", {"name": unit, "state": "started", "enabled": True})
            return
        folder = cluster / "service" / spec["name"]
        for part in ("run", "finish", "log/run"):
            path = folder / part
            if path.exists():
                mode = f"{path.stat().st_mode & 0o7777:04o}"
                self.add(f"{name} {part}", "copy", {"src": self.copy_of(str(path)), "dest": str(path), "mode": mode})
        running = {"changed_when": False, "register": "sv", "failed_when": "not sv.stdout.startswith('run:')"}
        self.add(name, "command", {"argv": ["sv", "status", str(folder)]}, **running)

    def write(self, journal: str, cluster: str) -> None:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as database:
            query = "SELECT id, kind, spec FROM resource WHERE cluster = ? AND complete ORDER BY position"
            rows = [(name, kind, json.loads(spec)) for name, kind, spec in database.execute(query, (cluster,))]
        self.cluster_folder = Path(next(spec["path"] for name, _, spec in rows if name == "base/folder"))
        for name, kind, spec in rows:
            act = getattr(self, kind.removeprefix("host."), None) if kind.startswith("host.") else None
            if act:
                act(name, spec)
            else:
                self.left_out[kind] = self.left_out.get(kind, 0) + 1
        self.tasks.insert(0, {"name": "packages", "ansible.builtin.apt": {"name": sorted(set(self.packages))}})
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": self.tasks}
        (self.folder / "playbook.json").write_text(json.dumps([play], indent=1))
        (self.folder / "ansible.cfg").write_text(CONFIG)
        named = ", ".join(f"{kind} ({count})" for kind, count in sorted(self.left_out.items()))
        print(f"  # {len(rows)} resources are {len(self.tasks)} tasks of ansible-core; left out: {named}")


if __name__ == "__main__":
    Playbook(Path(sys.argv[4]), sys.argv[3]).write(sys.argv[1], sys.argv[2])
