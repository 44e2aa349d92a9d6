"""The routing proxy, run by the supervisor and not by the hub. It keeps its routes in memory only: after a restart of it
every address answers 404 until somebody notices, which JupyterHub does every five minutes. This one looks every second."""

import asyncio
import json
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

LOOK_SECONDS = 1.0


class WatchedProxy(ConfigurableHTTPProxy):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._watch = asyncio.get_running_loop().create_task(self._watch_for_ever())

    async def get_all_routes(self, client: Any = None) -> dict[str, dict[str, Any]]:
        """Without the times of the last traffic: a page left open makes traffic, if only pongs, and its server would never
        be idle. Servers say themselves when they were used."""
        routes = await super().get_all_routes(client)
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes

    async def _watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._restore_if_empty()
            except (HTTPClientError, OSError):
                pass  # it is not there: that is for the supervisor, and the next look is soon
            except Exception:
                self.log.exception("restoring the proxy's routes failed")

    async def _restore_if_empty(self) -> None:
        """The hub's own route is the first to be made: without it the table is that of a fresh process."""
        request = HTTPRequest(
            f"{self.api_url}/api/routes",
            headers={"Authorization": f"token {self.auth_token}"},
            connect_timeout=LOOK_SECONDS,
            request_timeout=5,
        )
        response = await AsyncHTTPClient().fetch(request)
        table = json.loads(response.body)
        if any(route.get("hub") for route in table.values()):
            return
        self.log.warning("the proxy has lost its routes: restoring them")
        await self.add_hub_route(self.hub)
        await self.check_routes(self.app.users, self.app._service_map)
