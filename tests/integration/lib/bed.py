"""A Kubernetes cluster of this machine's own (tests/testbed), and a Pangeo cluster on it. Where CAAS_TEST_KUBECONFIG names
another Kubernetes cluster, that one is taken and left as it was."""

import base64
import contextlib
import functools
import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hubclient import HubClient
from kubeapi import Api

if TYPE_CHECKING:
    from conftest import Caas

ROOT = Path(__file__).resolve().parents[3]
TESTBED = ROOT / "tests" / "testbed"
STATES = Path("/var/tmp")
PASSWORD = "quiet-Heron-42"
HOMES = "component=singleuser-storage"
SERVERS = "component=singleuser-server"
FORM = """\
cluster: {name}
target: kubernetes
notebook: {{cpus: {cpus}, ram: 1, storage: {storage}}}
dask:
  worker: {{cpus: 0.4, ram: 0.75}}
  max: {{cpus: 1.4, ram: 2.5}}
  idle_minutes: 10
profiles:
  - {{name: Small, description: Half of it, cpus: 0.5, ram: 0.75}}
kubernetes:
  kubeconfig: {kubeconfig}
  resources:
    hub: {{cpus: 0.1, ram: 0.5}}
    proxy: {{cpus: 0.05, ram: 0.25}}
    front: {{cpus: 0.05, ram: 0.25}}
    gateway: {{cpus: 0.05, ram: 0.5}}
    directory: {{cpus: 0.1, ram: 0.5}}
    grafana: {{cpus: 0.05, ram: 0.25}}
"""


