"""People at work: sign-in, a server in a pod, Dask on worker pods; the logs of it."""

import json
import re
import subprocess
import time

from bed import HOMES, PASSWORD, SERVERS, Lab, eventually
from hubclient import HubClient

SUM = """
from dask_gateway import GatewayCluster
import dask.array
with GatewayCluster() as cluster:
    cluster.scale(2)
    with cluster.get_client() as client:
        client.wait_for_workers(2, timeout=120)
        print("sum", int(dask.array.ones((2000, 2000), chunks=500).sum().compute()))
"""


def test_the_health_test_passes(lab: Lab) -> None:
    lines = lab.caas.run("test", lab.name, "--json", seconds=600).stdout.splitlines()
    checks = {item["check"]: item for item in map(json.loads, lines)}
    assert {"account", "reach", "sign-in", "server", "notebook", "dask", "leave"} <= set(checks)
    assert all(item["ok"] for item in checks.values()), checks

    def gone() -> bool:
        claims = [item["metadata"]["annotations"].get("hub.jupyter.org/username", "") for item in lab.get("pvc", HOMES)]
        return not any(name.startswith("caas-test-") for name in claims)

    eventually(gone, 60)
    assert not any(user["name"].startswith("caas-test-") for user in lab.caas.json("users", lab.name)["users"])


def test_more_workers_than_fit_are_made_smaller_and_said(lab: Lab) -> None:
    lines = lab.caas.run("test", lab.name, "--workers", "6", "--json", seconds=600).stdout.splitlines()
    dask = next(item for item in map(json.loads, lines) if item["check"] == "dask")
    assert dask["ok"] and "dask.max" in dask["message"], dask


def test_a_server_is_a_pod_with_the_sizes_of_the_form(lab: Lab, alice_pod: HubClient) -> None:
    (pod,) = [item for item in lab.get("pod", SERVERS) if "alice" in item["metadata"]["name"]]
    notebook = next(item for item in pod["spec"]["containers"] if item["name"] == "notebook")
    assert notebook["resources"]["limits"]["cpu"] == "1"
    assert pod["spec"]["automountServiceAccountToken"] is False
    kernel = alice_pod.kernel()
    assert kernel.run("import os; print(os.getuid())").text.strip() == "1000"
    kernel.run("import os; open(os.path.expanduser('~/kept'), 'w').write('still here')")
    kernel.close()


def test_python_takes_the_byte_code_of_its_image(lab: Lab, alice_pod: HubClient) -> None:
    """Or each process there would compile what it imports, seconds of it: these tests would see another product, and slowly."""
    (server,) = [name for name in lab.names("pod", SERVERS) if "alice" in name]
    for pod in (server, "deploy/hub"):
        imports = ["sh", "-c", "python -I -v -c 'import tornado.web' 2>&1"]
        said = lab.bed.kubectl("-n", lab.namespace, "exec", pod, "--", *imports)
        assert "/tornado/web.py\n" in said and " matches " in said, said[-2000:]
        assert not re.findall(r"^# code object from '?(\S+/tornado/\S+\.py)'?$", said, re.M), pod


def test_dask_computes_on_worker_pods(lab: Lab, alice_pod: HubClient) -> None:
    kernel = alice_pod.kernel()
    reply = kernel.run(SUM, seconds=240)
    assert reply.status == "ok" and "sum 4000000" in reply.text, reply.text
    kernel.close()


def test_who_is_no_member_is_not_let_in(lab: Lab) -> None:
    assert lab.client().login("bob", PASSWORD)[0] == 403


def test_users_are_shown_with_their_servers(lab: Lab, alice_pod: HubClient) -> None:
    users = {user["name"]: user for user in lab.caas.json("users", lab.name)["users"]}
    assert users["alice"]["member"] and users["alice"]["server"]["ready"]
    assert users["dora"]["server"] is None and "bob" not in users
    assert users["admin"]["admin"]


def test_logs_of_a_role_and_of_all(lab: Lab) -> None:
    hub = lab.caas.run("logs", lab.name, "hub", "--lines", "1000").stdout
    assert "alice" in hub and hub.startswith("20")
    lines = [json.loads(line) for line in lab.caas.run("logs", lab.name, "--json", "-n", "5000").stdout.splitlines()]
    assert {"hub", "autohttps"} <= {line["service"] for line in lines}
    times = [line["time"] for line in lines if line["time"]]
    assert len(times) > 100 and times == sorted(times)
    said = lab.caas.run("logs", lab.name, "hubb", status=1).stderr
    assert "did you mean 'hub'" in said


def test_logs_are_followed_over_a_new_pod(lab: Lab) -> None:
    process = lab.caas.start("logs", lab.name, "autohttps", "--follow", "-n", "1")
    try:
        time.sleep(3)
        lab.kubectl("rollout", "restart", "deployment/autohttps")
        lab.kubectl("rollout", "status", "deployment/autohttps", "--timeout=120s", seconds=150)
        time.sleep(5)
    finally:
        process.send_signal(2)
        try:
            said = process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0 and len(said.splitlines()) > 3, said
    assert "admin endpoint disabled" in said, said  # what a Caddy of every version says when it begins
    lab.apply()
    lab.settled()
