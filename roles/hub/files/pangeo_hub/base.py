"""What every way of starting somebody's server shares: the choice they made, the reason their last server ended, and a start
that is broken off when access is withdrawn; and that a hub which starts ends no server that runs. spawner.py and systemd.py
start servers on a host, kube.py as pods."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import jupyterhub
from jupyterhub.objects import Server
from jupyterhub.utils import utcnow
from tornado import web
from tornado.log import app_log
from traitlets import Any as AnyTrait
from traitlets import Float, Unicode
from traitlets.config import LoggingConfigurable

from .accounts import Accounts
from .choices import BadChoice, Choice, Choices, options_from_form
from .settings import Settings

# Of a server found running: whatever the answer, it stays, and until then its owner's page at the hub says that it is busy.
FOUND_SECONDS = 5.0


class StartFailed(web.HTTPError):
    """A start that failed in a way that can be explained to the person who waits for it. outcome: how it is counted, one of
    metrics.SPAWN_OUTCOMES."""

    def __init__(self, message: str, status: int = 500, outcome: str = "error") -> None:
        super().__init__(status, message.replace("%", "%%"))
        self.jupyterhub_message = message
        self.outcome = outcome


def unknown_is_running(poll: Callable[..., Awaitable[int | None]]) -> Callable[..., Awaitable[int | None]]:
    """Around a spawner's poll(): that it cannot be found out (an API server or systemd that is too busy, no descriptor left)
    says nothing about the server. JupyterHub, as it starts, would take it for ended and forget it, and it would run on with
    nothing that leads to it."""

    @functools.wraps(poll)
    async def asked(self: "PangeoSpawner") -> int | None:
        try:
            status = await poll(self)
        except Exception as error:
            if not self._unknown:  # each look of some seconds would say it again
                self.log.warning("it cannot be found out whether the server of %s runs: %r", self.user.name, error)
            self._unknown = True
            return None
        self._unknown = False
        return status

    return asked


class FoundServer(Server):
    """The address of a server that a hub which starts has found running. JupyterHub ends one that does not answer in time; at
    any other moment, it would never ask. Here it is left to its user, to the culler, and to poll()."""

    async def wait_up(self, *arguments: Any, **named: Any) -> Any:
        try:
            return await asyncio.wait_for(super().wait_up(*arguments, **named), FOUND_SECONDS)
        except TimeoutError:
            app_log.warning("the server at %s runs but does not answer: it is left as it is", self.url)
            # Who asked wants to know its version, which is not known: no difference is to be seen in it.
            return SimpleNamespace(headers={"X-JupyterHub-Version": jupyterhub.__version__})


class PangeoSpawner(LoggingConfigurable):
    """In front of another Spawner class, which starts and watches processes. settings, accounts and choices are given by
    jupyterhub_config.py."""

    settings: Settings = AnyTrait(config=True)
    accounts: Accounts = AnyTrait(config=True)
    choices: Choices = AnyTrait(config=True)

    stopped_because = Unicode(
        "", help="Why the last server ended, in words for its owner; kept over restarts of the hub"
    )
    withdrawn = Unicode("", help="Set while access is being withdrawn: a start that is under way fails with it")
    stop_seconds = Float(10.0, help="How long a server may take to stop by itself")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._steps: list[str] = []
        self._began = 0.0
        self._choice: Choice | None = None
        self._unknown = False  # whether it runs

    # --- what is chosen ---

    def _group_names(self) -> list[str]:
        return [group.name for group in self.user.groups]

    async def get_options_form(self) -> str:
        return self.choices.form(self._group_names(), self.orm_spawner.user_options)

    def options_from_form(self, form_data: dict[str, list[str]]) -> dict[str, str]:
        options = options_from_form(form_data)
        self._resolve(options)
        return options

    def _resolve(self, options: dict[str, Any] | None) -> Choice:
        try:
            return self.choices.resolve(options, self._group_names())
        except BadChoice as error:
            raise StartFailed(str(error), 400, "bad_choice") from error

    # --- what is kept in the hub's database ---

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self.stopped_because:
            state["stopped_because"] = self.stopped_because
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.stopped_because = state.get("stopped_because", "")

    async def get_url(self) -> str:
        """Asked by a hub that starts, of a server that runs. One without an address had not come up yet when the hub was
        stopped: as ever, it has to answer in time."""
        if self.orm_spawner.server.ip:
            self.server = FoundServer(orm_server=self.orm_spawner.server)
        return await super().get_url()

    async def end_rest(self) -> None:
        """Ends what an earlier stop could not, though the hub has forgotten it. On a host nothing is left: what does not stop is
        killed."""

    # --- start ---

    def begin(self) -> Choice:
        """The first step of each start. Sets the limits that get_env() tells the server."""
        self._fail_if_withdrawn()
        self._steps.clear()
        self._began = time.time()
        self.stopped_because = ""
        self._choice = self._resolve(self.user_options)
        self.mem_limit = self._choice.size.memory_bytes
        self.cpu_limit = self._choice.size.cpus
        return self._choice

    def _fail_if_withdrawn(self) -> None:
        if self.withdrawn:
            raise StartFailed(f"The start was broken off: {self.withdrawn}.", 403, "withdrawn")

    # --- why it ended ---

    def explain_stop(self) -> str:
        """Called when a server is stopped from outside and nobody has left a reason."""
        idle = self.settings["idle"]
        now = utcnow(with_tz=False)
        minutes, hours = idle["notebook_minutes"], idle["max_hours"]
        active, started = self.orm_spawner.last_activity, self.orm_spawner.started
        if hours and started and (now - started).total_seconds() >= hours * 3600:
            return f"it had run for {counted(hours, 'hour')}, the longest a server may"
        # The hub rounds and the culler looks only now and then: a little less counts as well.
        if minutes and active and (now - active).total_seconds() >= minutes * 60 * 0.95:
            return f"it had not been used for {counted(minutes, 'minute')}"
        return "you or an administrator stopped it"

    def explain_end(self, status: int) -> str:
        """Called when a server turns out to have ended by itself."""
        if status in (137, -9):
            return "it was killed, most likely because it needed more memory than it has"
        return f"it ended by itself (exit status {status})"

    async def poll_and_notify(self) -> int | None:
        # Before the hub hears of it, because what it does then is to save the state and to forget this object.
        status = await self.poll()
        if status is not None and not self.stopped_because:
            self.stopped_because = self.explain_end(status)
        return await super().poll_and_notify()


def counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def home_bytes(settings: Settings) -> int:
    return round(float(settings["notebook"]["storage"]) * 1_000_000_000)
