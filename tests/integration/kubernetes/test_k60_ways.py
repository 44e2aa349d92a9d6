"""A second cluster beside the first, with all that the first does without: an account with no rights but those that it needs, a
namespace that is there and has another name, a context that is not the current one, a StorageClass that is not the default, images of a
mirror with a pull secret, nodes that are kept for it, an environment of its own, and a directory that is somebody else's: the first cluster's, which has FreeIPA's shape, asked as a FreeIPA would be, by a verified
name. Users come in by an Ingress, then by a balancer under a given name, with certificates as files and of an ACME server, then by a
node port. In the end its Kubernetes is gone for good, as far as it can tell."""

import base64
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_cluster
import pytest
from authority import Authority
from bed import PASSWORD, ROOT, SERVERS, Bed, Lab, eventually
from cert_manager import CertManager
from conftest import PROGRAM, Caas
from cutting import Cutting
from hubclient import HubClient, HubError

RBAC, TENANT = "rbac.authorization.k8s.io/v1", "ways-tenant"
DEFINITION = "daskclusters.gateway.dask.org"
NAME, NAMESPACE, DOMAIN = "ways", "pangeo-ways", "hub.ways.example.org"
MIRROR, OCEAN = "mirror.example.org:5000/cache", "registry.example.org/ocean:1"
POOL = {"example.org/pool": "pangeo"}
CLASS, CONTEXT = "ways", "tenant"
BLOCK = f"""\
  context: {CONTEXT}
  namespace: {NAMESPACE}
  storage_class: {CLASS}
  node_selector: {{example.org/pool: pangeo}}
  tolerations: [{{key: example.org/pool, value: pangeo, effect: NoSchedule}}]
  images: {{registry: "{MIRROR}", pull_secret: mirror}}
  cpu_guarantee: 0.5
"""
NOTES = "  annotations: {example.org/balancer: internal}\n"
INGRESS = "  entry: ingress\n  ingress_class: traefik\n"
TOP = f"""\
domain: {DOMAIN}
environments: [{{name: ocean, description: Ocean models, image: "{OCEAN}"}}]
"""
IDENTITY = """\
identity:
  provider: freeipa
  server: ldaps://{name}
  suffix: "{suffix}"
  ca: {ca}
  bind_dn: cn=Directory Manager
  bind_password_file: {password}
"""
MISSING = re.compile(r"may not ([a-z, ]+) ([a-z]+(?:/[a-z]+)?)\.?([a-z0-9.-]*) in (the cluster|namespace)")
CLUSTER = dask_cluster.START + 'print("sum", client.submit(sum, [1, 2, 3]).result())'


