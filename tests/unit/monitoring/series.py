"""Some hours of a cluster that never was, as OpenMetrics text that `promtool tsdb create-blocks-from openmetrics` takes:
ten users come and go, two compute on Dask, one leaks memory until its kernel is killed, one fills a home, and for some
minutes the directory is away. Every metric that dashboards and alerts name is there, with the labels that the real ones
have; tests/unit/monitoring/test_documented.py compares the names.

    series.py HOURS STEP_SECONDS [END] > FILE
"""

import math
import sys
import time
from collections.abc import Iterator

CLUSTER = "demo"
NODE = "lab1"
USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
GB = 10**9
OUTCOMES = [
    "success",
    "wrong_password",
    "locked",
    "password_expired",
    "too_many_tries",
    "not_a_member",
    "no_ids",
    "directory_away",
    "error",
]
SPAWNS = [
    "success",
    "bad_choice",
    "no_account",
    "home",
    "ended",
    "timeout",
    "port_taken",
    "withdrawn",
    "refused",
    "no_room",
    "error",
]
PARTS = ["hub", "proxy", "gateway", "gateway_proxy", "entry", "directory", "monitoring", "grafana"]
SOURCES = ["service", "cgroup", "home", "hub", "gateway", "directory", "part", "certificate", "backup", "run"]
JOBS = {
    "prometheus": "127.0.0.1:9090",
    "node": "127.0.0.1:9100",
    "hub": "127.0.0.1:8081",
    "proxy": "127.0.0.1:8082",
    "exporter": "127.0.0.1:9500",
    "alertmanager": "127.0.0.1:9093",
}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf)
SPAWN_BUCKETS = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600, math.inf)

Labels = dict[str, str]
Sample = tuple[str, Labels, float]


def noise(*of: object) -> float:
    """0 to 1, the same for the same arguments."""
    seed = 2166136261
    for character in repr(of):
        seed = (seed ^ ord(character)) * 16777619 % 2**32
    return (seed ^ seed >> 15) % 10007 / 10007


def happened(a_minute: float, seconds: int, *of: object) -> int:
    """How many times, of what happens so often a minute on average: a whole number, as it is with people."""
    average = a_minute * seconds / 60
    return int(average) + (noise(*of) < average % 1)


