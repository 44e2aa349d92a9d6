"""Taken out is out at once."""

import time
from collections.abc import Callable

import dask_cluster
from conftest import PASSWORD, Cluster
from hubclient import HubClient

PAGE = "/services/monitoring/"


def still_in(client: HubClient, user: str) -> bool:
    paths = ("/hub/api/user", f"/user/{user}/api/status", PAGE)
    return any(client.request("GET", path, follow=False).status == 200 for path in paths)


def until(done: Callable[[], bool], end: float) -> None:
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_revoke_ends_server_session_token_and_dask(cluster: Cluster) -> None:
    cluster.add_user("erin")
    cluster.caas.run("grant", cluster.name, "erin", "--admin")
    client = cluster.signed_in("erin")
    client.spawn()
    made = client.kernel().run(dask_cluster.START, seconds=240)
    assert made.status == "ok", made.text
    assert client.request("GET", PAGE).status == 200  # a page that is not the hub's own
    token = client.api("POST", "/users/erin/tokens", data={"note": "kept for later"}).json()["token"]
    fresh = cluster.client()
    assert fresh.request("GET", "/hub/api/user", headers={"Authorization": f"token {token}"}).status == 200
    running = cluster.processes("erin")
    assert all(any(word in line for line in running) for word in ("singleuser", "dask scheduler", "dask worker")), (
        running
    )
    assert still_in(client, "erin")
    end = time.monotonic() + 10
    cluster.caas.run("revoke", cluster.name, "erin")
    until(lambda: not cluster.processes("erin") and not still_in(client, "erin"), end)
    assert fresh.request("GET", "/hub/api/user", headers={"Authorization": f"token {token}"}).status in (401, 403)
    assert cluster.client().login("erin", PASSWORD)[0] == 403
    cluster.caas.run("grant", cluster.name, "erin")
    back = cluster.signed_in("erin")
    assert back.request("GET", "/hub/admin").status == 403
    back.spawn()
    listed = back.kernel().run(
        "from dask_gateway import Gateway\nwith Gateway() as g: print(len(g.list_clusters()))", seconds=60
    )
    assert listed.text.strip() == "0"
    back.stop()


def test_taken_out_or_locked_in_the_directory_itself(cluster: Cluster) -> None:
    """frank has a Dask cluster and no server any more, grace a server; so has carol, who is in by a group in the group. None of
    them asks for anything."""
    clients = {}
    for user in ("frank", "grace"):
        cluster.add_user(user)
    for user in ("frank", "grace", "carol"):
        clients[user] = cluster.signed_in(user)
        clients[user].spawn()
    stays = dask_cluster.START.replace("GatewayCluster()", "GatewayCluster(shutdown_on_close=False)")
    made = clients["frank"].kernel().run(stays, seconds=240)
    assert made.status == "ok", made.text
    clients["frank"].stop()
    running = {user: " ".join(cluster.processes(user)) for user in clients}
    assert "dask worker" in running["frank"] and "singleuser" not in running["frank"]
    assert "singleuser" in running["grace"] and "singleuser" in running["carol"]
    group, team = (cluster.dn("groups", name) for name in (f"{cluster.name}_notebook_users", "team"))
    frank, grace, carol = (cluster.dn("users", name) for name in ("frank", "grace", "carol"))
    end = time.monotonic() + 300
    cluster.ldif(
        f"assert c.modify({group!r}, {{'member': [(ldap3.MODIFY_DELETE, [{frank!r}])]}}), c.result\n"
        f"assert c.modify({team!r}, {{'member': [(ldap3.MODIFY_DELETE, [{carol!r}])]}}), c.result\n"
        f"assert c.modify({grace!r}, {{'nsAccountLock': [(ldap3.MODIFY_REPLACE, ['TRUE'])]}}), c.result"
    )
    until(lambda: not any(cluster.processes(user) for user in clients), end)
    assert not any(still_in(client, user) for user, client in clients.items())
    assert {cluster.client().login(user, PASSWORD)[0] for user in clients} == {403}
    cluster.ldif(f"assert c.modify({team!r}, {{'member': [(ldap3.MODIFY_ADD, [{carol!r}])]}}), c.result")
    cluster.signed_in("carol")


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
