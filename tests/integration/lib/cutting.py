"""Stands between caas and an API server, as a network that keeps no connection for long: TLS goes through as it is."""

import random
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from between import Between

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what closes such a socket breaks the connection off


class Cutting(Between):
    """Listens on 127.0.0.1 until `stop`, and breaks each connection off `seconds` after it was opened, whatever is under way on it;
    `kubeconfig` leads to it. `cuts` counts them."""

    def __init__(self, folder: Path, config: dict[str, Any], seconds: float, soon: float = 0) -> None:
        """config: a kubeconfig, all of it inline. soon: every other connection, by chance, lives for so long only."""
        super().__init__()
        folder.mkdir()
        cluster = config["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        self.server, self.cuts = (str(server.hostname), int(server.port or 443)), 0
        self.lives = [seconds, soon or seconds]
        there = {"server": self.url, "tls-server-name": server.hostname}
        config["clusters"][0]["cluster"] = {**cluster, **there}
        self.begin(folder, config)

    def _serve(self, client: socket.socket) -> None:
        end = time.monotonic() + random.choice(self.lives)
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
