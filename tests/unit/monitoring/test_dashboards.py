"""The dashboards' JSON is what their sources say, and has the shape that Grafana wants."""

import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import promql
import pytest

FOLDER = promql.DASHBOARDS
DASHBOARDS = promql.dashboards()
ROLES = promql.ROOT / "roles"
WANTED = {
    "CaaS / Overview",
    "CaaS / Users",
    "CaaS / Dask",
    "CaaS / Storage",
    "CaaS / Identity and sign-ins",
    "CaaS / Provisioner",
    "CaaS / Host capacity",
    "CaaS / My usage",
}
# What a panel of each kind must have in its options, and what its field configuration may have (Grafana's schema, version 39).
OPTIONS = {
    "stat": {
        *("reduceOptions", "orientation", "textMode", "colorMode", "graphMode", "justifyMode", "wideLayout"),
        *("showPercentChange", "percentChangeColorMode"),
    },
    "timeseries": {"legend", "tooltip"},
    "bargauge": {
        *("reduceOptions", "orientation", "displayMode", "showUnfilled", "valueMode", "namePlacement", "sizing"),
        *("minVizWidth", "minVizHeight", "maxVizHeight", "legend"),
    },
    "table": {"showHeader", "cellHeight", "sortBy", "frameIndex"},
    "state-timeline": {"mergeValues", "showValue", "alignValue", "rowHeight", "legend", "tooltip"},
    "text": {"mode", "content"},
}
DEFAULTS = {"displayName", "unit", "decimals", "min", "max", "mappings", "color", "thresholds", "custom"}
UNITS = {"short", "s", "bytes", "percentunit", "Bps", "ops"}
PROPERTIES = {"unit", "decimals", "mappings", "thresholds", "color", "custom.cellOptions", "custom.lineStyle"}

by_file = pytest.mark.parametrize("name", DASHBOARDS)
Panel = dict[str, Any]


def drawn(dashboard: dict[str, Any]) -> list[Panel]:
    return [panel for panel in promql.panels(dashboard) if panel["type"] != "row"]


def test_there_is_one_for_each_question() -> None:
    assert {d["title"] for d in DASHBOARDS.values()} == WANTED
    for key in ("uid", "description"):
        assert len({d[key] for d in DASHBOARDS.values()}) == len(WANTED)


def test_the_json_is_what_the_sources_say(tmp_path: Path) -> None:
    subprocess.run([FOLDER / "make.sh", tmp_path], check=True, timeout=60)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {name: (FOLDER / name).read_text() for name in DASHBOARDS}


def test_the_sources_are_formatted() -> None:
    sources = [str(p) for p in FOLDER.iterdir() if p.suffix in (".jsonnet", ".libsonnet")]
    done = subprocess.run(["jsonnetfmt", "--test", *sources], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"jsonnetfmt -i would change something {done.stderr}"


def test_the_disk_of_homes_counts_once() -> None:
    """The exporter says it, too, for Kubernetes' dashboards: none of ours, and no alert, may take it for one disk more."""
    asked = [s for q in promql.queries() for s in promql.selectors(q.expr) if s.startswith("node_filesystem_")]
    assert len(asked) >= 6
    assert [s for s in asked if 'component!="shared-volume-metrics"' not in s] == []


@by_file
def test_what_grafana_needs_of_a_dashboard(name: str) -> None:
    board = DASHBOARDS[name]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"])
    assert board["schemaVersion"] >= 36 and isinstance(board["version"], int)
    assert "id" not in board  # of the database that it was once in
    assert set(board["time"]) == {"from", "to"} and re.fullmatch(r"\d+[smh]", board["refresh"])
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert list(variables)[:2] == ["datasource", "cluster"]
    for variable in variables.values():
        assert variable["type"] in ("datasource", "query") and variable["label"]
        if variable["type"] == "query":
            assert variable["definition"] == variable["query"]["query"] and variable["refresh"] in (1, 2)
    numbers = [p["id"] for p in promql.panels(board)]
    assert len(set(numbers)) == len(numbers)


@by_file
def test_panels_lie_beside_one_another(name: str) -> None:
    """On 24 columns, none over another, and under a heading."""
    panels = DASHBOARDS[name]["panels"]
    assert panels[0]["type"] == "row"
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["w"] > 0 and at["h"] > 0 and at["x"] + at["w"] <= 24, panel["title"]
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} and {other['title']}"


