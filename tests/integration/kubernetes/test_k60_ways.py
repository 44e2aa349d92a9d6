"""A second cluster beside the first, with all that the first does without: a namespace that is there and has another name, images of a
mirror with a pull secret, nodes that are kept for it, an environment of its own. Users come in by an Ingress, then by a balancer under a
given name, then by a node port. In the end its Kubernetes is gone for good, as far as it can tell."""

import base64
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bed import PASSWORD, ROOT, SERVERS, Bed, Lab, eventually
from conftest import PROGRAM, Caas
from hubclient import HubClient, HubError

NAME, NAMESPACE, DOMAIN = "ways", "pangeo-ways", "hub.ways.example.org"
MIRROR, OCEAN = "mirror.example.org:5000/cache", "registry.example.org/ocean:1"
POOL = {"example.org/pool": "pangeo"}
BLOCK = f"""\
  namespace: {NAMESPACE}
  node_selector: {{example.org/pool: pangeo}}
  tolerations: [{{key: example.org/pool, value: pangeo, effect: NoSchedule}}]
  images: {{registry: "{MIRROR}", pull_secret: mirror}}
"""
INGRESS = "  entry: ingress\n  ingress_class: traefik\n"
TOP = f"""\
domain: {DOMAIN}
environments: [{{name: ocean, description: Ocean models, image: "{OCEAN}"}}]
"""
CLUSTER = """
from dask_gateway import GatewayCluster
cluster = GatewayCluster()
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
print("sum", client.submit(sum, [1, 2, 3]).result())
"""


class Ways(Lab):
    """caas runs with names of its own: DOMAIN leads where `leads_to` says."""

    def __init__(self, caas: Caas, bed: Bed) -> None:
        self.hosts = caas.folder / "hosts"
        names = Caas(caas.folder)
        mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        names.program = ["unshare", "--mount", "sh", "-c", mount, self.hosts, PROGRAM]
        self.kubeconfig = caas.folder / "ways.kubeconfig"
        self.kubeconfig.write_bytes(bed.kubeconfig.read_bytes())
        self.kubeconfig.chmod(0o600)
        super().__init__(names, bed, NAME)
        self.namespace = NAMESPACE

    def leads_to(self, address: str) -> None:
        # In place: the mount is of the file.
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {DOMAIN}\n")

    def write(self, entry: str, tls: str) -> None:
        self.write_form(extra=entry + BLOCK, top=TOP + f"tls: {tls}\n")
        self.form.write_text(self.form.read_text().replace(str(self.bed.kubeconfig), str(self.kubeconfig)))

    def client_at(self, address: str, ca: Path) -> HubClient:
        return HubClient(f"https://{DOMAIN}", str(ca), address=address)

    def answers(self, address: str, ca: Path) -> bool:
        """With a certificate of this authority, for this name."""
        try:
            return self.client_at(address, ca).request("GET", "/hub/login", seconds=5).status == 200
        except (HubError, OSError):
            return False

    def secret(self, name: str, certificate: Path, key: Path) -> None:
        self.kubectl("create", "secret", "tls", name, f"--cert={certificate}", f"--key={key}")


def address_of(bed: Bed, namespace: str, service: str) -> str:
    path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    return eventually(lambda: bed.kubectl("get", "service", service, "-n", namespace, "-o", path).strip(), 30)


@pytest.fixture(scope="module")
def controller(bed: Bed) -> Iterator[str]:
    """The address of an ingress controller."""
    manifest = str(ROOT / "tests" / "testbed" / "cluster" / "ingress.yaml")
    bed.kubectl("apply", "--server-side", "-f", manifest)
    bed.kubectl("-n", "ingress", "rollout", "status", "deployment/traefik", "--timeout=90s")
    yield address_of(bed, "ingress", "traefik")
    bed.kubectl("delete", "-f", manifest, "--wait=false")


