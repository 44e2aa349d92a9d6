"""`pip install --user`: into the home, there after a restart of the server, and in Dask workers."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator

import pytest
from conftest import Cluster
from hubclient import HubClient

NAME, VERSION = "caas_it_small", "1.0"
FILES = {
    f"{NAME}.py": "def answer(*_):\n    return 42\n\ndef main():\n    print(answer())\n",
    f"{NAME}-{VERSION}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
    f"{NAME}-{VERSION}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{NAME}-{VERSION}.dist-info/entry_points.txt": f"[console_scripts]\ncaas-it-small = {NAME}:main\n",
}


def wheel() -> bytes:
    """A package as pip takes it, made here: no registry has to be there."""
    made = io.BytesIO()
    record = f"{NAME}-{VERSION}.dist-info/RECORD"
    with zipfile.ZipFile(made, "w") as archive:
        lines = []
        for path, text in FILES.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text)}")
        archive.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return made.getvalue()


INSTALL = f"""
import base64, os, subprocess, sys
os.chdir(os.path.expanduser("~"))
name = "{NAME}-{VERSION}-py3-none-any.whl"
open(name, "wb").write(base64.b64decode("{base64.b64encode(wheel()).decode()}"))
done = subprocess.run([sys.executable, "-m", "pip", "install", "--user", "--no-index", name], capture_output=True, text=True)
os.remove(name)
print(done.returncode, done.stdout, done.stderr)
"""
USE = f"""
import importlib, subprocess, sys
importlib.invalidate_caches()
import {NAME} as small
print(small.answer(), small.__file__, subprocess.run("caas-it-small", capture_output=True, text=True).stdout.strip())
"""
DASK = f"""
from dask_gateway import GatewayCluster
cluster = GatewayCluster()
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
def far(dask_worker=None):
    import {NAME}
    return {NAME}.answer(), {NAME}.__file__
print(*client.run(far).values(), client.submit(small.answer, 1).result())
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def carol(cluster: Cluster) -> Iterator[HubClient]:
    client = cluster.signed_in("carol")
    client.spawn()
    yield client
    client.stop()


def test_it_is_installed_into_the_home_and_used_at_once(carol: HubClient) -> None:
    kernel = carol.kernel()
    said = kernel.run(INSTALL, seconds=120).text
    assert said.startswith("0 "), said
    answer, path, script = kernel.run(USE).text.split()
    assert (answer, script) == ("42", "42") and path.startswith("/home/carol/.local/"), path


def test_it_is_there_after_a_restart(carol: HubClient) -> None:
    carol.stop()
    carol.spawn()
    answer, path, script = carol.kernel().run(USE).text.split()
    assert (answer, script) == ("42", "42") and path.startswith("/home/carol/.local/"), path


def test_dask_workers_have_it(carol: HubClient) -> None:
    kernel = carol.kernel()
    assert kernel.run(USE).status == "ok"
    reply = kernel.run(DASK, seconds=240)
    assert reply.status == "ok", reply.text
    assert reply.text.strip().splitlines()[-1].startswith("(42, '/home/carol/.local/"), reply.text
    assert reply.text.split()[-1] == "42"


def test_nobody_else_has_it(cluster: Cluster, alice: HubClient) -> None:
    kernel = alice.kernel()
    assert "ModuleNotFoundError" in kernel.run(f"import {NAME}").text
    kernel.close()
