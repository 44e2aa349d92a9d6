"""Dashboards of clusters in pods: where they are, and the secret that opens them. The libraries around are stand-ins."""

import asyncio
import importlib.util
import re
import sys
import time
import types
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "notebook" / "files"


def stand_in(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


@pytest.fixture
def load(monkeypatch):
    class Anything:
        pass

    names = {
        "jupyter_server": {},
        "jupyter_server.utils": {"url_path_join": lambda *parts: "/".join(parts)},
        "jupyter_server_proxy": {},
        "jupyter_server_proxy.handlers": {"ProxyHandler": Anything},
        "tornado": {"web": stand_in("web", HTTPError=Exception, ErrorHandler=Anything)},
        "tornado.httpclient": dict.fromkeys(("AsyncHTTPClient", "HTTPClientError", "HTTPRequest"), Anything),
        "tornado.httpserver": {"HTTPServer": Anything},
        "tornado.netutil": {"bind_unix_socket": None},
        "distributed": {"Scheduler": Anything},
        "distributed.http": {},
        "distributed.http.routing": {"RoutingApplication": Anything},
        "distributed.node": {"ServerNode": Anything},
    }
    for name, members in names.items():
        monkeypatch.setitem(sys.modules, name, stand_in(name, **members))

    def from_file(path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return from_file


def test_both_sides_make_the_same_secret(load):
    server = load(FILES / "python" / "pangeo_notebook" / "dashboard.py")
    scheduler = load(FILES / "dask" / "caas_dask.py")
    assert server.HEADER == scheduler.HEADER
    one = server.dashboard_secret(b"-----BEGIN PRIVATE KEY-----\n")
    assert one == scheduler.dashboard_secret(b"-----BEGIN PRIVATE KEY-----\n") and len(one) == 64
    assert one != server.dashboard_secret(b"another")


def test_the_metrics_alone_are_opened_by_their_secret(load, monkeypatch):
    monkeypatch.syspath_prepend(str(FILES.parents[1] / "gateway" / "files" / "pangeo_gateway"))
    import metrics

    scheduler = load(FILES / "dask" / "caas_dask.py")
    key = b"-----BEGIN PRIVATE KEY-----\n"
    mine, theirs = scheduler.metrics_secret(key), scheduler.dashboard_secret(key)
    assert metrics.metrics_secret(key) == mine != theirs
    base = scheduler.GuardedApplication.__mro__[1]
    monkeypatch.setattr(base, "__init__", lambda self, routes: None, raising=False)
    monkeypatch.setattr(base, "find_handler", lambda self, request, **more: "served", raising=False)
    monkeypatch.setattr(base, "get_handler_delegate", lambda self, *arguments: "refused", raising=False)
    application = scheduler.GuardedApplication([], key)

    def asked(path, secret):
        headers = {scheduler.HEADER: secret} if secret is not None else {}
        return application.find_handler(types.SimpleNamespace(path=path, headers=headers))

    assert asked("/metrics", mine) == asked("/metrics", theirs) == asked("/status", theirs) == "served"
    for path in ("/status", "/metrics/", "/metrics/x", "//metrics", "/info/main/workers.html", "/"):
        assert asked(path, mine) == "refused", path
    for wrong in (None, "", mine[:-1], mine + "0", "ä"):
        assert asked("/metrics", wrong) == "refused", wrong


def test_a_scheduler_tells_how_long_it_is_idle(load, monkeypatch):
    sent = []

    class Client:
        async def heartbeat(self, msg):
            sent.append(msg)

    monkeypatch.setitem(sys.modules, "dask_gateway", stand_in("dask_gateway"))
    monkeypatch.setitem(
        sys.modules, "dask_gateway.scheduler_preload", stand_in("dask_gateway.scheduler_preload", GatewayClient=Client)
    )
    monkeypatch.setenv("DASK_GATEWAY_CLUSTER_NAME", "c")
    module = load(FILES / "dask" / "caas_dask.py")
    scheduler = module.Scheduler()
    scheduler.idle_since = None
    module.dask_setup(scheduler)
    asyncio.run(Client().heartbeat({"count": 2}))
    scheduler.idle_since = time.time() - 30
    asyncio.run(Client().heartbeat({"count": 2}))
    assert sent[0] == {"count": 2, "idle_seconds": 0.0}
    assert sent[1]["count"] == 2 and 30 <= sent[1]["idle_seconds"] < 40


def test_where_a_scheduler_is(load):
    dashboard = load(FILES / "python" / "pangeo_notebook" / "dashboard.py")
    name = "0123456789abcdef" * 2
    assert dashboard.pod_address("http://dask-{cluster}:8787", f"lab.{name}") == (f"dask-{name}.lab", 8787)
    for good in (name, f"lab.{name}", f"my-lab-2.{name}"):
        assert re.fullmatch(dashboard.CLUSTER, good)
    for bad in ("", name[:-1], name.upper(), f".{name}", f"-a.{name}", f"a.b.{name}", f"a/{name}", f"lab.{name}x"):
        assert not re.fullmatch(dashboard.CLUSTER, bad)