@pytest.fixture(scope="module")
def ways(caas: Caas, bed: Bed, controller: str) -> Iterator[Ways]:
    """Applied from nothing. No other node is there, so that what bears no taint would wait for ever."""
    for line in (ROOT / "roles" / "base" / "images.yaml").read_text().splitlines():
        if not line.startswith("#"):
            image = line.split(": ", 1)[1].strip()
            bed.inside("ctr", "-n", "k8s.io", "images", "tag", "--force", image, f"{MIRROR}/{image}")
            if "pangeo-notebook" in image:
                bed.inside("ctr", "-n", "k8s.io", "images", "tag", "--force", image, OCEAN)
    node = bed.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    made = Ways(caas, bed)
    login = {"auths": {MIRROR.split("/")[0]: {"auth": base64.b64encode(b"ways:s3cret").decode()}}}
    kind = ["generic", "mirror", "--type=kubernetes.io/dockerconfigjson"]
    try:
        bed.kubectl("create", "namespace", NAMESPACE)
        made.kubectl("create", "secret", *kind, f"--from-literal=.dockerconfigjson={json.dumps(login)}")
        bed.kubectl("label", "node", node, "example.org/pool=pangeo", "--overwrite")
        bed.kubectl("taint", "node", node, "example.org/pool=pangeo:NoSchedule", "--overwrite")
        made.leads_to(controller)
        made.write(INGRESS, "{mode: self-signed}")
        made.apply()
        made.add_user("alice")
        yield made
        if NAME in {item["name"] for item in made.caas.json("list")}:
            made.kubeconfig.write_bytes(bed.kubeconfig.read_bytes())
            made.caas.run("destroy", NAME, "--yes", "--delete-data")
    finally:
        bed.kubectl("taint", "node", node, "example.org/pool-", status=None)
        bed.kubectl("label", "node", node, "example.org/pool-")
        bed.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s", seconds=150)


@pytest.fixture(scope="module")
def given(ways: Ways) -> tuple[Path, Path, Path]:
    """The authority, certificate and key of somebody else's making."""
    folder = ways.caas.folder
    ca, ca_key, certificate, key = (
        folder / name for name in ("given-ca.crt", "given-ca.key", "given.crt", "given.key")
    )
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    own = ["-subj", "/CN=Given CA", "-addext", "keyUsage=critical,keyCertSign"]
    subprocess.run([*new, *own, "-keyout", ca_key, "-out", ca], check=True, capture_output=True)
    name = [
        "-subj",
        f"/CN={DOMAIN}",
        "-addext",
        f"subjectAltName=DNS:{DOMAIN}",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]
    signed = ["-CA", ca, "-CAkey", ca_key, "-keyout", key, "-out", certificate]
    subprocess.run([*new, *name, *signed], check=True, capture_output=True)
    return ca, certificate, key


def of_ours(pods: list[dict[str, Any]]) -> None:
    """They run where they may, from where they should."""
    assert pods
    for pod in pods:
        spec, name = pod["spec"], pod["metadata"]["name"]
        assert spec.get("nodeSelector") == POOL, name
        assert any(t.get("key") == "example.org/pool" for t in spec["tolerations"]), name
        assert {"name": "mirror"} in spec["imagePullSecrets"], name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["image"].startswith(MIRROR) or container["image"] == OCEAN, (name, container["image"])


def test_all_images_come_from_the_mirror(ways: Ways) -> None:
    of_ours(ways.get("pod"))
    ways.caas.run("plan", str(ways.form), status=0)


def test_sign_in_through_the_ingress(ways: Ways, controller: str) -> None:
    client = ways.client_at(controller, ways.folder / "ca" / "ca.crt")
    assert client.login("alice", PASSWORD)[0] == 302
    page = client.request("GET", "/hub/spawn").text
    assert "Ocean models" in page and "Half of it" in page, page
    client.spawn({"environment": "ocean"})
    (pod,) = ways.get("pod", SERVERS)
    of_ours([pod])
    assert next(c for c in pod["spec"]["containers"] if c["name"] == "notebook")["image"] == OCEAN
    # A websocket, and Dask with the server's own image.
    kernel = client.kernel()
    reply = kernel.run(CLUSTER, seconds=240)
    assert reply.status == "ok" and "sum 6" in reply.text, reply.text
    dask = [p for p in ways.get("pod") if "gateway.dask.org/cluster" in p["metadata"].get("labels", {})]
    of_ours(dask)
    assert len(dask) == 2 and {p["spec"]["containers"][0]["image"] for p in dask} == {OCEAN}
    kernel.run("cluster.shutdown()", seconds=60)
    kernel.close()
    client.stop()


def test_the_certificate_of_a_given_secret(ways: Ways, given: tuple[Path, Path, Path], controller: str) -> None:
    assert not ways.answers(controller, given[0])
    ways.secret("given-tls", given[1], given[2])
    ways.write(INGRESS + "  tls_secret: given-tls\n", "{mode: secret}")
    ways.apply()
    eventually(lambda: ways.answers(controller, given[0]), 30)
    assert "jupyterhub-tls" not in ways.names("secret")
    ways.plan(status=0)


