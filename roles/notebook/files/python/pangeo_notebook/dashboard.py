"""The dashboards of the user's own Dask clusters, at /user/NAME/proxy/dask-gateway/clusters/CLUSTER/… and, shorter,
/user/NAME/dask-gateway/clusters/CLUSTER/….

A scheduler serves its dashboard on a socket in its owner's home (caas_dask.py): nobody else can reach it, and who comes
here has been let in by this server, that is, is the owner. The longer address is what Dask is told, because the Dask
panel of JupyterLab opens links below "proxy/" itself and tries to reach all others by host and port.
"""

import os
import re
import socket

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import web

FOLDER = os.path.join(os.path.expanduser("~"), ".local", "share", "dask-gateway")
CLUSTER = r"([0-9a-f]{32})"
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


class DashboardHandler(ProxyHandler):
    """Passes requests and websockets on to the scheduler's socket."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.update_last_activity = False  # a dashboard left open in a tab is no activity: idle servers must end

    def _target(self, cluster):
        path = os.path.join(FOLDER, f"{cluster}.sock")
        if not re.fullmatch(CLUSTER, cluster) or not is_served(path):
            raise web.HTTPError(404, GONE % cluster[:32])
        self.unix_socket = path
        self.proxy_base = url_path_join("proxy", "dask-gateway", "clusters", cluster)

    def proxy_request_headers(self):
        headers = super().proxy_request_headers()
        for name in ("Cookie", "Authorization", "X-XSRFToken"):  # the scheduler has no use for the user's session
            if name in headers:
                del headers[name]
        return headers

    async def _pass(self, cluster, path):
        self._target(cluster)
        return await self.proxy("localhost", 80, path)

    async def http_get(self, cluster, path):
        return await self._pass(cluster, path)

    async def open(self, cluster, path):
        self._target(cluster)
        return await self.proxy_open("localhost", 80, path)

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
