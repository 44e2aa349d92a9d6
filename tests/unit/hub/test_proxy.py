"""The watch over the proxy's table, against an HTTP server in place of configurable-http-proxy."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from pangeo_hub.proxy import WatchedProxy


class Table(BaseHTTPRequestHandler):
    """A table of routes as the proxy keeps it."""

    routes: dict[str, dict[str, Any]]
    tokens: list[str]

    def _answer(self, status: int, body: Any = None) -> None:
        text = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        self._answer(200, self.routes)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.routes[self.path.removeprefix("/api/routes") or "/"] = body
        self._answer(201)

    def do_DELETE(self) -> None:
        self.routes.pop(self.path.removeprefix("/api/routes"), None)
        self._answer(204)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def table() -> Iterator[Any]:
    handler = type("Handler", (Table,), {"routes": {}, "tokens": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(routes=handler.routes, tokens=handler.tokens, url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


async def proxy_of(table: Any) -> WatchedProxy:
    hub = SimpleNamespace(routespec="/", host="http://127.0.0.1:1", api_url="")
    spawner = SimpleNamespace(
        ready=True, pending=None, proxy_spec="/user/alice/", server=SimpleNamespace(host="http://127.0.0.1:2")
    )
    alice = SimpleNamespace(name="alice", spawners={"": spawner})
    app = SimpleNamespace(hub=hub, users={1: alice}, _service_map={}, subdomain_host="")
    proxy = WatchedProxy(api_url=table.url, auth_token="token-of-the-proxy", app=app, hub=hub)
    proxy._watch.cancel()
    return proxy


async def look(table: Any) -> None:
    await (await proxy_of(table))._restore_if_empty()


def test_an_empty_table_is_filled(table: Any) -> None:
    asyncio.run(look(table))
    assert table.routes["/"]["hub"] is True
    assert table.routes["/user/alice"]["target"] == "http://127.0.0.1:2"
    assert set(table.tokens) == {"token token-of-the-proxy"}


def test_a_full_table_is_left_alone(table: Any) -> None:
    table.routes["/"] = {"hub": True, "target": "http://127.0.0.1:1"}
    asyncio.run(look(table))
    assert list(table.routes) == ["/"]


def test_traffic_is_no_use(table: Any) -> None:
    data = {"jupyterhub": True, "user": "alice", "server_name": "", "last_activity": "2026-11-21T12:00:00.000Z"}
    table.routes["/user/alice"] = {**data, "target": "http://127.0.0.1:2"}

    async def routes() -> dict[str, Any]:
        return await (await proxy_of(table)).get_all_routes()

    (route,) = asyncio.run(routes()).values()
    assert route["data"]["user"] == "alice" and "last_activity" not in route["data"]
