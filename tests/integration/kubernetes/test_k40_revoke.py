"""Taken out is out at once: server pods and Dask clusters are gone within 10 s."""

import time

import dask_cluster
from bed import PASSWORD, SERVERS, Lab, eventually


def pods_of(lab: Lab, user: str) -> list[str]:
    """Server and Dask pods that still run."""
    found = []
    for pod in lab.get("pod"):
        notes = {**pod["metadata"].get("labels", {}), **pod["metadata"].get("annotations", {})}
        dask = "gateway.dask.org/cluster" in notes
        mine = user in notes.get("hub.jupyter.org/username", "") or f"jupyter-{user}" in pod["metadata"]["name"]
        if mine or (dask and pod["metadata"]["labels"].get("caas.pangeo.io/user", user) == user):
            found.append(pod["metadata"]["name"])
    return found


def test_revoke_ends_server_session_token_and_dask(lab: Lab) -> None:
    lab.add_user("erin")
    client = lab.signed_in("erin")
    client.spawn()
    made = client.kernel().run(dask_cluster.START, seconds=240)
    assert made.status == "ok", made.text
    token = client.api("POST", "/users/erin/tokens", data={"note": "kept for later"}).json()["token"]
    assert len(pods_of(lab, "erin")) >= 3
    began = time.monotonic()
    lab.caas.run("revoke", lab.name, "erin")
    eventually(lambda: not pods_of(lab, "erin"), 10 - (time.monotonic() - began))
    assert time.monotonic() - began < 10
    assert client.request("GET", "/hub/api/user").status in (401, 403)
    fresh = lab.client()
    assert fresh.request("GET", "/hub/api/user", headers={"Authorization": f"token {token}"}).status in (401, 403)
    assert lab.client().login("erin", PASSWORD)[0] == 403
    lab.caas.run("grant", lab.name, "erin")
    back = lab.signed_in("erin")
    back.spawn()
    back.stop()


def test_grant_of_nobody_is_refused(lab: Lab) -> None:
    said = lab.caas.run("grant", lab.name, "alcie", status=1).stderr
    assert "alcie" in said and "alice" in said


def test_passwords_and_accounts(lab: Lab) -> None:
    lab.caas.run("grant", lab.name, "erin")
    lab.caas.run("user", "passwd", lab.name, "erin", given="another-Heron-43\n")
    assert lab.client().login("erin", PASSWORD)[0] == 403
    assert lab.client().login("erin", "another-Heron-43")[0] == 302
    said = lab.caas.run("user", "remove", lab.name, "erin", "--yes").stdout
    assert lab.client().login("erin", "another-Heron-43")[0] == 403
    assert not lab.names("pod", f"{SERVERS},hub.jupyter.org/username=erin")
    assert "the home is kept: claim-erin; an account of the same name made later is given it" in said
    assert "claim-erin" in lab.names("pvc")
    lab.add_user("erin", member=False)
    assert lab.caas.run("user", "remove", lab.name, "erin", "--yes", "--delete-home").stdout == "erin is gone\n"
    eventually(lambda: "claim-erin" not in lab.names("pvc"), 30)