class Ways(Lab):
    """caas runs with names of its own: DOMAIN leads where `leads_to` says. directory: the cluster that has one."""

    def __init__(self, caas: Caas, bed: Bed, directory: Lab) -> None:
        self.hosts = caas.folder / "hosts"
        names = Caas(caas.folder)
        names.program = [*self.with_names(), PROGRAM]
        self.directory = directory
        self.kubeconfig = caas.folder / "ways.kubeconfig"
        self.admins = json.dumps(self.config_of(bed))
        self.config = self.admins  # or of whom a test chooses
        self.kubeconfig.write_text(self.config)
        self.kubeconfig.chmod(0o600)
        password = directory.get_secret("directory", "root_password")
        self.password = caas.folder / "directory-password"
        self.password.write_text(password)
        self.password.chmod(0o600)
        super().__init__(names, bed, NAME)
        self.namespace = NAMESPACE

    @staticmethod
    def config_of(bed: Bed) -> dict[str, Any]:
        """The admin's, in which another context is the current one: of somebody whom the server does not know."""
        config = json.loads(bed.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        (there,) = config["contexts"]
        elsewhere = {"name": "elsewhere", "context": {**there["context"], "user": "nobody"}}
        config["contexts"] = [elsewhere, {**there, "name": CONTEXT}]
        config["users"].append({"name": "nobody", "user": {"token": "of-nobody"}})
        return {**config, "current-context": "elsewhere"}

    def with_names(self) -> list[str | Path]:
        mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, self.hosts]

    def leads_to(self, address: str) -> None:
        directory = self.directory.kubectl("get", "service", "directory", "-o", "jsonpath={.spec.clusterIP}").strip()
        # In place: the mount is of the file.
        self.hosts.write_text(f"127.0.0.1 localhost\n{directory} {self.directory_name}\n{address} {DOMAIN}\n")

    @property
    def directory_name(self) -> str:
        return f"directory.{self.directory.namespace}.svc"

    def write(self, entry: str, tls: str, ca: Path | None = None, port: int = 443) -> None:
        suffix, ca = f"dc={self.directory.name},dc=caas,dc=internal", ca or self.directory.folder / "ca" / "ca.crt"
        identity = IDENTITY.format(name=self.directory_name, suffix=suffix, ca=ca, password=self.password)
        more = "" if port == 443 else f"port: {port}\n"
        self.write_form(extra=entry + BLOCK, top=TOP + identity + f"tls: {tls}\n" + more)
        self.form.write_text(self.form.read_text().replace(str(self.bed.kubeconfig), str(self.kubeconfig)))

    def as_a_tenant(self) -> None:
        """From now on caas has an account with those rights that it says it needs, and no others."""
        self.kubectl("create", "serviceaccount", "tenant")
        config = self.config_of(self.bed)
        config["users"][0]["user"] = {"token": self.kubectl("create", "token", "tenant", "--duration=2h").strip()}
        self.config = json.dumps(config)
        self.kubeconfig.write_text(self.config)
        said = self.apply(status=1).stderr
        assert self.give_rights(TENANT, said) > 15, said

    def give_rights(self, name: str, said: str) -> int:
        """Those that caas misses by what it said; how many in the namespace."""
        rules: dict[str, list[dict[str, list[str]]]] = {"the cluster": [], "namespace": []}
        for line in said.splitlines():
            missing = MISSING.search(line)
            if missing and "(not needed with" not in line:
                verbs, resource, group, where = missing.groups()
                rules[where].append({"apiGroups": [group], "resources": [resource], "verbs": verbs.split(", ")})
        for where, kind in (("namespace", "Role"), ("the cluster", "ClusterRole")):
            role = {"apiVersion": RBAC, "kind": kind, "metadata": {"name": name}, "rules": rules[where]}
            binding = {
                "apiVersion": RBAC,
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": RBAC.split("/")[0], "kind": kind, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": NAMESPACE}],
            }
            for made in (role, binding):
                if rules[where]:
                    self.kubectl("create", "-f", "-", given=json.dumps(made))
        return len(rules["namespace"])

    def own_definition(self, cluster: str) -> None:
        """From now on it looks as if this cluster had made what all share."""
        self.bed.kubectl("label", "crd", DEFINITION, f"caas.pangeo.io/cluster={cluster}", "--overwrite")

    def client_at(self, address: str, ca: Path, port: int = 443) -> HubClient:
        return HubClient(f"https://{DOMAIN}:{port}" if port != 443 else f"https://{DOMAIN}", str(ca), address=address)

    def answers(self, address: str, ca: Path, port: int = 443) -> bool:
        """With a certificate of this authority, for this name."""
        try:
            return self.client_at(address, ca, port).request("GET", "/hub/login", seconds=5).status == 200
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
def directory(lab: Lab, bed: Bed) -> Iterator[Lab]:
    """Lets this machine and the other cluster's hub come to the first one's directory, and has nobody else in it."""
    hub = {"matchLabels": {"release": NAME, "component": "hub"}}
    there = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "directory-of-others"},
        "spec": {
            "podSelector": {"matchLabels": {"component": "directory"}},
            "ingress": [
                {
                    "from": [
                        {"ipBlock": {"cidr": f"{bed.host}/32"}},
                        {"namespaceSelector": there, "podSelector": hub},
                    ],
                    "ports": [{"protocol": "TCP", "port": 3636}],
                }
            ],
        },
    }
    lab.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(policy))
    yield lab
    lab.kubectl("delete", "networkpolicy", "directory-of-others")


