"""Draws the dashboards, to be looked at: Perses makes its own of Grafana's JSON, and Chromium shows them over a real Prometheus
with the made-up hours of series.py. Grafana draws better; what is empty, wrongly scaled or has no unit is seen here, too.

    pictures.py PERSES FOLDER [NAME …]

PERSES is the folder of a Perses 0.52 with its plugins, as its release is unpacked (perses, plugins-archive); the pictures go to
FOLDER, those of the dashboards that are named, or all.
"""

import base64
import contextlib
import json
import string
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration" / "lib"))

import chromium  # noqa: E402 # found by the line above
import made_up  # noqa: E402
import series  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

DASHBOARDS = ROOT / "monitoring" / "dashboards"
SOURCE = "made-up"  # the data source's name
PROJECT = "caas"
UNITS = {"bytes": "bytes", "percentunit": "percent-decimal", "s": "seconds", "short": "decimal"}
# The data is of so many hours, and ends so many seconds after the start: then a kernel was killed minutes before the pictures
# are made, and its alert is firing.
HOURS, LATER = 7, 900
WIDTH = 1400  # of the pictures
HEAD = 45  # of Perses' own above the dashboard
ME = "bob"  # who looks at My usage: there are no sign-ins here


def post(address: str, path: str, what: Any) -> Any:
    request = urllib.request.Request(address + path, json.dumps(what).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def finish_table(panel: dict[str, Any], spec: dict[str, Any]) -> None:
    """What the migration leaves out of a table: which query a column is of, its unit, by what it is sorted, its width."""
    formats = {
        o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]}
        for o in panel["fieldConfig"]["overrides"]
    }
    sorted_by = {s["displayName"] for s in panel["options"]["sortBy"]}
    columns = []
    for column in spec["columnSettings"]:
        if column["name"] in formats:  # the migration takes an override for a column
            continue
        if column["name"].startswith("Value #"):
            column["name"] = f"value #{string.ascii_uppercase.index(column['name'][-1]) + 1}"
        said = formats.get(column.get("header", ""))
        if said:
            column["format"] = {
                "unit": UNITS[said["unit"]],
                "decimalPlaces": said.get("decimals", 1 if said["unit"] == "bytes" else 0),
            }
        if column.get("header") in sorted_by:
            column |= {"sort": "desc", "enableSorting": True}
        columns.append(column)
    spec["columnSettings"] = [*columns, {"name": "timestamp", "hide": True}]
    shown = sum(not column.get("hide") for column in columns)
    spec["defaultColumnWidth"] = (WIDTH * panel["gridPos"]["w"] // 24 - 40) // shown


def migrated(address: str, board: dict[str, Any]) -> dict[str, Any]:
    """The dashboard as Perses has it: of a timeline, a near relation; it knows no most number of points either."""
    for panel in board["panels"]:
        panel["type"] = {"state-timeline": "status-history"}.get(panel["type"], panel["type"])
        for mapping in panel.get("fieldConfig", {}).get("defaults", {}).get("mappings", []):
            if mapping["options"].get("result", {}).get("color") == "text":  # the page's own: Perses has no name for it
                del mapping["options"]["result"]["color"]
    board["templating"]["list"] = [
        v for v in board["templating"]["list"] if v["type"] != "datasource" and v["name"] != "me"
    ]
    of_perses = post(address, "/api/migrate", {"input": {"datasource": SOURCE}, "grafanaDashboard": board})
    of_perses["metadata"]["project"] = PROJECT
    for variable in of_perses["spec"]["variables"]:
        if variable["spec"]["name"] == "cluster":
            variable["spec"]["defaultValue"] = series.CLUSTER
    by_title = {p["title"]: p for p in board["panels"] if p["type"] == "table"}
    few = {p["title"]: p["maxDataPoints"] for p in board["panels"] if "maxDataPoints" in p}
    for panel in of_perses["spec"]["panels"].values():
        spec = panel["spec"]
        assert "not supported" not in json.dumps(spec["plugin"]), spec["display"]["name"]
        # What takes more room in Perses than in Grafana
        if spec["plugin"]["spec"].get("legend", {}).get("position") == "right":
            spec["plugin"]["spec"]["legend"]["size"] = "small"
        minutes = 360 // few.get(spec["display"]["name"], 72)  # of the six hours shown
        for query in [q["spec"]["plugin"]["spec"] for q in spec.get("queries", [])]:
            if spec["plugin"]["kind"] == "StatusHistoryChart" or spec["display"]["name"] in few:
                query["minStep"] = f"{minutes}m"
                query["query"] = query["query"].replace("$__rate_interval", f"{minutes + 1}m")
        if spec["plugin"]["kind"] == "Table":
            finish_table(by_title[spec["display"]["name"]], spec["plugin"]["spec"])
    return of_perses


def draw(browser: webdriver.Chrome, page: str, panels: list[dict[str, Any]], to: Path) -> None:
    """One dashboard, whole, once nothing changes any more; none of which a panel says that it was not answered. A panel is only
    drawn where it can be seen: the window is as high as the page."""
    browser.set_window_size(WIDTH, 400 + 45 * max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels))
    browser.get(page)
    settled, before = 0, ""
    until = time.monotonic() + 300
    while settled < 3 and time.monotonic() < until:
        time.sleep(1)
        busy = browser.find_elements(By.CSS_SELECTOR, "[role=progressbar], .MuiSkeleton-root")
        now = browser.find_element(By.TAG_NAME, "body").text
        there = all(panel["title"] in now for panel in panels)
        settled = settled + 1 if there and now == before and not busy else 0
        before = now
    assert settled == 3, f"{page} is not drawn after five minutes"
    failed = [
        " ".join(panel.text.split("\n"))
        for panel in browser.find_elements(By.CSS_SELECTOR, ".react-grid-item")
        if panel.find_elements(By.CSS_SELECTOR, "[role=alert]") or "Failed to fetch" in panel.text
    ]
    assert not failed, f"{page} has panels that were not answered: {failed}"
    bottom = browser.execute_script(
        "return Math.max(...[...document.querySelectorAll('.react-grid-item')].map(e => e.getBoundingClientRect().bottom))"
    )
    clip = {"x": 0, "y": HEAD, "width": WIDTH, "height": bottom + 10 - HEAD, "scale": 1}
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})
    to.write_bytes(base64.b64decode(picture["data"]))


