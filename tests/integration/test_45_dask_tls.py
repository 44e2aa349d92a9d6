"""Dask over TLS computes right every time, also on Pythons whose OpenSSL makes it lose connections (caas_env.py)."""

import subprocess
from pathlib import Path

from conftest import Cluster

PROGRAM = Path(__file__).parent / "lib" / "dask_over_tls.py"


def test_right_every_time(cluster: Cluster) -> None:
    python = cluster.folder / "env" / "notebook" / "pangeo" / "bin" / "python"
    probe = [python, "-c", "import ssl; print(ssl.OPENSSL_VERSION_INFO >= (3, 4))"]
    affected = subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip() == "True"
    times = 20 if affected else 3
    done = subprocess.run([python, PROGRAM, str(times)], capture_output=True, text=True, timeout=60 + 60 * times)
    assert done.stdout.splitlines()[-1] == f"{times} of {times} right", done.stdout + done.stderr
