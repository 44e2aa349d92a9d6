"""What the hub answers beyond JupyterHub's own pages: explained refusals at sign-in, and revocation for `caas revoke`."""

import json
from urllib.parse import unquote

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.login import LoginHandler as StockLoginHandler
from jupyterhub.scopes import needs_scope
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
