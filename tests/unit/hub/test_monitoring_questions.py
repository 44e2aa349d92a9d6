"""Whose figures a question asks for: read by the library, and by what Prometheus 3 says of itself."""

import asyncio
import importlib
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES, DASHBOARDS = ROOT / "roles" / "monitoring" / "files", ROOT / "monitoring" / "dashboards"
NAME = "ada.l-1"
MINE = 'up{user="ada.l-1"}'

OWN = (
    MINE,
    "1+1",
    "time()",
    'vector(1) or -up{user="ada.l-1"}',
    '{user="ada.l-1"}',
    '{__name__=~"caas_.*", user="ada.l-1"}',
    'up{user="ada.l-1", user=~".*"}',
    'up{a="b",user="ada.l-1",}[5m]',
    "up{user='ada.l-1'} @ start() offset -5m",
    'sum by (user) (rate(up{user="ada.l-1", job!="x"}[5m])) / on (user) group_left max({user="ada.l-1"})',
    'max_over_time(sum(up{user="ada.l-1"})[1h:1m])',
    'topk(scalar(up{user="ada.l-1"}), {user="ada.l-1"})',
    'label_replace(up{user="ada.l-1"}, "user", "bob", "", "")',  # a name that one gives oneself
    'label_replace(label_replace(vector(1), "login", "ada.l-1@x.org", "", ""), "user", "$1", "login", "([^@]+).*")',
    "caas_dask_max_cores",
    '{__name__="caas_exporter_build_info"}',
)
NOT_OWN = (
    "up",
    "{}",
    'up{user="bob"}',
    'up{user=""}',
    'up{user=~"ada.l-1"}',
    'up{user=~"ada.l-1|bob"}',
    'up{user!="bob"}',
    'up{user!~"bob"}',
    'up{User="ada.l-1"}',
    'up{user="Ada.l-1"}',
    'up{user="ada.l-1 "}',
    "up{a=\"user='ada.l-1'\"}",
    'up{username="ada.l-1"}',
    '{__name__=~"caas_exporter_build_info|up"}',
    '{__name__=~"caas_exporter_build_info"}',
    '{__name__!="caas_exporter_build_info"}',
    "caas_exporter_build_info_x",
    'up{caas_dask_max_cores="caas_dask_max_cores"}',
    'up{user="ada.l-1"} or up',
    'up{user="ada.l-1"} or up{user="bob"}',
    'up{user="ada.l-1"} + on () group_right up',
    '(((up{user="ada.l-1"} and (up))))',
    'topk(scalar(sum(up)), up{user="ada.l-1"})',
    'count_values("x", up)',
    'quantile_over_time(scalar(up), up{user="ada.l-1"}[5m])',
    'absent(up{user="bob"})',
    "sum by (user) (up)",
    "-up",
    "max_over_time(sum(up)[1h:1m])",
    "up[5m] offset 1d",
    'label_replace(up, "user", "ada.l-1", "", "")',
    'info(up{user="ada.l-1"})',
    'info(up{user="ada.l-1"}, {user="ada.l-1"})',
    '{user="ada.l-1" or user="bob"}',  # VictoriaMetrics' own
    '{user="bob" or user="ada.l-1"}',
    'sum{user="bob"}',
)
UNREADABLE = (
    "",
    " ",
    "up{",
    "(" * 1000,
    '{user="ada.l-1"',
    'up{user="ada.l-1"} up',
    'up{user="ada.l-1"}; up',
    'whatever(up{user="ada.l-1"})',
    'up{user="ada.l-1"}[5m',
    'up{user="ada.l-1"} # \nor up',
    '# {user="ada.l-1"}\nup',
    r'up{user="ada.l\x2d1"}',
    r'up{a="\"", user="ada.l-1"}',
    "up{user=`ada.l-1`}",
    'up{user="ada.l-1", a="é"}',
    'up{user="ada.l-1"}\0',
    'up{user="ada.l-1"}\u2028or up',
    'up{user="ada.l-1"} or ' * 60 + MINE,
)


class NoLibrary(SimpleNamespace):
    """A Prometheus that is asked how it reads questions."""

    answers: dict[str, Any]
    code = 200

    async def fetch(self, path: str) -> Any:
        assert path.startswith("api/v1/parse_query?query=")
        return SimpleNamespace(code=self.code, body=json.dumps({"status": "success", "data": self.answers}))


@pytest.fixture(scope="module")
def questions() -> Iterator[Any]:
    sys.path.insert(0, str(FILES))
    yield importlib.import_module("questions")
    sys.path.remove(str(FILES))


def is_own(questions: Any, text: str, prometheus: Any = None) -> bool:
    try:
        asyncio.run(questions.look_at(text, NAME, prometheus))
    except questions.NotOwn:
        return False
    return True


@pytest.mark.parametrize("text", OWN)
def test_ones_own(questions: Any, text: str) -> None:
    asyncio.run(questions.look_at(text, NAME, None))


def test_my_usage_is_ones_own(questions: Any) -> None:
    """All that the dashboard asks, as Grafana asks it; the others are admins'."""
    given = {"cluster": "lab", "me": NAME, "__user.login": f"{NAME}@pangeo.example.org", "__range": "6h"}

    def asked(name: str) -> list[str]:
        board = json.loads((DASHBOARDS / name).read_text())
        texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        for variable in board["templating"]["list"]:
            texts += re.findall(r"(?:label_values|query_result)\((.*?)(?:, \w+)?\)$", variable.get("definition", ""))
        filled = [re.sub(r"\$\{?([a-z_.]+)\}?", lambda found: given.get(found[1], "2m"), text) for text in texts]
        assert len(filled) > 10
        return filled

    for text in asked("own.json"):
        asyncio.run(questions.look_at(text, NAME, None))
    assert sum(is_own(questions, text) for text in asked("users.json")) == 1  # which clusters there are


@pytest.mark.parametrize("text", [*NOT_OWN, *UNREADABLE])
def test_what_is_refused(questions: Any, text: str) -> None:
    assert not is_own(questions, text)


def test_whatever_is_put_together(questions: Any) -> None:
    """Of pieces of PromQL: what is found to be one's own names nobody else, and every metric has its matcher."""
    pieces = ["up", "{", "}", "(", ")", ",", 'user="ada.l-1"', 'user="bob"', '"', "'", " ", "or ", "[5m]", "[1h:1m]"]
    pieces += ["sum", "by ", "(user)", "rate", "-", "1", "offset 5m", "@ 1", "\n", "x=", "=~", MINE, "vector(1)"]
    pieces += ["on", "bool", "up:x", "nan", "{user='ada.l-1'}", "without", "group_left"]
    choose, found = random.Random(5), 0
    for _ in range(20_000):
        text = "".join(choose.choice(pieces) for _ in range(choose.randrange(1, 9)))
        if is_own(questions, text):
            found += 1
            rest = re.sub(r"\"[^\"]*\"|'[^']*'", "S", text)  # nothing in a text is read
            assert not re.search(r"(?<![\w:])up(:x)?(?![\w:])(?!\s*\{)", rest) or "(user)" in rest, text
            assert "bob" not in text or 'user="ada.l-1"' in text or "up" not in rest, text
    assert found > 500


TREES = {
    '{"type": "vectorSelector", "name": "up", "matchers": [{"name": "user", "type": "=", "value": "ada.l-1"}]}': True,
    '{"type": "matrixSelector", "name": "up", "matchers": [{"name": "user", "type": "=~", "value": "ada.l-1"}]}': False,
    '{"type": "numberLiteral", "val": "2"}': True,
    '{"type": "unheardOf"}': False,
    '{"type": "call", "func": {"name": "info"}, "args": []}': False,
    '{"type": "vectorSelector", "matchers": [{"name": "__name__", "type": "=", "value": "caas_dask_max_cores"}]}': True,
    '{"type": "vectorSelector", "matchers": [{"name": "__name__", "type": "=", "value": "up"}]}': False,
}
AROUND = (
    '{"type": "aggregation", "op": "sum", "expr": %s, "param": null, "grouping": [], "without": false}',
    '{"type": "aggregation", "op": "topk", "expr": {"type": "numberLiteral"}, "param": %s}',
    '{"type": "binaryExpr", "op": "+", "lhs": %s, "rhs": {"type": "numberLiteral"}, "matching": null}',
    '{"type": "binaryExpr", "op": "+", "rhs": %s, "lhs": {"type": "stringLiteral"}, "matching": null}',
    '{"type": "call", "func": {"name": "rate"}, "args": [{"type": "numberLiteral"}, %s]}',
    '{"type": "subquery", "expr": %s, "range": 1}',
    '{"type": "parenExpr", "expr": %s}',
    '{"type": "unaryExpr", "op": "-", "expr": %s}',
    "%s",
)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("tree", "wanted"), TREES.items())
def test_where_prometheus_itself_reads(
    questions: Any, monkeypatch: pytest.MonkeyPatch, around: str, tree: str, wanted: bool
) -> None:
    monkeypatch.setitem(sys.modules, "promql_parser", None)
    assert is_own(questions, "x", NoLibrary(answers=json.loads(around % tree))) == wanted


def test_where_it_cannot(questions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus 2 answers 404, and 400 is what it cannot read."""
    monkeypatch.setitem(sys.modules, "promql_parser", None)
    for code in (400, 404, 500):
        assert not is_own(questions, MINE, NoLibrary(answers={"type": "numberLiteral"}, code=code))


def test_nobody_takes_all_turns(questions: Any) -> None:
    """Two of one person's questions at once, four of all people's; who waits for too many is told so."""

    async def run() -> None:
        turns, under_way, most = questions.Turns(), {"ada": 0, "bob": 0, "eve": 0}, {"all": 0, "one": 0}

        async def ask(name: str) -> None:
            async with turns.turn(name):
                under_way[name] += 1
                most["all"] = max(most["all"], sum(under_way.values()))
                most["one"] = max(most["one"], *under_way.values())
                await asyncio.sleep(0)
                under_way[name] -= 1

        async with asyncio.TaskGroup() as group:
            for name in under_way:
                for _ in range(questions.WAITING):
                    group.create_task(ask(name))
            await asyncio.sleep(0)
            with pytest.raises(questions.web.HTTPError):
                await ask("eve")
        assert most == {"all": 4, "one": 2}
        assert not turns._of and not turns._waiting  # nothing is kept of who asked

    asyncio.run(run())
