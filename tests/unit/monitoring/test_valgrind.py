"""The exporter under valgrind, with something behind each of its sources: it uses no memory wrongly, and loses none."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXPORTER = ROOT / os.environ.get("BUILD", "build") / "caas-exporter"
REPLAY = ROOT / "tests" / "bench" / "exporter_replay.py"
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
# The C library keeps what it has found out of a library that is opened.
SUPPRESSED = "{\n   a\n   Memcheck:Leak\n   ...\n   fun:_dl_open\n}\n"
# Unit tests of sources that get what they ask for; the test above gives some of them nothing. Not here: source_directory, whose
# 389 Directory Server is not started under valgrind, and source_kubelet, which takes as long as all others.
PROGRAMS = ["source_kube", "source_hub", "source_gateway", "source_dask", "source_service", "sources", "groups", "pods"]
TOKEN = "secret"
SCRAPE = f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n"
STRANGE = [
    "nonsense\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {'a' * 200_000}\r\n\r\n",
    "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def journal(path: Path) -> None:
    """As much of one as the exporter reads."""
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE run (id INTEGER PRIMARY KEY, cluster, command, began, ended, outcome)")
        made.execute("CREATE TABLE cluster (name, drift)")
        made.execute("INSERT INTO run VALUES (1, 'demo', 'apply', 1000, 5500, 'done')")
        made.execute("INSERT INTO cluster VALUES ('demo', 3)")
    made.close()


def config(folder: Path, port: int, replay: int) -> Path:
    for name in ("images", "mounts"):
        (folder / name).mkdir()
    (folder / "images" / "alice.xfs").write_text("no file system")
    (folder / "users.json").write_text('{"alice": {"uid": 70000}}')
    (folder / "none.crt").write_text("no certificate")
    journal(folder / "journal.sqlite")
    api = f"http://127.0.0.1:{replay}"
    nobody = f"127.0.0.1:{free_port()}"
    path = folder / "exporter.json"
    path.write_text(
        json.dumps(
            {
                "listen": f"*:{port}",
                "cluster": "demo",
                "token": TOKEN,
                "refresh_seconds": 1,
                "hub": {"api": f"{api}/hub/api", "token": "x"},
                "gateway": {"api": api, "token": "x"},
                "directory": {
                    "uri": f"ldaps://{nobody}",
                    "bind_dn": "uid=x,dc=t",
                    "bind_password": "x",
                    "users_base": "cn=users,dc=t",
                    "groups_base": "cn=groups,dc=t",
                    "users_group": "users",
                },
                "groups": {"parent": "caas-demo"},
                "homes": {"images": str(folder / "images"), "mounts": str(folder / "mounts")},
                "accounts": str(folder / "users.json"),
                "parts": [{"name": "hub", "url": f"{api}/hub/health"}, {"name": "away", "tcp": nobody}],
                "certificates": [
                    {"name": "none", "file": str(folder / "none.crt")},
                    {"name": "plain", "address": f"127.0.0.1:{replay}", "server": "localhost"},
                ],
                "journal": str(folder / "journal.sqlite"),
                "backup": {"stamp": str(folder / "users.json")},
            }
        )
    )
    return path


def ask(port: int, request: str) -> str:
    said = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as to:
            to.sendall(request.encode())
            while piece := to.recv(65536):
                said += piece
    except ConnectionError:  # it may refuse what is nonsense before all of it has come
        pass
    return said.decode()


@pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")
def test_memory_is_used_as_it_should_be(tmp_path: Path) -> None:
    assert shutil.which("valgrind")
    port, replay = free_port(), free_port()
    words = [sys.executable, REPLAY, *map(str, (replay, 300, 120, 20))]
    (tmp_path / "suppressed").write_text(SUPPRESSED)
    command = [*VALGRIND, f"--suppressions={tmp_path / 'suppressed'}", EXPORTER, config(tmp_path, port, replay)]
    with (
        subprocess.Popen(words, stdout=subprocess.DEVNULL) as played,
        (tmp_path / "said").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) as exporter,
    ):
        try:
            end, page = time.monotonic() + 120, ""
            while not all(line in page for line in ("\ncaas_hub_servers 120\n", "\ncaas_drift_resources 3\n")):
                assert time.monotonic() < end, page[-3000:]
                time.sleep(0.5)
                page = ask(port, f"{SCRAPE}\r\n")
            for accept in ("application/openmetrics-text; version=1.0.0", "text/plain;q=x, ,;;"):
                assert " 200 " in ask(port, f"{SCRAPE}Accept: {accept}\r\n\r\n")
            for request in STRANGE:
                assert " 200 " not in ask(port, request)
            silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
            assert " 200 " in ask(port, f"{SCRAPE}\r\n")
            for one in silent:
                one.close()
            exporter.terminate()
            exporter.wait(60)
        finally:
            exporter.kill()
            played.kill()
    assert exporter.returncode == 0, (tmp_path / "said").read_text()


@pytest.fixture(scope="module")
def under_valgrind() -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """Two at a time: most of the time they wait for what they have made slow themselves."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        program = EXPORTER.parent / "unit" / "exporter" / f"test_{name}"
        return subprocess.run([*VALGRIND, program], capture_output=True, text=True, timeout=300)

    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, name) for name in PROGRAMS}


@pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")
@pytest.mark.parametrize("name", PROGRAMS)
def test_sources_use_it_as_they_should(
    under_valgrind: dict[str, Future[subprocess.CompletedProcess[str]]], name: str
) -> None:
    """That they do as they should others say: some fail here, where valgrind is too slow or does not know a call of the kernel
    (openat2, pidfd_open), and then leave behind what they had."""
    done = under_valgrind[name].result()
    failed = set(re.findall(r"^\[  FAILED  \] (\w+)$", done.stderr, re.M))
    assert done.stdout.count("[       OK ]") + done.stderr.count("[       OK ]") > len(failed), done.stderr
    words = r"^==\d+== (Invalid|Conditional jump|Use of uninit|Syscall param|Mismatched|Source and dest)"
    assert not re.search(words, done.stderr, re.M), done.stderr
    assert done.returncode == 0 or failed, done.stderr
