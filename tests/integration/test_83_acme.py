"""Certificates from an ACME server: the first cluster moves to the ports that it is asked at, gets one, and moves back.

The server is Caddy's own, with an authority of its own; it has to reach "localhost" on port 80 or 443, as any would."""

import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from authority import Authority
from conftest import PASSWORD, Cluster
from hubclient import HubClient
from test_50_survive import answers, service_pid

FORM = """\
tls:
  mode: acme
  email: hostmaster@example.org
  acme_server: {server}
  acme_ca: {ca}
"""


@pytest.fixture(scope="module")
def authority(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with Authority(tmp_path_factory.mktemp("authority"), "127.0.0.1", ["/usr/bin/caddy"]) as made:
        yield made


@pytest.fixture(scope="module")
def moved(cluster: Cluster, authority: Authority) -> Iterator[HubClient]:
    """The cluster on port 443 with a certificate of the authority, and carol signed in there: servers that others left
    running know the port that they were started with, and it comes back."""
    form = cluster.form.read_text()
    ca = cluster.form.with_name("authority.pem")
    ca.write_bytes(authority.root.read_bytes())
    # Relative: what a form names is looked for beside it.
    changed = form.replace(f"port: {cluster.port}\n", "port: 443\n") + FORM.format(server=authority.url, ca=ca.name)
    cluster.form.write_text(changed)
    try:
        cluster.apply()
        client = HubClient("https://localhost", str(authority.root), address="127.0.0.1")
        assert client.login("carol", PASSWORD)[0] == 302
        yield client
    finally:
        cluster.form.write_text(form)
        cluster.apply()
        ca.unlink()


def handshake(ca: Path, port: int = 443, **options: int) -> tuple[bytes, dict]:
    """What is shown on a port, verified by this authority alone, as bytes and read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    for name, value in options.items():
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # the old versions are the point
            setattr(context, name, value)
    if "maximum_version" in options:
        context.set_ciphers("ALL:@SECLEVEL=0")  # Debian's own level refuses old versions before the server could
    plain = socket.create_connection(("127.0.0.1", port), 10)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as secure:
        return secure.getpeercert(True) or b"", secure.getpeercert() or {}


def test_the_certificate_is_of_the_authority(cluster: Cluster, authority: Authority, moved: HubClient) -> None:
    _, shown = handshake(authority.root)
    issuer = {name: value for part in shown["issuer"] for name, value in part}
    assert issuer["commonName"].startswith("Integration test"), issuer
    assert shown["subjectAltName"] == (("DNS", "localhost"),)
    assert authority.asked("new-order") == 1
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(cluster.folder / "ca" / "ca.crt")


def test_the_authority_is_where_commands_look_for_it(cluster: Cluster, authority: Authority, moved: HubClient) -> None:
    copied = cluster.folder / "proxy" / "tls" / "acme-ca.crt"
    assert copied.read_bytes() == authority.root.read_bytes() and copied.stat().st_mode & 0o777 == 0o644
    assert not (cluster.folder / "proxy" / "tls" / "own.key").exists()
    cluster.caas.run("plan", str(cluster.form))  # nothing to do
    assert cluster.caas.json("status", cluster.name)["access"]["ca"]["path"] == str(copied)


def test_plain_http_goes_to_https(moved: HubClient) -> None:
    # 308 is the TLS port's own answer to what is no TLS: on port 80 it would hide ACME's challenges from the authority.
    for port, status in ((80, 301), (443, 308)):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/hub/login?next=x", headers={"Host": "localhost"})
        answer = connection.getresponse()
        assert answer.status == status, port
        assert answer.headers["Location"] == "https://localhost/hub/login?next=x", port
        connection.close()


def test_hsts(moved: HubClient) -> None:
    answer = moved.request("GET", "/hub/health")
    assert answer.status == 200 and answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_old_tls_is_refused(authority: Authority, moved: HubClient) -> None:
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(authority.root, **old)
    handshake(authority.root, maximum_version=ssl.TLSVersion.TLSv1_2)


def test_a_cell_runs(moved: HubClient) -> None:
    moved.spawn()
    kernel = moved.kernel()
    assert kernel.run("print(6 * 7)").text.strip() == "42"
    kernel.close()
    moved.stop()


def test_a_restart_asks_for_no_new_one(cluster: Cluster, authority: Authority, moved: HubClient) -> None:
    before, asked = handshake(authority.root)[0], authority.asked("new-order")
    first = service_pid(cluster, "caddy")
    subprocess.run(["sv", "restart", str(cluster.folder / "service" / "caddy")], check=True, timeout=60)
    answers(moved, "/hub/health", 30)
    assert service_pid(cluster, "caddy") != first
    time.sleep(2)  # it would ask in the background
    assert handshake(authority.root)[0] == before
    assert authority.asked("new-order") == asked
