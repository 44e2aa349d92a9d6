"""Who left the groups or was locked loses everything that runs here, without having to send a request.

One sweep asks the directory for everybody the hub knows, in batches, every `sweep_seconds`; `caas revoke` and a refresh
(authenticator.py) use the same code for one person. A directory that is away ends nobody's work."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

from jupyterhub import orm
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .directory import Account, DirectoryAway, normal_dn

# A server gets this long to stop by itself; then it is killed. All of an end has to fit into ten seconds.
STOP_SECONDS = 4.0
GATEWAY_SECONDS = 9.0  # it answers after eight, whatever has ended by then


class Membership:
    """Lives in the hub's event loop; the directory is asked in threads."""

    def __init__(self, app: Any, authenticator: Any) -> None:
        self._app = app
        self._authenticator = authenticator
        self._log = authenticator.log
        self._seconds = min(150.0, float(authenticator.settings.get("sweep_seconds", 120)))
        self._task: asyncio.Task[None] | None = None
        self._ending: dict[str, asyncio.Task[dict[str, Any]]] = {}

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.sweep()
            except DirectoryAway as error:
                self._log.warning("nobody is checked in this round, the directory does not answer: %s", error)
            except Exception:  # one bad round must not be the last
                self._log.exception("checking who is still a member failed")

    async def check(self, names: Iterable[str]) -> dict[str, Account]:
        """Those of the names that are still admitted. Raises DirectoryAway if that cannot be said for sure."""
        names = list(names)
        ask, directory = self._authenticator.ask, self._authenticator.directory
        accounts = await ask(directory.accounts, names)
        present = {name: account for name, account in accounts.items() if self._authenticator.groups_of(account)}
        doubtful = [accounts[name] for name in names if name in accounts and name not in present]
        if len(present) < len(names):
            # Somebody seems to have left. memberOf is written by a plug-in of the directory and hidden from accounts that
            # may not read it: believe it only where the groups themselves can be read and do not contradict it.
            members = frozenset().union(*(await ask(directory.direct_members)).values())
            for account in doubtful:
                if not account.locked and normal_dn(account.dn) in members:
                    raise DirectoryAway(f"{account.dn} is a member of a group that is missing in its memberOf")
        return present

    async def sweep(self) -> list[dict[str, Any]]:
        """One round; what was ended. Raises DirectoryAway."""
        began = time.monotonic()
        known = [user for user in self._app.db.query(orm.User) if user.groups]
        names = [user.name for user in known]
        present = await self.check(names)
        for name, account in present.items():
            user = self._user(name)
            if user is not None:
                user.sync_groups(self._authenticator.to_model(account)["groups"])
                user._auth_refreshed = time.monotonic()
        left = [name for name in names if name not in present]
        ended = await asyncio.gather(*(self.end(name, "no longer a member") for name in left))
        if ended:
            self._log.warning("access ended for %s", ", ".join(left))
        self._log.debug("checked %d users in %.2f s", len(names), time.monotonic() - began)
        return ended

    def end_soon(self, name: str, reason: str) -> None:
        """Like end(), in the background."""
        self._begin(name, reason)

    async def end(self, name: str, reason: str) -> dict[str, Any]:
        """Ends servers, Dask clusters, tokens and sessions of somebody; what was ended. Two at once share one."""
        return await asyncio.shield(self._begin(name, reason))

    def _begin(self, name: str, reason: str) -> "asyncio.Task[dict[str, Any]]":
        task = self._ending.get(name)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._end(name, reason))
            self._ending[name] = task
            task.add_done_callback(
                lambda done: self._ending.pop(name, None) if done is self._ending.get(name) else None
            )
        return task

    def _user(self, name: str) -> Any:
        orm_user = orm.User.find(self._app.db, name)
        return None if orm_user is None else self._app.users[orm_user]

    async def _end(self, name: str, reason: str) -> dict[str, Any]:
        user = self._user(name)
        ended: dict[str, Any] = {"user": name, "servers": 0, "clusters": 0, "tokens": 0, "sessions": 0, "errors": []}
        if user is not None:
            # The doors first: what is still running then cannot be reached any more.
            ended["tokens"], ended["sessions"] = self._close_doors(user.orm_user)
        await asyncio.gather(self._end_servers(user, reason, ended), self._end_clusters(name, ended))
        ended["complete"] = not ended["errors"]
        if user is not None and ended["complete"]:
            user.sync_groups([])  # last: a user with groups is looked at again by the next sweep
            user._auth_refreshed = None
        self._log.warning("ended for %s (%s): %s", name, reason, {k: v for k, v in ended.items() if k != "user"})
        return ended

    def _close_doors(self, orm_user: orm.User) -> tuple[int, int]:
        db = self._app.db
        tokens = list(orm_user.api_tokens)
        for token in tokens:
            db.delete(token)
        for code in db.query(orm.OAuthCode).filter(orm.OAuthCode.user_id == orm_user.id):
            db.delete(code)
        sessions = sum(token.session_id is not None for token in tokens)
        orm_user.cookie_id = orm.new_token()  # every cookie of the hub names the old one
        db.commit()
        return len(tokens) - sessions, sessions

    async def _end_servers(self, user: Any, reason: str, ended: dict[str, Any]) -> None:
        if user is None:
            return
        for server_name in sorted({"", *user.spawners}):
            spawner = user.spawners[server_name]
            active, label = spawner.active, server_name or "default"
            if active:
                spawner.stopped_because = spawner.withdrawn = reason
                spawner.stop_seconds = STOP_SECONDS / 2
            try:
                stop = self._stop(user, server_name, spawner) if active else spawner.end_rest()
                await asyncio.wait_for(stop, 2 * STOP_SECONDS)
                ended["servers"] += active
            except Exception as error:  # the other servers and the clusters have to end all the same
                self._log.exception("stopping the server %r of %s", label, user.name)
                ended["errors"].append(f"server {label}: {error or type(error).__name__}")
            finally:
                spawner.withdrawn = ""

    async def _stop(self, user: Any, server_name: str, spawner: Any) -> None:
        if spawner.pending == "stop":
            await asyncio.wait_for(asyncio.shield(spawner._stop_future), STOP_SECONDS)
            return
        # One that is starting sees the reason, fails and is cleaned up by the hub.
        while spawner.pending:
            await asyncio.sleep(0.1)
        if not spawner.ready:
            return
        spawner._stop_pending = True
        try:
            await self._app.proxy.delete_user(user, server_name)
            await user.stop(server_name)
        finally:
            spawner._stop_pending = False

    async def _end_clusters(self, name: str, ended: dict[str, Any]) -> None:
        gateway = self._authenticator.settings.get("gateway")
        if not gateway:
            return
        request = HTTPRequest(
            f"{gateway['api']}/api/v1/caas/users/{name}/clusters",
            method="DELETE",
            headers={"Authorization": f"token {gateway['token']}"},
            request_timeout=GATEWAY_SECONDS,
            connect_timeout=GATEWAY_SECONDS,
        )
        try:
            response = await AsyncHTTPClient().fetch(request)
        except (HTTPClientError, OSError) as error:
            ended["errors"].append(f"Dask clusters: the gateway says: {error}")
            return
        answer = json.loads(response.body or b"{}")
        ended["clusters"] = int(answer.get("stopped", 0))
        if answer.get("stopping"):
            ended["errors"].append(f"Dask clusters: {answer['stopping']} still stopping")
