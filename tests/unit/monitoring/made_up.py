"""A real Prometheus that holds some hours of the made-up cluster of series.py."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import series


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def prometheus(folder: Path, hours: float, end: int) -> Iterator[str]:
    """Its address; the data ends at `end`."""
    with (folder / "series").open("w") as out:
        series.write(hours, 60, end, out)
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "series", folder / "data"]
    subprocess.run(made, check=True, timeout=120, stdout=subprocess.DEVNULL)
    (folder / "prometheus.yml").write_text("{}\n")
    port = free_port()
    arguments = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    address = f"http://127.0.0.1:{port}"
    with running(arguments, folder / "log", address + "/-/ready"):
        yield address


@contextlib.contextmanager
def running(arguments: list[str], log: Path, ready: str) -> Iterator[None]:
    """The program, from when the page `ready` is there."""
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out)
        try:
            wait_for(ready, log)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(page: str, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(page, timeout=5)
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
