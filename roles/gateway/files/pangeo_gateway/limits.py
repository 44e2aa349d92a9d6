"""What one user holds over all clusters, and what still fits. Pure; sizes are whole millicores and bytes.

Two ways of counting. *Wanted* is for answers to the user: workers asked for, started or not. *Real* is for the gate
before each new process: everything that has not ended yet, also workers on their way out. Whoever asks for something
gets an answer by the first; nothing is ever started against the second, whatever a scheduler, the user's own process,
says.
"""

from typing import NamedTuple

GB = 10**9


class Size(NamedTuple):
    millicores: int
    memory: int

    def plus(self, other: "Size", times: int = 1) -> "Size":
        return Size(self.millicores + other.millicores * times, self.memory + other.memory * times)

    def within(self, cap: "Size") -> bool:
        return self.millicores <= cap.millicores and self.memory <= cap.memory

    def __str__(self) -> str:
        cpus = self.millicores / 1000
        return f"{cpus:g} {'CPU' if cpus == 1 else 'CPUs'} and {self.memory / GB:g} GB"


def size(cpus: float, memory: int) -> Size:
    return Size(round(cpus * 1000), int(memory))


def scheduler_size(config) -> Size:
    """What it may use; on Kubernetes it is guaranteed less."""
    return size(getattr(config, "scheduler_cores_limit", config.scheduler_cores), config.scheduler_memory)


def worker_size(config) -> Size:
    return size(config.worker_cores, config.worker_memory)


class Refused(Exception):
    """The cap is in the way; the text is for the user."""


class Ledger:
    """Keeps what was promised to a cluster and has not come back in its heartbeat yet, so that two requests at once
    cannot both be granted the same room. All methods run in the gateway's event loop and none of them waits: check and
    promise are one step.

    A cluster is anything with `name`, `config` and `count`, the number of workers that its scheduler wants. What else
    is known of one differs between backends: the five methods that follow."""

    def __init__(self, cap: Size):
        self.cap = cap
        self._promised: dict[str, int] = {}

    def is_alive(self, cluster) -> bool:
        """Has it not ended yet?"""
        raise NotImplementedError

    def is_leaving(self, cluster) -> bool:
        """Was it told to end?"""
        raise NotImplementedError

    def staying(self, cluster) -> int:
        """Its workers that are there, or start, and were not told to close."""
        raise NotImplementedError

    def processes(self, cluster) -> int:
        """Its workers that have not ended yet."""
        raise NotImplementedError

    def wanted(self, cluster) -> int:
        return max(cluster.count, self._promised.get(cluster.name, 0), self.staying(cluster))

    def _alive(self, clusters):
        return [c for c in clusters if self.is_alive(c)]

    def use(self, clusters, without=None) -> Size:
        """What clusters (of one user) hold or were promised."""
        total = Size(0, 0)
        for c in self._alive(clusters):
            if without is not None and c.name == without.name:
                continue
            if self.is_leaving(c):  # only what has not ended yet
                total = total.plus(self._real(c))
            else:
                total = total.plus(scheduler_size(c.config)).plus(worker_size(c.config), self.wanted(c))
        return total

    def _real(self, cluster) -> Size:
        return scheduler_size(cluster.config).plus(worker_size(cluster.config), self.processes(cluster))

    def real(self, clusters) -> Size:
        """What the processes of clusters (of one user) that have not ended may take."""
        total = Size(0, 0)
        for c in self._alive(clusters):
            total = total.plus(self._real(c))
        return total

    def _fits(self, used: Size, each: Size) -> int:
        """How many of each fit beside used."""
        counts = []
        for have, held, one in zip(self.cap, used, each, strict=True):
            if one > 0:
                counts.append((have - held) // one)
        return max(0, min(counts, default=0))

    def describe(self, clusters) -> str:
        alive = self._alive(clusters)
        workers = sum(self.wanted(c) for c in alive if not self.is_leaving(c))
        return (
            f"The cap on all your Dask clusters together is {self.cap}; they hold {self.use(clusters)} "
            f"({len(alive)} cluster{'s' * (len(alive) != 1)} with {workers} worker{'s' * (workers != 1)})"
        )

    def check_new(self, clusters, config) -> None:
        """May the owner of clusters make one more? Raises Refused."""
        scheduler = scheduler_size(config)
        if not self.use(clusters).plus(scheduler).within(self.cap):
            raise Refused(
                f"{self.describe(clusters)}, and the scheduler of a new cluster needs {scheduler}. "
                "Close a cluster or scale one down first (Gateway().list_clusters() names them)."
            )

    def room(self, clusters, cluster) -> int:
        """How many workers cluster may have in all, beside what the others of clusters hold."""
        used = self.use(clusters, without=cluster).plus(scheduler_size(cluster.config))
        return self._fits(used, worker_size(cluster.config))

    def promise(self, clusters, cluster, count: int) -> None:
        """Scale request: count workers for cluster. Raises Refused."""
        room = self.room(clusters, cluster)
        if count > max(room, self.wanted(cluster)):
            each = worker_size(cluster.config)
            raise Refused(
                f"{self.describe(clusters)}: {count} workers of {each} do not fit, at most {room} in this cluster. "
                "Scale it to fewer, or close another cluster (Gateway().list_clusters() names them)."
            )
        self._promised[cluster.name] = count

    def settle(self, clusters, cluster, count: int) -> int:
        """A heartbeat wants count workers: how many it gets. What was promised has arrived, or is no longer wanted."""
        self.arrived(cluster, count)
        allowed = max(self.room(clusters, cluster), self.staying(cluster))
        return min(count, allowed)

    def arrived(self, cluster, count: int) -> None:
        """A heartbeat says count workers: if that is what was promised, the promise is kept."""
        if self._promised.get(cluster.name) == count:
            del self._promised[cluster.name]

    def most(self, cluster) -> int:
        """How many workers cluster could have if its user had no other."""
        return self._fits(scheduler_size(cluster.config), worker_size(cluster.config))

    def drop(self, cluster) -> None:
        """The cluster has ended, or did not take what it was promised."""
        self._promised.pop(cluster.name, None)

    def may_start(self, clusters, cluster) -> int:
        """How many more workers of cluster may be started now, counting every process that has not ended."""
        return self._fits(self.real(clusters), worker_size(cluster.config))
