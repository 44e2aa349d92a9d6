"""A scheduler belongs to its user, so what its heartbeat says is checked before the gateway acts on it."""

import math
import re
import time
from urllib.parse import urlsplit

WORKER_NAME = re.compile(r"(?:dask-worker-)?[0-9a-f]{32}(?:-[a-z0-9]{1,10})?")
MAX_COUNT = 100_000
MAX_IDLE = 10**9  # seconds
DASHBOARD = "owner"  # there is one; it is reached through the owner's Jupyter server, never through the gateway


class BadHeartbeat(ValueError):
    pass


def _loopback(address, scheme: str) -> str:
    """The gateway connects to this address, and sends clients there: it has to be a port of this host."""
    try:
        parts = urlsplit(address)
        plain = not (parts.path or parts.query or parts.username)
        good = plain and parts.scheme == scheme and parts.hostname == "127.0.0.1" and parts.port
    except (ValueError, TypeError, AttributeError):
        good = False
    if not good:
        raise BadHeartbeat(f"{scheme}://127.0.0.1:port expected, found {str(address)[:80]!r}")
    return f"{scheme}://127.0.0.1:{parts.port}"


class IdleTimes:
    """How long schedulers have had nothing to do, by their own word: good for showing, not for deciding."""

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._since: dict[str, float | None] = {}

    def heard(self, cluster: str, seconds: float | None) -> None:
        """From a heartbeat; 0 is busy, None is a scheduler that does not say."""
        if seconds is None:
            self._since.pop(cluster, None)
        else:
            self._since[cluster] = self._clock() - seconds if seconds > 0 else None

    def seconds(self, cluster: str) -> float | None:
        """0: busy when last heard of; None: not known."""
        if cluster not in self._since:
            return None
        since = self._since[cluster]
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def forget(self, cluster: str) -> None:
        self._since.pop(cluster, None)


def idle_seconds(msg) -> float | None:
    """What a heartbeat says of it. A scheduler that runs since before an update says nothing; nonsense counts as that."""
    said = msg.get("idle_seconds") if isinstance(msg, dict) else None
    if not isinstance(said, int | float) or isinstance(said, bool) or not math.isfinite(said):
        return None
    return float(said) if 0 <= said <= MAX_IDLE else None


def checked_counts(msg) -> dict:
    """What a heartbeat says of workers, each member of its type. Raises BadHeartbeat."""
    if not isinstance(msg, dict):
        raise BadHeartbeat("a heartbeat is an object")
    count = msg.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_COUNT:
        raise BadHeartbeat(f"count: {str(count)[:40]!r}")
    out = {"count": count}
    for key in ("active_workers", "closing_workers", "closed_workers"):
        names = msg.get(key)
        if not isinstance(names, list):
            raise BadHeartbeat(f"{key} is a list")
        out[key] = [n for n in names if isinstance(n, str) and WORKER_NAME.fullmatch(n)]
    return out


def checked(msg) -> dict:
    """The heartbeat of a scheduler on this host, with exactly the known members. Raises BadHeartbeat."""
    return {
        **checked_counts(msg),
        "scheduler_address": _loopback(msg.get("scheduler_address"), "tls"),
        "api_address": _loopback(msg.get("api_address"), "http"),
        "dashboard_address": DASHBOARD,
    }
