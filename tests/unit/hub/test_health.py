"""What `caas test` asks of Dask fits into what a user may hold, and the notebook's code takes a refusal for an answer."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import health
import pytest

SIZES = [
    ((3, 4), (1, 1)),
    ((1.5, 2), (1, 1)),
    ((2, 2), (1, 2)),
    ((1, 1.5), (1, 1)),
    ((0.8, 1.6), (0.5, 1)),
    ((8, 32), (1, 2)),
    ((16, 32), (2, 4)),
    ((100, 3), (4, 2)),
]


def form(maximum: tuple[float, float], worker: tuple[float, float]) -> dict[str, Any]:
    return {
        "max": {"cpus": maximum[0], "ram": maximum[1]},
        "worker": {"cpus": worker[0], "ram": worker[1]},
    }


@pytest.mark.parametrize(("maximum", "worker"), SIZES)
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_some_plan_fits_beside_a_scheduler(
    maximum: tuple[float, float], worker: tuple[float, float], workers: int
) -> None:
    # As the gateway's settings.py has it.
    scheduler = min(1.0, max(0.5, worker[0])), min(1.0, max(0.5, worker[1]))
    plans = health.plans(form(maximum, worker), workers)

    def fits(count: int, options: dict[str, float]) -> bool:
        each = options.get("worker_cores", worker[0]), options.get("worker_memory", worker[1])
        return all(scheduler[i] + count * each[i] <= maximum[i] + 1e-9 for i in (0, 1))

    assert plans
    if scheduler[0] + 0.1 <= maximum[0] and scheduler[1] + 0.5 <= maximum[1]:
        assert any(fits(*plan) for plan in plans)
        if fits(workers, {}):
            assert plans[0] == (workers, {})
        assert all(options.get("worker_cores", 0) <= worker[0] for _, options in plans)
        assert all(options.get("worker_memory", 0) <= worker[1] for _, options in plans)


def test_nothing_is_known_of_an_older_provisioner() -> None:
    assert health.plans(None, 3) == [(3, {})]


class Cluster:
    """Refuses as the gateway does what does not fit; counts what was made and closed."""

    made: list["Cluster"] = []
    room = 1
    trouble = ""

    def __init__(self, **options: float) -> None:
        self.options, self.open = options, True
        Cluster.made.append(self)

    def scale(self, workers: int) -> None:
        if Cluster.trouble:
            raise ValueError(Cluster.trouble)
        if workers > Cluster.room:
            raise ValueError("The cap on all your Dask clusters together is 1 CPU and 1 GB; they hold …")

    def get_client(self) -> Any:
        return SimpleNamespace(
            wait_for_workers=lambda *_, **__: None,
            scheduler_info=lambda: {"workers": {"a": {}}},
            close=lambda: None,
        )

    def shutdown(self) -> None:
        self.open = False


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, dask, array = ModuleType("dask_gateway"), ModuleType("dask"), ModuleType("dask.array")
    gateway.GatewayCluster = Cluster
    total = SimpleNamespace(sum=lambda: SimpleNamespace(compute=lambda: health.EXPECTED))
    array.ones = lambda *_, **__: total
    dask.array = array
    for name, module in (("dask_gateway", gateway), ("dask", dask), ("dask.array", array)):
        monkeypatch.setitem(sys.modules, name, module)
    Cluster.made, Cluster.room, Cluster.trouble = [], 1, ""


def run(plans: list[tuple[int, dict[str, float]]]) -> None:
    exec(health.DASK.format(plans=plans, seconds=1), {})


@pytest.mark.usefixtures("modules")
def test_a_refusal_leads_to_the_next_plan(capsys: pytest.CaptureFixture[str]) -> None:
    run([(2, {}), (2, {"worker_cores": 0.5, "worker_memory": 0.5}), (1, {"worker_cores": 0.25, "worker_memory": 0.5})])
    words = capsys.readouterr().out.split()
    assert words[:3] == ["RESULT", "16000000", "1"] and words[4:] == ["0.25", "0.5"]
    assert len(Cluster.made) == 3 and not any(cluster.open for cluster in Cluster.made)


@pytest.mark.usefixtures("modules")
def test_the_last_refusal_is_what_is_said() -> None:
    Cluster.room = 0
    with pytest.raises(ValueError, match="The cap on all your Dask clusters"):
        run([(2, {}), (1, {})])
    assert not any(cluster.open for cluster in Cluster.made)


@pytest.mark.usefixtures("modules")
def test_other_trouble_is_no_reason_to_try_again() -> None:
    Cluster.trouble = "the scheduler did not start"
    with pytest.raises(ValueError, match="did not start"):
        run([(2, {}), (1, {})])
    assert len(Cluster.made) == 1 and not Cluster.made[0].open
