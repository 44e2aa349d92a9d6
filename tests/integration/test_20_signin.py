"""Who gets in, and what those read who do not."""

import re
import ssl
from http.client import HTTPConnection

import pytest
from conftest import PASSWORD, Cluster
from hubclient import HubClient
from test_83_acme import handshake


def test_a_member_gets_in(cluster: Cluster) -> None:
    assert cluster.client().login("alice", PASSWORD)[0] == 302


def test_a_member_through_a_group_in_the_group_gets_in(cluster: Cluster) -> None:
    assert cluster.client().login("carol", PASSWORD)[0] == 302


def test_not_a_member_reads_which_group_and_whom_to_ask(cluster: Cluster) -> None:
    client = cluster.client()
    client.request("GET", "/hub/login")
    form = {"username": "bob", "password": PASSWORD, "_xsrf": client.cookie("_xsrf", "/hub/")}
    answer = client.request("POST", "/hub/login?next=", form=form)
    assert answer.status == 403
    assert f"{cluster.name}_notebook_users" in answer.text
    assert re.search(r"ask\s+an administrator of this cluster \(<code>admin</code>\)", answer.text)


def test_a_wrong_password_and_nobody_look_alike(cluster: Cluster) -> None:
    wrong = cluster.client().login("alice", "wrong")
    nobody = cluster.client().login("nobody-here", "wrong")
    assert wrong[0] == nobody[0] == 403
    assert wrong[1].replace("alice", "") == nobody[1].replace("nobody-here", "")
    assert f"{cluster.name}_notebook_users" not in wrong[1]


def test_an_empty_password_is_no_password(cluster: Cluster) -> None:
    assert cluster.client().login("alice", "")[0] == 403


def test_admins_by_group_only(cluster: Cluster, alice: HubClient) -> None:
    password = cluster.caas.run("password", cluster.name).stdout.strip()
    admin = cluster.signed_in("admin", password)
    assert admin.request("GET", "/hub/admin").status == 200
    assert alice.request("GET", "/hub/admin").status == 403


def test_somebody_elses_server_is_refused_in_plain_words(cluster: Cluster, alice: HubClient) -> None:
    dora = cluster.signed_in("dora")
    answer = dora.request("GET", "/user/alice/lab")
    assert answer.status == 403
    assert "That is not for you to open" in answer.text
    assert re.search(r"ask\s+an administrator of this cluster \(<code>admin</code>\)", answer.text)


def test_only_tls_from_1_2_on(cluster: Cluster) -> None:
    ca = cluster.folder / "ca" / "ca.crt"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        handshake(ca, cluster.port, minimum_version=version, maximum_version=version)
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(ca, cluster.port, **old)


def test_plain_http_goes_to_https_and_stays_there(cluster: Cluster) -> None:
    connection = HTTPConnection("127.0.0.1", cluster.port, timeout=10)
    connection.request("GET", "/hub/login?next=x", headers={"Host": f"localhost:{cluster.port}"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"{cluster.url}/hub/login?next=x")
    connection.close()
    headers = cluster.client().request("GET", "/hub/login").headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert all("Secure" in cookie for cookie in headers.get_all("Set-Cookie"))


def test_users_lists_who_is_in(cluster: Cluster, alice: HubClient) -> None:
    users = {user["name"]: user for user in cluster.caas.json("users", cluster.name)["users"]}
    assert {"alice", "carol", "dora", "admin"} <= set(users)
    assert "bob" not in users
    assert users["admin"]["admin"] and not users["alice"]["admin"]
    assert users["alice"]["server"] and not users["carol"]["server"]
