"""What the hub counts beyond JupyterHub's own metrics; shown beside them at /hub/metrics.

Every outcome is there from the beginning, at zero: a first failure is then an increase, which an alert can see."""

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram

F = TypeVar("F", bound=Callable[..., Any])

SIGN_IN_OUTCOMES = (
    "success",
    "wrong_password",  # also: no such user, nothing given
    "locked",
    "password_expired",
    "too_many_tries",
    "not_a_member",
    "no_ids",  # the account has no usable uidNumber and gidNumber
    "directory_away",
    "error",
)
SPAWN_OUTCOMES = (
    "success",
    "bad_choice",
    "no_account",  # signed in, but uid and gid are not known
    "home",  # it could not be opened
    "ended",  # the server ended before it answered
    "timeout",
    "port_taken",
    "withdrawn",  # access ended meanwhile
    "refused",  # by what starts servers here: systemd, Kubernetes
    "no_room",  # Kubernetes has no place for it
    "error",
)
DIRECTORY_OPERATIONS = ("search", "groups", "password")

SIGN_INS = Counter("caas_sign_ins_total", "Attempts to sign in with a password, by outcome", ["outcome"])
SPAWNS = Counter("caas_spawns_total", "Starts of servers, by outcome", ["outcome"])
DIRECTORY_SECONDS = Histogram(
    "caas_directory_request_duration_seconds",
    "How long the directory took to answer, connecting included; only requests that were answered",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf")),
)
DIRECTORY_FAILURES = Counter(
    "caas_directory_requests_failed_total", "Requests that the directory did not answer", ["operation"]
)

for _outcome in SIGN_IN_OUTCOMES:
    SIGN_INS.labels(_outcome)
for _outcome in SPAWN_OUTCOMES:
    SPAWNS.labels(_outcome)
for _operation in DIRECTORY_OPERATIONS:
    DIRECTORY_SECONDS.labels(_operation)
    DIRECTORY_FAILURES.labels(_operation)


def outcome_of(error: BaseException, known: tuple[str, ...]) -> str:
    """What an exception says of itself, if it is one of ours."""
    said = getattr(error, "outcome", None)
    return said if said in known else "error"


def counted_start(start: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Around a spawner's start(): counts how it ended."""

    @functools.wraps(start)
    async def counted(*arguments: Any, **named: Any) -> Any:
        try:
            result = await start(*arguments, **named)
        except BaseException as error:  # a start that is cancelled has failed as well
            SPAWNS.labels(outcome_of(error, SPAWN_OUTCOMES)).inc()
            raise
        SPAWNS.labels("success").inc()
        return result

    return counted


def timed(operation: str, failure: type[Exception]) -> Callable[[F], F]:
    """Around a question to the directory: counts how long it took, or that it got no answer (`failure`). What else is
    raised is an answer, too: a password that has expired."""

    def decorate(question: F) -> F:
        @functools.wraps(question)
        def asked(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return question(*arguments, **named)
            except failure:
                began = -1.0
                DIRECTORY_FAILURES.labels(operation).inc()
                raise
            finally:
                if began >= 0:
                    DIRECTORY_SECONDS.labels(operation).observe(time.perf_counter() - began)

        return asked  # type: ignore[return-value]

    return decorate
