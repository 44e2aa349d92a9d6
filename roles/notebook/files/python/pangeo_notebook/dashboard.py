"""The dashboards of the user's own Dask clusters, at /user/NAME/proxy/dask-gateway/clusters/CLUSTER/… and, shorter,
/user/NAME/dask-gateway/clusters/CLUSTER/….

A scheduler serves its dashboard on a socket in its owner's home (caas_dask.py): nobody else can reach it, and who comes
here has been let in by this server, that is, is the owner. The longer address is what Dask is told, because the Dask
panel of JupyterLab opens links below "proxy/" itself and tries to reach all others by host and port.

On Kubernetes (CAAS_DASK_DASHBOARD says where schedulers are) a scheduler serves who knows a secret made of its key, for
which this server asks dask-gateway in the owner's name.
"""

import hashlib
import hmac
import json
import os
import re
import socket

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

FOLDER = os.path.join(os.path.expanduser("~"), ".local", "share", "dask-gateway")
CLUSTER = r"((?:[a-z0-9][a-z0-9-]{0,62}\.)?[0-9a-f]{32})"
PODS = os.environ.get("CAAS_DASK_DASHBOARD", "")  # "http://dask-{cluster}:8787"
HEADER = "X-Caas-Dashboard"
GONE = "There is no running Dask cluster %s of yours: it was closed, or its scheduler has ended."


def is_served(path: str) -> bool:
    """Does a scheduler listen there? One that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(1)
        try:
            s.connect(path)
        except OSError:
            return False
    return True


def dashboard_secret(key: bytes) -> str:
    """The same as in caas_dask."""
    return hmac.new(key, b"dashboard", hashlib.sha256).hexdigest()


def pod_address(template: str, cluster: str) -> tuple[str, int]:
    """Host and port of the scheduler of NAMESPACE.NAME: its Service is dask-NAME in that namespace."""
    namespace, _, name = cluster.rpartition(".")
    host, _, port = template.removeprefix("http://").format(cluster=f"{name}.{namespace}").rpartition(":")
    return host, int(port)


_secrets: dict[str, str] = {}  # by cluster; a cluster's key never changes


async def secret_of(cluster: str) -> str:
    """Asks dask-gateway, which tells the owner only. Raises web.HTTPError."""
    if cluster not in _secrets:
        request = HTTPRequest(
            f"{os.environ['DASK_GATEWAY__ADDRESS'].rstrip('/')}/api/v1/clusters/{cluster}",
            headers={"Authorization": "jupyterhub " + os.environ.get("JUPYTERHUB_API_TOKEN", "")},
            request_timeout=20,
        )
        try:
            key = json.loads((await AsyncHTTPClient().fetch(request)).body).get("tls_key")
        except HTTPClientError as e:
            raise web.HTTPError(404 if e.code in (403, 404) else 502, GONE % cluster) from e
        except (OSError, ValueError) as e:
            raise web.HTTPError(502, "Dask Gateway does not answer; try again.") from e
        if not key:
            raise web.HTTPError(404, GONE % cluster)
        if len(_secrets) > 1000:
            _secrets.clear()
        _secrets[cluster] = dashboard_secret(key.encode())
    return _secrets[cluster]


class DashboardHandler(ProxyHandler):
    """Passes requests and websockets on to the scheduler."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.update_last_activity = False  # a dashboard left open in a tab is no activity: idle servers must end
        self._secret = ""

    async def _target(self, cluster):
        """Where the scheduler is, as host and port; a socket has neither."""
        if not re.fullmatch(CLUSTER, cluster):
            raise web.HTTPError(404, GONE % cluster[:32])
        self.proxy_base = url_path_join("proxy", "dask-gateway", "clusters", cluster)
        if PODS:
            self._secret = await secret_of(cluster)
            host, port = pod_address(PODS, cluster)
            self.host_allowlist = [host]
            return host, port
        path = os.path.join(FOLDER, f"{cluster}.sock")
        if not is_served(path):
            raise web.HTTPError(404, GONE % cluster[:32])
        self.unix_socket = path
        return "localhost", 80

    def proxy_request_headers(self):
        headers = super().proxy_request_headers()
        for name in ("Cookie", "Authorization", "X-XSRFToken"):  # the scheduler has no use for the user's session
            if name in headers:
                del headers[name]
        if self._secret:
            headers[HEADER] = self._secret
        return headers

    async def _pass(self, cluster, path):
        return await self.proxy(*await self._target(cluster), path)

    async def http_get(self, cluster, path):
        return await self._pass(cluster, path)

    async def open(self, cluster, path):
        return await self.proxy_open(*await self._target(cluster), path)

    def post(self, cluster, path):
        return self._pass(cluster, path)

    def head(self, cluster, path):
        return self._pass(cluster, path)

    def options(self, cluster, path):
        return self._pass(cluster, path)


def handlers(base_url):
    return [
        (url_path_join(base_url, prefix, "clusters", CLUSTER + r"(/.*|)"), DashboardHandler)
        for prefix in ("proxy/dask-gateway", "dask-gateway")
    ]