@contextlib.contextmanager
def perses(program: Path, scratch: Path, prometheus: str) -> Iterator[str]:
    """Its address; it has the data source, and a project for the dashboards."""
    config = {
        "database": {"file": {"folder": str(scratch / "database"), "extension": "json"}},
        "plugin": {"path": str(scratch / "plugins"), "archive_path": str(program / "plugins-archive")},
    }
    (scratch / "config.yaml").write_text(json.dumps(config))
    listen = f"127.0.0.1:{made_up.free_port()}"
    arguments = [str(program / "perses"), f"--config={scratch / 'config.yaml'}", f"--web.listen-address={listen}"]
    address = f"http://{listen}"
    with made_up.running(arguments, scratch / "perses.log", address + "/api/v1/projects"):
        proxy = {"kind": "HTTPProxy", "spec": {"url": prometheus}}
        source = {
            "default": True,
            "plugin": {"kind": "PrometheusDatasource", "spec": {"proxy": proxy, "scrapeInterval": "1m"}},
        }
        named = {"kind": "GlobalDatasource", "metadata": {"name": SOURCE}, "spec": source}
        post(address, "/api/v1/globaldatasources", named)
        post(address, "/api/v1/projects", {"kind": "Project", "metadata": {"name": PROJECT}})
        yield address


def main(program: Path, folder: Path, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        scratch = Path(made)
        (scratch / "prometheus").mkdir()
        end = int(time.time()) + LATER
        prometheus = stack.enter_context(made_up.prometheus(scratch / "prometheus", HOURS, end))
        address = stack.enter_context(perses(program, scratch, prometheus))
        browser = stack.enter_context(chromium.chromium(scratch / "profile"))
        for path in sorted(DASHBOARDS.glob("*.json")):
            if names and path.stem not in names:
                continue
            board = json.loads(path.read_text().replace("$me", ME))
            period = board["time"]["from"].removeprefix("now-")
            post(address, f"/api/v1/projects/{PROJECT}/dashboards", migrated(address, board))
            page = f"{address}/projects/{PROJECT}/dashboards/{board['uid']}?start={period}"
            draw(browser, page, board["panels"], folder / f"{path.stem}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
