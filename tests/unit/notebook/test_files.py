"""welcome.ipynb, the lock, the first copy into a home."""

import importlib.util
import json
import logging
import re
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
FILES = ROLES / "notebook" / "files"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


welcome = load(FILES / "python" / "pangeo_notebook" / "welcome.py")
log = logging.getLogger("unit")


def test_a_new_home_gets_the_notebook_once(tmp_path):
    assert welcome.copy_welcome(log, tmp_path) is True
    target = tmp_path / "welcome.ipynb"
    assert target.read_bytes() == (FILES / "welcome.ipynb").read_bytes()
    target.write_text("mine")
    assert welcome.copy_welcome(log, tmp_path) is False
    assert target.read_text() == "mine"
    target.unlink()
    assert welcome.copy_welcome(log, tmp_path) is False
    assert not target.exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_overwritten(tmp_path, kind):
    target = tmp_path / "welcome.ipynb"
    if kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "elsewhere")
    assert welcome.copy_welcome(log, tmp_path) is False
    assert not (tmp_path / "elsewhere").exists()
    assert kind == "link" or target.read_text() == "mine"


def test_a_strange_home_is_no_failure(tmp_path):
    (tmp_path / ".local").write_text("not a folder")
    assert welcome.copy_welcome(log, tmp_path) is False


def test_the_notebook_is_one_without_results():
    notebook = json.loads((FILES / "welcome.ipynb").read_text())
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile("\n".join(x for x in cell["source"].splitlines() if not x.startswith("%")), "cell", "exec")


def locked(path):
    """{name: {versions}}, and every entry has a hash."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^#.*\n", "", path.read_text())):
        name, version = re.match(r"([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", entry).groups()
        assert "--hash=sha256:" in entry, name
        found.setdefault(name, set()).add(version)
    return found


def test_the_lock_has_what_it_is_for():
    lock = locked(ROLES / "notebook" / "requirements.txt")
    wanted = set()
    for line in (ROLES / "notebook" / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            wanted.add(re.match(r"[A-Za-z0-9._-]+", line)[0].lower())
    assert wanted <= set(lock)
    required = re.search(r"required: \[(.*)\]", (ROLES / "notebook" / "role.yaml").read_text())[1].split(", ")
    assert set(required) <= set(lock)


def test_hub_and_notebook_speak_the_same_protocol():
    hub, notebook = (locked(ROLES / role / "requirements.txt") for role in ("hub", "notebook"))
    assert hub["jupyterhub"] == notebook["jupyterhub"]
    assert hub["dask-gateway-server"] == notebook["dask-gateway"]
