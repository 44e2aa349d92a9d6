"""The unit tests that want a real API server."""

import os
import subprocess

import pytest
from bed import ROOT, Bed

BUILD = ROOT / os.environ.get("BUILD", "build")
PROGRAMS = [
    "client/test_kube_server",
    "kind/test_kube_object_live",
    "kind/test_kube_admission_live",
    "kind/test_kube_wait_live",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_program(bed: Bed, program: str) -> None:
    env = os.environ | {"CAAS_KUBECONFIG": str(bed.kubeconfig), "CAAS_KUBECTL": " ".join(bed._words())}
    done = subprocess.run([BUILD / "unit" / program], env=env, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[  PASSED  ]" in done.stdout + done.stderr
