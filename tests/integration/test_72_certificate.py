"""A certificate given as files: served as it is, followed when it changes, refused when it cannot work."""

import hashlib
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PASSWORD, Cluster
from hubclient import HubClient, Kernel
from test_50_survive import service_pid
from test_83_acme import handshake

SERVICES = ("directory", "hub", "gateway", "gateway_proxy", "chp", "caddy")
FORM = "tls: {mode: files, certificate: given.pem, key: given.key}\n"
EXTENSIONS = {
    "ca": "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
    "server": "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:{name}\n",
}

EXPIRED = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]


class Authority:
    """A root, and a CA below it that signs: what the form names is a chain, as from most of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root.pem"
        self.sign("root", "root", "ca")
        self.sign("between", "root", "ca")

    def sign(self, subject: str, issuer: str, kind: str, name: str = "", days: int = 30) -> None:
        key, request = self.folder / f"{subject}.key", self.folder / f"{subject}.csr"
        extensions = self.folder / f"{subject}.ext"
        extensions.write_text(EXTENSIONS[kind].format(name=name))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self.openssl("req", "-new", *curve, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN=caas {subject}")
        by = ["-signkey", key] if subject == issuer else ["-CA", self.folder / f"{issuer}.pem"]
        by += [] if subject == issuer else ["-CAkey", self.folder / f"{issuer}.key", "-CAcreateserial"]
        made = self.folder / f"{subject}.pem"
        until = ["-days", str(days)] if days > 0 or not self.says("x509", "-not_after") else EXPIRED
        self.openssl("x509", "-req", "-in", request, *by, *until, "-extfile", extensions, "-out", made)

    def openssl(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)

    def says(self, command: str, option: str) -> bool:
        """OpenSSL has that option: 3.4 and later, which want no days before today any more."""
        return option in subprocess.run(["openssl", command, "-help"], capture_output=True, text=True).stderr

    def give(self, cluster: Cluster, name: str = "localhost", days: int = 30) -> bytes:
        """A new certificate and key beside the form, where it names them; the certificate's bytes."""
        self.sign("server", "between", "server", name, days)
        chain = (self.folder / "server.pem").read_text() + (self.folder / "between.pem").read_text()
        cluster.form.with_name("given.pem").write_text(chain)
        key = cluster.form.with_name("given.key")
        key.touch(0o600)
        key.write_text((self.folder / "server.key").read_text())
        return ssl.PEM_cert_to_DER_cert((self.folder / "server.pem").read_text())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("authority")
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def carol(cluster: Cluster, authority: Authority) -> Iterator[HubClient]:
    """Signed in before and after the change, so trusting both."""
    both = authority.folder / "both.pem"
    both.write_text((cluster.folder / "ca" / "ca.crt").read_text() + authority.root.read_text())
    client = HubClient(cluster.url, str(both), address="127.0.0.1")
    assert client.login("carol", PASSWORD)[0] == 302
    client.spawn()
    yield client
    client.stop()


@pytest.fixture(scope="module")
def kernel(carol: HubClient) -> Kernel:
    """With something in it that a restart would lose."""
    made = carol.kernel()
    assert made.run("kept = 42").status == "ok"
    return made


def pids(cluster: Cluster) -> dict[str, int]:
    return {name: service_pid(cluster, name) for name in SERVICES}


@pytest.fixture(scope="module")
def before(cluster: Cluster, kernel: Kernel) -> dict[str, int]:
    """The services' process ids while the certificate was our own."""
    return pids(cluster)


@pytest.fixture(scope="module")
def given(cluster: Cluster, authority: Authority, before: dict[str, int]) -> Iterator[bytes]:
    form = cluster.form.read_text()
    first = authority.give(cluster)
    cluster.form.write_text(form + FORM)
    try:
        cluster.apply()
        yield first
    finally:
        cluster.form.write_text(form)
        cluster.apply()
        for name in ("given.pem", "given.key"):
            cluster.form.with_name(name).unlink()


def shown(cluster: Cluster, authority: Authority) -> bytes:
    """Verified by the root alone: the CA between has to be shown, too."""
    return handshake(authority.root, cluster.port)[0]


def test_the_given_certificate_is_served(cluster: Cluster, authority: Authority, given: bytes) -> None:
    assert shown(cluster, authority) == given
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(cluster.folder / "ca" / "ca.crt", cluster.port)
    cluster.caas.run("plan", str(cluster.form))  # nothing to do


