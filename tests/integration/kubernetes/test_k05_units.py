"""The unit tests that want a real API server."""

import os
import subprocess
import time

import pytest
from bed import ROOT, Bed, eventually

BUILD = ROOT / os.environ.get("BUILD", "build")
PROGRAMS = [
    "client/test_kube_server",
    "client/test_kube_connections",
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


def test_a_watch_that_expires(bed: Bed) -> None:
    """The API server is restarted, and does not know any more what came before: it says 410."""
    if not bed.own:
        pytest.skip("only the test bed's own cluster can be made to fail")
    words = [BUILD / "unit" / "client" / "test_kube_expiry"]
    env = os.environ | {"CAAS_KUBECONFIG": str(bed.kubeconfig)}
    with subprocess.Popen(words, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT) as it:
        watched = ["get", "configmap", "watched-until-it-expires", "-n", "default", "--ignore-not-found", "-o", "name"]
        eventually(lambda: bed.kubectl(*watched).strip() or it.poll() is not None, 30)
        time.sleep(1)  # so that it watches
        # Something is written that the watch does not see: where nothing came after its list, it may go on from there.
        bed.kubectl("create", "configmap", "written-while-it-watched", "-n", "default")
        bed.fault("restart", "kube-apiserver")
        said = it.communicate(timeout=150)[0]
    assert it.returncode == 0 and "[  PASSED  ]" in said, said
    eventually(lambda: bed.kubectl("get", "--raw", "/readyz", status=None).strip() == "ok", 60)
    bed.kubectl("delete", "configmap", "written-while-it-watched", "-n", "default")
