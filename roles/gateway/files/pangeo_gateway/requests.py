"""Requests of users under their cap: the same words and bounds whatever runs the clusters."""

import contextvars

from aiohttp import web
from dask_gateway_server.backends.base import PublicException

from .limits import Refused, worker_size

# Said to the client with a request that was granted in part; set and read in the task of the request.
warning: contextvars.ContextVar = contextvars.ContextVar("warning", default=None)


@web.middleware
async def add_warning(request, handler):
    """dask-gateway's client shows "msg" as a warning when "ok" is false."""
    token = warning.set(None)
    try:
        response = await handler(request)
        text = warning.get()
    except ConnectionResetError:  # the proxy ended a watch of the routes and asks again
        return web.Response()
    finally:
        warning.reset(token)
    if text and response.status == 200:
        return web.json_response({"ok": False, "msg": text})
    return response


class CappedRequests:
    """Before a backend in the order of base classes. It has a `ledger`, `clusters_of(username)`, and `held(model)`: the
    entry of those for a cluster as dask-gateway's routes know it."""

    async def forward_message_to_scheduler(self, model, msg):
        cluster = self.held(model)
        mine = self.clusters_of(cluster.username)
        try:
            if msg["op"] == "scale":
                self.ledger.promise(mine, cluster, msg["count"])
            elif msg["op"] == "adapt" and msg.get("active", True):
                msg = self._bounded(msg, cluster, mine)
        except Refused as e:
            raise PublicException(str(e)) from None
        try:
            await super().forward_message_to_scheduler(model, msg)
        except BaseException:
            self.ledger.drop(cluster)
            raise

    def _bounded(self, msg, cluster, mine):
        """An adapt message with its bounds inside what fits now. Raises Refused when the minimum does not fit."""
        low, high = msg.get("minimum"), msg.get("maximum")
        for n in (low, high):
            if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 0):
                raise PublicException(f"adapt: whole numbers of workers expected, found {str(n)[:40]}")
        room = self.ledger.room(mine, cluster)
        if low:
            self.ledger.promise(mine, cluster, low)
        if high is None or high > room:
            if high is not None:
                warning.set(
                    f"{self.ledger.describe(mine)}: at most {room} workers of {worker_size(cluster.config)} fit in "
                    f"this cluster, so adapt(maximum={high}) becomes adapt(maximum={room}). "
                    "Close or scale down other clusters and call adapt() again for more."
                )
            high = max(room, low or 0)
        return {**msg, "minimum": low, "maximum": high}