@pytest.fixture(scope="module")
def ways(caas: Caas, bed: Bed, controller: str, directory: Lab) -> Iterator[Ways]:
    """Applied from nothing. No other node is there, so that what bears no taint would wait for ever."""
    for line in (ROOT / "roles" / "base" / "images.yaml").read_text().splitlines():
        if not line.startswith(("#", "grafana:")):  # that one is not needed here, and not there
            image = line.split(": ", 1)[1].strip()
            bed.inside("ctr", "-n", "k8s.io", "images", "tag", "--force", image, f"{MIRROR}/{image}")
            if "pangeo-notebook" in image:
                bed.inside("ctr", "-n", "k8s.io", "images", "tag", "--force", image, OCEAN)
    node = bed.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    own = {**json.loads(bed.kubectl("get", "storageclass", "standard", "-o", "json")), "metadata": {"name": CLASS}}
    made = Ways(caas, bed, directory)
    login = {"auths": {MIRROR.split("/")[0]: {"auth": base64.b64encode(b"ways:s3cret").decode()}}}
    kind = ["generic", "mirror", "--type=kubernetes.io/dockerconfigjson"]
    try:
        bed.kubectl("create", "namespace", NAMESPACE)
        bed.kubectl("create", "-f", "-", given=json.dumps(own))
        made.kubectl("create", "secret", *kind, f"--from-literal=.dockerconfigjson={json.dumps(login)}")
        bed.kubectl("label", "node", node, "example.org/pool=pangeo", "--overwrite")
        bed.kubectl("taint", "node", node, "example.org/pool=pangeo:NoSchedule", "--overwrite")
        made.leads_to(controller)
        made.write(INGRESS, "{mode: self-signed}")
        made.as_a_tenant()
        made.apply()
        made.caas.run("grant", NAME, "alice")
        yield made
        if NAME in {item["name"] for item in made.caas.json("list")}:
            made.kubeconfig.write_text(made.admins)
            made.caas.run("destroy", NAME, "--yes", "--delete-data")
    finally:
        bed.kubectl("delete", "clusterrole,clusterrolebinding", TENANT, status=None)
        bed.kubectl("delete", "storageclass", CLASS, status=None)
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


