"""A real Prometheus of somebody else: it is sent metrics by remote write, and reads those of a cluster as
docs/MONITORING.md says.

    with Elsewhere(folder, port, token) as there: there.wait("up")

What it is sent comes by TLS, with a certificate that is its own authority, and only with the token."""

import os
import re
import select
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus import Prometheus

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "MONITORING.md"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Elsewhere(Prometheus):
    """folder gets the certificate (server.crt) and what it keeps. refused: requests without the token."""

    def __init__(self, folder: Path, port: int, token: str, address: str = "127.0.0.1") -> None:
        self.folder, self.port, self.token, self.address = folder, port, token, address
        self.inner = f"127.0.0.1:{free_port()}"
        self.certificate, self.config = folder / "server.crt", folder / "prometheus.yml"
        self.refused = 0
        super().__init__(f"http://{self.inner}")

    def __enter__(self) -> "Elsewhere":
        self.folder.mkdir(exist_ok=True)
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made += ["-keyout", "server.key", "-out", "server.crt", "-days", "2", "-subj", "/CN=metrics of the tests"]
        made += ["-addext", f"subjectAltName=IP:{self.address}"]
        subprocess.run(made, cwd=self.folder, check=True, capture_output=True, timeout=30)
        self.config.write_text("global: {}\n")
        words = ["prometheus", f"--config.file={self.config}", f"--storage.tsdb.path={self.folder / 'data'}"]
        words += [f"--web.listen-address={self.inner}", "--web.enable-remote-write-receiver", "--log.level=warn"]
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "GOGC": "50"})
        self._front = self._receiver()
        threading.Thread(target=self._front.serve_forever, daemon=True).start()
        self._until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._front.shutdown()
        self._front.server_close()
        self._process.terminate()
        self._process.wait(timeout=30)

    def _until_ready(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.2)

    def _receiver(self) -> ThreadingHTTPServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer._take(self.path, dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer((self.address, self.port), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        return server

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if path != "/write" or headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return 401
        wanted = ("Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version")
        passed = {name: value for name, value in headers.items() if name in wanted}
        asked = urllib.request.Request(f"{self.url}/api/v1/write", body, passed)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def read_as_documented(self, target: str, token: Path, ca: Path, proxy: str) -> None:
        """By the block of the manual, for this cluster, and every 2 s. proxy: by whom it goes there."""
        (block,) = re.findall(r"^```yaml\n(scrape_configs:\n.*?)^```", MANUAL.read_text(), re.M | re.S)
        for manuals, own in {
            "/etc/prometheus/ocean-token": str(token),
            "pangeo.example.org": target,
            "scrape_interval: 30s": "scrape_interval: 2s",
        }.items():
            assert manuals in block
            block = block.replace(manuals, own)
        self.config.write_text(f"{block}    tls_config: {{ca_file: {ca}}}\n    proxy_url: http://{proxy}\n")
        self._process.send_signal(signal.SIGHUP)


class Passage(socketserver.ThreadingTCPServer):
    """A proxy for CONNECT on loopback, which comes from `source` wherever it goes."""

    daemon_threads = True

    def __init__(self, source: str) -> None:
        super().__init__(("127.0.0.1", 0), Pass)
        self.source, self.name = source, f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Pass(socketserver.StreamRequestHandler):
    rbufsize = 0

    def handle(self) -> None:
        assert isinstance(self.server, Passage)
        host, port = self.rfile.readline().split()[1].decode().rsplit(":", 1)
        while self.rfile.readline().strip():
            pass
        with socket.create_connection((host, int(port)), 10, source_address=(self.server.source, 0)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            ends = {self.connection: there, there: self.connection}
            while ready := select.select(list(ends), [], [], 60)[0]:
                for one in ready:
                    if not (piece := one.recv(65536)):
                        return
                    ends[one].sendall(piece)
