"""A hub that starts finds servers that run, and leaves them: JupyterHub itself on a database of an earlier hub, with our
spawners. It ends a server that does not answer in time, and forgets one of which it cannot be found out whether it runs."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from typing import Any

import kubernetes_asyncio.client
import kubespawner.spawner
import pytest
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.proxy import Proxy
from pangeo_hub import base, port, spawner
from pangeo_hub.accounts import Accounts
from pangeo_hub.choices import Choices
from pangeo_hub.kube import PangeoKubeSpawner
from pangeo_hub.settings import Settings
from pangeo_hub.spawner import SandboxSpawner, start_ticks
from pangeo_hub.systemd import PangeoSystemdSpawner
from traitlets.config import Config

NAMESPACE = "unit-test"
POD = {
    "metadata": {"namespace": NAMESPACE, "name": "jupyter-alice", "resourceVersion": "7"},
    "status": {"phase": "Running", "containerStatuses": [{"name": "notebook", "state": {"running": {}}}]},
}


class NoProxy(Proxy):
    """Of which nothing is asked before the hub is up."""

    should_start = False

    async def delete_route(self, routespec: str) -> None:
        pass


class Quick(BaseHTTPRequestHandler):
    """A server that answers."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def quick() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Quick) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def frozen() -> Iterator[int]:
    """The port of a server that takes connections and says nothing, as one whose process is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Hub:
    """JupyterHub up to where it has looked at its servers, once or again."""

    def __init__(self, settings: Settings, folder: Path, spawner_class: type) -> None:
        self.config = c = Config()
        c.JupyterHub.db_url = f"sqlite:///{folder}/hub.sqlite"
        c.JupyterHub.cookie_secret = b"0" * 32
        c.JupyterHub.hub_bind_url = "http://127.0.0.1:1"
        c.JupyterHub.authenticator_class = DummyAuthenticator
        c.JupyterHub.proxy_class = NoProxy
        c.JupyterHub.spawner_class = spawner_class
        c.Authenticator.allow_all = True
        c.PangeoSpawner.settings = settings
        c.PangeoSpawner.accounts = Accounts(folder / "users.json")
        c.PangeoSpawner.choices = Choices(settings)
        c.Spawner.http_timeout = 1
        c.KubeSpawner.namespace = NAMESPACE
        c.KubeSpawner.k8s_api_request_timeout = 60  # a busy machine is no busy API server

    async def started(self) -> JupyterHub:
        app = JupyterHub(config=self.config)
        await app.initialize([])
        return app

    async def knows(self, port: int, state: dict[str, Any], ip: str = "127.0.0.1") -> None:
        """What an earlier hub has left in the database: alice and her server."""
        app = await self.started()
        alice = orm.User(name="alice")
        server = orm.Server(proto="http", ip=ip, port=port, base_url="/user/alice/")
        app.db.add_all([alice, orm.Spawner(name="", user=alice, server=server, state=state)])
        app.db.commit()
        app.db.close()

    async def look(self) -> Any:
        """The spawner of alice's server as the hub has it when it is up, None where it has none."""
        app = await self.started()
        for _ in range(600):  # it goes on in the background after a while
            if not any(each.pending for user in app.users.values() for each in user.spawners.values()):
                break
            await asyncio.sleep(0.1)
        orm_user = orm.User.find(app.db, "alice")
        assert orm_user
        found = app.users[orm_user].spawners.get("")
        if found:
            found.stop_polling()
        return found if found and found.ready else None


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(base, "FOUND_SECONDS", 0.5)


@pytest.fixture
def process() -> Iterator[Popen[bytes]]:
    with Popen(["/bin/sleep", "600"]) as child:
        reaper = threading.Thread(target=child.wait)  # as somebody does for a server that outlives its hub
        reaper.start()
        yield child
        child.kill()
        reaper.join()


def state_of(process: Popen[bytes]) -> dict[str, Any]:
    return {"pid": process.pid, "started_ticks": start_ticks(process.pid)}


def test_a_server_that_does_not_answer_is_left(
    settings: Settings, tmp_path: Path, process: Popen[bytes], frozen: int
) -> None:
    async def test() -> None:
        hub = Hub(settings, tmp_path, SandboxSpawner)
        await hub.knows(frozen, state_of(process))
        found = await hub.look()
        assert found and found.server.port == frozen
        assert process.poll() is None

    run(test)


def test_one_that_had_not_come_up_has_to_answer(
    settings: Settings, tmp_path: Path, process: Popen[bytes], monkeypatch: Any
) -> None:
    """Whose start the end of the hub cut off: it has no address yet, and nobody would ever find it."""
    monkeypatch.setattr(socket, "gethostname", lambda: "127.0.0.1")  # where JupyterHub then looks

    async def test() -> None:
        hub = Hub(settings, tmp_path, SandboxSpawner)
        await hub.knows(1, state_of(process), ip="")
        assert await hub.look() is None
        assert process.wait(60)

    run(test)


def test_one_that_ended_meanwhile_is_forgotten(settings: Settings, tmp_path: Path, process: Popen[bytes]) -> None:
    async def test() -> None:
        hub = Hub(settings, tmp_path, SandboxSpawner)
        await hub.knows(1, state_of(process))
        process.kill()
        process.wait()
        assert await hub.look() is None

    run(test)