class World:
    """What there is `age` seconds after the beginning; `hours` long."""

    def __init__(self, hours: float, step: int, end: int) -> None:
        self.step = step
        self.begin = end - int(hours * 3600) // step * step
        self.length = end - self.begin
        self.counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def samples(self, now: int) -> Iterator[Sample]:
        age = now - self.begin
        for name, labels, value in self._of_exporter(now, age):
            yield name, {**labels, "job": "exporter", "instance": JOBS["exporter"]}, value
        for name, labels, value in self._of_kubernetes(now, age):
            yield name, {**labels, "namespace": CLUSTER, "job": "exporter", "instance": JOBS["exporter"]}, value
        for name, labels, value in self._of_hub(age):
            yield name, {**labels, "job": "hub", "app": "jupyterhub", "instance": JOBS["hub"]}, value
        for name, labels, value in self._of_host(age):
            yield name, {**labels, "job": "node", "instance": JOBS["node"], "node": NODE}, value
        for name, labels, value in self._of_others(age):
            yield name, labels, value

    def count(self, name: str, labels: Labels, more: float) -> Sample:
        """A counter that has grown by `more` since the step before."""
        key = (name, tuple(sorted(labels.items())))
        self.counters[key] = self.counters.get(key, 0.0) + more
        return name, labels, self.counters[key]

    def histogram(
        self, name: str, labels: Labels, of: float, middle: float, buckets: tuple[float, ...]
    ) -> list[Sample]:
        """`of` more observations, lying around `middle`."""
        all_of = []
        for limit in buckets:
            share = 1 if limit == math.inf else 1 / (1 + (middle / limit) ** 3)
            le = "+Inf" if limit == math.inf else str(float(limit))
            all_of.append(self.count(name + "_bucket", {**labels, "le": le}, of * share))
        all_of.append(self.count(name + "_count", labels, of))
        all_of.append(self.count(name + "_sum", labels, of * middle))
        return all_of

    # ---- who does what, when ----

    def is_on(self, number: int, age: float) -> bool:
        """Each is on for some hours, then away; the first three always."""
        return number < 3 or (age / 3600 + number * 1.7) % 9 < 5

    def computes(self, number: int, age: float) -> bool:
        return number in (1, 4) and self.is_on(number, age)

    def workers(self, number: int, age: int) -> int:
        return 4 if number == 1 else 2 + age // 1800 % 3

    def dask_memory(self, number: int, age: int) -> float:
        return 2 * GB * self.workers(number, age) * (0.4 + 0.3 * noise("dask", number, age // 300))

    def is_away(self, age: float) -> bool:
        """The directory, for ten minutes, an hour before the end."""
        return 3600 < self.length - age < 4200

    def memory(self, number: int, age: float) -> float:
        if number == 2:  # leaks for 40 minutes, and is killed
            return (0.3 + 1.7 * (age % 2400) / 2400) * GB
        wave = math.sin(age / (900 + 170 * number) + number)
        return (0.45 + 0.05 * number + 0.25 * wave + 0.05 * noise(number, age)) * GB

    # ---- the exporter's ----

    def _of_exporter(self, now: int, age: int) -> Iterator[Sample]:
        away = self.is_away(age)
        yield "caas_exporter_build_info", {"version": "1.0.0"}, 1
        for source in SOURCES:
            up = 0 if away and source == "directory" else 1
            yield "caas_source_up", {"source": source}, up
            yield "caas_source_duration_seconds", {"source": source}, 0.002 + 0.01 * noise(source, age)
            yield "caas_source_last_success_timestamp_seconds", {"source": source}, now - 10
            yield "caas_samples_dropped", {"source": source}, 0
        for part in PARTS:
            yield "caas_part_up", {"part": part}, 0 if away and part == "directory" else 1
        for number, user in enumerate(USERS):
            if self.is_on(number, age):
                yield from self._of_user(number, user, now, age)
            used = (0.5 + 0.8 * number) * GB + (min(age * 60_000, 5 * GB) if number == 5 else age * 500 * noise(user))
            yield "caas_home_used_bytes", {"user": user}, min(used, 9.9 * GB)
            yield "caas_home_size_bytes", {"user": user}, 10 * GB
        yield "caas_homes_images_bytes", {}, 31 * GB + age * 20_000
        yield "caas_homes_free_bytes", {}, 69 * GB - age * 20_000
        yield "caas_hub_users", {}, 14
        yield "caas_hub_servers", {}, sum(self.is_on(n, age) for n in range(len(USERS)))
        yield from self._of_dask(now, age)
        yield "caas_directory_up", {}, 0 if away else 1
        if not away:
            yield "caas_directory_search_duration_seconds", {}, 0.004 + 0.01 * noise("ldap", age)
            for group, members in {"users": 10, "admins": 1}.items():
                yield "caas_group_members", {"group": group}, members
            for user in USERS:
                yield "caas_user_group_info", {"user": user, "group": "users"}, 1
            yield "caas_user_group_info", {"user": "admin", "group": "admins"}, 1
        for certificate, days in {"public": 61, "ca": 3200}.items():
            expiry = self.begin + days * 86400
            yield "caas_certificate_expiry_timestamp_seconds", {"certificate": certificate}, expiry
        for command, ago in {"apply": 86400 * 2}.items():
            yield "caas_run_last_timestamp_seconds", {"command": command}, self.begin - ago
            yield "caas_run_last_duration_seconds", {"command": command}, 74.2 if command == "apply" else 1.3
            yield "caas_run_last_success", {"command": command}, 1
        yield "caas_drift_resources", {}, 0
        yield "caas_backup_last_success_timestamp_seconds", {}, self.begin - 3600 + age // 86400 * 86400

    def _of_user(self, number: int, user: str, now: int, age: int) -> Iterator[Sample]:
        kinds = {"notebook": (self.memory(number, age), 2 * GB, 0.1 + 0.5 * noise(user, age // 300))}
        if self.computes(number, age):
            workers = self.workers(number, age)
            cpus = workers * (0.6 + 0.3 * noise(user, age // 300))
            kinds["dask"] = (self.dask_memory(number, age), 2 * GB * workers, cpus)
        for kind, (memory, limit, cpus) in kinds.items():
            labels = {"user": user, "kind": kind}
            yield "caas_user_memory_bytes", labels, memory
            yield "caas_user_memory_limit_bytes", labels, limit
            yield "caas_user_processes", labels, 4 + number if kind == "notebook" else 9
            yield self.count("caas_user_cpu_seconds_total", labels, cpus * self.step)
            # Every 40 minutes a kernel, a worker now and then
            often = {(2, "notebook"): 2400, (1, "dask"): 6600}.get((number, kind))
            killed = often and age % often < self.step and age > 0
            yield self.count("caas_user_oom_kills_total", labels, 1 if killed else 0)
        server = {"user": user, "server": ""}
        yield "caas_server_started_timestamp_seconds", server, self.begin - 1800
        yield "caas_server_last_activity_timestamp_seconds", server, now - age % (600 + 300 * number)
        yield "caas_server_ready", server, 1

    def _of_dask(self, now: int, age: int) -> Iterator[Sample]:
        yield "caas_dask_max_cores", {}, 8
        yield "caas_dask_max_memory_bytes", {}, 16 * GB
        for number, user in enumerate(USERS):
            if not self.computes(number, age):
                continue
            workers = self.workers(number, age)
            labels = {"user": user, "dask_cluster": f"{user}-7f3a{number}"}
            yield "caas_dask_cluster_workers", labels, workers
            yield "caas_dask_cluster_cores", labels, workers
            yield "caas_dask_cluster_memory_bytes", labels, 2 * GB * workers
            yield "caas_dask_cluster_started_timestamp_seconds", labels, self.begin - 900
            yield "caas_dask_cluster_idle_seconds", labels, 0 if number == 1 else age % 2700
            yield "caas_dask_scheduler_up", labels, 1
            yield "dask_scheduler_desired_workers", labels, workers + age // 600 % 3
            for state, tasks in {"processing": 80, "memory": 300, "waiting": 40, "erred": 0}.items():
                yield "dask_scheduler_tasks", {**labels, "state": state}, tasks * (0.5 + noise(state, age // 60))
            for state, some in {"idle": 1, "partially_saturated": 1, "saturated": workers - 2}.items():
                yield "dask_scheduler_workers", {**labels, "state": state}, some
            yield self.count("dask_scheduler_tasks_compute_seconds_total", labels, 0.7 * workers * self.step)
            yield self.count("dask_scheduler_tasks_transfer_seconds_total", labels, 0.1 * workers * self.step)
            yield self.count("dask_scheduler_tasks_forgotten_total", labels, 2.0 * workers * self.step)
            yield "dask_scheduler_tasks_output_bytes", labels, 0.6 * self.dask_memory(number, age)
            yield "dask_scheduler_clients", labels, 1
            come = 1 if number != 1 and age % 5400 < self.step else 0  # up to the most, and back to the least
            yield self.count("dask_scheduler_workers_added_total", labels, come)
            yield self.count("dask_scheduler_workers_removed_total", labels, come)
            yield from self._of_workers(labels, workers, self.dask_memory(number, age), age)
            yield "caas_dask_user_cores", {"user": user}, workers
            yield "caas_dask_user_memory_bytes", {"user": user}, 2 * GB * workers
            yield "caas_dask_user_clusters", {"user": user}, 1

    def _of_workers(self, labels: Labels, workers: int, memory: float, age: int) -> Iterator[Sample]:
        spilled = max(0.0, memory - workers * GB)
        for kind, size in {"managed": 0.6 * memory, "unmanaged": 0.4 * memory, "spilled": spilled}.items():
            yield "dask_worker_memory_bytes", {**labels, "type": kind}, size
        yield "caas_dask_worker_memory_limit_bytes", labels, 1.8 * GB * workers
        yield "caas_dask_worker_memory_fullest_ratio", labels, min(0.97, 1.2 * memory / (1.8 * GB * workers))
        yield "dask_worker_threads", labels, workers
        for state, tasks in {"executing": 0.6 * workers, "ready": 20, "memory": 250, "disk": spilled / GB * 50}.items():
            yield "dask_worker_tasks", {**labels, "state": state}, int(tasks * (0.5 + noise(state, age // 60)))
        for activity, part in {"disk-write": 1, "disk-read": 0.6}.items():
            more = part * spilled * self.step / 600
            yield self.count("dask_worker_spill_bytes_total", {**labels, "activity": activity}, more)
        sent = 2e6 * workers * noise("sent", age // 300) * self.step
        yield self.count("dask_worker_transfer_outgoing_bytes_total", labels, sent)
        yield "dask_worker_latency_seconds", labels, 0.003 + 0.01 * noise("latency", age // 60)
        yield "dask_worker_tick_duration_maximum_seconds", labels, 0.03 + noise("tick", age // 60) ** 8

    def _of_kubernetes(self, now: int, age: int) -> Iterator[Sample]:
        for number, user in enumerate(USERS):
            if self.is_on(number, age):
                labels = {"pod": "jupyter-" + user, "container": "notebook", "name": "notebook", "node": NODE}
                yield "container_memory_working_set_bytes", labels, self.memory(number, age)
        volumes = {"hub-db-dir": (1, 0.1), "directory-data": (1, 0.2), "prometheus": (12, 4)}
        for claim, (size, used) in {**volumes, "claim-alice": (10, 0.5)}.items():
            labels = {"persistentvolumeclaim": claim, "node": NODE}
            yield "kubelet_volume_stats_capacity_bytes", labels, size * GB
            yield "kubelet_volume_stats_available_bytes", labels, (size - used) * GB - age * 1000

    # ---- the hub's, the host's, and those of the other parts ----

    def _of_hub(self, age: int) -> Iterator[Sample]:
        away, spent = self.is_away(age), self.step / 60
        for outcome in OUTCOMES:
            a_minute = {"success": 0.4, "wrong_password": 0.1, "not_a_member": 0.02}.get(outcome, 0)
            if away:
                a_minute = 0.5 if outcome == "directory_away" else 0
            yield self.count("caas_sign_ins_total", {"outcome": outcome}, happened(a_minute, self.step, outcome, age))
        for outcome in SPAWNS:
            a_minute = {"success": 0.2, "timeout": 0.01}.get(outcome, 0)
            many = happened(a_minute, self.step, "spawn", outcome, age)
            yield self.count("caas_spawns_total", {"outcome": outcome}, many)
        for operation, middle in {"search": 0.006, "groups": 0.004, "password": 0.03}.items():
            labels = {"operation": operation}
            name = "caas_directory_request_duration_seconds"
            slower = 1 + 5 * (1800 < self.length - age < 3000)
            yield from self.histogram(name, labels, 0 if away else 3 * spent, middle * slower, BUCKETS)
            yield self.count("caas_directory_requests_failed_total", labels, 1 * spent if away else 0)
        for status, many in {"success": 0.2, "failure": 0.005}.items():
            name = "jupyterhub_server_spawn_duration_seconds"
            yield from self.histogram(name, {"status": status}, many * spent, 6 + 4 * noise(age), SPAWN_BUCKETS)
        stopped = happened(0.15, self.step, "stop", age)
        yield from self.histogram("jupyterhub_server_stop_seconds", {"status": "success"}, stopped, 1, BUCKETS)
        for code, many in {"200": 40, "302": 9, "403": 1, "500": 0.02}.items():
            labels = {"code": code, "handler": "jupyterhub.handlers.base.Some", "method": "GET"}
            name = "jupyterhub_request_duration_seconds"
            yield from self.histogram(name, labels, many * spent, 0.012 + 0.02 * noise(code, age), BUCKETS)
        for period, users in {"24h": 9, "7d": 12, "30d": 14}.items():
            yield "jupyterhub_active_users", {"period": period}, users

    def _of_host(self, age: int) -> Iterator[Sample]:
        used = sum(self.memory(n, age) for n in range(len(USERS)) if self.is_on(n, age))
        dask = sum(self.dask_memory(n, age) for n in range(len(USERS)) if self.computes(n, age))
        yield "node_memory_MemTotal_bytes", {}, 32 * GB
        yield "node_memory_MemAvailable_bytes", {}, 32 * GB - 3 * GB - used - dask
        for cpu in range(8):
            busy = {"user": 0.25 + 0.2 * noise(cpu, age // 120), "system": 0.05, "iowait": 0.02}
            for mode, share in {**busy, "idle": 1 - sum(busy.values())}.items():
                yield self.count("node_cpu_seconds_total", {"cpu": str(cpu), "mode": mode}, share * self.step)
        yield "node_load1", {}, 3 + 2 * noise("load", age // 60)
        yield "node_load15", {}, 3.5
        for mount, size, free in (("/", 40, 22), ("/srv", 100, 69)):
            labels = {"mountpoint": mount, "fstype": "ext4", "device": "/dev/sda1"}
            yield "node_filesystem_size_bytes", labels, size * GB
            yield "node_filesystem_avail_bytes", labels, free * GB - (age * 20_000 if mount == "/srv" else 0)
        yield self.count("node_disk_io_time_seconds_total", {"device": "sda"}, self.step * 0.2 * noise("io", age))
        yield self.count("node_disk_read_bytes_total", {"device": "sda"}, self.step * 4e6 * noise("r", age))
        yield self.count("node_disk_written_bytes_total", {"device": "sda"}, self.step * 9e6 * noise("w", age))
        yield self.count("node_network_receive_bytes_total", {"device": "eth0"}, self.step * 1e6 * noise("in", age))
        yield self.count("node_network_transmit_bytes_total", {"device": "eth0"}, self.step * 3e6 * noise("out", age))

    def _of_others(self, age: int) -> Iterator[Sample]:
        for job, instance in JOBS.items():
            labels = {"job": job, "instance": instance}
            yield "up", labels, 1
            yield "scrape_duration_seconds", labels, 0.003 + 0.004 * noise(job, age)
            yield "scrape_samples_scraped", labels, 420
            memory = {"hub": 170e6, "proxy": 80e6, "prometheus": 70e6, "node": 20e6, "exporter": 6e6}.get(job)
            if memory:
                yield "process_resident_memory_bytes", labels, memory
        prometheus = {"job": "prometheus", "instance": JOBS["prometheus"]}
        yield "prometheus_tsdb_storage_blocks_bytes", prometheus, 40e6 + age * 200
        yield "prometheus_tsdb_head_series", prometheus, 2400
        proxy = {"job": "proxy", "instance": JOBS["proxy"]}
        yield self.count("requests_web", proxy, self.step * 4)
        yield self.count("requests_ws", proxy, self.step * 0.3)
        mails = {"job": "alertmanager", "instance": JOBS["alertmanager"], "integration": "email"}
        yield self.count("alertmanager_notifications_total", mails, 0.02)
        yield self.count("alertmanager_notifications_failed_total", mails, 0)
        alert = {"alertname": "KernelsKilled", "alertstate": "firing", "severity": "info", "user": "carol"}
        if age % 2400 < 900 and age > 2400:
            yield "ALERTS", {**alert, "kind": "notebook"}, 1


def series(hours: float, step: int, end: int) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """name → labels as text → (time, value)."""
    world = World(hours, step, end)
    all_of: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for now in range(world.begin, end + 1, step):
        for name, labels, value in world.samples(now):
            text = ",".join(
                f'{k}="{v}"' for k, v in sorted({"namespace": CLUSTER, **labels, "cluster": CLUSTER}.items())
            )
            all_of.setdefault(name, {}).setdefault(text, []).append((now, value))
    return all_of


def write(hours: float, step: int, end: int, out: "object") -> None:
    """As OpenMetrics, each name as of an unknown type: promtool does not look at it."""
    for name, by_labels in sorted(series(hours, step, end).items()):
        print(f"# TYPE {name} unknown", file=out)
        for labels, values in by_labels.items():
            for at, value in values:
                print(f"{name}{{{labels}}} {value} {at}", file=out)
    print("# EOF", file=out)


if __name__ == "__main__":
    write(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time()), sys.stdout)
