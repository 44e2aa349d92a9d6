"""The least that a first install can take, or the growth of homes: the same PATCHes and nothing else, sent by curl over eight
connections at once. Nobody looks, nothing depends on anything, nothing is written down.

Over HTTP/1.1: one connection of HTTP/2 for all takes a quarter to a half more of the API server's processor, and a client that
knows all beforehand gains nothing by it."""

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


def _sent(folder: Path, kubectl: Callable[..., str], requests: Iterable[tuple[str, str, Any]]) -> list[str | Path]:
    """curl with a PATCH of each: path and query, how it is to be understood, body."""
    folder.mkdir()
    server, account = _account(folder, json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json")))
    lines = ["parallel", f"parallel-max = {AT_ONCE}", "silent", "show-error"]
    for i, (path, kind, sent) in enumerate(requests):
        body = folder / f"{i:04}.json"
        body.write_text(json.dumps(sent))
        lines += ["next"] if i else []
        lines += [
            f'url = "{server}{path}"',
            'request = "PATCH"',
            f'header = "Content-Type: application/{kind}"',
            f'data-binary = "@{body}"',
            'output = "/dev/null"',
            "fail",
            "http1.1",
            *account,
        ]
    config = folder / "curl"
    config.write_text("\n".join(lines) + "\n")
    return ["curl", "--config", config]


def applies(
    folder: Path, kubectl: Callable[..., str], objects: Iterable[dict[str, Any]], space: str
) -> list[str | Path]:
    """Applies them into a namespace that is there; its status is not 0 if one was refused."""
    plurals: dict[str, dict[str, str]] = {}
    requests = []
    for one in objects:
        version = one["apiVersion"]
        if version not in plurals:
            kinds = json.loads(kubectl("get", "--raw", _base(version)))["resources"]
            plurals[version] = {kind["kind"]: kind["name"] for kind in kinds if "/" not in kind["name"]}
        path = f"{_base(version)}/namespaces/{space}/{plurals[version][one['kind']]}/{one['metadata']['name']}"
        query = "fieldManager=floor&fieldValidation=Ignore&force=false"
        requests.append((f"{path}?{query}", "apply-patch+yaml", one))
    return _sent(folder, kubectl, requests)


def growth(
    folder: Path, kubectl: Callable[..., str], claims: Iterable[dict[str, Any]], space: str, size: str
) -> list[str | Path]:
    """Asks for that size of each of these claims, which are there."""
    base = f"{_base('v1')}/namespaces/{space}/persistentvolumeclaims"
    patch = {"spec": {"resources": {"requests": {"storage": size}}}}
    return _sent(folder, kubectl, ((f"{base}/{one['metadata']['name']}", "merge-patch+json", patch) for one in claims))
