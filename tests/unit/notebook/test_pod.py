"""roles/notebook/pod: how the code comes into the Pythons of images that are not ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles" / "notebook"
PRINT = "import sys, os, caas_env; print(caas_env._started, os.environ.get('SEEN'), sys.path[-1])"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """As the ConfigMap is mounted: both folders in one."""
    folder = tmp_path / "site"
    folder.mkdir()
    for source in (ROLE / "site" / "caas_env.py", ROLE / "pod" / "sitecustomize.py"):
        shutil.copy(source, folder)
    return folder


def run(code: str, path: str, **environment: str) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_it_is_started_once_for_every_python(site: Path) -> None:
    assert run(PRINT, str(site)).startswith("1 None ")


def test_a_sitecustomize_of_the_image_runs_as_well(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'\n")
    assert run(PRINT, f"{site}:{other}").startswith("1 yes ")


def test_the_environment_is_the_one_that_the_hub_names(site: Path) -> None:
    code = "import caas_env; print(caas_env.environment_name('/srv/conda/envs/notebook'))"
    assert run(code, str(site)) == "notebook"
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "CAAS_ENVIRONMENT": "climate"}
    assert run(code, str(site), **pod) == "climate"
