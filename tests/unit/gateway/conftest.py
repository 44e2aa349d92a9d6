"""The gateway's Python without a stack: run by tests/lib/pytest.sh with the hub's environment."""

import asyncio
import base64
import contextlib
import json
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "gateway" / "files"
sys.path.insert(0, str(FILES))

from aiohttp import web  # noqa: E402
from dask_gateway_server.backends.base import Backend  # noqa: E402
from dask_gateway_server.models import User  # noqa: E402
from pangeo_gateway import backend as backend_module  # noqa: E402
from pangeo_gateway.backend import HostBackend  # noqa: E402
from pangeo_gateway.options import cluster_options  # noqa: E402
from pangeo_gateway.sandbox import Sandbox  # noqa: E402
from pangeo_gateway.settings import Settings  # noqa: E402
from traitlets.config import Config  # noqa: E402

GB = 10**9


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "gateway.json"
    tree = {
        "address": "127.0.0.1:1",
        "hub_api": "http://127.0.0.1:1/hub/api",
        "admin_token": "secret-of-the-provisioner",
        "proxy_token": "secret-of-the-proxy",
        "clusters": str(tmp_path / "clusters"),
        "accounts": str(tmp_path / "users.json"),
        "parent": "caas-unit",
        "sandbox": "/opt/caas-sandbox",
        "home": "/opt/caas-home",
        "images": "/srv/images",
        "mounts": "/srv/mounts",
        "storage": 1.5,
        "environments": {"default": "pangeo", "folder": str(tmp_path / "env"), "more": [{"name": "climate"}]},
        "read_only": ["/srv/notebook"],
        "dask_code": "/srv/notebook/code/dask",
        "worker": {"cpus": 1, "ram": 2},
        "maximum": {"cpus": 6, "ram": 11},
        "idle_minutes": 15,
    }
    path.write_text(json.dumps(tree))
    users = {"alice": {"uid": 70001, "gid": 70001}, "bob": {"uid": 70002, "gid": 70002}}
    (tmp_path / "users.json").write_text(json.dumps(users))
    for name in ("pangeo", "climate"):
        (tmp_path / "env" / f"{name}-0123456789abcdef").mkdir(parents=True)
        (tmp_path / "env" / name).symlink_to(f"{name}-0123456789abcdef")
    return Settings(tree, str(path))


class Gateway:
    """The real backend with its database; nothing is started: processes are entries in `groups`."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.groups: dict[str, str] = {}

    async def __aenter__(self):
        config = Config()
        config.HostBackend.settings_path = self.settings.path
        config.HostBackend.clusters_directory = self.settings["clusters"]
        config.HostBackend.api_url = "http://127.0.0.1:1/api"
        config.HostBackend.db_url = "sqlite:///" + str(Path(self.settings.path).parent / "gateway.sqlite")
        config.HostBackend.db_encrypt_keys = [base64.urlsafe_b64encode(bytes(32)).decode()]
        config.HostBackend.stop_clusters_on_shutdown = False
        config.HostBackend.cluster_options = cluster_options(self.settings)
        config.Proxy.externally_managed = True
        config.Proxy.gateway_url = "http://127.0.0.1:1"
        self.backend = HostBackend(config=config, gateway_address="127.0.0.1:1")
        groups = self.groups

        async def start_process(cluster, cmd, env, name):
            groups[f"dask-{cluster.name}-{name}"] = cluster.username
            return {"pid": 1, "started": 0}

        async def nothing(*args):
            return None

        async def stop(group):
            groups.pop(group, None)

        async def names(prefix):
            return [g for g in groups if g.startswith(prefix)]

        self.app = web.Application()
        await self._patched_setup(start_process, nothing, stop, names)
        return self

    async def _patched_setup(self, start_process, nothing, stop, names):
        members = {"mount": staticmethod(nothing), "stop": staticmethod(stop), "groups": staticmethod(names)}
        backend_module.Sandbox = type("NoSandbox", (Sandbox,), members)
        self.backend.start_process = start_process
        self.backend.setup_working_directory = lambda cluster: "/nowhere"
        self.backend.get_env = lambda cluster: {}
        await self.backend.setup(self.app)

    async def __aexit__(self, *exc):
        await self.backend.cleanup()
        with contextlib.suppress(asyncio.CancelledError):  # a test server has done it already
            await self.backend.proxy._on_shutdown(self.app)

    async def new(self, name: str, **options):
        """A cluster that runs: its scheduler has said hello."""
        cluster = self.backend.db.get_cluster(await self.backend.start_cluster(User(name), options))
        await self.until(lambda: f"dask-{cluster.name}-scheduler" in self.groups)
        await self.beat(cluster, 0)
        await asyncio.wait_for(cluster.ready, 5)
        return cluster

    async def beat(self, cluster, count, closing=(), closed=()):
        """A heartbeat in which every worker there is has come up."""
        gone = {w.name for w in [*closing, *closed]}
        active = [w.name for w in cluster.active_workers() if w.name not in gone and w.status > 1]
        await self.backend.on_cluster_heartbeat(
            cluster.name,
            {
                "scheduler_address": "tls://127.0.0.1:5001",
                "dashboard_address": "http://127.0.0.1:5002",
                "api_address": "http://127.0.0.1:5003",
                "count": count,
                "active_workers": active,
                "closing_workers": [w.name for w in closing],
                "closed_workers": [w.name for w in closed],
            },
        )

    async def scale(self, cluster, count):
        """What the route does, without a scheduler to tell."""
        sent = []

        async def forward(self, model, msg):
            sent.append(msg)

        original = Backend.forward_message_to_scheduler
        Backend.forward_message_to_scheduler = forward
        try:
            await self.backend.forward_message_to_scheduler(cluster.to_model(), {"op": "scale", "count": count})
        finally:
            Backend.forward_message_to_scheduler = original
        return sent[0]

    async def until(self, condition, seconds=5.0):
        for _ in range(int(seconds / 0.01)):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("did not come about in time")

    def workers(self, cluster):
        return sum(g.startswith(f"dask-{cluster.name}-worker-") for g in self.groups)


@pytest.fixture
def gateway(settings):
    def run(scenario):
        async def main():
            async with Gateway(settings) as g:
                await scenario(g)

        asyncio.run(asyncio.wait_for(main(), 30))

    return run
