"""A Debian with systemd as PID 1 (systemd/container.sh), for tests. Its network is the host's: so are its ports."""

import os
import subprocess
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get("BUILD", "build")
# Besides what container.sh always puts in. One list: tests on the same Debian share one root in the cache.
PACKAGES = ("bubblewrap", "libcmocka0", "xfsprogs")


def suites() -> list[str]:
    """Programs built here run on the same Debian, which comes first, and on later ones."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    known, here = ["bookworm", "trixie"], release.get("VERSION_CODENAME", "").strip('"')
    return known[known.index(here) :] if here in known else known


SUITES = suites()


class Machine:
    def __init__(self, suite: str, *binds: str) -> None:
        self.suite, self.binds = suite, binds
        self.name = f"test-{suite}-{uuid.uuid4().hex[:6]}"

    def script(self, *words: str) -> list[str]:
        script = ROOT / "tests" / "integration" / "systemd" / "container.sh"
        return [str(script), words[0], "--name", self.name, *words[1:]]

    def up(self) -> None:
        words = [word for package in PACKAGES for word in ("--package", package)]
        words += [word for bind in self.binds for word in ("--bind", bind)]
        subprocess.run(self.script("up", "--suite", self.suite, *words), check=True, timeout=900)

    def down(self) -> None:
        """Ends it with everything in it, and says so if something stays on the host."""
        subprocess.run(self.script("down"), check=True, timeout=120)
        left = list(Path("/sys/fs/cgroup").glob(f"**/caas-systemd-{self.name}"))
        assert not left, left
        assert self.name not in Path("/proc/self/mounts").read_text()

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.script("exec", "--", *words),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *words: str, status: int = 0, given: str = "", seconds: float = 120) -> str:
        done = subprocess.run(
            self.script("exec", "--", *words),
            text=True,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
        assert done.returncode == status, f"{' '.join(words)}: {done.returncode}\n{done.stdout[-8000:]}"
        return done.stdout

    def shell(self, text: str, status: int = 0) -> str:
        return self.run("/bin/bash", "-c", text, status=status)
