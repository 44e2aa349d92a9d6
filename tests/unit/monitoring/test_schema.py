"""The dashboards against what Grafana itself declares of them: the TypeScript types of its package @grafana/schema, which the
TypeScript compiler holds against the JSON as literals: no property that is unknown, no value that is not one of those allowed."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql
import pytest

LOCK = Path(__file__).parent / "grafana"
PANELS = {
    "stat": "Stat",
    "timeseries": "TimeSeries",
    "state-timeline": "StateTimeline",
    "bargauge": "BarGauge",
    "table": "Table",
    "text": "Text",
}
TYPES = "@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{name}PanelCfg_types.gen"
# An enum's members are what JSON has of them; arrays and objects are gone through.
JSON = """type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[]
    : T extends object ? { [K in keyof T]: Json<T[K]> } : T;"""
# Not in the schema, for they belong to the data source: what Grafana writes all the same.
OF_PROMETHEUS = {"expr", "interval", "titleFormat", "textFormat", "tagKeys"}
Board = dict[str, Any]


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder with exactly what the lock says, made when it changes."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm on this machine")
    cache = os.environ.get("CAAS_TEST_CACHE", Path.home() / ".cache" / "caas-test")
    folder = Path(cache) / f"grafana-{hashlib.sha256((LOCK / 'package-lock.json').read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(LOCK, folder)
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300
        )
        (folder / "complete").touch()
    return folder


def literals(name: str, board: Board) -> list[str]:
    """The dashboard as constants of Grafana's types, a line each."""
    board = json.loads(json.dumps(board))
    for variable in board["templating"]["list"]:
        variable.pop("definition", None)
    for annotation in board["annotations"]["list"]:
        for of in (annotation, annotation["target"]):
            for key in OF_PROMETHEUS & set(of):
                del of[key]
    lines = [f"export const {name}: Json<Dashboard> = {json.dumps(board)};"]
    for number, panel in enumerate(p for p in promql.panels(board) if p["type"] != "row"):
        kind = PANELS[panel["type"]]
        lines.append(f"export const {name}{number}: Json<{kind}.Options> = {json.dumps(panel['options'])};")
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
        if custom:
            lines.append(f"export const {name}{number}c: Partial<Json<{kind}.FieldConfig>> = {json.dumps(custom)};")
    return lines


def refused(modules: Path, tmp_path: Path, boards: dict[str, Board]) -> list[str]:
    imports = [f"import type * as {n} from '{TYPES.format(folder=n.lower(), name=n)}';" for n in PANELS.values()]
    lines = ["import type { Dashboard } from '@grafana/schema';", *imports, *JSON.split("\n")]
    for name, board in boards.items():
        lines += literals(name.removesuffix(".json"), board)
    (tmp_path / "boards.ts").write_text("\n".join(lines) + "\n")
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")
    compiler = modules / "node_modules" / "typescript" / "bin" / "tsc"
    arguments = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "boards.ts"]
    done = subprocess.run([compiler, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert bool(said) == (done.returncode != 0), done.stdout + done.stderr
    return [f"{lines[int(s[10 : s.index(',')]) - 1][13:40]}: {s[:300]}" for s in said]


def test_as_grafana_declares_them(modules: Path, tmp_path: Path) -> None:
    assert refused(modules, tmp_path, promql.dashboards()) == []


def test_what_grafana_does_not_know_is_said(modules: Path, tmp_path: Path) -> None:
    wrong = promql.dashboards()
    wrong["overview.json"]["panels"][1]["options"]["colourMode"] = "value"
    wrong["users.json"]["refreshes"] = "1m"
    wrong["dask.json"]["links"][0]["type"] = "dashboard"
    lines = next(p for p in wrong["host.json"]["panels"] if p["type"] == "timeseries")
    lines["fieldConfig"]["defaults"]["custom"]["drawStyle"] = "lines"
    said = refused(modules, tmp_path, wrong)
    assert len(said) == 4
    for word in ("colourMode", "refreshes", '"dashboard"', '"lines"'):
        assert any(word in s for s in said), said
