"""docs/MONITORING.md names every metric there is, and nothing that is used is missing there."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import kubernetes_names
import promql
import pytest
import series

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "MONITORING.md").read_text()
# name → labels, unit; what is others' as well is first said of ours
DOCUMENTED = {
    name: (labels, unit)
    for name, labels, unit in reversed(
        re.findall(r"^\| `([a-zA-Z_:]\w*)` \| ([^|]*?) ?\| ([^|]*?) \|", TEXT, re.MULTILINE)
    )
}
# named by prometheus-dirsize-exporter, against the conventions
UNCONVENTIONAL = {"dirsize_entries_count"}
EXPORTER = ROOT / os.environ.get("BUILD", "build") / "caas-exporter"


def family(name: str) -> str:
    """Of a histogram's series, the histogram."""
    return re.sub(r"_(bucket|count|sum)$", "", name) if name not in DOCUMENTED else name


def used() -> set[str]:
    found = set()
    for query in promql.queries():
        inner = re.sub(r"^label_values\((.*), \w+\)$", r"\1", query.expr)
        found |= {family(selector.split("{")[0]) for selector in promql.selectors(inner)}
    return found


def of_the_exporter() -> dict[str, tuple[str, str, str]]:
    """name → labels, type, unit; from the tables beside the sources."""
    found = {}
    for path in sorted((ROOT / "monitoring" / "exporter").glob("*.c")):
        text = path.read_text()
        short = dict(re.findall(r"^#define (\w+)\s+\"([^\"]*)\"$", text, re.MULTILINE))
        for body in re.findall(r"^(?:static )?const struct family \w+ = \{(.*?)\};", text, re.MULTILINE | re.DOTALL):
            said = dict(re.findall(r"\.(name|type|unit|labels) = (.*?)(?=,\s*\.|\s*$)", body, re.DOTALL))
            pieces = re.findall(r"\"([^\"]*)\"|(\w+)", said.get("labels", '""'))
            labels = "".join(short[name] if name else piece for piece, name in pieces)
            said = {k: v.strip('"') for k, v in said.items()}
            kind = "counter" if said.get("type") == "FAMILY_COUNTER" else "gauge"
            found[said["name"]] = (labels, kind, said.get("unit", ""))
    return found


def of_the_hub() -> dict[str, tuple[str, str, str]]:
    text = (ROOT / "roles" / "hub" / "files" / "pangeo_hub" / "metrics.py").read_text()
    found = re.findall(r"(Counter|Gauge|Histogram)\(\s*\"(caas_\w+)\",\s*\"[^\"]*\",\s*\[([^\]]*)\]", text)
    return {name: (labels.replace('"', ""), kind.lower(), "") for kind, name, labels in found}


MADE = {**of_the_exporter(), **of_the_hub()}


def test_all_that_is_used_is_documented() -> None:
    assert used() - set(DOCUMENTED) == set()


def test_all_of_ours_that_is_documented_is_used() -> None:
    assert {n for n in DOCUMENTED if n.startswith("caas_")} - used() == set()


def test_all_that_is_made_is_used() -> None:
    """Also what has the name that others gave it: by us, or by dashboards that were made for it."""
    asked = {family(s.split("{")[0]) for e, _ in kubernetes_names.QUESTIONS.values() for s in promql.selectors(e)}
    assert set(MADE) - used() - asked == set()


def test_all_that_is_made_is_documented_and_the_other_way_round() -> None:
    assert set(MADE) - set(DOCUMENTED) == set()
    ours = {n for n in DOCUMENTED if re.match(r"caas_|container_|kube|dirsize_|dask_|jupyterhub_user_group_info", n)}
    assert ours - set(MADE) == set()


@pytest.mark.parametrize("name", MADE)
def test_labels_and_unit_are_as_documented(name: str) -> None:
    labels, kind, unit = MADE[name]
    said_labels, said_unit = DOCUMENTED[name]
    if "…" not in said_labels:
        documented = {label for label in re.split(", | or ", said_labels) if label}
        made = {label for label in labels.split(",") if label}
        assert made == documented or (
            made < documented and name.startswith(("kube_", "dask_"))
        )  # those have more of their own
    assert ("counter" in said_unit) == (kind == "counter")
    if unit == "bytes":
        assert "bytes" in said_unit
    if unit == "seconds":
        assert "seconds" in said_unit or said_unit == "time"


def test_outcomes_are_explained() -> None:
    text = (ROOT / "roles" / "hub" / "files" / "pangeo_hub" / "metrics.py").read_text()
    for name, made_up in {"SIGN_IN_OUTCOMES": series.OUTCOMES, "SPAWN_OUTCOMES": series.SPAWNS}.items():
        listed = re.search(rf"^{name} = \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
        assert listed
        outcomes = re.findall(r'^ +"(\w+)"', listed[1], re.MULTILINE)
        assert outcomes == list(made_up)
        for outcome in outcomes:
            assert f"`{outcome}`" in TEXT, outcome


def test_what_is_made_up_for_the_tests_has_the_names_of_the_real_ones() -> None:
    names = {family(name) for name in series.series(0.1, 60, 1_700_000_000)}
    assert names - set(DOCUMENTED) == set()
    for name, by_labels in series.series(0.1, 60, 1_700_000_000).items():
        if family(name) in MADE and name.startswith("caas_"):
            has = set(re.findall(r"(\w+)=", next(iter(by_labels))))
            assert {label for label in MADE[family(name)][0].split(",") if label} <= has, name


@pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")
def test_the_exporter_says_the_same_of_itself() -> None:
    done = subprocess.run([EXPORTER, "--families"], capture_output=True, text=True, check=True, timeout=20)
    families = json.loads(done.stdout)
    assert {f["name"] for f in families} - {"up"} == set(of_the_exporter())


@pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")
def test_names_and_types_follow_the_conventions() -> None:
    """Those of Prometheus, by its own tool."""
    done = subprocess.run([EXPORTER, "--families"], capture_output=True, text=True, check=True, timeout=20)
    page = ""
    for name, one in {
        f["name"]: f for f in json.loads(done.stdout) if f["name"] not in UNCONVENTIONAL
    }.items():  # on Kubernetes another source may have it
        page += f"# HELP {name} {one['help']}\n# TYPE {name} {one['type']}\n{name} 1\n"
    linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    wrong = page.replace("# TYPE caas_hub_users gauge", "# TYPE caas_hub_users counter")
    linted = subprocess.run(["promtool", "check", "metrics"], input=wrong, capture_output=True, text=True, timeout=60)
    assert "caas_hub_users" in linted.stderr and linted.returncode


@pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")
def test_no_core_dump_of_it_has_its_secrets(tmp_path: Path) -> None:
    config = tmp_path / "exporter.json"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config.write_text(json.dumps({"listen": f"127.0.0.1:{free.getsockname()[1]}"}))
    with subprocess.Popen([EXPORTER, config], stdout=subprocess.PIPE, text=True) as exporter:
        assert exporter.stdout and "listening" in exporter.stdout.readline()
        limits = Path(f"/proc/{exporter.pid}/limits").read_text()
        exporter.terminate()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
    assert exporter.returncode == 0
