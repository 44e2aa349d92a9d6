"""A cluster on this machine, applied once from nothing; the test files use it in the order of their names."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from bed import Lab, alice_pod, bed, eventually, lab  # noqa: E402, F401 - the path has to be there first; fixtures of kubernetes/
from hubclient import HubClient  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("BUILD", "build") / "caas"
PASSWORD = "quiet-Heron-42"
# Of the cluster that all share; others beside those of a run that is under way keep out of its way.
NAME = os.environ.get("CAAS_TEST_CLUSTER", "it")
PORT = int(os.environ.get("CAAS_TEST_PORT", "9443"))
FORM = """\
cluster: {name}
target: host
notebook: {{cpus: {cpus}, ram: 1.5, storage: {storage}}}
domain: localhost
external_ip: 127.0.0.1
port: {port}
dask:
  worker: {{cpus: 1, ram: 1}}
  max: {{cpus: 3, ram: 4}}
  idle_minutes: 10
profiles:
  - {{name: Small, description: Half of it, cpus: 0.5, ram: 1}}
"""


class Caas:
    """The program under test, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.environment = {**os.environ, "CAAS_STATE": str(self.state)}
        self.program: list[str | Path] = [PROGRAM]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.program, *words],
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Where the tests run in the background, Ctrl-C is ignored, and so it would be by what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **options,
        )

    def run(
        self, *words: str, status: int = 0, given: str | None = None, seconds: float = 900
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.program, *words],
            env=self.environment,
            text=True,
            input=given or "",
            capture_output=True,
            timeout=seconds,
        )
        if done.returncode != status:
            raise AssertionError(
                f"caas {' '.join(words)}: status {done.returncode}, not {status}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status).stdout)


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """True if it was still at work then; one that ended before has to have ended well."""
    try:
        said = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, said[-3000:]
    return False


class Cluster:
    def __init__(self, caas: Caas, name: str, port: int) -> None:
        self.caas, self.name, self.port = caas, name, port
        self.form = caas.folder / f"{name}.yaml"
        self.folder = caas.state / "clusters" / name
        self.url = f"https://localhost:{port}"
        self.write_form()

    def write_form(self, *, cpus: float = 1, storage: float = 0.5, extra: str = "") -> None:
        self.form.write_text(FORM.format(name=self.name, port=self.port, cpus=cpus, storage=storage) + extra)

    def apply(self, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.caas.run("apply", str(self.form), "--yes", **options)

    def add_user(self, user: str, *, member: bool = True) -> None:
        self.caas.run("user", "add", self.name, user, given=PASSWORD + "\n")
        if member:
            self.caas.run("grant", self.name, user)

    def client(self) -> HubClient:
        return HubClient(self.url, str(self.folder / "ca" / "ca.crt"), address="127.0.0.1")

    def signed_in(self, user: str, password: str = PASSWORD) -> HubClient:
        client = self.client()
        status, text = client.login(user, password)
        assert status == 302, (status, text)
        return client

    def signed_in_again(self, user: str) -> HubClient:
        """Once the directory is back: for some seconds after it did not answer, the hub asks it nothing."""
        return eventually(lambda: client if (client := self.client()).login(user, PASSWORD)[0] == 302 else None, 30)

    def processes(self, user: str) -> list[str]:
        """What runs as a user who has been here: server, kernels, Dask. Seen from the host: a request would be their use."""
        return list(self.processes_by_id(user).values())

    def processes_by_id(self, user: str) -> dict[int, str]:
        uid = json.loads((self.folder / "hub" / "users.json").read_text())[user]["uid"]
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                # Another folder's clusters may have the same numbers.
                if not entry.name.isdigit() or f"/caas-{self.name}/" not in (entry / "cgroup").read_text():
                    continue
                if f"\nUid:\t{uid}\t" in (entry / "status").read_text():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = command.decode(errors="replace")
            except OSError:
                pass
        return found

    def ldif(self, text: str) -> str:
        """Changes the directory as its owner would, past caas, or asks it: what it printed."""
        script = (
            "import json, sys, ldap3\n"
            "from pangeo_hub.directory import VerifiedTls\n"
            "o = json.load(sys.stdin)\n"
            "tls = VerifiedTls('127.0.0.1', o['ca'])\n"
            "c = ldap3.Connection(ldap3.Server(o['uri'], tls=tls), o['dn'], o['password'], auto_bind=True)\n"
            "exec(o['text'])\n"
        )
        access = self.directory()
        given = json.dumps({**access, "text": text})
        python = self.folder / "env" / "hub" / "bin" / "python"
        code = {**os.environ, "PYTHONPATH": str(self.folder / "hub" / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
        options: dict[str, Any] = {"text": True, "check": True, "timeout": 30, "env": code}
        return subprocess.run([python, "-c", script], input=given, stdout=subprocess.PIPE, **options).stdout

    def in_directory(self, name: str, attribute: str) -> list[str]:
        """What the directory has there of accounts with this name, in which * stands for anything."""
        base = f"cn=users,cn=accounts,dc={self.name},dc=caas,dc=internal"
        said = self.ldif(
            f"c.search({base!r}, '(uid={name})', attributes=[{attribute!r}])\n"
            f"print(json.dumps([str(entry[{attribute!r}]) for entry in c.entries]))"
        )
        return json.loads(said)

    def left_of_tests(self) -> list[str]:
        """Accounts, homes and servers of `caas test` that are still there."""
        homes = [path for folder in ("images", "mounts") for path in (self.folder / "homes" / folder).iterdir()]
        assert any(path.name.startswith("alice") for path in homes)  # else nobody's would be seen
        left = [str(path) for path in homes if path.name.startswith("caas-test")]
        users = [user["name"] for user in self.caas.json("users", self.name)["users"]]
        return left + self.in_directory("caas-test*", "uid") + [user for user in users if user.startswith("caas-test")]

    def directory(self) -> dict[str, str]:
        hub = json.loads((self.folder / "hub" / "hub.json").read_text())["directory"]
        root = self.caas.run("password", self.name, "--directory").stdout.strip()
        return {"uri": hub["uri"], "ca": hub["ca"], "dn": "cn=Directory Manager", "password": root}

    def dn(self, kind: str, name: str) -> str:
        attribute = "uid" if kind == "users" else "cn"
        return f"{attribute}={name},cn={kind},cn=accounts,dc={self.name},dc=caas,dc=internal"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a run of all of it the machines with systemd, and then Kubernetes, come last: by then the cluster here is destroyed."""
    order = {"systemd": 1, "kubernetes": 2}
    items.sort(key=lambda item: order.get(item.path.parent.name, 0))  # stable: otherwise as pytest found them


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What failed on Kubernetes says what was there."""
    report = yield
    labs = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Lab)]
    if report.failed and labs:
        report.sections.append(("pods, events, the hub's log", labs[0].seen()))
    return report


@pytest.fixture(scope="session")
def caas() -> Iterator[Caas]:
    folder = Path(tempfile.mkdtemp(prefix="caas-it-", dir="/var/tmp"))
    folder.chmod(0o711)
    program = Caas(folder)
    yield program
    for name in [item["name"] for item in program.json("list")]:
        program.run("destroy", name, "--yes", "--delete-data")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(caas: Caas) -> Cluster:
    """Applied from nothing, with people in it: alice and dora members, carol through a group, bob not."""
    made = Cluster(caas, NAME, PORT)
    made.apply()
    for user in ("alice", "dora"):
        made.add_user(user)
    for user in ("bob", "carol"):
        made.add_user(user, member=False)
    made.ldif(
        f"""
team = {made.dn("groups", "team")!r}
assert c.add(team, ['top', 'groupOfNames', 'nestedGroup', 'ipaUserGroup'], {{'member': [{made.dn("users", "carol")!r}]}}), c.result
group = {made.dn("groups", f"{NAME}_notebook_users")!r}
assert c.modify(group, {{'member': [(ldap3.MODIFY_ADD, [team])]}}), c.result
"""
    )
    return made


@pytest.fixture(scope="session")
def alice(cluster: Cluster) -> HubClient:
    client = cluster.signed_in("alice")
    client.spawn()
    return client


@pytest.fixture(scope="session")
def dora(cluster: Cluster) -> HubClient:
    client = cluster.signed_in("dora")
    client.spawn()
    return client
