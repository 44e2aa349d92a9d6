"""Objects of a Kubernetes cluster, asked of its API server without kubectl: tests look again and again until what they wait for is
there, and each start of kubectl costs more than the answer."""

import base64
import json
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

_GROUPS = {
    "api/v1": "configmap endpoints event pod secret service serviceaccount",
    "apis/apps/v1": "daemonset deployment statefulset",
    "apis/networking.k8s.io/v1": "ingress networkpolicy",
    "apis/rbac.authorization.k8s.io/v1": "role rolebinding",
}
_PLURALS = {"endpoints": "endpoints", "ingress": "ingresses", "networkpolicy": "networkpolicies"}
PATHS = {kind: (group, _PLURALS.get(kind, kind + "s")) for group, kinds in _GROUPS.items() for kind in kinds.split()}
PATHS |= {"pvc": ("api/v1", "persistentvolumeclaims"), "pdb": ("apis/policy/v1", "poddisruptionbudgets")}


class Api:
    """config: a kubeconfig as `kubectl config view --raw --flatten --minify -o json` shows it."""

    def __init__(self, config: dict[str, Any]) -> None:
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"].rstrip("/")
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        if "client-certificate-data" in user:
            with tempfile.TemporaryDirectory() as folder:  # Python takes it from a file only
                pair = Path(folder) / "pair.pem"
                pair.touch(0o600)
                pair.write_bytes(
                    b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
                )
                self._context.load_cert_chain(pair)

    def _get(self, path: str) -> dict[str, Any]:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )
        with opener.open(urllib.request.Request(f"{self._server}/{path}", headers=self._headers), timeout=30) as answer:
            return json.load(answer)

    def everything(self, namespace: str | None) -> list[dict[str, Any]]:
        """Objects of all kinds that the server lists: in a namespace, or those that are in none."""
        found, seen = [], set()
        groups = [[group["name"], *group["versions"]] for group in self._get("apis")["groups"]]
        for name, *versions in [["", {"groupVersion": "v1"}], *groups]:
            for version in (each["groupVersion"] for each in versions):
                path = f"apis/{version}" if name else "api/v1"
                for resource in self._there(path, "resources"):
                    known = (name, resource["name"]) in seen  # in another version
                    if known or "list" not in resource["verbs"] or resource["namespaced"] != (namespace is not None):
                        continue
                    seen.add((name, resource["name"]))
                    space = f"namespaces/{namespace}/" if namespace else ""
                    for item in self._there(f"{path}/{space}{resource['name']}", "items"):
                        found.append({"kind": resource["kind"], **item})
        return found

    def _there(self, path: str, what: str) -> list[dict[str, Any]]:
        try:
            return self._get(path)[what]
        except urllib.error.HTTPError as error:
            if error.code == 404:  # a definition has gone since
                return []
            raise

    def list(self, kind: str, namespace: str, labels: str) -> list[dict[str, Any]]:
        group, plural = PATHS[kind]
        asked = "?" + urllib.parse.urlencode({"labelSelector": labels}) if labels else ""
        return self._get(f"{group}/namespaces/{namespace}/{plural}{asked}")["items"]
