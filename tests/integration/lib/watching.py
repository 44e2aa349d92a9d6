"""What tests of a cluster's monitoring on Kubernetes do to it."""

import functools
import json
import os
import re
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import promql
from bed import ROOT, Bed, Lab, eventually
from prometheus import Prometheus

PAGE = "/services/monitoring/"
WATCHER = "component=monitoring"
EXPORTER = "component=exporter"
IMAGE = "registry.example.org/pangeo/caas-exporter:test"

# Run in a pod: as a Prometheus there asks, with the address of somebody who may.
ASK = """
import http.client, socket, ssl, sys
address, host, ca, path, token, said = sys.argv[1:]
asked = http.client.HTTPSConnection(host, timeout=30)
tls = ssl.create_default_context(cadata=ca)
asked.sock = tls.wrap_socket(socket.create_connection((address, 443), 10), server_hostname=host)
asked.request("GET", path, headers={"Authorization": "Bearer " + token, "X-Forwarded-For": said, "X-Real-IP": said})
print(asked.getresponse().status)
"""
# As one who has no certificate of a client asks a node exporter.
WITHOUT_CERTIFICATE = """
import socket, ssl, sys
address, ca = sys.argv[1:]
c = ssl.create_default_context(cadata=ca)
s = c.wrap_socket(socket.create_connection((address, 9100), 5), server_hostname="node-exporter")
try:
    s.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
    print("answered", s.recv(100))
except ssl.SSLError as error:
    print(error.reason)
"""
# Where a pod listens, as /proc has it.
LISTENING = """
for line in list(open("/proc/net/tcp"))[1:] + list(open("/proc/net/tcp6"))[1:]:
    f = line.split()
    if f[3] == "0A":
        print(f[1])
"""


def traffic(lab: Lab) -> tuple[str, str]:
    """What the balancer does with addresses, and its own."""
    (service,) = [one for one in lab.get("service", "component=proxy-public") if one["spec"]["type"] == "LoadBalancer"]
    return service["spec"]["externalTrafficPolicy"], service["status"]["loadBalancer"]["ingress"][0]["ip"]


def all_volumes_are_asked(lab: Lab, prometheus: Prometheus) -> None:
    """By the alert's own question, at bounds that all of them are below: each part's, and the one disk that homes are folders of."""
    (expr,) = [alert.expr for alert in promql.alerts() if alert.name == "VolumeFull"]
    assert "< 0.05" in expr and "> 5e8" in expr
    # Homes with disks of their own, as the scene before had them, are seen for five minutes after it.
    now = "(time() - timestamp(caas_home_used_bytes) < 60)"
    asked = expr.replace("< 0.05", "<= 1").replace("> 5e8", "> 5e18").replace("caas_home_used_bytes", now)
    parts = {claim for claim in lab.names("pvc") if not claim.startswith("claim-")}
    assert {"hub-db-dir", "directory-data", "prometheus", "grafana"} <= parts

    def found() -> set[str]:
        return {one["metric"]["persistentvolumeclaim"] for one in prometheus.get("query", query=asked)["result"]}

    wanted, end = {*parts, "claim-*"}, time.monotonic() + 90
    while found() != wanted and time.monotonic() < end:
        time.sleep(1)
    assert found() == wanted, found()


def say_at_once(lab: Lab, alert: str) -> None:
    """Nobody waits for minutes here: the rules that Prometheus has in hand then say at once what is so, though not the file."""
    (rules,) = [one for one in lab.get("configmap", WATCHER) if one["metadata"]["name"] == "monitoring-alerts"]
    (file,) = [file for file, text in rules["data"].items() if f"alert: {alert}\n" in text]
    written = rules["data"][file]
    hasty = re.sub(rf"(alert: {alert}\n.*?for: )\w+", r"\g<1>0s", written, count=1, flags=re.S)
    (pod,) = lab.names("pod", WATCHER)

    def inside(*command: str) -> str:
        return lab.bed.kubectl("-n", lab.namespace, "exec", pod, "-c", "prometheus", "--", *command)

    def put(text: str) -> None:
        lab.kubectl("patch", "configmap", "monitoring-alerts", "--type=merge", "-p", json.dumps({"data": {file: text}}))
        # A kubelet looks at once where a pod has changed.
        lab.kubectl("annotate", "pod", pod, f"tests/looked={time.monotonic()}", "--overwrite")
        eventually(lambda: inside("cat", f"/etc/caas/alerts/{file}") == text, 120)

    put(hasty)
    inside("sh", "-c", "kill -HUP 1")
    with lab.bed.forwarded(lab.namespace, "deploy/prometheus", 9090) as port:
        asked = Prometheus(f"http://127.0.0.1:{port}{PAGE}prometheus")
        eventually(lambda: [one for one in asked.rules_healthy() if one["name"] == alert][0]["duration"] == 0, 30)
    put(written)


@functools.cache
def load_images(bed: Bed) -> None:
    """Those of monitoring that the test bed has not got by itself, once."""
    build = os.environ.get("BUILD", "build")
    words = ["make", "-s", f"BUILD={build}", f"IMAGE={IMAGE}", "exporter-image"]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stdout + made.stderr
    bed.load(ROOT / made.stdout.splitlines()[-1])
    bed.load_grafana()


def end_of(certificate: Path) -> int:
    words = ["openssl", "x509", "-noout", "-enddate", "-in", str(certificate)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    return ssl.cert_time_to_seconds(said.removeprefix("notAfter=").strip())


def told(lab: Lab) -> dict[str, Any]:
    (found,) = [item for item in lab.get("configmap", EXPORTER) if item["metadata"]["name"] == "monitoring-runs"]
    return json.loads(found["data"]["runs.json"])


def machine(bed: Bed, file: str) -> dict[str, list[float]]:
    """/proc/FILE of the machine, not of a pod: the first word of a line (of disks the third) → its numbers."""
    at = 2 if file == "diskstats" else 0
    lines = [line.replace(":", " ").split() for line in bed.inside("cat", f"/proc/{file}").splitlines()]
    return {words[at]: [float(word) for word in words[at + 1 :] if word.replace(".", "").isdigit()] for words in lines}


def cluster_wide(lab: Lab) -> list[str]:
    found = lab.bed.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name").split()
    return [one for one in found if one.endswith(f"/caas-{lab.namespace}-exporter")]


def exporter_may(lab: Lab, what: list[str], namespace: str = "") -> list[str]:
    """Of this, "get secrets", what the API server would let it do."""
    who = ["-n", namespace or lab.namespace, f"--as=system:serviceaccount:{lab.namespace}:exporter"]
    said = {one: lab.bed.kubectl("auth", "can-i", *one.split(), *who, status=None).strip() for one in what}
    answers = {one: text.splitlines()[-1] for one, text in said.items()}
    assert set(answers.values()) <= {"yes", "no"}, said
    return [one for one, answer in answers.items() if answer == "yes"]