def test_one_of_which_nothing_can_be_found_out_is_left(
    settings: Settings, tmp_path: Path, process: Popen[bytes], quick: int, monkeypatch: Any
) -> None:
    def no_descriptor(_: int) -> None:
        raise OSError(24, os.strerror(24))

    async def test() -> None:
        hub = Hub(settings, tmp_path, SandboxSpawner)
        await hub.knows(quick, state_of(process))
        monkeypatch.setattr(spawner, "listener", no_descriptor)
        found = await hub.look()
        assert found and process.poll() is None
        monkeypatch.setattr(spawner, "listener", port.listener)
        assert await found.poll() is None
        process.kill()
        process.wait()
        assert await found.poll() == 0

    run(test)


@pytest.mark.parametrize(
    ("said", "status", "runs"),
    [
        ("echo active", 0, True),
        ("echo 'Failed to retrieve unit state: Connection timed out' >&2", 1, True),
        ("echo inactive", 3, False),
        ("echo failed", 3, False),
    ],
)
def test_a_systemctl_that_fails_says_nothing_of_the_server(
    settings: Settings, tmp_path: Path, quick: int, monkeypatch: Any, said: str, status: int, runs: bool
) -> None:
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\n[ "$1 $2" = "is-active jupyter-alice" ] || exit 0\n{said}\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    async def test() -> None:
        hub = Hub(settings, tmp_path, PangeoSystemdSpawner)
        await hub.knows(quick, {"unit_name": "jupyter-alice"})
        found = await hub.look()
        assert bool(found) is runs

    run(test)


class ApiServer(BaseHTTPRequestHandler):
    """What the hub asks Kubernetes for: the list of pods, and one of them."""

    list_status = 200
    pod_status = 200
    listed: list[Any] = []
    lists = 0

    def _answer(self, status: int, tree: Any) -> None:
        body = json.dumps(tree).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kind = type(self)
        path, _, query = self.path.partition("?")
        if path.endswith("/pods/jupyter-alice"):
            self._answer(kind.pod_status, POD if kind.pod_status == 200 else {"message": "busy"})
        elif "watch=" in query:
            self._answer(500, {"message": "busy"})
        else:
            kind.lists += 1
            tree = {"metadata": {"resourceVersion": "7"}, "items": kind.listed, "message": "busy"}
            self._answer(kind.list_status, tree)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: Any) -> Iterator[type[ApiServer]]:
    kind = type("Api", (ApiServer,), {"listed": [POD], "lists": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        known = kubernetes_asyncio.client.Configuration(host=f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(kubernetes_asyncio.client.Configuration, "_default", known)
        monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **_: None)
        monkeypatch.setattr(PangeoKubeSpawner, "reflectors", {})
        yield kind
        server.shutdown()


def kubernetes_hub(settings: Settings, tmp_path: Path) -> Hub:
    tree = {**settings.raw, "kubernetes": {"namespace": NAMESPACE, "image": "notebook:1", "tolerations": []}}
    tree["environments"] = []
    return Hub(Settings(tree), tmp_path, PangeoKubeSpawner)


@pytest.mark.parametrize("status", [429, 403, 500])
def test_a_busy_api_server_ends_nobody_and_is_asked_again(
    settings: Settings, tmp_path: Path, quick: int, api: type[ApiServer], status: int
) -> None:
    async def test() -> None:
        hub = kubernetes_hub(settings, tmp_path)
        await hub.knows(quick, {"pod_name": "jupyter-alice", "namespace": NAMESPACE})
        api.list_status = api.pod_status = status
        found = await hub.look()
        assert found and api.lists
        api.list_status = api.pod_status = 200
        asked = api.lists
        assert await found.poll() is None
        assert api.lists > asked and found._pod() == POD
        api.listed, api.pod_status = [], 404
        await PangeoKubeSpawner._stop_all_reflectors()
        assert await found.poll() == 1
        await PangeoKubeSpawner._stop_all_reflectors()

    run(test)


def test_one_that_gave_up_watching_begins_again(
    settings: Settings, tmp_path: Path, quick: int, api: type[ApiServer]
) -> None:
    async def test() -> None:
        hub = kubernetes_hub(settings, tmp_path)
        await hub.knows(quick, {"pod_name": "jupyter-alice", "namespace": NAMESPACE})
        found = await hub.look()
        assert found
        before = found.pod_reflector
        assert await found.poll() is None and found.pod_reflector is before
        before.watch_task.cancel()
        await asyncio.wait([before.watch_task])
        assert await found.poll() is None and found.pod_reflector is not before
        await PangeoKubeSpawner._stop_all_reflectors()

    run(test)


def test_an_old_list_of_pods_ends_nobody(settings: Settings, tmp_path: Path, quick: int, api: type[ApiServer]) -> None:
    async def test() -> None:
        hub = kubernetes_hub(settings, tmp_path)
        await hub.knows(quick, {"pod_name": "jupyter-alice", "namespace": NAMESPACE})
        api.listed = []
        found = await hub.look()
        assert found
        found.pod_reflector.pods.clear()
        api.pod_status = 429
        assert await found.poll() is None and found._pod() is None
        api.pod_status = 404
        assert await found.poll() == 1
        await PangeoKubeSpawner._stop_all_reflectors()

    run(test)
