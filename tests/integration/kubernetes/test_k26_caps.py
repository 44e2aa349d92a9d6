"""What one user holds over all Dask clusters stays under dask.max, whoever asks for it and how: 1.4 CPUs and 2.5 GB, workers of 0.4 and
0.75, a scheduler of 0.5 and 0.75; so two workers fit."""

import time
from collections.abc import Iterator

import pytest
from bed import Lab, eventually
from hubclient import HubClient

START = """
from dask_gateway import GatewayCluster, Gateway
cluster = GatewayCluster()
print("cluster", cluster.name)
"""
TOO_MANY = """
try:
    cluster.scale(3)
except Exception as e:
    print("refused:", e)
"""
ANOTHER = """
cluster.scale(2)
try:
    GatewayCluster()
except Exception as e:
    print("refused:", e)
"""
# The scheduler is its user's own process: it may say whatever it likes.
LIE = """
import json, os, urllib.request
url = os.environ["DASK_GATEWAY_API_URL"] + "/v1/clusters/" + os.environ["DASK_GATEWAY_CLUSTER_NAME"] + "/heartbeat"
token = open("/etc/dask-credentials/api-token").read()
says = {"count": 1000, "active_workers": [], "closing_workers": [], "closed_workers": []}
request = urllib.request.Request(url, json.dumps(says).encode(), {"Authorization": "token " + token, "Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=20).status)
"""


def run_in(lab: Lab, pod: str, *command: str) -> str:
    """What a command in a pod prints."""
    return lab.bed.kubectl("-n", lab.namespace, "exec", pod, "--", *command, seconds=60)


def workers(lab: Lab, cluster: str) -> list[dict]:
    labels = f"gateway.dask.org/cluster={cluster.split('.')[1]},app.kubernetes.io/component=dask-worker"
    return [pod for pod in lab.get("pod", labels) if pod["status"]["phase"] in ("Pending", "Running")]


@pytest.fixture
def kernel(alice_pod: HubClient) -> Iterator:
    made = alice_pod.kernel()
    yield made
    made.run("cluster.shutdown()", seconds=60)
    made.close()


def test_the_cap_holds_over_all_clusters(lab: Lab, kernel) -> None:
    reply = kernel.run(START, seconds=180)
    assert reply.status == "ok", reply.text
    cluster = reply.text.split()[-1]
    said = kernel.run(TOO_MANY, seconds=60).text
    assert "refused:" in said and "1.4 CPUs and 2.5 GB" in said and "at most 2" in said, said
    said = kernel.run(ANOTHER, seconds=60).text
    assert "refused:" in said and "scheduler of a new cluster" in said, said

    scheduler = f"dask-scheduler-{cluster.split('.')[1]}"
    assert run_in(lab, scheduler, "python3", "-c", LIE).strip() == "200"
    eventually(lambda: len(workers(lab, cluster)) == 2, 60)
    for _ in range(10):
        assert len(workers(lab, cluster)) == 2
        time.sleep(0.3)
    # Not even a changed DaskCluster starts more.
    patch = '{"spec": {"replicas": 50}}'
    lab.kubectl("patch", "daskcluster", cluster.split(".")[1], "--type=merge", "-p", patch)
    for _ in range(10):
        assert len(workers(lab, cluster)) == 2
        time.sleep(0.3)
    # One that ends makes room for one.
    gone = workers(lab, cluster)[0]["metadata"]["name"]
    lab.kubectl("delete", "pod", gone, "--wait=false")
    eventually(lambda: gone not in {p["metadata"]["name"] for p in workers(lab, cluster)}, 60)
    eventually(lambda: len(workers(lab, cluster)) == 2, 60)


def test_pods_of_a_user_carry_their_name(lab: Lab, kernel) -> None:
    reply = kernel.run(START, seconds=180)
    assert reply.status == "ok", reply.text
    name = reply.text.split()[-1].split(".")[1]
    scheduler = next(p for p in lab.get("pod", f"gateway.dask.org/cluster={name}"))
    assert scheduler["metadata"]["labels"]["hub.jupyter.org/username"] == "alice"
    spec = scheduler["spec"]
    assert spec["automountServiceAccountToken"] is False and spec["securityContext"]["runAsNonRoot"] is True
    listed = {u["name"]: u for u in lab.caas.json("users", lab.name)["users"]}
    assert listed["alice"], listed
