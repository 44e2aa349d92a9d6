"""A changed form touches what depends on the change, and nothing else."""

import json
import os
import re

from conftest import Cluster
from hubclient import HubClient


def test_a_grown_form_grows_homes_in_use(cluster: Cluster, alice: HubClient) -> None:
    kernel = alice.kernel()
    size = "import os; s = os.statvfs('/home/alice'); print(s.f_blocks * s.f_frsize)"
    before = int(kernel.run(size).text)
    kernel.run("open('/home/alice/kept', 'w').write('still here')")
    cluster.write_form(storage=0.8)
    plan = cluster.caas.run("plan", str(cluster.form), status=2).stdout
    assert "homes" in plan
    cluster.apply()
    assert int(kernel.run(size).text) > before + 200_000_000
    assert kernel.run("print(open('/home/alice/kept').read())").text.strip() == "still here"


def test_a_smaller_home_is_refused_and_says_why(cluster: Cluster) -> None:
    cluster.write_form(storage=0.4)
    said = cluster.caas.run("apply", str(cluster.form), "--yes", status=1).stderr
    assert "notebook.storage" in said and "0.8" in said
    cluster.write_form(storage=0.8)


def test_a_fixed_field_is_refused(cluster: Cluster) -> None:
    text = cluster.form.read_text()
    cluster.form.write_text(text.replace("domain: localhost", "domain: elsewhere.localhost"))
    said = cluster.caas.run("apply", str(cluster.form), "--yes", status=1).stderr
    assert "domain" in said and re.search(r"\.yaml:\d+:\d+: ", said)
    cluster.form.write_text(text)


def test_more_cpus_leave_running_servers_alone(cluster: Cluster, alice: HubClient) -> None:
    started = alice.api("GET", "/users/alice").json()["servers"][""]["started"]
    cluster.write_form(cpus=1.5, storage=0.8)
    shown = json.loads(cluster.caas.run("plan", str(cluster.form), "--json", status=2).stdout)
    touched = {step["id"] for step in shown["steps"]}
    assert not any(name.startswith(("identity/", "notebook/", "proxy/")) for name in touched), touched
    assert any("next start" in step.get("notice", "") for step in shown["steps"])
    cluster.apply()
    assert alice.api("GET", "/users/alice").json()["servers"][""]["started"] == started
    assert alice.request("GET", "/user/alice/api/status").status == 200


def test_a_new_server_has_the_new_size(cluster: Cluster) -> None:
    carol = cluster.signed_in("carol")
    carol.spawn()
    assert carol.kernel().run("import os; print(os.environ['CPU_LIMIT'])").text.strip() == "1.5"
    carol.stop()


def test_history_remembers(cluster: Cluster) -> None:
    runs = cluster.caas.json("history", cluster.name)
    assert runs[0]["outcome"] == "done" and len(runs) >= 3


def test_a_home_stays_when_the_server_stops(cluster: Cluster) -> None:
    carol = cluster.signed_in("carol")
    carol.spawn()
    carol.kernel().run("open('/home/carol/note', 'w').write('kept')")
    carol.stop()
    carol.spawn()
    assert carol.kernel().run("print(open('/home/carol/note').read())").text.strip() == "kept"
    carol.stop()
    assert os.path.exists(cluster.folder / "homes" / "images")
