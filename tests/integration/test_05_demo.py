"""What `make demo` does and says, as far as it is not the installation of packages: before the cluster of the other tests."""

import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bed import eventually
from conftest import PROGRAM, ROOT, Caas
from hubclient import HubClient
from test_90_destroy import leftovers

MARKED = ("address", "user", "password", "is it well", "watch it", "stop it")


@pytest.fixture
def demo() -> Iterator[Caas]:
    folder = Path(tempfile.mkdtemp(prefix="caas-demo-", dir="/var/tmp"))
    folder.chmod(0o711)  # services have accounts of their own
    program = Caas(folder)
    yield program
    for item in program.json("list"):  # also where the test went wrong
        program.run("destroy", item["name"], "--yes", "--delete-data")
    shutil.rmtree(folder)


def shows_live_figures(admin: HubClient, demo: Caas) -> None:
    """Once each of them has been read for the first time."""
    page = "/services/monitoring/"
    assert "overview.json" in admin.request("GET", page).text
    for question in ("sum(up) == 5", "min(caas_part_up) == 1", "caas_hub_users >= 1"):
        asked = f"{page}prometheus/api/v1/query?query={urllib.parse.quote(question)}"
        eventually(lambda asked=asked: admin.request("GET", asked).json()["data"]["result"], 90)
    said = demo.run("top", "demo", "--once").stdout
    assert re.search(r"^hub +part +up\b", said, re.M), said


def test_the_demo_says_how_to_get_in_and_ends(demo: Caas) -> None:
    environment = {**demo.environment, "BUILD": str(PROGRAM.parent)}
    run = ["bash", "tests/lib/demo.sh"]
    done = subprocess.run(run, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line.strip() for line in done.stdout.splitlines()]
    said = {mark: line[len(mark) :].strip() for mark in MARKED for line in lines if line.startswith(mark + "  ")}
    assert set(said) == set(MARKED), done.stdout
    assert said["address"] == "https://localhost:8443/" and said["stop it"].startswith("make demo-stop ")

    folder = demo.state / "clusters" / "demo"
    client = HubClient(said["address"].rstrip("/"), str(folder / "ca" / "ca.crt"), address="127.0.0.1")
    assert client.login(said["user"], said["password"])[0] == 302
    assert client.request("GET", "/hub/admin").status == 200
    assert said["watch it"].split()[0] == said["address"] + "services/monitoring/" and "top demo" in said["watch it"]
    shows_live_figures(client, demo)
    at = SimpleNamespace(name="demo", folder=folder)
    assert leftovers(at)["processes"]  # else it would not be seen that they go

    # As the Makefile has it, but with the program under test.
    recipe = (ROOT / "Makefile").read_text().split("\ndemo-stop:")[1].splitlines()[1].strip()
    assert recipe == "@build/caas destroy demo --yes"
    demo.run("destroy", "demo", "--yes")
    assert not any(leftovers(at).values())
    assert {path.name for path in folder.iterdir()} <= {"homes", "directory"}
