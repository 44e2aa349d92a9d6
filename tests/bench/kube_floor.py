"""The least that a first install can take: the same server-side applies and nothing else, sent by curl, eight at a time over one
connection (HTTP/2). Nobody looks, nothing depends on anything, nothing is written down.

Where the connection takes no more for a moment, libcurl 7.88 sends a request wrongly that is begun then, and the server
ends its stream with PROTOCOL_ERROR: it is sent again a second later, and another round is the best."""

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

AT_ONCE = 8


def _base(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _account(folder: Path, config: Any) -> tuple[str, list[str]]:
    """The server, and what curl is to show it and to trust, of a kubeconfig with a client certificate."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    lines = []
    for option, text in (
        ("cacert", cluster["certificate-authority-data"]),
        ("cert", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        path = folder / option
        path.touch(0o600)
        path.write_bytes(base64.b64decode(text))
        lines.append(f'{option} = "{path}"')
    return cluster["server"], lines


def command(
    folder: Path, kubectl: Callable[..., str], objects: Iterable[dict[str, Any]], space: str
) -> list[str | Path]:
    """Applies them into a namespace that is there; its status is not 0 if one was refused."""
    folder.mkdir()
    server, account = _account(folder, json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json")))
    plurals: dict[str, dict[str, str]] = {}
    lines = ["parallel", f"parallel-max = {AT_ONCE}", "silent", "show-error"]
    for i, one in enumerate(objects):
        version = one["apiVersion"]
        if version not in plurals:
            kinds = json.loads(kubectl("get", "--raw", _base(version)))["resources"]
            plurals[version] = {kind["kind"]: kind["name"] for kind in kinds if "/" not in kind["name"]}
        body = folder / f"{i:04}.json"
        body.write_text(json.dumps(one))
        name = one["metadata"]["name"]
        path = f"{_base(version)}/namespaces/{space}/{plurals[version][one['kind']]}/{name}"
        lines += ["next"] if i else []
        lines += [
            f'url = "{server}{path}?fieldManager=floor&fieldValidation=Strict&force=false"',
            'request = "PATCH"',
            'header = "Content-Type: application/apply-patch+yaml"',
            f'data-binary = "@{body}"',
            'output = "/dev/null"',
            "fail",
            "retry = 2",
            "retry-all-errors",
            "http2",
            *account,
        ]
    config = folder / "curl"
    config.write_text("\n".join(lines) + "\n")
    return ["curl", "--config", config]
