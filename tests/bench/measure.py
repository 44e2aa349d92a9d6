"""What the measurements share: running a program and looking at it, waiting for a port, figures and their targets."""

import contextlib
import http.client
import os
import resource
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CAAS = str((ROOT / os.environ.get("BUILD", "build") / "caas").resolve())
PYTHON = "/usr/bin/python3"
POLL_SECONDS = 0.02
PORTS = range(21600, 21700)


def figure(name: str, value: str, target: str = "") -> None:
    print(f"{name:<58} {value:>22}   {target}", flush=True)


def note(text: str) -> None:
    print(f"  # {text}", flush=True)


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def run(command: Sequence[str | Path], **options: Any) -> float:
    """Runs it to its end; the seconds that took. What it says is shown only if it fails."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **{"stdin": subprocess.DEVNULL, **options})
    took = time.monotonic() - began
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise SystemExit(f"{words}: status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return took


def run_bare(command: Sequence[str | Path]) -> float:
    """As run(), with as little of the measuring process in the figure as can be; its output is not kept."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    words = [str(word) for word in command]
    began = time.monotonic()
    process = os.posix_spawn(words[0], words, os.environ, file_actions=null)
    status = os.waitpid(process, 0)[1]
    took = time.monotonic() - began
    if status != 0:
        raise SystemExit(f"{' '.join(words)}: status {os.waitstatus_to_exitcode(status)}")
    return took


def processor_seconds() -> float:
    """What all children that have ended have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_kb(pid: int) -> int:
    """The most memory that the process itself has had resident so far; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def run_watched(command: Sequence[str | Path]) -> tuple[float, int]:
    """Seconds, and the peak of its memory in kB, which is of the process itself and not of those it starts."""
    began, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, peak_kb(process.pid))
            time.sleep(0.002)
        took = time.monotonic() - began
    if process.returncode != 0:
        raise SystemExit(f"{command}: status {process.returncode}")
    return took, peak


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def each(count: int, act: Callable[[], float]) -> list[float]:
    return [act() for _ in range(count)]


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody uses now, all different, out of a range that no outgoing connection gets one of."""
    free = []
    for port in PORTS:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                free.append(port)
        if len(free) == count:
            return free
    raise SystemExit(f"fewer than {count} free ports from {PORTS.start} to {PORTS.stop - 1}")


def wait_for(answers: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{process.args}: does not answer (status {process.poll()})")
        time.sleep(POLL_SECONDS)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def says_200(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Started:
    """Processes that are started by hand; all are ended, the last first, when the block is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Started":
        return self

    def start(self, name: str, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        self.processes.append(process)
        return process

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def empty_folder(path: Path, mode: int = 0o755) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    path.chmod(mode)
    return path