class Bed:
    """An admin's rights, past caas."""

    def __init__(self, kubeconfig: Path, name: str | None, own: bool) -> None:
        self.kubeconfig, self.name, self.own = kubeconfig, name, own

    @functools.cached_property
    def _api(self) -> Api:
        words = ["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]
        return Api(json.loads(self.kubectl(*words)))

    def _words(self) -> list[str]:
        if "CAAS_TEST_KUBECTL" in os.environ:
            return shlex.split(os.environ["CAAS_TEST_KUBECTL"])
        return [str(self.program("hyperkube")), "kubectl"]

    @property
    def folder(self) -> Path:
        """The test bed's own: its keys are in it."""
        if self.name is None:
            pytest.skip("only the test bed's own cluster can be looked into")
        return STATES / f"caas-testbed-{self.name}"

    def setting(self, name: str) -> str:
        lines = (self.folder / "run" / "env").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))

    def program(self, name: str) -> Path:
        """One of those the test bed is made of."""
        return Path(self.setting("BIN")) / name

    @property
    def host(self) -> str:
        """Where pods reach this machine."""
        return f"10.99.{self.setting('N')}.254"

    def _run(self, words: Sequence[str], given: str | None, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._words(), "--kubeconfig", str(self.kubeconfig), *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def kubectl(self, *words: str, given: str | None = None, status: int | None = 0, seconds: float = 120) -> str:
        done = self._run(words, given, seconds)
        if status is not None and done.returncode != status:
            raise AssertionError(f"kubectl {' '.join(words)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def refused(self, *words: str, given: str) -> str:
        """What kubectl says when the API server does not do it; "" when it does."""
        done = self._run(words, given, 60)
        return done.stderr if done.returncode else ""

    def get(self, kind: str, namespace: str, labels: str = "") -> list[dict[str, Any]]:
        return self._api.list(kind, namespace, labels)

    def names(self, kind: str, namespace: str, labels: str = "") -> set[str]:
        return {item["metadata"]["name"] for item in self.get(kind, namespace, labels)}

    def everything(self, namespace: str | None) -> list[dict[str, Any]]:
        """Of every kind: what a namespace holds, or what is in none; but what Kubernetes puts into each, and events."""
        by_itself = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
        found = self._api.everything(namespace)
        return [o for o in found if o["kind"] != "Event" and (o["kind"], o["metadata"]["name"]) not in by_itself]

    def inside(self, *command: str) -> str:
        """What a command in the cluster's own namespaces prints (ctr, for one)."""
        run = ["bash", TESTBED / "run.sh", "--name", self.folder.name.removeprefix("caas-testbed-"), *command]
        return subprocess.run(run, check=True, timeout=60, capture_output=True, text=True).stdout

    @contextlib.contextmanager
    def forwarded(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """The port of this machine that leads to one of a pod ("deploy/NAME"), its loopback included."""
        words = [*self._words(), "--kubeconfig", self.kubeconfig, "-n", namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 9090
                assert said.startswith("Forwarding from 127.0.0.1:"), said
                threading.Thread(target=process.stdout.read, daemon=True).start()  # a line a connection
                yield int(said.split(" ->")[0].rsplit(":", 1)[1])
            finally:
                process.terminate()

    def load(self, archive: Path) -> None:
        """Gives the cluster the image of an OCI archive."""
        self._images("--archive", archive)

    def load_grafana(self) -> None:
        """Gives the cluster what stands in for Grafana's image."""
        self._images("--grafana")

    def _images(self, what: str, *more: Path) -> None:
        if self.name is None:
            pytest.skip("only the test bed's own cluster can be given an image")
        words = ["bash", TESTBED / "images.sh", what, self.name, *more]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr

    def fault(self, action: str, component: str) -> None:
        """Makes a component of the cluster go away, or come back: `stop`, `start` …"""
        if not self.own or self.name is None:
            pytest.skip("only the test bed's own cluster can be made to fail")
        subprocess.run(["bash", TESTBED / "fault.sh", "--name", self.name, action, component], check=True, timeout=60)


class Lab:
    """A Pangeo cluster in a namespace of the same name."""

    def __init__(self, caas: "Caas", bed: Bed, name: str) -> None:
        self.caas, self.bed, self.name, self.namespace = caas, bed, name, name
        self.form = caas.folder / f"{name}.yaml"
        self.folder = caas.state / "clusters" / name
        self.write_form()

    def write_form(self, *, cpus: float = 1, storage: float = 1, extra: str = "", top: str = "") -> None:
        """extra: more lines of the block kubernetes; top: of the form."""
        text = FORM.format(name=self.name, cpus=cpus, storage=storage, kubeconfig=self.bed.kubeconfig)
        self.form.write_text(text + extra + top)

    def apply(self, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.caas.run("apply", str(self.form), "--yes", **options)

    def plan(self, *, trace: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        return self.caas.run("plan", str(self.form), *([f"--trace={trace}"] if trace else []), **options)

    def get(self, kind: str, labels: str = "") -> list[dict[str, Any]]:
        return self.bed.get(kind, self.namespace, labels)

    def names(self, kind: str, labels: str = "") -> set[str]:
        return self.bed.names(kind, self.namespace, labels)

    def kubectl(self, *words: str, **options: Any) -> str:
        return self.bed.kubectl(*words, "-n", self.namespace, **options)

    def get_secret(self, name: str, key: str) -> str:
        return base64.b64decode(self.kubectl("get", "secret", name, "-o", f"jsonpath={{.data.{key}}}")).decode()

    def add_user(self, user: str, *, member: bool = True) -> None:
        self.caas.run("user", "add", self.name, user, given=PASSWORD + "\n")
        if member:
            self.caas.run("grant", self.name, user)

    @property
    def url(self) -> str:
        return next(item["url"] for item in self.caas.json("list") if item["name"] == self.name).rstrip("/")

    def client(self) -> HubClient:
        address = self.get("service", "component=proxy-public")
        found = [item for item in address if item["spec"]["type"] == "LoadBalancer"]
        ip = found[0]["status"]["loadBalancer"]["ingress"][0]["ip"]
        return HubClient(self.url, str(self.folder / "ca" / "ca.crt"), address=ip)

    def signed_in(self, user: str, password: str = PASSWORD) -> HubClient:
        client = self.client()
        status, text = client.login(user, password)
        assert status == 302, (status, text)
        return client

    def with_server(self, user: str) -> HubClient:
        """Signed in, with a server: the one that the hub takes for ready, or a new one."""
        client = self.signed_in(user)

        def servers() -> list[dict[str, Any]]:
            return list(client.api("GET", f"/users/{user}").json()["servers"].values())

        eventually(lambda: not any(server["pending"] for server in servers()), 60)
        if not servers():
            client.spawn()
        return client

    def seen(self) -> str:
        """What there is to see of it, for whoever has to find out why a test failed."""
        asked = (
            ("get", "pod", "-o", "wide"),
            ("get", "event", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"),
            ("logs", "deployment/hub", "--tail=200"),
        )
        noise = ("/hub/metrics", "/hub/health", "/hub/api/users?", "Setting new xsrf cookie")
        try:
            lines = [self.kubectl(*words, status=None).splitlines() for words in asked]
        except subprocess.TimeoutExpired as error:  # to the test it makes no difference
            return str(error)
        return "\n".join(line for some in lines for line in some[-60:] if not any(word in line for word in noise))

    def signed_in_again(self, user: str) -> HubClient:
        """Once the directory is back: for some seconds after it did not answer, the hub asks it nothing."""
        return eventually(lambda: client if (client := self.client()).login(user, PASSWORD)[0] == 302 else None, 30)

    def settled(self) -> dict[str, Any]:
        """The status, once nothing is on its way any more."""
        return eventually(lambda: self.status(), 60)

    def status(self) -> dict[str, Any] | None:
        done = self.caas.start("status", self.name, "--json").communicate(timeout=120)[0]
        status = json.loads(done[done.index("{") :])
        return status if all(service["ready"] for service in status["services"]) else None


T = TypeVar("T")


def eventually(look: Callable[[], T | None], seconds: float) -> T:
    """What `look` finds, asked until there is something."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(0.25)


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    given = os.environ.get("CAAS_TEST_KUBECONFIG")
    if given:
        found = Path(given).resolve()
        name = found.parent.name.removeprefix("caas-testbed-") if "caas-testbed-" in found.parent.name else None
        yield Bed(found, name, own=False)
        return
    name = f"it{os.getpid()}"
    make = ["make", "-s", "--no-print-directory", "-C", ROOT, "testbed-up", f"TESTBED={name}"]
    up = subprocess.run(make, capture_output=True, text=True, timeout=3300)
    assert up.returncode == 0, up.stderr[-4000:]
    try:
        yield Bed(Path(up.stdout.strip().splitlines()[-1]), name, own=True)
    finally:
        subprocess.run(["bash", TESTBED / "down.sh", "--name", name, "--wipe"], timeout=300)


@pytest.fixture(scope="session")
def lab(caas: "Caas", bed: Bed) -> Iterator[Lab]:
    """Applied from nothing, with alice and dora as members and bob not."""
    made = Lab(caas, bed, os.environ.get("CAAS_TEST_NAMESPACE", "lab"))
    made.apply()
    for user in ("alice", "dora"):
        made.add_user(user)
    made.add_user("bob", member=False)
    yield made
    # Here, because its Kubernetes is gone before the other clusters' turn comes. The last test has destroyed it, if it was run.
    if made.name in {item["name"] for item in caas.json("list")}:
        caas.run("destroy", made.name, "--yes", "--delete-data")


@pytest.fixture(scope="session")
def alice_pod(lab: Lab) -> HubClient:
    """alice, signed in, with a server."""
    client = lab.signed_in("alice")
    client.spawn()
    return client