@by_file
def test_what_grafana_needs_of_a_panel(name: str) -> None:
    for panel in drawn(DASHBOARDS[name]):
        said = f"{name}: {panel['title']}"
        assert set(panel["options"]) == OPTIONS[panel["type"]], said
        assert panel["title"], said
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, said
        fields = panel["fieldConfig"]
        assert set(fields["defaults"]) <= DEFAULTS, said
        assert fields["defaults"].get("unit", "short") in UNITS, said
        for override in fields["overrides"]:
            assert set(override) == {"matcher", "properties"} and override["matcher"]["id"] == "byName", said
            assert {p["id"] for p in override["properties"]} <= PROPERTIES, said
        for place in [
            fields["defaults"],
            *({p["id"]: p["value"] for p in o["properties"]} for o in fields["overrides"]),
        ]:
            check_thresholds(place.get("thresholds"), said)


@by_file
def test_no_answer_is_not_shown_as_a_bad_one(name: str) -> None:
    """Of a number that is red when it is small, Grafana writes "No data" in red as well; of a state that is right."""
    for panel in drawn(DASHBOARDS[name]):
        fields = panel.get("fieldConfig", {}).get("defaults", {})
        if panel["type"] != "stat" or fields["thresholds"]["steps"][0]["color"] != "red":
            continue
        states = [list(one["options"]) for one in fields["mappings"] if one["type"] == "value"]
        special = [one["options"]["match"] for one in fields["mappings"] if one["type"] == "special"]
        assert special == ([] if ["0", "1"] in states else ["null+nan"]), panel["title"]


@by_file
def test_long_names_leave_room_for_the_graph(name: str) -> None:
    """A Dask cluster's has 32 digits: in a legend beside it, more than half of the panel."""
    for panel in drawn(DASHBOARDS[name]):
        if any("{{dask_cluster}}" in target["legendFormat"] for target in panel.get("targets", [])):
            assert panel["type"] != "timeseries" or panel["options"]["legend"]["placement"] == "bottom", panel["title"]


@by_file
def test_one_bar_alone_is_named(name: str) -> None:
    """Of whom it is: Grafana leaves out the legend of a bar that is alone, but not a name of the panel's own."""
    for panel in drawn(DASHBOARDS[name]):
        if panel["type"] == "bargauge" and "{{user}}" in panel["targets"][0]["legendFormat"]:
            assert panel["fieldConfig"]["defaults"]["displayName"] == "${__field.labels.user}", panel["title"]


def check_thresholds(thresholds: dict[str, Any] | None, said: str) -> None:
    """The first step is for all below the second, and they rise."""
    if thresholds is None:
        return
    values = [step["value"] for step in thresholds["steps"]]
    assert thresholds["mode"] == "absolute" and values[0] is None, said
    assert values[1:] == sorted(values[1:]) and None not in values[1:], said


