"""Preloaded into every Dask scheduler and worker, before either of them listens.

Dask serves its dashboard, metrics and profiles over plain HTTP to whoever reaches the port, and all users of a host
reach all of its loopback ports. A scheduler therefore serves on a socket in its owner's home, which the owner's Jupyter
server opens to the owner alone (pangeo_notebook.dashboard), and a worker serves nothing.

A pod has no such home. There a scheduler serves on its port, but only to requests that name a secret made of the
cluster's key: dask-gateway gives that key to the owner and nobody else. Another secret of that key, which the gateway tells
the cluster's monitoring, opens the page of metrics alone. That page has the workers' figures, too (caas_dask_workers).
"""

import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import time

from distributed import Scheduler
from distributed.http.routing import RoutingApplication
from distributed.node import ServerNode
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

FOLDER = os.path.join(os.path.expanduser("~"), ".local", "share", "dask-gateway")
LOGS_KEPT = 20  # clusters


KEY_FILE = "DASK_DISTRIBUTED__COMM__TLS__SCHEDULER__KEY"
HEADER = "X-Caas-Dashboard"


def dashboard_secret(key: bytes) -> str:
    """The same as in pangeo_notebook.dashboard."""
    return hmac.new(key, b"dashboard", hashlib.sha256).hexdigest()


def metrics_secret(key: bytes) -> str:
    """The same as in pangeo_gateway.metrics."""
    return hmac.new(key, b"metrics", hashlib.sha256).hexdigest()


class GuardedApplication(RoutingApplication):
    """Serves who knows the secret, websockets included; and its metrics to who knows theirs."""

    def __init__(self, routes, key: bytes):
        super().__init__(routes)
        self._secret, self._metrics = dashboard_secret(key).encode(), metrics_secret(key).encode()

    def find_handler(self, request, **kwargs):
        given = request.headers.get(HEADER, "").encode()
        metrics = request.path == "/metrics" and hmac.compare_digest(given, self._metrics)
        if metrics or hmac.compare_digest(given, self._secret):
            return super().find_handler(request, **kwargs)
        return self.get_handler_delegate(request, web.ErrorHandler, {"status_code": 403})


def socket_path(cluster: str) -> str:
    return os.path.join(FOLDER, f"{cluster}.sock")


def _serve_guarded(self, routes) -> None:
    with open(os.environ[KEY_FILE], "rb") as file:
        self.http_application = GuardedApplication(routes, file.read())
    self.http_server = HTTPServer(self.http_application)
    self.http_server.listen(8787)
    self.http_server.address, self.http_server.port = "", 8787
    self.services["dashboard"] = self.http_server


def _serve(self, routes, dashboard_address=None, default_port=0, ssl_options=None):
    """Stands in for ServerNode.start_http_server."""
    if isinstance(self, Scheduler) and os.environ.get("CAAS_DASK_DASHBOARD") == "key":
        _serve_guarded(self, routes)
        return
    self.http_application = RoutingApplication(routes)
    self.http_server = HTTPServer(self.http_application)
    self.http_server.address, self.http_server.port = "", 0
    cluster = os.environ.get("DASK_GATEWAY_CLUSTER_NAME")
    if not isinstance(self, Scheduler) or not cluster:
        return
    try:
        os.makedirs(FOLDER, 0o700, exist_ok=True)
        self.http_server.add_socket(bind_unix_socket(socket_path(cluster), mode=0o600))
    except OSError as e:  # a full home must not keep the cluster from starting
        print(f"no dashboard: {e}", flush=True)


ServerNode.start_http_server = _serve


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(1)
        try:
            s.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def _tidy(cluster: str) -> None:
    """Removes what clusters left behind that were killed: sockets nobody listens on, logs of long ago."""
    for name in os.listdir(FOLDER):
        path = os.path.join(FOLDER, name)
        if name.endswith(".sock") and name != f"{cluster}.sock" and _is_dead(path):
            os.unlink(path)
    logs = os.path.join(FOLDER, "logs")
    if not os.path.isdir(logs):
        return
    folders = sorted((e for e in os.scandir(logs) if e.is_dir(follow_symlinks=False)), key=lambda e: e.stat().st_mtime)
    for entry in folders[:-LOGS_KEPT]:
        if entry.name != cluster and time.time() - entry.stat().st_mtime > 3600:
            shutil.rmtree(entry.path, ignore_errors=True)


def _tell_idle_time(scheduler) -> None:
    """Heartbeats say how long there has been nothing to do, for the gateway to show. Without either side's part in it they
    are as before."""
    try:
        from dask_gateway.scheduler_preload import GatewayClient
    except ImportError:
        return
    stock = GatewayClient.heartbeat

    async def heartbeat(self, msg):
        since = getattr(scheduler, "idle_since", None)
        await stock(self, {**msg, "idle_seconds": max(0.0, time.time() - since) if since else 0.0})

    GatewayClient.heartbeat = heartbeat


def _tell_of_workers(server) -> None:
    """Without it a cluster works as well: whatever is wrong is said in its log, and no more."""
    try:
        import caas_dask_workers

        if isinstance(server, Scheduler):
            caas_dask_workers.serve(server)
        else:
            caas_dask_workers.tell(server)
    except Exception as e:
        print(f"no metrics of workers: {e!r}", flush=True)


def dask_setup(server) -> None:
    cluster = os.environ.get("DASK_GATEWAY_CLUSTER_NAME", "")
    _tell_of_workers(server)
    if isinstance(server, Scheduler) and cluster:
        _tell_idle_time(server)
    if isinstance(server, Scheduler) and cluster and os.path.isdir(FOLDER):
        with contextlib.suppress(OSError):
            _tidy(cluster)


def dask_teardown(server) -> None:
    cluster = os.environ.get("DASK_GATEWAY_CLUSTER_NAME", "")
    if isinstance(server, Scheduler) and cluster:
        with contextlib.suppress(OSError):
            os.unlink(socket_path(cluster))