def test_the_certificate_that_cert_manager_makes(ways: Ways, given: tuple[Path, Path, Path], controller: str) -> None:
    ways.write(INGRESS + "  cert_issuer: letsencrypt\n", "{mode: cert-manager}")
    ways.apply()
    (ingress,) = ways.get("ingress")
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert ingress["spec"]["tls"] == [{"hosts": [DOMAIN], "secretName": "jupyterhub-tls"}]
    # Here the test does what it does.
    ways.secret("jupyterhub-tls", given[1], given[2])
    eventually(lambda: ways.answers(controller, given[0]), 30)
    ways.plan(status=0)
    ways.kubectl("delete", "secret", "jupyterhub-tls")


def test_files_and_a_name_that_has_to_lead_to_the_balancer(
    ways: Ways, given: tuple[Path, Path, Path], controller: str
) -> None:
    ca, certificate, key = given
    ways.write("  entry: loadbalancer\n", f"{{mode: files, certificate: {certificate}, key: {key}}}")
    done = ways.apply(status=1)
    said = done.stdout + done.stderr
    address = address_of(ways.bed, NAMESPACE, "proxy-public")
    assert f"{DOMAIN} resolves to {controller}, not to {address}" in said, said
    ways.leads_to(address)
    ways.apply()
    eventually(lambda: ways.answers(address, ca), 30)
    assert not ways.names("ingress")
    ways.plan(status=0)


def test_a_node_port_for_a_proxy(ways: Ways) -> None:
    ways.write("  entry: nodeport\n", "{mode: proxy}")
    ways.apply()
    (service,) = [item for item in ways.get("service") if item["metadata"]["name"] == "proxy-public"]
    node = ways.bed.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")
    url = f"http://{node}:{service['spec']['ports'][0]['nodePort']}/hub/login"
    asked = urllib.request.Request(url, headers={"Host": DOMAIN, "X-Forwarded-Proto": "https"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as answer:
        assert answer.status == 200
    assert "autohttps" not in ways.names("deployment")


def test_another_state_folder_takes_nothing(ways: Ways, tmp_path: Path) -> None:
    """Neither what is there under this name nor what another namespace would share with it."""
    other = Caas(tmp_path)
    other.program = ways.caas.program
    hub = ways.kubectl("get", "secret", "hub", "-o", "jsonpath={.metadata.resourceVersion}")
    said = other.run("apply", str(ways.form), "--yes", status=1).stderr
    assert "caas adopt" in said and NAMESPACE in said, said
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(ways.form.read_text().replace(f"namespace: {NAMESPACE}", "namespace: elsewhere"))
    said = other.run("apply", str(elsewhere), "--yes", status=1).stderr
    assert f"in namespace {NAMESPACE}" in said and "another name" in said, said
    assert not ways.bed.kubectl("get", "namespace", "elsewhere", "--ignore-not-found").strip()
    assert ways.kubectl("get", "secret", "hub", "-o", "jsonpath={.metadata.resourceVersion}") == hub


def test_a_kubernetes_that_is_gone_for_good(ways: Ways) -> None:
    said = ways.caas.run("destroy", NAME, "--forget", "--yes", status=1).stderr
    assert "answers" in said and "without --forget" in said, said
    config = ways.kubeconfig.read_text()
    server = ways.bed.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    ways.kubeconfig.write_text(config.replace(server, "https://127.0.0.1:9"))
    said = ways.caas.run("destroy", NAME, "--yes", status=1).stderr
    assert f"caas destroy {NAME} --forget" in said, said
    said = ways.caas.run("destroy", NAME, "--forget", "--yes").stdout
    assert "is forgotten" in said and "127.0.0.1:9" in said, said
    assert NAME not in {item["name"] for item in ways.caas.json("list")}
    assert not ways.folder.exists()
    # And back it is.
    ways.kubeconfig.write_text(config)
    assert "caas adopt" in ways.apply(status=1).stderr
    ways.caas.run("adopt", str(ways.form))
    ways.plan(status=0)
    ways.caas.run("destroy", NAME, "--yes", "--delete-data")
    left = {item["metadata"]["name"] for item in ways.get("secret")}
    assert left == {"mirror", "given-tls"} and not ways.get("pvc") and not ways.get("deployment"), os.linesep.join(left)