@by_file
def test_queries(name: str) -> None:
    """Each of the chosen cluster, and asked once where only the end is shown."""
    for panel in drawn(DASHBOARDS[name]):
        targets = panel.get("targets", [])
        assert bool(targets) == (panel["type"] != "text")
        assert [t["refId"] for t in targets] == [chr(ord("A") + i) for i in range(len(targets))]
        for target in targets:
            said = f"{name}: {panel['title']}: {target['expr']}"
            assert target["instant"] != target["range"], said
            assert target["format"] == ("table" if panel["type"] == "table" else "time_series"), said
            assert target["expr"] == " ".join(target["expr"].split()), said
            for selector in promql.selectors(target["expr"]):
                assert 'cluster="$cluster"' in selector, said
            if panel["type"] in ("timeseries", "state-timeline"):
                assert target["range"], said
            # Few bars, of all that happened: with $__interval alone, what does between two of them would be in neither.
            bars = panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"
            assert ("maxDataPoints" in panel) == bars and "[$__interval]" not in target["expr"], said
            assert not bars or target["expr"].endswith("[$__rate_interval])) > 0"), said
            if panel["type"] == "timeseries" and len(targets) > 1:
                assert target["legendFormat"], said
            # Only labels that the expression leaves can be shown.
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                left = re.match(r"^(?:topk\(\d+, |sort\()?\w+ by \(([^)]*)\)", target["expr"])
                assert left is None or label in left[1].split(", "), said


@by_file
def test_tables_show_all_that_they_ask(name: str) -> None:
    """A column without a name would read "Value #C"."""
    for panel in drawn(DASHBOARDS[name]):
        if panel["type"] != "table":
            continue
        organize = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
        one = len(panel["targets"]) == 1
        values = ["Value"] if one else [f"Value #{t['refId']}" for t in panel["targets"]]
        asked = [re.match(r"^\w+ by \(([^)]*)\)", t["expr"]) for t in panel["targets"]]
        assert all(asked), panel["title"]
        labels = asked[0][1].split(", ")  # type: ignore[index]
        assert all(a[1].split(", ") == labels for a in asked if a), panel["title"]  # or they would not become one line
        assert set(organize["renameByName"]) == set(labels) | set(values), panel["title"]
        shown = {to for of, to in organize["renameByName"].items() if of not in organize["excludeByName"]}
        assert {s["displayName"] for s in panel["options"]["sortBy"]} <= shown, panel["title"]
        headings = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
        assert headings == {organize["renameByName"][v] for v in values}, panel["title"]


@by_file
def test_variables_are_there(name: str) -> None:
    """Each that is named is either of the dashboard or of Grafana."""
    board = DASHBOARDS[name]
    known = {v["name"] for v in board["templating"]["list"]} | {"__rate_interval", "__range", "__interval"}
    for query in [t["expr"] for p in promql.panels(board) for t in p.get("targets", [])]:
        assert set(re.findall(r"\$\{?(\w+)", query)) <= known, query


def test_my_usage_is_of_who_looks() -> None:
    """Their name comes from Grafana's; the caps alone are everybody's."""
    board = DASHBOARDS["own.json"]
    (variable,) = [v for v in board["templating"]["list"] if v["name"] == "me"]
    assert "${__user.login}" in variable["definition"] and variable["hide"] == 2
    answer = 'caas{login="ada@x.example.org",user="ada"} 1 1'
    assert re.findall(variable["regex"].strip("/"), answer) == ["ada"]
    for target in [t for p in promql.panels(board) for t in p.get("targets", [])]:
        for selector in promql.selectors(target["expr"]):
            assert 'user="$me"' in selector or selector.startswith("caas_dask_max_"), target["expr"]
    assert board["annotations"]["list"] == []


def test_one_version_of_grafana() -> None:
    """The package of a host and the image of Kubernetes."""
    package = re.search(
        r'^ +package: grafana\n +version: "(.*)"$', (ROLES / "grafana/role.yaml").read_text(), re.MULTILINE
    )
    image = re.search(r"^grafana: .*:(.*)$", (ROLES / "base/images.yaml").read_text(), re.MULTILINE)
    assert package and image and package[1] == image[1]


def test_one_key_of_grafana() -> None:
    """What is documented is what is trusted."""
    trusted = re.search(r"^ +fingerprint: ([0-9A-F]{40})$", (ROLES / "grafana/role.yaml").read_text(), re.MULTILINE)
    written = re.search(r"\(((?:[0-9A-F]{4} ){9}[0-9A-F]{4})\)", (promql.ROOT / "docs/MONITORING.md").read_text())
    assert trusted and written and trusted[1] == written[1].replace(" ", "")
