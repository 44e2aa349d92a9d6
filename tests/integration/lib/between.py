"""What stands between caas and an API server, of whatever kind."""

import json
import socket
import threading
from pathlib import Path
from typing import Any


class Between:
    """Listens on 127.0.0.1 from `begin` until `stop`; `kubeconfig` leads to it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"

    def begin(self, folder: Path, config: dict[str, Any]) -> None:
        """config: a kubeconfig, all of it inline, that leads here already."""
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
        raise NotImplementedError
