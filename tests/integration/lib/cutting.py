"""Stands between caas and an API server, as a network that keeps no connection for long: TLS goes through as it is."""

import json
import select
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what closes such a socket breaks the connection off


class Cutting:
    """Listens on 127.0.0.1 until `stop`, and breaks each connection off `seconds` after it was opened, whatever is under way on it;
    `kubeconfig` leads to it. `cuts` counts them."""

    def __init__(self, folder: Path, config: dict[str, Any], seconds: float) -> None:
        """config: a kubeconfig, all of it inline."""
        folder.mkdir()
        cluster = config["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        self.server, self.seconds, self.cuts = (str(server.hostname), int(server.port or 443)), seconds, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        there = {"server": f"https://127.0.0.1:{self.listener.getsockname()[1]}", "tls-server-name": server.hostname}
        config["clusters"][0]["cluster"] = {**cluster, **there}
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))
        self.kubeconfig.chmod(0o600)
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        self.listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        end = time.monotonic() + self.seconds
        try:
            with client, socket.create_connection(self.server, 30) as server:
                while _carried(client, server, end):
                    pass
                for each in (client, server):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.cuts += time.monotonic() >= end
        except OSError:
            pass  # one of them has gone


def _carried(client: socket.socket, server: socket.socket, end: float) -> bool:
    """What has come from one of them goes to the other; False when the connection ends, or has to."""
    ready = select.select([client, server], [], [], max(0.0, end - time.monotonic()))[0]
    for each in ready:
        data = each.recv(65536)
        if not data:
            return False
        (server if each is client else client).sendall(data)
    return bool(ready) and time.monotonic() < end
