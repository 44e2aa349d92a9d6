"""Every expression of every dashboard and alert, asked of a real Prometheus: check() says which it refuses, and which find
nothing where something has to be.

    promql.py http://127.0.0.1:9090 CLUSTER
"""

import json
import math
import re
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DASHBOARDS = ROOT / "monitoring" / "dashboards"
ALERTS = ROOT / "monitoring" / "alerts"

# Expressions whose result may be empty although all they read is there; a part of the expression → why.
MAY_BE_EMPTY = {
    "offset 1h": "the disk of the homes has been watched for less than an hour",
    "[$__rate_interval])) > 0": "nobody signed in, started, was stopped or killed in the time",
    "[$__range])) > 0": "nobody signed in in the time",
    "[2m])) > 0": "nobody was killed for memory in the time",
    "deriv(caas_home_used_bytes": "no home grows, or they have not been watched for long enough",
    "delta(caas_home_used_bytes": "the homes have not been watched for long enough",
    "histogram_quantile(": "nothing was asked of the directory or the hub, and no server started, in the time",
}
# Series that there are only at times; the beginning of a selector → why.
MAY_BE_ABSENT = {
    "ALERTS{": "no alert is firing",
    "alertmanager_notifications_failed_total{": "the form has nobody who is sent mails",
    "caas_kubelet_up": "a host has none",
    'kubelet_volume_stats_available_bytes{persistentvolumeclaim="prometheus"}': "a host has no such volume",
    "caas_backup_last_success_timestamp_seconds": "the form names nothing that makes backups",
    'jupyterhub_request_duration_seconds_count{code=~"5.."}': "the hub has not failed yet",
}
UNNAMED = "server"  # the label of which the usual value, that of somebody's only server, is empty
# For a cluster on Kubernetes (docs/KUBERNETES.md): file systems and networks of the machines, the homes' disk.
NOT_ON_KUBERNETES = r"^node_(filesystem|network)_|^caas_homes_"
# For a caller whose cluster has no Dask cluster at the time.
NO_DASK = r"^dask_|^caas_dask_(cluster|user|worker)_|kind=\"dask\""

AGGREGATIONS = [
    "sum",
    "min",
    "max",
    "avg",
    "group",
    "stddev",
    "stdvar",
    "count",
    "count_values",
    "bottomk",
    "topk",
    "quantile",
]
LISTS = ["by", "without", "on", "ignoring", "group_left", "group_right"]  # of labels, in parentheses
OPERATORS = ["and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"]


@dataclass(frozen=True)
class Query:
    where: str  # "Users / Memory, notebooks", "alert PartDown"
    expr: str  # with its variables in it
    kind: str  # range | instant | alert | annotation | values
    labels: tuple[str, ...] = ()  # that its legend, text or table shows
    table: bool = False


@dataclass(frozen=True)
class Alert:
    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    duration: str


@dataclass(frozen=True)
class Series:
    labels: dict[str, str]
    values: list[float]


