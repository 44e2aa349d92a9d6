"""What the hub answers beyond JupyterHub's own pages: explained refusals at sign-in, and `caas users` and `caas revoke`."""

import json
from urllib.parse import unquote

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.login import LoginHandler as StockLoginHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import isoformat
from tornado import web

from .authenticator import SignInRefused
from .directory import USER_NAME

WRONG = "Wrong user name or password. If you are sure of both, the account may be locked: ask an administrator."


class LoginHandler(StockLoginHandler):
    """Says why somebody may not come in, where that gives nothing away to a stranger."""

    async def post(self) -> None:
        data = {
            name: self.get_argument(name, strip=name == "username")
            for name in self.request.body_arguments
            if name != "_xsrf"
        }
        try:
            user = await self.login_user(data)
        except SignInRefused as refusal:
            self.set_status(refusal.status_code)
            if refusal.page == "login.html":
                html = await self._render(login_error=refusal.jupyterhub_message, username=refusal.user_name)
            else:
                html = await self.render_template(refusal.page, refused_name=refusal.user_name)
            self.finish(html)
            return
        if user:
            self._jupyterhub_user = user  # for the line in the log
            self.redirect(self.get_next_url(user))
            return
        self.set_status(403)
        self.finish(await self._render(login_error=WRONG, username=data.get("username", "")[:64]))


class UsersHandler(APIHandler):
    """GET /hub/api/caas/users: everybody, with what `caas users` shows. JupyterHub's own list says much more of each,
    200 at a time, and keeps the hub busy for seconds where there are ten thousand."""

    @needs_scope("admin:users")
    @needs_scope("read:servers")
    async def get(self) -> None:
        servers = {}
        for user in self.users.values():  # whoever has a server is among these
            spawner = user.spawners.get("")
            if spawner and spawner.active:
                servers[user.id] = {
                    "started": isoformat(spawner.orm_spawner.started),
                    "last_activity": isoformat(spawner.orm_spawner.last_activity),
                    "ready": spawner.ready,
                    "pending": spawner.pending,
                }
        users = self.db.query(orm.User.id, orm.User.name, orm.User.admin, orm.User.last_activity)
        self.write(
            json.dumps(
                {
                    name: {"admin": admin, "last_activity": isoformat(active), "server": servers.get(number)}
                    for number, name, admin, active in users
                }
            )
        )


class RevokeHandler(APIHandler):
    """POST /hub/api/caas/revoke/NAME ends everything that NAME has here and answers with what that was."""

    # Both are wanted: needs_scope() with two names would be content with either.
    @needs_scope("admin:users")
    @needs_scope("admin:servers")
    async def post(self, name: str) -> None:
        name = unquote(name)
        if not USER_NAME.fullmatch(name):
            raise web.HTTPError(400, "not a user name")
        ended = await self.authenticator.membership.end(name, "access was withdrawn by an administrator")
        self.write(json.dumps(ended))
