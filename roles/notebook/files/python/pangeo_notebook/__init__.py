"""What a user's Jupyter server has beside JupyterLab's own: the owner's Dask dashboards, the first notebook, and what
counts as using the server."""

from .activity import count_requests, watch_kernels
from .dashboard import handlers
from .welcome import copy_welcome


def _jupyter_server_extension_points():
    return [{"module": "pangeo_notebook"}]


def _load_jupyter_server_extension(server):
    server.web_app.add_handlers(".*$", handlers(server.web_app.settings["base_url"]))
    copy_welcome(server.log)
    count_requests()
    watch_kernels(server.web_app.settings, server.kernel_manager)


load_jupyter_server_extension = _load_jupyter_server_extension