# ---- what there is to ask ----


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, also those that a folded row holds."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def dashboards(folder: Path = DASHBOARDS) -> dict[str, dict[str, Any]]:
    """File name → dashboard."""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def alerts(folder: Path = ALERTS) -> list[Alert]:
    """Read from the rule files, which keep to one form: two spaces a level, every value on one line or after `|`.
    tests/unit/monitoring compares their number with what promtool counts."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for block in re.split(r"^ {6}- alert: ", path.read_text(), flags=re.MULTILINE)[1:]:
            lines = block.split("\n")
            top: dict[str, str] = {}
            inner: dict[str, dict[str, str]] = {"labels": {}, "annotations": {}}
            at, key = top, ""
            for line in lines[1:]:
                if match := re.match(r"^ {8}([a-z_]+):(?: (.*))?$", line):
                    key, value = match[1], match[2] or ""
                    at = inner.get(key, top)
                    if at is top:
                        top[key] = "" if value == "|" else value
                elif match := re.match(r"^ {10}([a-z_]+): (.*)$", line):
                    if at is not top:
                        at[match[1]] = match[2].strip("'\"")
                    else:
                        top[key] += line.strip() + " "
                elif line.startswith(" " * 10) and at is top:
                    top[key] += line.strip() + " "
            found.append(
                Alert(lines[0].strip(), top["expr"].strip(), inner["labels"], inner["annotations"], top.get("for", ""))
            )
    return found


def queries(folder: Path = ROOT / "monitoring") -> list[Query]:
    """Everything that dashboards and alerts would ask."""
    found = []
    for dashboard in dashboards(folder / "dashboards").values():
        title = dashboard["title"].split(" / ")[-1]
        for panel in panels(dashboard):
            table = panel["type"] == "table"
            for target in panel.get("targets", []):
                kind = "instant" if target["instant"] else "range"
                labels = columns(panel) if table else tuple(re.findall(r"\{\{\s*(\w+)", target["legendFormat"]))
                found.append(Query(f"{title} / {panel['title']}", target["expr"], kind, labels, table))
        for annotation in dashboard["annotations"]["list"]:
            labels = tuple(annotation["tagKeys"].split(","))
            where = f"{title} / annotation {annotation['name']}"
            found.append(Query(where, annotation["target"]["expr"], "annotation", labels))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found.append(Query(f"{title} / variable {variable['name']}", variable["query"]["query"], "values"))
    for alert in alerts(folder / "alerts"):
        named = tuple(sorted(set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))))
        found.append(Query(f"alert {alert.name}", alert.expr, "alert", named))
    return found


def columns(panel: dict[str, Any]) -> tuple[str, ...]:
    """The labels that a table shows."""
    (shown,) = [one["options"]["renameByName"] for one in panel["transformations"] if one["id"] == "organize"]
    return tuple(name for name in shown if not name.startswith("Value"))


def selectors(expr: str) -> list[str]:
    """The metrics that an expression reads, each with its matchers: `up{job="hub"}`."""
    found, at = [], 0
    token = re.compile(r"\s+|\d[\w.]*|[a-zA-Z_:][\w:]*|\[[^\]]*\]|\"(?:\\.|[^\"\\])*\"|.", re.DOTALL)
    matchers = re.compile(r"\s*\{(?:[^}\"]|\"(?:\\.|[^\"\\])*\")*\}")
    listed = re.compile(r"\s*\([^)]*\)")
    while at < len(expr):
        match = token.match(expr, at)
        assert match
        word, at = match[0], match.end()
        if not re.match(r"[a-zA-Z_:]", word) or word.lower() in OPERATORS or word in AGGREGATIONS:
            continue
        if word in LISTS:
            names = listed.match(expr, at)
            at = names.end() if names else at
        elif not re.match(r"\s*\(", expr[at:]):
            braces = matchers.match(expr, at)
            found.append(word + (braces[0].strip() if braces else ""))
            at = braces.end() if braces else at
    return found


# ---- asking ----


def fill(expr: str, variables: dict[str, str]) -> str:
    """With the dashboard's variables, and Grafana's own, in their places."""
    given = {"__rate_interval": "2m", "__interval": "15s", "__range": "1h", "user": ".*", "datasource": ""}
    given |= {"me": "alice", "__user.login": "alice@localhost"} | variables
    for name in sorted(given, key=len, reverse=True):
        expr = re.sub(r"\$\{?%s\b\}?" % re.escape(name), lambda _, name=name: given[name], expr)
    return expr


class Asked:
    """A Prometheus; what it refuses is said as a text."""

    def __init__(
        self, address: str, now: float | None, seconds: float, context: ssl.SSLContext | None, step: int = 15
    ) -> None:
        self.address = address.rstrip("/")
        self.context = context
        self.now = now or time.time()
        self.seconds = seconds
        self.step = max(step, int(seconds / 60))

    def get(self, path: str, **fields: str) -> tuple[Any, str]:
        """(data, "") or (None, what is wrong)."""
        address = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(address, timeout=30, context=self.context) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                return None, json.loads(text)["error"]
            except (ValueError, KeyError):
                return None, f"HTTP {error.code}: {text[:200]}"
        except (OSError, ValueError) as error:
            return None, str(error)
        return (said["data"], "") if said.get("status") == "success" else (None, str(said)[:200])

    def series(self, expr: str, over: bool) -> tuple[list[Series], str]:
        """All series, over the time asked for or at its end; ([], what is wrong)."""
        if over:
            start, step = str(self.now - self.seconds), str(self.step)
            data, wrong = self.get("query_range", query=expr, start=start, end=str(self.now), step=step)
        else:
            data, wrong = self.get("query", query=expr, time=str(self.now))
        if wrong:
            return [], wrong
        if data["resultType"] == "scalar":
            return [Series({}, [float(data["result"][1])])], ""
        if data["resultType"] != ("matrix" if over else "vector"):
            return [], f"gives a {data['resultType']}"
        found = []
        for one in data["result"]:
            values = [float(value) for _, value in (one["values"] if over else [one["value"]])]
            found.append(Series(one["metric"], values))
        return found, ""

    def figures(self, expr: str, over: bool) -> tuple[list[float], str]:
        """All values, of all series; ([], what is wrong)."""
        series, wrong = self.series(expr, over)
        return [value for one in series for value in one.values], wrong

    def is_there(self, selector: str) -> bool:
        """In the time asked for: what tests before had may be over."""
        values, _ = self.figures(f"count(last_over_time({selector}[{self.seconds:.0f}s]))", over=False)
        return bool(values) and values[0] > 0


def reason(text: str, reasons: dict[str, str]) -> str:
    return next((why for part, why in reasons.items() if part in text), "")


def missing_of(asked: Asked, expr: str, absent: str) -> tuple[list[str], bool]:
    """(what it reads that is not there and has to be, whether something is missing that may be)."""
    missing, excused = [], False
    for selector in selectors(expr):
        if asked.is_there(selector):
            continue
        if reason(selector, MAY_BE_ABSENT) or (absent and re.search(absent, selector)):
            excused = True
        else:
            missing.append(selector)
    return missing, excused


def misshapen(query: Query, series: list[Series]) -> str:
    """What is wrong with the labels of an answer, for whoever looks at it, or ""."""
    for one in series:
        lacks = [label for label in query.labels if label not in one.labels and label != UNNAMED]
        if lacks and not query.table:
            return f"lacks the label {lacks[0]} that is shown: {one.labels}"
        if query.table and not (one.labels and set(one.labels) <= set(query.labels)):
            return f"has other labels than the table's columns {query.labels}: {one.labels}"
    shown = [tuple(one.labels.get(label) for label in query.labels) for one in series]
    if query.kind != "alert" and len(set(shown)) < len(shown):
        return f"shows two that look the same, of {len(shown)} series with {query.labels or 'no label'}"
    return ""


def answer(asked: Asked, query: Query, variables: dict[str, str], over: bool) -> tuple[list[Series], str]:
    """What Prometheus says of a query that is none of "values", or ([], what is wrong with that)."""
    expr = fill(query.expr, variables)
    if "$" in re.sub(r"\"[^\"]*\"", "", expr) or "$" in "".join(selectors(expr)):
        return [], f"has a variable that nobody fills in: {expr}"
    series, wrong = asked.series(expr, over)
    wrong = wrong or misshapen(query, series)
    return (series, "") if not wrong else ([], f"{wrong} in: {expr}")


def values_of(asked: Asked, query: Query, variables: dict[str, str]) -> tuple[list[str], str]:
    """What a variable offers, or ([], what is wrong)."""
    asks = re.fullmatch(r"query_result\((.*)\)", query.expr)
    if asks:  # for each series, of which Grafana's pattern takes a part
        found, wrong = asked.series(fill(asks[1], variables), over=False)
        return [json.dumps(one.labels) for one in found], wrong or ("" if found else "has no values")
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", query.expr)
    if not match:
        return [], "is not label_values(SELECTOR, LABEL)"
    data, wrong = asked.get(f"label/{match[2]}/values", **{"match[]": fill(match[1], variables)})
    return data or [], wrong or ("" if data else "has no values")


def fault(asked: Asked, query: Query, variables: dict[str, str], absent: str) -> str:
    """What is wrong with a query, or ""."""
    if query.kind == "values":
        return values_of(asked, query, variables)[1]
    expr = fill(query.expr, variables)
    series, wrong = answer(asked, query, variables, over=query.kind == "range")
    if wrong:
        return wrong
    may_be_empty = query.kind in ("alert", "annotation") or reason(query.expr, MAY_BE_EMPTY)
    values = [value for one in series for value in one.values]
    finite = any(math.isfinite(value) for value in values)
    # An alert has nothing to say where all is well, and "or vector(0)" says something in any case: then what they read counts.
    if finite and query.kind != "alert" and "vector(0)" not in expr:
        return ""
    missing, excused = missing_of(asked, expr, absent)
    if missing:
        return f"reads what is not there, {', '.join(missing)}, in: {expr}"
    if finite or may_be_empty or excused:
        return ""
    return f"{'gives only NaN' if values else 'finds nothing'}: {expr}"


def only_zeros(asked: Asked, variables: dict[str, str]) -> set[str]:
    """Panels that show nothing but zeros: they would, too, if they counted what is not there."""
    found: dict[str, list[float]] = {}
    for query in queries():
        if query.kind in ("instant", "range"):
            series, _ = answer(asked, query, variables, over=query.kind == "range")
            values = [value for one in series for value in one.values if math.isfinite(value)]
            found.setdefault(query.where, []).extend(values)
    return {where for where, values in found.items() if values and not any(values)}


def check(
    prometheus_url: str,
    variables: dict[str, str],
    absent: str = "",
    now: float | None = None,
    seconds: float = 900,
    folder: Path = ROOT / "monitoring",
    context: ssl.SSLContext | None = None,
) -> list[str]:
    """What is wrong, a line each; [] if nothing is. `prometheus_url`: what "/api/v1/query" follows. `variables`: at least
    `cluster`. `absent`: a pattern of selectors of which there may be none (NO_DASK). Panels are asked for the `seconds` before
    `now`. `context`: for a Prometheus that wants a client's certificate."""
    asked = Asked(prometheus_url, now, seconds, context)
    _, unreachable = asked.get("query", query="up")
    if unreachable:
        return [f"{prometheus_url}: {unreachable}"]
    wrong = [(query, fault(asked, query, variables, absent)) for query in queries(folder)]
    return [f"{query.where}: {said}" for query, said in wrong if said]


if __name__ == "__main__":
    faults = check(sys.argv[1], {"cluster": sys.argv[2]}, *sys.argv[3:4])
    print("\n".join(faults) if faults else f"{len(queries())} expressions: fine")
    sys.exit(1 if faults else 0)
