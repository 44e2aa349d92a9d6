"""What tests of a cluster's monitoring on Kubernetes do to it."""

import json
import re
import time

from bed import Lab, eventually
from prometheus import Prometheus

PAGE = "/services/monitoring/"
WATCHER = "component=monitoring"

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


def traffic(lab: Lab) -> tuple[str, str]:
    """What the balancer does with addresses, and its own."""
    (service,) = [one for one in lab.get("service", "component=proxy-public") if one["spec"]["type"] == "LoadBalancer"]
    return service["spec"]["externalTrafficPolicy"], service["status"]["loadBalancer"]["ingress"][0]["ip"]


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