@pytest.fixture(scope="module")
def cert_manager(ways: Ways, bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertManager]:
    """Not installed yet."""
    made = CertManager(bed, tmp_path_factory.mktemp("cert-manager"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def authority(ways: Ways, bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """An ACME server on this machine, for which DOMAIN leads where it does for caas."""
    caddy = [*ways.with_names(), bed.program("caddy")]
    with Authority(tmp_path_factory.mktemp("authority"), bed.host, caddy) as made:
        yield made


def public_of(ways: Ways) -> dict[str, Any]:
    (service,) = [item for item in ways.get("service") if item["metadata"]["name"] == "proxy-public"]
    return service


def noted(service: dict[str, Any]) -> bool:
    """By the form's annotations."""
    return service["metadata"]["annotations"].get("example.org/balancer") == "internal"


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


def claims_of(ways: Ways) -> set[str]:
    """All of the class that the form names."""
    claims = {item["metadata"]["name"]: item["spec"]["storageClassName"] for item in ways.get("pvc")}
    assert set(claims.values()) == {CLASS}, claims
    return set(claims)


def test_all_images_come_from_the_mirror(ways: Ways) -> None:
    of_ours(ways.get("pod"))
    ways.caas.run("plan", str(ways.form), status=0)


def test_sign_in_through_the_ingress(ways: Ways, controller: str) -> None:
    client = ways.client_at(controller, ways.folder / "ca" / "ca.crt")
    assert client.login("alice", PASSWORD)[0] == 302
    page = client.request("GET", "/hub/spawn").text
    assert "Ocean models" in page and "Half of it" in page, page
    client.spawn({"environment": "ocean", "profile": "Small"})
    assert claims_of(ways) == {"hub-db-dir", "claim-alice"}
    (pod,) = ways.get("pod", SERVERS)
    of_ours([pod])
    notebook = next(c for c in pod["spec"]["containers"] if c["name"] == "notebook")
    assert notebook["image"] == OCEAN
    limits, requests = notebook["resources"]["limits"], notebook["resources"]["requests"]
    assert limits["cpu"] == "500m" and requests["cpu"] == "250m"  # half of it is guaranteed
    assert limits["memory"] == requests["memory"] == "750M", notebook["resources"]
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


def test_a_directory_that_is_somebody_elses(ways: Ways, given: tuple[Path, Path, Path], controller: str) -> None:
    assert "directory" not in ways.names("statefulset") and "directory-data" not in ways.names("pvc")
    mounted = ways.kubectl("get", "configmap", "directory-ca", "-o", "jsonpath={.data.directory\\.crt}")
    assert mounted.strip() == (ways.directory.folder / "ca" / "ca.crt").read_text().strip()
    # bob is in the directory, and in no group of this cluster; nor is dora, who is in those of the other.
    for user in ("bob", "dora"):
        assert ways.client_at(controller, ways.folder / "ca" / "ca.crt").login(user, PASSWORD)[0] == 403
    # Of another authority: said before anything is changed.
    ways.write(INGRESS, "{mode: self-signed}", ca=given[0])
    said = ways.apply(status=1).stderr
    assert ways.directory_name in said and "certificate" in said, said
    assert ways.kubectl("get", "configmap", "directory-ca", "-o", "jsonpath={.data.directory\\.crt}") == mounted


def test_the_certificate_of_a_given_secret(ways: Ways, given: tuple[Path, Path, Path], controller: str) -> None:
    assert not ways.answers(controller, given[0])
    ways.write(INGRESS + "  tls_secret: given-tls\n", "{mode: secret}")
    said = ways.apply(status=1).stderr
    assert (
        "there is no Secret given-tls" in said and ways.get("ingress")[0]["spec"]["tls"][0]["secretName"] != "given-tls"
    )
    ways.kubectl("create", "secret", "generic", "given-tls", "--from-literal=other=1")
    assert "there is no tls.crt and tls.key in Secret given-tls" in ways.apply(status=1).stderr
    ways.kubectl("delete", "secret", "given-tls")
    ways.secret("given-tls", given[1], given[2])
    ways.apply()
    eventually(lambda: ways.answers(controller, given[0]), 30)
    assert "jupyterhub-tls" not in ways.names("secret")
    ways.plan(status=0)


def test_the_certificate_that_cert_manager_makes(ways: Ways, cert_manager: CertManager, controller: str) -> None:
    ways.write(INGRESS + "  cert_issuer: ocean\n", "{mode: cert-manager}")
    said = ways.apply(status=1).stderr
    assert "cert-manager is not installed" in said, said
    assert ways.give_rights("ways-certificates", said) == 2, said
    cert_manager.install()
    # Who may see ClusterIssuers is told before anything is changed.
    ways.kubeconfig.write_text(ways.admins)
    said = ways.apply(status=1).stderr
    ways.kubeconfig.write_text(ways.config)
    assert "there is no ClusterIssuer ocean" in said, said
    assert ways.get("ingress")[0]["spec"]["tls"][0]["secretName"] == "given-tls"
    # Who may not waits for the certificate.
    cert_manager.start()
    applying = ways.caas.start("apply", str(ways.form), "--yes")
    eventually(lambda: applying.poll() is not None or ways.kubectl("get", "certificaterequest", "-o", "name"), 120)
    assert applying.poll() is None, applying.communicate()[0]
    ca = cert_manager.issue("ocean")
    said = applying.communicate(timeout=300)[0]
    assert applying.returncode == 0, said
    (ingress,) = ways.get("ingress")
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "ocean"
    assert ingress["spec"]["tls"] == [{"hosts": [DOMAIN], "secretName": "jupyterhub-certificate"}]
    assert ways.names("secret") >= {"jupyterhub-certificate"}
    eventually(lambda: ways.answers(controller, ca), 30)
    assert ways.client_at(controller, ca).login("alice", PASSWORD)[0] == 302
    ways.plan(status=0)


def test_files_and_a_name_that_has_to_lead_to_the_balancer(
    ways: Ways, given: tuple[Path, Path, Path], controller: str
) -> None:
    ca, certificate, key = given
    ways.write("  entry: loadbalancer\n" + NOTES, f"{{mode: files, certificate: {certificate}, key: {key}}}", port=8443)
    done = ways.apply(status=1)
    said = done.stdout + done.stderr
    address = address_of(ways.bed, NAMESPACE, "proxy-public")
    assert f"{DOMAIN} resolves to {controller}, not to {address}" in said, said
    ways.leads_to(address)
    ways.apply()
    eventually(lambda: ways.answers(address, ca, 8443), 30)
    assert not ways.answers(address, ca) and ways.url == f"https://{DOMAIN}:8443"
    assert ways.client_at(address, ca, 8443).login("alice", PASSWORD)[0] == 302
    assert noted(public_of(ways)) and not ways.names("ingress")
    # What cert-manager has made is gone with it, and is not renewed for ever.
    assert not ways.kubectl("get", "certificate", "-o", "name") and "jupyterhub-certificate" not in ways.names("secret")
    ways.plan(status=0)


def test_the_certificate_of_an_acme_server(ways: Ways, authority: Authority) -> None:
    mode = f"mode: acme, email: hostmaster@example.org, acme_server: '{authority.url}', acme_ca: {authority.root}"
    ways.write("  entry: loadbalancer\n", f"{{{mode}}}")
    ways.apply()
    address = address_of(ways.bed, NAMESPACE, "proxy-public")
    assert ways.answers(address, authority.root)
    assert claims_of(ways) == {"hub-db-dir", "claim-alice", "autohttps-storage"}
    # At the first try: an authority lets nobody try for long.
    assert authority.asked("new-order") == 1
    ways.plan(status=0)
    # It is kept, and not asked for again by the next pod.
    ways.kubectl("delete", "pod", "-l", "component=autohttps")
    eventually(lambda: ways.answers(address, authority.root), 60)
    assert authority.asked("new-order") == 1


def node_of(ways: Ways) -> str:
    return ways.bed.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")


def test_a_node_port_with_a_certificate(ways: Ways, given: tuple[Path, Path, Path]) -> None:
    ca, certificate, key = given
    chosen = "  entry: nodeport\n  node_port: 30443\n" + NOTES
    ways.write(chosen, f"{{mode: files, certificate: {certificate}, key: {key}}}")
    ways.apply()
    service = public_of(ways)
    assert noted(service) and [port["nodePort"] for port in service["spec"]["ports"]] == [30443], service
    eventually(lambda: ways.answers(node_of(ways), ca, 30443), 30)
    ways.plan(status=0)


def test_a_node_port_for_a_proxy(ways: Ways) -> None:
    ways.write("  entry: nodeport\n", "{mode: proxy}")
    ways.apply()
    service, node = public_of(ways), node_of(ways)
    assert not noted(service)
    url = f"http://{node}:{service['spec']['ports'][0]['nodePort']}/hub/login"
    asked = urllib.request.Request(url, headers={"Host": DOMAIN, "X-Forwarded-Proto": "https"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as answer:
        assert answer.status == 200
    assert "autohttps" not in ways.names("deployment")


def test_another_state_folder_takes_nothing(ways: Ways, tmp_path: Path) -> None:
    """Neither what is there under this name nor what another namespace would share with it."""
    other = Caas(tmp_path)
    other.program = ways.caas.program
    ways.kubeconfig.write_text(ways.admins)  # it may look into other namespaces
    hub = ways.kubectl("get", "secret", "hub", "-o", "jsonpath={.metadata.resourceVersion}")
    said = other.run("apply", str(ways.form), "--yes", status=1).stderr
    assert "caas adopt" in said and NAMESPACE in said, said
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(ways.form.read_text().replace(f"namespace: {NAMESPACE}", "namespace: elsewhere"))
    said = other.run("apply", str(elsewhere), "--yes", status=1).stderr
    assert f"in namespace {NAMESPACE}" in said and "another name" in said, said
    assert not ways.bed.kubectl("get", "namespace", "elsewhere", "--ignore-not-found").strip()
    assert ways.kubectl("get", "secret", "hub", "-o", "jsonpath={.metadata.resourceVersion}") == hub
    ways.kubeconfig.write_text(ways.config)


def test_a_kubernetes_that_is_gone_for_good(ways: Ways) -> None:
    said = ways.caas.run("destroy", NAME, "--forget", "--yes", status=1).stderr
    assert "answers" in said and "without --forget" in said, said
    config = ways.config
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
    # And gone, on a network that keeps no connection for longer than a second. Had it made the definition, it would stay, as
    # this account does not see who else uses it.
    ways.own_definition(NAME)
    cutting = Cutting(ways.caas.folder / "cut", json.loads(config), 1)
    ways.kubeconfig.write_bytes(cutting.kubeconfig.read_bytes())
    try:
        said = ways.caas.run("destroy", NAME, "--yes", "--delete-data", seconds=240).stdout
    finally:
        cutting.stop()
        ways.own_definition(ways.directory.name)
        ways.kubeconfig.write_text(config)
    assert cutting.cuts >= 3, cutting.cuts
    assert "who else uses it is not known" in said and f"kubectl delete crd {DEFINITION}" in said, said
    left = {item["metadata"]["name"] for item in ways.get("secret")}
    assert left == {"mirror", "given-tls"} and not ways.get("pvc") and not ways.get("deployment"), os.linesep.join(left)
