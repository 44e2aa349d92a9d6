"""Who asks: the token of the user's server, looked up at the hub."""

import aiohttp
from aiohttp import web
from dask_gateway_server.auth import JupyterHubAuthenticator


class HubAuthenticator(JupyterHubAuthenticator):
    """Waits for the hub for a bounded time, says when it is away, and can forget a user."""

    async def setup(self, app):
        await super().setup(app)
        await self.session.close()
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def authenticate(self, request):
        try:
            return await super().authenticate(request)
        except (aiohttp.ClientError, TimeoutError) as e:
            self.log.warning("cannot reach the hub at %s: %s", self.jupyterhub_api_url, e)
            raise web.HTTPServiceUnavailable(reason="JupyterHub does not answer and lets nobody in; try again") from e

    def forget(self, name: str) -> None:
        """The next request of this user is looked up again."""
        cookie = self.cache.name_to_cookie.pop(name, None)
        if cookie is not None:
            self.cache.cookie_to_user.pop(cookie, None)
