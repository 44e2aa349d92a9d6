"""Taken out is out at once."""

import time

import dask_cluster
from conftest import PASSWORD, Cluster
from hubclient import HubClient


def still_in(client: HubClient, user: str) -> bool:
    api = client.request("GET", "/hub/api/user").status == 200
    server = client.request("GET", f"/user/{user}/api/status", follow=False).status == 200
    return api or server


def gone_within(client: HubClient, user: str, seconds: float) -> float:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if not still_in(client, user):
            return time.monotonic() - began
        time.sleep(0.25)
    raise AssertionError(f"{user} is still in after {seconds} s")


def test_revoke_ends_server_session_token_and_dask(cluster: Cluster) -> None:
    cluster.add_user("erin")
    client = cluster.signed_in("erin")
    client.spawn()
    made = client.kernel().run(dask_cluster.START, seconds=240)
    assert made.status == "ok", made.text
    token = client.api("POST", "/users/erin/tokens", data={"note": "kept for later"}).json()["token"]
    fresh = cluster.client()
    assert fresh.request("GET", "/hub/api/user", headers={"Authorization": f"token {token}"}).status == 200
    began = time.monotonic()
    cluster.caas.run("revoke", cluster.name, "erin")
    gone_within(client, "erin", 10 - min(9, time.monotonic() - began))
    assert fresh.request("GET", "/hub/api/user", headers={"Authorization": f"token {token}"}).status in (401, 403)
    assert cluster.client().login("erin", PASSWORD)[0] == 403
    cluster.caas.run("grant", cluster.name, "erin")
    back = cluster.signed_in("erin")
    back.spawn()
    listed = back.kernel().run(
        "from dask_gateway import Gateway\nwith Gateway() as g: print(len(g.list_clusters()))", seconds=60
    )
    assert listed.text.strip() == "0"
    back.stop()


def test_taken_out_or_locked_in_the_directory_itself(cluster: Cluster) -> None:
    clients = {}
    for user in ("frank", "grace"):
        cluster.add_user(user)
        clients[user] = cluster.signed_in(user)
        clients[user].spawn()
    group, frank, grace = (
        cluster.dn("groups", f"{cluster.name}_notebook_users"),
        cluster.dn("users", "frank"),
        cluster.dn("users", "grace"),
    )
    cluster.ldif(
        f"assert c.modify({group!r}, {{'member': [(ldap3.MODIFY_DELETE, [{frank!r}])]}}), c.result\n"
        f"assert c.modify({grace!r}, {{'nsAccountLock': [(ldap3.MODIFY_REPLACE, ['TRUE'])]}}), c.result"
    )
    for user, client in clients.items():
        gone_within(client, user, 300)
    assert cluster.client().login("grace", PASSWORD)[0] == 403


def test_grant_of_nobody_is_refused(cluster: Cluster) -> None:
    said = cluster.caas.run("grant", cluster.name, "alcie", status=1).stderr
    assert "alcie" in said and "alice" in said


def test_passwords_are_changed_from_stdin(cluster: Cluster) -> None:
    cluster.caas.run("user", "passwd", cluster.name, "frank", given="another-Heron-43\n")
    cluster.caas.run("grant", cluster.name, "frank")
    assert cluster.client().login("frank", PASSWORD)[0] == 403
    assert cluster.client().login("frank", "another-Heron-43")[0] == 302


def test_a_user_who_is_removed_is_gone(cluster: Cluster) -> None:
    cluster.caas.run("user", "remove", cluster.name, "frank", "--yes")
    assert cluster.client().login("frank", "another-Heron-43")[0] == 403
    assert "frank" not in {user["name"] for user in cluster.caas.json("users", cluster.name)["users"]}
