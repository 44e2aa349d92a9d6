"""What a scheduler's page of metrics says of its workers, under the names that distributed has for a worker's own.

Workers serve nothing. Their heartbeats bring their figures to the scheduler, which knows who has come and who has left, and
its page says the sums: as many series for a thousand workers as for one. What distributed no longer has is left out, and
the rest is said.
"""

import contextlib
import time
from collections import deque

NAME = "caas"  # of what heartbeats bring beside distributed's own figures
REMEMBERED = 30  # seconds: longer than from one scrape to the next

STATES = ("executing", "long-running", "ready", "waiting", "fetch", "flight", "memory", "disk", "error")


def _tasks(worker, state):
    """distributed counts what is on disk as being in memory, but on a worker's own page."""
    if state == "disk":
        return worker.metrics[NAME]["on_disk"]
    count = worker.metrics["task_counts"].get(state, 0)
    return max(0, count - worker.metrics[NAME].get("on_disk", 0)) if state == "memory" else count


# Of a worker, as its scheduler knows it (WorkerState): (name, labels) → how to put those of all workers together, and the figure.
FIGURES = {
    ("dask_worker_threads", ()): (sum, lambda w: w.nthreads),
    ("dask_worker_memory_bytes", ("type", "managed")): (sum, lambda w: w.memory.managed),
    ("dask_worker_memory_bytes", ("type", "unmanaged")): (sum, lambda w: w.memory.unmanaged),
    ("dask_worker_memory_bytes", ("type", "spilled")): (sum, lambda w: w.memory.spilled),
    ("caas_dask_worker_memory_limit_bytes", ()): (sum, lambda w: w.memory_limit),
    ("caas_dask_worker_memory_fullest_ratio", ()): (max, lambda w: w.memory.process / w.memory_limit),
    **{
        ("dask_worker_tasks", ("state", state)): (sum, lambda w, state=state: _tasks(w, state))  # as it is now
        for state in STATES
    },
    ("dask_worker_latency_seconds", ()): (max, lambda w: w.metrics[NAME]["latency"]),
    ("dask_worker_tick_duration_maximum_seconds", ()): (max, lambda w: w.metrics[NAME]["tick"]),
}
HELP = {
    "dask_worker_threads": "Threads of all workers.",
    "dask_worker_memory_bytes": "Memory of all workers; spilled is on disk.",
    "caas_dask_worker_memory_limit_bytes": "Memory limits of all workers.",
    "caas_dask_worker_memory_fullest_ratio": "Memory of the worker that is nearest to its limit, as part of that.",
    "dask_worker_tasks": "Tasks at all workers.",
    "dask_worker_latency_seconds": "Latency of the worker that has the longest.",
    "dask_worker_tick_duration_maximum_seconds": "Longest stop of an event loop, of all workers, lately.",
    "dask_worker_transfer_outgoing_bytes_total": "Transfers from worker to worker, also of workers that left.",
    "dask_worker_spill_bytes_total": "Written to disk for want of memory and read again, also by workers that left.",
}


def _said(table, of) -> dict:
    """What can be said; nothing else is wrong because one figure is."""
    said = {}
    for name, figure in table.items():
        with contextlib.suppress(Exception):
            said[name] = float(figure(of))
    return said


def tell(worker) -> None:
    """Has the worker's heartbeats bring what distributed's do not."""
    ticks: deque = deque()  # (when, the longest since the last heartbeat)

    def longest(worker):
        now = time.monotonic()
        ticks.append((now, worker.digests_max.pop("tick-duration", 0)))
        while now - ticks[0][0] > REMEMBERED:
            ticks.popleft()
        return max(seconds for _, seconds in ticks)

    table = {
        "latency": lambda w: w.latency,
        "tick": longest,
        "sent": lambda w: w.transfer_outgoing_bytes_total,
        "on_disk": lambda w: len(getattr(w.data, "slow", ())),  # without spilling, there is none
    }
    worker.metrics[NAME] = lambda worker: _said(table, worker)


class Workers:
    """A collector for prometheus_client, of one scheduler."""

    def __init__(self, scheduler):
        self._scheduler = scheduler
        self._sent: dict = {}  # of each worker that is there, when it was last looked at
        self._sent_by_all = 0.0

    def describe(self):
        return []  # known when they are asked for

    def _sent_now(self, workers) -> float:
        """The sum never falls when a worker leaves, as a counter must not."""
        sent = {w.server_id: w.metrics[NAME]["sent"] for w in workers if "sent" in w.metrics.get(NAME, {})}
        self._sent_by_all += sum(max(0, count - self._sent.get(worker, 0)) for worker, count in sent.items())
        self._sent = sent
        return self._sent_by_all

    def _spilled(self, activity) -> float:
        """Of all tasks, and of the worker's own care for its memory."""
        every = self._scheduler.cumulative_worker_metrics.items()
        return sum(value for key, value in every if isinstance(key, tuple) and key[-2:] == (activity, "bytes"))

    def figures(self) -> dict:
        """(name, labels) → value."""
        workers = list(self._scheduler.workers.values())
        of_each = [_said({key: figure for key, (_, figure) in FIGURES.items()}, worker) for worker in workers]
        figures = {}
        for key, (together, _) in FIGURES.items():
            values = [said[key] for said in of_each if key in said]
            if values or (together is sum and not workers):
                figures[key] = together(values)
        counters = {
            ("dask_worker_transfer_outgoing_bytes_total", ()): self._sent_now,
            ("dask_worker_spill_bytes_total", ("activity", "disk-write")): lambda _: self._spilled("disk-write"),
            ("dask_worker_spill_bytes_total", ("activity", "disk-read")): lambda _: self._spilled("disk-read"),
        }
        return {**figures, **_said(counters, workers)}

    def collect(self):
        """Never fails: all of the page would."""
        families: dict = {}
        with contextlib.suppress(Exception):
            from prometheus_client.core import Metric

            for (name, label), value in self.figures().items():
                kind = "counter" if name.endswith("_total") else "gauge"
                family = families.setdefault(name, Metric(name.removesuffix("_total"), HELP[name], kind))
                family.add_sample(name, dict([label]) if label else {}, value)
        return list(families.values())


def serve(scheduler) -> None:
    """Puts them on the scheduler's page of metrics. ImportError: it has none."""
    import prometheus_client

    prometheus_client.REGISTRY.register(Workers(scheduler))
