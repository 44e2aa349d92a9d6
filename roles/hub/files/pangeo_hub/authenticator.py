"""Sign-in: the directory checks the password, membership of the cluster's two groups admits, groups give roles.

The stock LDAP authenticator verifies no certificate by default, has no time-outs, blocks the hub's event loop, sees direct
members only and knows neither groups nor refreshing; so this one talks to the directory itself (directory.py)."""

import asyncio
import datetime
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from jupyterhub.auth import Authenticator
from tornado import web
from traitlets import Any as AnyTrait

from .accounts import Accounts
from .directory import USER_NAME, Account, Directory, DirectoryAway, PasswordExpired, TooManyWrong
from .metrics import SIGN_IN_OUTCOMES, SIGN_INS, outcome_of
from .settings import Settings

T = TypeVar("T")


class SignInRefused(web.HTTPError):
    """The answer is no, and not because the password is wrong. `page` is the template that explains it; `outcome` how it is
    counted, one of metrics.SIGN_IN_OUTCOMES."""

    def __init__(self, status: int, page: str, message: str, name: str, outcome: str) -> None:
        super().__init__(status, message)
        self.jupyterhub_message = message
        self.page = page
        self.user_name = name
        self.outcome = outcome


class PangeoAuthenticator(Authenticator):
    """settings and accounts are given by jupyterhub_config.py."""

    settings: Settings = AnyTrait(config=True)
    accounts: Accounts = AnyTrait(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manage_groups = True
        self.any_allow_config = True  # check_allowed below is the rule: no need to warn that there is none
        where = self.settings.directory
        self.admitting = frozenset({where.users_group, where.admins_group})
        named = {group for profile in self.settings.get("profiles") or [] for group in profile.get("groups") or []}
        self.directory = Directory(where, named)
        # Threads of their own: a directory that hangs must not use up those that mount homes and resolve names.
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="directory")
        self.membership: Any = None

    async def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Runs a question to the directory in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *arguments)

    def normalize_username(self, username: str) -> str:
        return username.strip().lower()

    def validate_username(self, username: str) -> bool:
        return bool(USER_NAME.fullmatch(username))

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        try:
            model, outcome = await self._sign_in(data)
        except Exception as error:
            SIGN_INS.labels(outcome_of(error, SIGN_IN_OUTCOMES)).inc()
            raise
        SIGN_INS.labels(outcome).inc()
        return model

    async def _sign_in(self, data: dict[str, str]) -> tuple[dict[str, Any] | None, str]:
        """Who it is, or None where nothing is said but that it was wrong; and how it is counted."""
        name = self.normalize_username(data.get("username") or "")
        password = data.get("password") or ""
        if not self.validate_username(name) or not password:
            return None, "wrong_password"
        try:
            account = await self.ask(self._check_password, name, password)
        except DirectoryAway as error:
            self.log.error("the directory does not answer: %s", error)
            raise SignInRefused(
                503,
                "login.html",
                "The directory that knows the accounts does not answer right now. Nothing is wrong with your password, and"
                " servers that run go on running. Please try again in a minute.",
                name,
                "directory_away",
            ) from error
        except PasswordExpired:
            raise SignInRefused(
                403,
                "login.html",
                "Your password has expired. Change it where your account is managed, then sign in.",
                name,
                "password_expired",
            ) from None
        except TooManyWrong:
            when = await self.ask(self._when_to_try_again, name)
            self.log.warning("too many wrong passwords for %s: the directory takes none for a while", name)
            raise SignInRefused(
                429,
                "login.html",
                f"Too many wrong passwords were given for this account, so none is taken for a while. Try again {when}."
                " Servers that run go on running. If it was not you who tried, please tell an administrator.",
                name,
                "too_many_tries",
            ) from None
        if account is None or account.locked:
            return None, "locked" if account else "wrong_password"
        if not account.groups & self.admitting:
            self.log.warning("%s gave the right password and is in neither of %s", name, sorted(self.admitting))
            raise SignInRefused(403, "not_a_member.html", "not a member", name, "not_a_member")
        if account.uid is None or account.gid is None:
            raise SignInRefused(
                403,
                "login.html",
                "Your account has no usable uidNumber and gidNumber in the directory (1000 or more), and so no files could"
                " belong to it. Please tell an administrator.",
                name,
                "no_ids",
            )
        return self.to_model(account), "success"

    def _check_password(self, name: str, password: str) -> Account | None:
        """In a thread. Who does not exist and whose password is wrong are the same answer. Of somebody locked the password is
        not looked at."""
        account = self.directory.account(name)
        if account is None or account.locked:
            return account
        return account if self.directory.password_is_right(account.dn, password) else None

    def _when_to_try_again(self, name: str) -> str:
        """In a thread. Not every directory says when."""
        try:
            account = self.directory.account(name)
        except DirectoryAway:
            account = None
        if account is None or account.opens is None:
            return "in some minutes"
        minutes = math.ceil((account.opens - datetime.datetime.now(datetime.UTC)).total_seconds() / 60)
        return "in a minute" if minutes <= 1 else f"in {minutes} minutes"

    def to_model(self, account: Account) -> dict[str, Any]:
        """What JupyterHub keeps of somebody who is admitted; remembers uid and gid for the spawner."""
        if account.uid is not None and account.gid is not None:
            self.accounts.remember(account.name, account.uid, account.gid)
        return {"name": account.name, "groups": self.groups_of(account)}

    def groups_of(self, account: Account) -> list[str]:
        """The hub's groups of an account: empty unless it is admitted. The role `admin` hangs on the admins group."""
        if account.locked or not account.groups & self.admitting:
            return []
        extra = {self.settings.directory.admins_group} if account.name in self.settings.admins else set()
        return sorted(account.groups | extra)

    def delete_user(self, user: Any) -> None:
        """The hub forgets somebody, and so do we; who comes back is looked up again."""
        self.accounts.forget(user.name)

    async def check_allowed(self, username: str, authentication: dict[str, Any] | None = None) -> bool:
        if authentication is None:  # the hub asks for names in its configuration and its database
            return True
        return bool(self.admitting & set(authentication.get("groups") or []))

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> bool | dict[str, Any]:
        """At most every auth_refresh_age per user, and before each start. Directory away: what is known stays."""
        try:
            present = await self.membership.check([user.name])
        except DirectoryAway as error:
            self.log.warning("cannot refresh %s: %s", user.name, error)
            return True
        account = present.get(user.name)
        if account is None:
            self.membership.end_soon(user.name, "no longer a member")
            return False
        return self.to_model(account)

    def get_handlers(self, app: Any) -> Iterable[tuple[str, type]]:
        from .handlers import LoginHandler, RevokeHandler, UsersHandler
        from .membership import Membership

        self.membership = Membership(app=app, authenticator=self)
        self.membership.start()
        return [
            (r"/login", LoginHandler),
            (r"/api/caas/users", UsersHandler),
            (r"/api/caas/revoke/([^/]+)", RevokeHandler),
        ]
