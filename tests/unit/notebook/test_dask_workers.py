"""Sums of workers on a scheduler's page. distributed and prometheus_client are stand-ins; the real ones are in
tests/integration/test_65_monitoring.py."""

import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "roles" / "notebook" / "files" / "dask"


class Metric:
    def __init__(self, name, documentation, kind):
        assert documentation
        self.name, self.kind, self.samples = name, kind, []

    def add_sample(self, name, labels, value):
        assert name == self.name + ("_total" if self.kind == "counter" else "")
        self.samples.append((name, labels, value))


@pytest.fixture
def module(monkeypatch):
    core = types.ModuleType("prometheus_client.core")
    core.Metric = Metric
    monkeypatch.setitem(sys.modules, "prometheus_client", types.ModuleType("prometheus_client"))
    monkeypatch.setitem(sys.modules, "prometheus_client.core", core)
    spec = importlib.util.spec_from_file_location("caas_dask_workers", FOLDER / "caas_dask_workers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def worker(name, used=0.5, tasks=None, **more):
    """As its scheduler knows it."""
    limit = 1000
    memory = types.SimpleNamespace(process=used * limit, managed=100, unmanaged=used * limit - 100, spilled=30)
    caas = {"latency": 0.01, "tick": 0.02, "sent": 500, "on_disk": 3, **more}
    metrics = {"task_counts": tasks or {"executing": 1, "memory": 10}, "caas": caas}
    return types.SimpleNamespace(server_id=name, nthreads=2, memory_limit=limit, memory=memory, metrics=metrics)


def scheduler(*workers, cumulative=None):
    return types.SimpleNamespace(
        workers={one.server_id: one for one in workers}, cumulative_worker_metrics=cumulative or {}
    )


def page(collector):
    said = {}
    for family in collector.collect():
        for name, labels, value in family.samples:
            assert (name, *labels.values()) not in said
            said[(name, *labels.values())] = value
    return said


def test_sums_and_the_worst_of_all_workers(module):
    cumulative = {
        ("execute", "inc", "disk-write", "bytes"): 70,
        ("memory-monitor", "disk-write", "bytes"): 30,
        ("execute", "inc", "disk-write", "count"): 2,
        ("execute", "inc", "disk-read", "bytes"): 40,
        "latency": 5,
    }
    many = scheduler(worker("a", 0.5), worker("b", 0.9, latency=0.3, tick=2.5), cumulative=cumulative)
    said = page(module.Workers(many))
    assert said[("dask_worker_threads",)] == 4
    assert said[("dask_worker_memory_bytes", "managed")] == 200
    assert said[("dask_worker_memory_bytes", "unmanaged")] == 1200
    assert said[("dask_worker_memory_bytes", "spilled")] == 60
    assert said[("caas_dask_worker_memory_limit_bytes",)] == 2000
    assert said[("caas_dask_worker_memory_fullest_ratio",)] == 0.9
    assert said[("dask_worker_tasks", "executing")] == 2
    assert said[("dask_worker_tasks", "memory")] == 14 and said[("dask_worker_tasks", "disk")] == 6
    assert said[("dask_worker_tasks", "flight")] == 0
    assert said[("dask_worker_latency_seconds",)] == 0.3
    assert said[("dask_worker_tick_duration_maximum_seconds",)] == 2.5
    assert said[("dask_worker_spill_bytes_total", "disk-write")] == 100
    assert said[("dask_worker_spill_bytes_total", "disk-read")] == 40
    assert said[("dask_worker_transfer_outgoing_bytes_total",)] == 1000


def test_as_many_series_for_many_workers(module):
    few, many = (page(module.Workers(scheduler(*(worker(str(n)) for n in range(count))))) for count in (1, 300))
    assert set(few) == set(many)


def test_workers_come_and_go(module):
    one, other = worker("a"), worker("b", sent=100)
    here = scheduler(one, other)
    collector = module.Workers(here)
    sent = ("dask_worker_transfer_outgoing_bytes_total",)
    assert page(collector)[sent] == 600 == page(collector)[sent]
    del here.workers["a"]
    other.metrics["caas"]["sent"] = 150
    said = page(collector)
    assert said[sent] == 650 and said[("dask_worker_threads",)] == 2
    here.workers["c"] = worker("c", sent=7)
    assert page(collector)[sent] == 657
    here.workers.clear()
    said = page(collector)
    assert said[sent] == 657 and said[("dask_worker_threads",)] == 0
    assert ("caas_dask_worker_memory_fullest_ratio",) not in said  # of none


def test_what_is_missing_costs_its_own_figure(module):
    """Of a worker that is just coming, of one without a limit, and where distributed has something no longer."""
    new, free = worker("new"), worker("free")
    new.metrics, free.memory_limit = {}, 0
    said = page(module.Workers(scheduler(worker("a"), new, free)))
    assert said[("dask_worker_threads",)] == 6
    assert said[("caas_dask_worker_memory_fullest_ratio",)] == 0.5
    assert said[("dask_worker_tasks", "executing")] == 2
    assert said[("dask_worker_transfer_outgoing_bytes_total",)] == 1000
    later = scheduler(worker("a"))
    del later.cumulative_worker_metrics, later.workers["a"].memory
    said = page(module.Workers(later))
    assert {name for name, *_ in said} == {
        "dask_worker_threads",
        "caas_dask_worker_memory_limit_bytes",
        "dask_worker_tasks",
        "dask_worker_latency_seconds",
        "dask_worker_tick_duration_maximum_seconds",
        "dask_worker_transfer_outgoing_bytes_total",
    }


@pytest.mark.parametrize("value", ["many", None, [], {"a": 1}])
def test_what_is_no_number_costs_its_own_figure(module, value):
    said = page(module.Workers(scheduler(worker("a", latency=value, sent=value))))
    assert ("dask_worker_latency_seconds",) not in said and said[("dask_worker_threads",)] == 2


def test_the_rest_of_the_page_stays(module):
    assert module.Workers(types.SimpleNamespace()).collect() == []
    assert module.Workers(scheduler()).describe() == []


def test_heartbeats_bring_what_is_missing(module, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    data = types.SimpleNamespace(slow={"x": 1})
    mine = types.SimpleNamespace(
        metrics={}, digests_max={"tick-duration": 3.0}, latency=0.02, transfer_outgoing_bytes_total=9, data=data
    )
    module.tell(mine)
    (told,) = mine.metrics.values()
    assert told(mine) == {"latency": 0.02, "tick": 3, "sent": 9, "on_disk": 1}
    mine.digests_max["tick-duration"] = 0.5
    now[0] += 20
    assert told(mine)["tick"] == 3  # a scrape in between has to see it
    now[0] += 20
    assert told(mine)["tick"] == 0.5 and mine.digests_max == {}
    del mine.digests_max, mine.transfer_outgoing_bytes_total
    mine.data = {}
    assert told(mine) == {"latency": 0.02, "on_disk": 0}


def test_the_exporter_takes_all_that_is_said(module):
    said = page(module.Workers(scheduler(worker("a"), cumulative={})))
    code = (ROOT / "monitoring" / "exporter" / "dask.c").read_text()
    names = dict(re.findall(r"struct family (\w+) = \{\s*\.name = \"(\w+)\"", code))
    taken = re.findall(r"\{&(\w+), (?:NULL|\"\w+\"), (?:NULL|\"([\w-]+)\"), \w+\}", code)
    known = {(names[family], value) if value else (names[family],) for family, value in taken}
    assert {one for one in known if "dask_worker_" in one[0]} == set(said)
