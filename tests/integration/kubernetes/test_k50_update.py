"""A changed form touches what depends on the change, and no notebook that runs."""

import time
from typing import Any

from bed import HOMES, SERVERS, Lab, eventually
from conftest import kill_after
from hubclient import HubClient

HUB = "bin/python .*bin/jupyterhub --config"
POINTS = (0.05, 0.4, 1.0, 2.3)  # seconds after the first step of a run has begun


def claim(lab: Lab) -> dict[str, Any]:
    return next(item for item in lab.get("pvc", HOMES) if "alice" in item["metadata"]["name"])


def running(lab: Lab) -> dict[str, Any]:
    return next(item for item in lab.get("pod", SERVERS) if "alice" in item["metadata"]["name"])


def test_a_grown_form_grows_homes_in_use(lab: Lab, alice_pod: HubClient) -> None:
    before, pod = claim(lab), running(lab)
    lab.write_form(storage=2)
    assert "homes" in lab.plan(status=2).stdout
    lab.apply()
    after = claim(lab)
    assert before["spec"]["resources"]["requests"]["storage"] != after["spec"]["resources"]["requests"]["storage"]
    eventually(lambda: claim(lab)["status"]["capacity"]["storage"] in ("2G", "2000M", "2Gi", "2000000000"), 60)
    assert running(lab)["metadata"]["uid"] == pod["metadata"]["uid"]
    lab.plan(status=0)


def test_a_smaller_home_is_refused_and_says_why(lab: Lab) -> None:
    lab.write_form(storage=1)
    said = lab.apply(status=1).stderr
    assert "notebook.storage" in said and "2" in said
    lab.write_form(storage=2)


def test_a_fixed_field_is_refused(lab: Lab) -> None:
    lab.write_form(storage=2, extra="  namespace: elsewhere\n")
    assert "kubernetes.namespace" in lab.apply(status=1).stderr
    lab.write_form(storage=2)


def test_more_cpus_leave_running_servers_alone(lab: Lab, alice_pod: HubClient) -> None:
    kernel = alice_pod.kernel()
    kernel.run("remembered = 42")
    pod = running(lab)
    lab.write_form(cpus=0.75, storage=2)
    lab.apply()
    lab.settled()
    now = running(lab)
    assert now["metadata"]["uid"] == pod["metadata"]["uid"]
    assert now["status"]["containerStatuses"][0]["restartCount"] == 0
    reply = eventually(lambda: alice_pod.request("GET", "/user/alice/api/status").status == 200, 60)
    assert reply
    assert kernel.run("print(remembered)").text.strip() == "42"  # over the connection that it had
    kernel.close()
    again = alice_pod.kernel()
    assert again.run("print(6 * 7)").text.strip() == "42"
    again.close()


def hubs(lab: Lab) -> set[str]:
    return set(lab.bed.inside("pgrep", "-f", HUB).split())


def test_a_hub_that_starts_without_the_api_server_loses_nobody(lab: Lab, alice_pod: HubClient) -> None:
    """It cannot find out then whether a server runs. That it starts servers once the API server is back: the next test."""
    kernel, before = alice_pod.kernel(), hubs(lab)
    kernel.run("remembered = 42")
    lab.bed.fault("stop", "kube-apiserver")
    try:
        lab.bed.inside("kill", "-KILL", *before)
        eventually(lambda: alice_pod.request("GET", "/hub/health").status == 200 and hubs(lab) - before, 60)
        eventually(lambda: alice_pod.api("GET", "/users/alice").json()["servers"][""]["ready"], 60)
        assert alice_pod.request("GET", "/user/alice/api/status").status == 200
        assert kernel.run("print(remembered)").text.strip() == "42"
    finally:
        lab.bed.fault("start", "kube-apiserver")
    eventually(lambda: lab.bed.kubectl("get", "--raw", "/readyz", status=None).strip() == "ok", 60)
    kernel.close()


def test_a_new_server_has_the_new_size(lab: Lab) -> None:
    dora = lab.signed_in("dora")
    dora.spawn()
    pod = next(item for item in lab.get("pod", SERVERS) if "dora" in item["metadata"]["name"])
    notebook = next(item for item in pod["spec"]["containers"] if item["name"] == "notebook")
    assert notebook["resources"]["limits"]["cpu"] == "750m"
    dora.stop()


def killed_at_work(lab: Lab, seconds: float) -> bool:
    process = lab.caas.start("apply", str(lab.form), "--yes", "--json")
    next((line for line in process.stdout or [] if '"step_begin"' in line), None)
    return kill_after(process, seconds)


def test_killed_again_and_again_it_converges(lab: Lab) -> None:
    lab.write_form(cpus=0.5, storage=2, top="idle: {notebook_minutes: 45}\n")
    killed = [killed_at_work(lab, point) for point in POINTS]
    assert killed[0], killed
    lab.apply()
    lab.plan(status=0)
    outcomes = [run["outcome"] for run in lab.caas.json("history", lab.name)]
    assert outcomes[0] == "done" and "interrupted" in outcomes
    lab.settled()


def test_the_api_server_goes_away_for_a_minute(lab: Lab, alice_pod: HubClient) -> None:
    """In the middle of an apply: what is on its way is tried again, what is waited for is watched again. And the hub that starts when
    it has just come back finds the server that runs."""
    pod = running(lab)
    lab.write_form(cpus=0.6, storage=2)
    process = lab.caas.start("apply", str(lab.form), "--yes", "--json")
    begun = next(line for line in process.stdout or [] if '"step_begin"' in line and '"hub/service"' in line)
    lab.bed.fault("stop", "kube-apiserver")
    try:
        time.sleep(60)
        assert process.poll() is None, begun
    finally:
        lab.bed.fault("start", "kube-apiserver")
    eventually(lambda: lab.bed.kubectl("get", "--raw", "/readyz", status=None).strip() == "ok", 60)
    # What has tried in vain for a minute looks again after another half at the earliest: Kubernetes' patience, not ours.
    for component in ("kube-controller-manager", "kube-scheduler", "kubelet"):
        lab.bed.fault("restart", component)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    lab.plan(status=0)
    lab.settled()
    assert running(lab)["metadata"]["uid"] == pod["metadata"]["uid"]
    eventually(lambda: alice_pod.request("GET", "/user/alice/api/status").status == 200, 60)
    # It looks at its servers beside everything else, and for that it needs the API server.
    eventually(lambda: alice_pod.api("GET", "/users/alice").json()["servers"][""]["ready"], 60)
