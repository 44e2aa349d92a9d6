"""HubClient for the integration tests: sign in, start a server, run cells. Standard library only, any python3.

    client = HubClient("https://localhost:8443", ca="…/ca.crt")
    client.login("alice", "…"); client.spawn(); kernel = client.kernel(); kernel.run("1 + 1").text

The code is the product's own (the health test uses it); address="127.0.0.1" connects there whatever the name resolves to."""

import importlib.util
import sys
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[3] / "roles" / "hub" / "files" / "pangeo_hub" / "client.py"
_spec = importlib.util.spec_from_file_location("pangeo_hub_client", _SOURCE)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)

Answer = _module.Answer
HubClient = _module.HubClient
HubError = _module.HubError
Kernel = _module.Kernel
Reply = _module.Reply
__all__ = ["Answer", "HubClient", "HubError", "Kernel", "Reply"]
