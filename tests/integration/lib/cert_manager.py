"""cert-manager's own controllers (tests/testbed), beside a Kubernetes cluster, with an authority of its own."""

import base64
import json
import subprocess
from pathlib import Path

from bed import Bed, eventually

NAMESPACE = "cert-manager"


class CertManager:
    """Nothing is there until it is installed and started."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed, self.folder = bed, folder
        self.definitions = str(bed.program("cert-manager-crds.yaml"))
        self.process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        self.bed.kubectl("apply", "--server-side", "-f", self.definitions)
        self.bed.kubectl("wait", "--for=condition=Established", "-f", self.definitions, "--timeout=60s")
        self.bed.kubectl("create", "namespace", NAMESPACE)

    def start(self) -> None:
        words = [self.bed.program("cert-manager"), "--kubeconfig", self.bed.kubeconfig]
        with (self.folder / "cert-manager.log").open("wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def issue(self, name: str) -> Path:
        """Makes an authority, and the ClusterIssuer that signs with it; its certificate."""
        own = {"name": f"{name}-root", "kind": "ClusterIssuer"}
        signed = {"isCA": True, "commonName": name, "secretName": name, "issuerRef": own}
        self._make("ClusterIssuer", {"name": own["name"]}, {"selfSigned": {}})
        self._make("Certificate", {"name": name, "namespace": NAMESPACE}, signed)
        self._make("ClusterIssuer", {"name": name}, {"ca": {"secretName": name}})
        words = ["get", "secret", name, "-n", NAMESPACE, "--ignore-not-found", "-o", "jsonpath={.data.tls\\.crt}"]
        found = eventually(lambda: self.bed.kubectl(*words), 60)
        path = self.folder / f"{name}.crt"
        path.write_bytes(base64.b64decode(found))
        return path

    def _make(self, kind: str, metadata: dict[str, str], spec: dict[str, object]) -> None:
        made = {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
        self.bed.kubectl("create", "-f", "-", given=json.dumps(made))

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
        self.bed.kubectl("delete", "-f", self.definitions, "--ignore-not-found", "--wait=false")
        self.bed.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
