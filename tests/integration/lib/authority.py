"""An ACME server with an authority of its own: Caddy's."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

CONFIG = """\
{{
	admin off
	skip_install_trust
	auto_https disable_redirects
	storage file_system {folder}/data
	pki {{
		ca local {{
			name "Integration test"
		}}
	}}
}}
https://{address}:{port} {{
	bind {address}
	log {{
		output file {folder}/requests
		format json
	}}
	tls {{
		issuer internal
	}}
	acme_server
}}
"""


class Authority:
    """Runs at an address of this machine, on a port of its own, within a `with`. What it is asked for it looks at on ports 80
    and 443 of where the name leads, as any would. caddy: how the program is begun."""

    def __init__(self, folder: Path, address: str, caddy: Sequence[str | Path]) -> None:
        self.folder, self.address = folder, address
        self.root = folder / "data" / "pki" / "authorities" / "local" / "root.crt"
        with socket.create_server((address, 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"https://{address}:{self.port}/acme/local/directory"
        config = folder / "Caddyfile"
        config.write_text(CONFIG.format(folder=folder, address=address, port=self.port))
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "NO_PROXY": "*"}
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*caddy, "run", "--config", config, "--adapter", "caddyfile"],
                env={**os.environ, **home},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Authority":
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        for _ in range(100):
            try:
                context = ssl.create_default_context(cafile=str(self.root))
                with socket.create_connection((self.address, self.port), 5) as plain:
                    context.wrap_socket(plain, server_hostname=self.address).close()
                return
            except (OSError, ssl.SSLError):
                time.sleep(0.2)
        raise AssertionError(f"no ACME server: {(self.folder / 'log').read_text()[-2000:]}")

    def asked(self, what: str) -> int:
        """How many requests there were for this."""
        lines = (self.folder / "requests").read_text().splitlines()
        return sum(json.loads(line)["request"]["uri"] == f"/acme/local/{what}" for line in lines)
