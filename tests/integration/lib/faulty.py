"""Stands between caas and an API server, and makes some requests fail as they do where a server has too much to do, a
connection breaks or a machine before it is replaced."""

import base64
import json
import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from between import Between

CANNED = {
    "429": ("429 Too Many Requests", "Retry-After: 1\r\n"),
    "500": ("500 Internal Server Error", ""),
    "503": ("503 Service Unavailable", ""),
}
CUT_SECONDS = 0.7


class Faulty(Between):
    """Listens on 127.0.0.1 with a certificate of its own until `stop`; `kubeconfig` leads to it. `faults` counts what it did:

    429, 500, 503  an answer of that kind instead of the server's
    lost           the request was carried out, and the connection broken off before its answer
    cut            a watch was broken off in its middle

    While `keeps` is set, it deletes nothing whose path ends so, and answers with 500.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        """config: a kubeconfig of an account with a client certificate, all of it inline."""
        super().__init__()
        folder.mkdir()
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        for name, text in (("ca", cluster["certificate-authority-data"]), ("key", user["client-key-data"])):
            (folder / name).write_bytes(base64.b64decode(text))
        (folder / "crt").write_bytes(base64.b64decode(user["client-certificate-data"]))
        host, port = re.fullmatch(r"https://(.+):(\d+)", cluster["server"]).groups()  # type: ignore[union-attr]
        self.server = (host, int(port))
        self.upstream = ssl.create_default_context(cafile=str(folder / "ca"))
        self.upstream.load_cert_chain(folder / "crt", folder / "key")
        new = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=faulty",
        ]
        own, own_key = folder / "own.crt", folder / "own.key"
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", own_key, "-out", own]
        subprocess.run([*new, *names], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(own, own_key)
        config["clusters"][0]["cluster"] = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(own.read_bytes()).decode(),
        }
        config["users"][0]["user"] = {"token": "of-no-account"}  # whoever is asked gets in by the certificate here
        self.lock, self.faults, self.asked = threading.Lock(), Counter[str](), Counter[str]()
        self.keeps = ""
        self.begin(folder, config)

    def _fault(self, method: str, path: str) -> str:
        """Which one this request meets; "" = none. By counting, so that it is the same each time."""
        with self.lock:
            kind = "watch" if "watch=true" in path else method
            self.asked[kind] += 1
            n = self.asked[kind]
            found = ""
            if kind == "watch":
                found = "cut" if n % 2 else ""
            elif kind == "DELETE" and self.keeps and path.split("?")[0].endswith(self.keeps):
                found = "500"
            elif kind in ("PATCH", "DELETE"):
                found = {2: "429", 4: "lost", 6: "500", 8: "503"}.get(n % 10, "")
            elif kind == "GET":
                found = {4: "500", 9: "429", 14: "503"}.get(n % 20, "")
            self.faults[found] += 1
            return found

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self.context.wrap_socket(plain, server_side=True) as client:
                self._carry(client)
        except (OSError, ssl.SSLError):
            pass  # the client has gone, or was cut off

    def _carry(self, client: ssl.SSLSocket) -> None:
        """One request; then the connection ends."""
        head, _, body = _until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        method, path = lines[0].decode().split(" ")[:2]
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += _some(client)
        fault = self._fault(method, path)
        if fault in CANNED:
            status, more = CANNED[fault]
            said = json.dumps({"kind": "Status", "status": "Failure", "message": f"made up by a test: {status}"})
            client.sendall(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Connection: close\r\n"
                f"Content-Length: {len(said)}\r\n\r\n{said}".encode()
            )
            return
        upgraded = any(line.lower().startswith(b"upgrade:") for line in lines)
        drop = [b"authorization:", b"accept-encoding:"] + ([] if upgraded else [b"connection:"])
        kept = [line for line in lines if not line.lower().startswith(tuple(drop))]
        kept += [] if upgraded else [b"Connection: close"]
        with (
            socket.create_connection(self.server, 30) as plain,
            self.upstream.wrap_socket(plain, server_hostname=self.server[0]) as server,
        ):
            server.sendall(b"\r\n".join(kept) + b"\r\n\r\n" + body)
            if upgraded:
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            if fault == "lost":
                _some(server)
            elif fault == "cut":
                threading.Timer(CUT_SECONDS, _end, [server]).start()
                _pump(server, client)
            else:
                server.settimeout(None)
                _pump(server, client)


def _some(source: ssl.SSLSocket) -> bytes:
    data = source.recv(65536)
    if not data:
        raise OSError("ended")
    return data


def _until(source: ssl.SSLSocket, end: bytes) -> bytes:
    data = _some(source)
    while end not in data:
        data += _some(source)
    return data


def _pump(source: ssl.SSLSocket, to: ssl.SSLSocket) -> None:
    try:
        while True:
            to.sendall(_some(source))
    except (OSError, ssl.SSLError):
        pass
    finally:
        _end(to)


def _end(connection: ssl.SSLSocket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended
