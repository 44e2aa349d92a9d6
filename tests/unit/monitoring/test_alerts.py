"""The alerts: Prometheus takes them, each fires when it should, and each leads to what to do."""

import re
import subprocess
from pathlib import Path

import promql
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ALERTS = promql.alerts()
RULES = sorted(promql.ALERTS.glob("*.yaml"))
TESTS = sorted((HERE / "alerts").glob("*.yaml"))
RUNBOOK = (ROOT / "docs" / "RUNBOOK.md").read_text()

by_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda a: a.name)


def test_prometheus_takes_them() -> None:
    done = subprocess.run(["promtool", "check", "rules", *RULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    # That promql.alerts() misses none: it reads the files in a way of its own.
    assert sum(map(int, re.findall(r"SUCCESS: (\d+) rules found", done.stdout))) == len(ALERTS)


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.stem)
def test_they_fire_when_they_should(path: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_and_every_alert_is_tested() -> None:
    assert [p.name for p in TESTS] == [p.name for p in RULES]
    tested = set(re.findall(r'ALERTS\{alertname="(\w+)", alertstate="firing", ', "".join(p.read_text() for p in TESTS)))
    assert tested == {a.name for a in ALERTS}


def test_texts_with_a_figure_are_seen_as_they_are_sent() -> None:
    """What a template makes of it shows only where it is filled in; the files above compare that."""
    seen = "".join(p.read_text() for p in TESTS)
    rendered = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels: .*\n +exp_annotations:", seen))
    assert {a.name for a in ALERTS if "$value" in "".join(a.annotations.values())} == rendered


@by_alert
def test_what_it_says(alert: promql.Alert) -> None:
    assert set(alert.labels) == {"severity"} and alert.labels["severity"] in ("critical", "warning", "info")
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"\d+[mh]", alert.duration)
    assert alert.annotations["description"].endswith(".") and not alert.annotations["summary"].endswith(".")
    assert "$labels.cluster" in alert.annotations["summary"]
    # A label that the alert does not have would be said as nothing: those that it has are in the test of its firing.
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    fired = re.findall(
        r'labels: \'ALERTS\{alertname="%s", ([^}]*)\}' % alert.name, "".join(p.read_text() for p in TESTS)
    )
    assert fired
    for labels in fired:
        assert named <= set(re.findall(r"(\w+)=", labels)), alert.name


@by_alert
def test_it_leads_to_what_to_do(alert: promql.Alert) -> None:
    assert alert.annotations["runbook_url"] == f"docs/RUNBOOK.md#{alert.name.lower()}"
    section = re.search(rf"^### {alert.name}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert section, "has no section in docs/RUNBOOK.md"
    for part in ("**Means.**", "**Look.**", "**Do.**"):
        assert part in section[1]


def test_the_runbook_has_nothing_else() -> None:
    assert re.findall(r"^### (.*)$", RUNBOOK, re.MULTILINE) == [
        a.name for a in sorted(ALERTS, key=lambda a: RUNBOOK.find(f"### {a.name}\n"))
    ]
    anchors = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", RUNBOOK)) <= anchors


def test_the_runbook_names_commands_that_there_are() -> None:
    """With options that they have, by the manual page."""
    manual = (ROOT / "docs" / "caas.1").read_text()
    sections = re.split(r"^\.It Nm caas Cm ", manual, flags=re.MULTILINE)[1:]
    known = {re.match(r"[a-z]+(?: [a-z]+\b)?", s)[0]: s for s in sections}  # type: ignore[index]
    used = set(re.findall(r"(?:`|^    )caas ([a-z][^`\n#]*)", RUNBOOK, re.MULTILINE))
    assert used
    for line in used:
        words = line.split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, line
        for option in re.findall(r"--([a-z-]+)", line):
            assert f"Fl \\-{option}" in known[name] or f", Fl \\-{option}" in known[name], line
