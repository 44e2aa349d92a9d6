"""Every expression of every dashboard and alert, asked of a real Prometheus that has some made-up hours of a cluster."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up
import promql
import pytest
import series


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """(address, end of its data)"""
    end = int(time.time())
    with made_up.prometheus(tmp_path_factory.mktemp("prometheus"), 6, end) as address:
        yield address, float(end)


def test_every_expression_finds_something(prometheus: tuple[str, float]) -> None:
    address, end = prometheus
    assert promql.check(address, {"cluster": series.CLUSTER, "me": "bob"}, now=end) == []


def test_one_user_alone(prometheus: tuple[str, float]) -> None:
    """Chosen in the variable, as Grafana writes one or several into an expression."""
    address, end = prometheus
    assert promql.check(address, {"cluster": series.CLUSTER, "user": "(alice|bob)", "me": "bob"}, now=end) == []


def test_a_cluster_that_is_not_there_is_noticed(prometheus: tuple[str, float]) -> None:
    """Nearly everything is then missing: the check can fail. What is left does not name the cluster."""
    address, end = prometheus
    faults = promql.check(address, {"cluster": "nowhere"}, now=end)
    quiet = [q for q in promql.queries() if not any(fault.startswith(q.where + ": ") for fault in faults)]
    may_be_absent = ("ALERTS", "caas_backup")
    asked = [q for q in quiet if q.kind in ("range", "instant") and not any(name in q.expr for name in may_be_absent)]
    assert [q.where for q in asked] == []


def test_what_prometheus_refuses_is_said(prometheus: tuple[str, float]) -> None:
    address, end = prometheus
    asked = promql.Asked(address, end, 900, None)
    assert "parse error" in promql.fault(asked, promql.Query("x", "sum(", "instant"), {}, "")
    assert "finds nothing" in promql.fault(asked, promql.Query("x", "caas_hub_users > 1e9", "instant"), {}, "")
    assert "only NaN" in promql.fault(asked, promql.Query("x", "caas_hub_users * NaN", "range"), {}, "")
    assert "not there" in promql.fault(asked, promql.Query("x", "caas_hub_user == 0", "alert"), {}, "")
    assert "variable" in promql.fault(asked, promql.Query("x", "rate(up[$whatever])", "instant"), {}, "")
    assert promql.fault(asked, promql.Query("x", "caas_hub_user", "range"), {}, "^caas_hub_user") == ""


def test_what_would_be_shown_wrongly_is_said(prometheus: tuple[str, float]) -> None:
    address, end = prometheus
    asked = promql.Asked(address, end, 900, None)

    def fault(expr: str, *labels: str, kind: str = "instant", table: bool = False) -> str:
        return promql.fault(asked, promql.Query("x", expr, kind, labels, table), {}, "")

    assert fault("caas_part_up", "part") == fault("sum(caas_part_up)") == fault("sum(caas_part_up)", kind="range") == ""
    assert "look the same" in fault("caas_part_up") and "look the same" in fault("caas_home_used_bytes", "cluster")
    assert "lacks the label user" in fault("caas_part_up", "part", "user", kind="range")
    assert "lacks the label user" in fault("caas_part_up == 1", "user", kind="alert")
    assert fault("caas_part_up == 1", "cluster", kind="alert") == ""
    assert fault("max by (part) (caas_part_up)", "part", table=True) == ""
    assert "other labels" in fault("max by (part, job) (caas_part_up)", "part", table=True)
    assert "other labels" in fault("sum(caas_part_up)", "part", table=True)
    assert "gives a scalar" not in fault("scalar(sum(caas_part_up))")
    assert "gives a matrix" in fault("caas_part_up[5m]", "part")


def test_the_answers_are_right(prometheus: tuple[str, float]) -> None:
    """Not only something, but what the made-up cluster is like."""
    address, end = prometheus
    asked = promql.Asked(address, end, 900, None)
    found = {
        q.where: asked.figures(promql.fill(q.expr, {"cluster": series.CLUSTER}), over=False)[0]
        for q in promql.queries()
    }
    assert 69e9 / 20_000 * 0.9 < found["Storage / Full in"][0] < 69e9 / 20_000
    assert found["Overview / Disk of homes full in"] == found["Storage / Full in"]
    assert found["Provisioner / It took"] == [74.2]
    assert found["Host capacity / CPUs"] == [8]
    assert found["Host capacity / By disk, if homes fill up"] == [6]
    users = sum(series.World(6, 60, int(end)).is_on(n, 6 * 3600) for n in range(len(series.USERS)))
    assert len(found["Users / Memory, notebooks"]) == users == found["Overview / Servers"][0]


def test_panels_that_show_nothing_but_zeros_are_known(prometheus: tuple[str, float]) -> None:
    address, end = prometheus
    zero = promql.only_zeros(promql.Asked(address, end, 900, None), {"cluster": series.CLUSTER, "me": "bob"})
    # Nobody has changed anything; none has been idle for so long; and it was an hour ago that the directory was away.
    assert zero == {
        "Provisioner / Changed by others",
        "Dask / Idle for ten minutes",
        "Identity and sign-ins / Not answered",
    }


def promtool(folder: Path, interval: str, given: dict[str, str], asked: list[dict[str, Any]]) -> None:
    """Asks all this of series (name with labels → values, in promtool's words), and fails where one is answered otherwise."""
    series_of = [{"series": name, "values": values} for name, values in given.items()]
    file = folder / "asked.yaml"
    file.write_text(
        json.dumps({"tests": [{"interval": interval, "input_series": series_of, "promql_expr_test": asked}]})
    )
    said = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_fits_is_by_machine(tmp_path: Path) -> None:
    """A notebook of 4 GB fits on a machine with 5 GB, and not on one with 3 GB: one, though 8 GB are free together."""
    free, of = {"n1": 5e9, "n2": 3e9}, 'cluster="lab", node='
    given = {f'node_memory_MemAvailable_bytes{{{of}"{node}"}}': value for node, value in free.items()}
    given |= {f'node_memory_MemTotal_bytes{{{of}"{node}"}}': 10e9 for node in free}
    given |= {'caas_user_memory_limit_bytes{cluster="lab", kind="notebook", user="alice"}': 4e9}
    wanted = {
        "Host capacity / If each fills their memory": {"": 1},
        "Host capacity / Memory": {"": 20e9},
        "Host capacity / Memory used": {node: 1 - value / 10e9 for node, value in free.items()},
        "Overview / How full": {"": 0.7},
    }
    asked = []
    for query in promql.queries():
        if query.where in wanted and "node_memory" in query.expr:
            samples = [
                {"labels": f'{{node="{node}"}}' if node else "{}", "value": value}
                for node, value in wanted.pop(query.where).items()
            ]
            asked.append(
                {"expr": promql.fill(query.expr, {"cluster": "lab"}), "eval_time": "5m", "exp_samples": samples}
            )
    assert not wanted
    promtool(tmp_path, "1m", {name: f"{value}x10" for name, value in given.items()}, asked)


def test_who_gives_workers_back_uses_no_more_than_was_held(tmp_path: Path) -> None:
    """Of twelve cores, all busy, eleven are given back after ten minutes, and come again later; what they computed is known half
    a minute after that. At no moment are more in use than were held, and all of them are where nothing changed for a while."""
    (query,) = [one for one in promql.queries() if one.where == "Dask / Cores in use, of those held"]
    expr = promql.fill(query.expr, {"cluster": "lab", "__rate_interval": "1m"})
    given = {
        'caas_dask_user_cores{cluster="lab", user="bob"}': "12x40 1x40 12x40",  # a sample every 15 s
        'caas_user_cpu_seconds_total{cluster="lab", user="bob", kind="dask"}': "0+180x42 7575+15x40 8355+180x37",
    }
    asked = [{"expr": f"round({expr}, 0.001) > 1", "eval_time": f"{at}s"} for at in range(120, 1800, 5)]
    for at in ("8m", "18m", "28m"):
        asked.append(
            {"expr": f"round({expr}, 0.001)", "eval_time": at, "exp_samples": [{"labels": '{user="bob"}', "value": 1}]}
        )
    promtool(tmp_path, "15s", given, asked)


@pytest.mark.parametrize(
    ("expr", "selectors"),
    [
        ("up", ["up"]),
        ('sum by (le, up) (rate(a_bucket{b="}", c=~"x{"}[5m]))', ['a_bucket{b="}", c=~"x{"}']),
        ("a / on (cluster) group_left () b > 0.95 or c unless d", ["a", "b", "c", "d"]),
        ("topk(5, max by (user) (a)) * 1e9 - time() + vector(0)", ["a"]),
        ("predict_linear(a[1d], 7 * 86400) offset 5m > bool Inf", ["a"]),
        ("a * on (x) group_left b", ["a", "b"]),
    ],
)
def test_selectors_of_an_expression(expr: str, selectors: list[str]) -> None:
    assert promql.selectors(expr) == selectors