def test_its_key_is_closed_and_our_own_is_gone(cluster: Cluster, given: bytes) -> None:
    folder = cluster.folder / "proxy" / "tls"
    assert (folder / "given.key").stat().st_mode & 0o777 == 0o640
    assert not (folder / "own.key").exists() and not (folder / "own.crt").exists()


def test_commands_verify_it_without_knowing_its_root(cluster: Cluster, given: bytes) -> None:
    access = cluster.caas.json("status", cluster.name)["access"]
    assert access["ca"]["fingerprint"].replace(":", "").lower() == hashlib.sha256(given).hexdigest()
    client = HubClient(cluster.url, access["ca"]["path"], address="127.0.0.1")  # as the health test does
    assert client.request("GET", "/hub/health").status == 200


def test_neither_services_nor_servers_were_restarted(
    cluster: Cluster, given: bytes, before: dict[str, int], carol: HubClient, kernel: Kernel
) -> None:
    assert pids(cluster) == before
    assert carol.request("GET", "/user/carol/api/status").status == 200
    kernel.connect()  # a websocket is cut when Caddy takes another certificate, and JupyterLab opens it again like this
    assert kernel.run("print(kept)").text.strip() == "42"


def test_a_renewed_one_is_taken_over(
    cluster: Cluster, authority: Authority, given: bytes, before: dict[str, int], carol: HubClient, kernel: Kernel
) -> None:
    started = carol.api("GET", "/users/carol").json()["servers"][""]["started"]
    renewed = authority.give(cluster)
    plan = json.loads(cluster.caas.run("plan", str(cluster.form), "--json", status=2).stdout)
    services = {step["id"] for step in plan["steps"] if step["kind"] in ("host.service", "host.tree", "host.venv")}
    assert services == {"proxy/caddy"}, plan
    assert not [step["id"] for step in plan["steps"] if step["id"].split("/")[0] not in ("proxy", "hub")], plan
    assert shown(cluster, authority) == given  # not before it is applied
    cluster.apply()
    assert shown(cluster, authority) == renewed != given
    assert pids(cluster) == before
    assert carol.api("GET", "/users/carol").json()["servers"][""]["started"] == started
    kernel.connect()
    assert kernel.run("print(kept)").text.strip() == "42"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("key", "does not match"),
        ("expired", "expired on"),
        ("name", "it is for elsewhere.example.org, not for localhost"),
        ("passphrase", "passphrase"),
    ],
)
def test_one_that_cannot_work_is_refused_before_the_first_change(
    cluster: Cluster, authority: Authority, given: bytes, fault: str, said: str
) -> None:
    """Together with a change that would be right, which is not made either."""
    good = authority.give(cluster)
    cluster.apply()
    form, key = cluster.form.read_text(), cluster.form.with_name("given.key")
    kept = {path: cluster.form.with_name(path).read_bytes() for path in ("given.pem", "given.key")}
    if fault == "key":
        key.write_bytes((authority.folder / "between.key").read_bytes())
    elif fault == "passphrase":
        sealed = authority.folder / "sealed.key"
        authority.openssl(
            "pkcs8", "-topk8", "-in", key, "-out", sealed, "-v2", "aes-256-cbc", "-passout", "pass:secret"
        )
        key.write_bytes(sealed.read_bytes())
    else:
        authority.give(cluster, *(("localhost", -1) if fault == "expired" else ("elsewhere.example.org", 30)))
    hub = (cluster.folder / "hub" / "hub.json").read_bytes()
    try:
        cluster.form.write_text(re.sub(r"cpus: [0-9.]+", "cpus: 0.9", form, count=1))
        refused = cluster.caas.run("apply", str(cluster.form), "--yes", status=1).stderr
        assert said in refused and str(cluster.form.with_name("given.pem")) in refused, refused
        assert (cluster.folder / "hub" / "hub.json").read_bytes() == hub
        assert (cluster.folder / "proxy" / "tls" / "given.crt").read_bytes() == kept["given.pem"]
        assert (cluster.folder / "proxy" / "tls" / "given.key").read_bytes() == kept["given.key"]
        assert shown(cluster, authority) == good
    finally:
        cluster.form.write_text(form)
        for name, content in kept.items():
            cluster.form.with_name(name).write_bytes(content)
    cluster.caas.run("plan", str(cluster.form))  # what was good is as it was
