"""The exporter's image: what is in the archive runs by itself, and nothing else is in it."""

import hashlib
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXPORTER = ROOT / os.environ.get("BUILD", "build") / "caas-exporter"
NAME = "registry.example.org/caas-exporter:1.0"

pytestmark = pytest.mark.skipif(not EXPORTER.exists(), reason="caas-exporter is not built")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    command = ["bash", "monitoring/exporter/image.sh", EXPORTER, "1.0", folder / "image.tar", NAME]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    subprocess.run(["tar", "-xf", folder / "image.tar", "-C", folder], check=True)
    return folder


def blob(archive: Path, descriptor: dict) -> bytes:
    """What a descriptor of the OCI image layout names, if it is that."""
    kind, _, digest = descriptor["digest"].partition(":")
    data = (archive / "blobs" / kind / digest).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    assert len(data) == descriptor["size"]
    return data


@pytest.fixture(scope="module")
def root(archive: Path) -> Path:
    index = json.loads((archive / "index.json").read_text())
    manifest = json.loads(blob(archive, index["manifests"][0]))
    (archive / "layer.tar").write_bytes(blob(archive, manifest["layers"][0]))
    (archive / "root").mkdir()
    subprocess.run(["tar", "-xf", archive / "layer.tar", "-C", archive / "root"], check=True)
    return archive / "root"


def test_both_lists_name_the_same(archive: Path) -> None:
    index = json.loads((archive / "index.json").read_text())
    manifest = json.loads(blob(archive, index["manifests"][0]))
    config = json.loads(blob(archive, manifest["config"]))
    layer = manifest["layers"][0]["digest"]
    assert json.loads((archive / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert config["rootfs"]["diff_ids"] == [layer]
    assert config["config"]["User"] == "65532:65532"  # a number: runAsNonRoot can be kept
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == NAME
    [docker] = json.loads((archive / "manifest.json").read_text())
    assert docker["RepoTags"] == [NAME]
    assert docker["Layers"] == [f"blobs/{layer.replace(':', '/')}"]
    assert docker["Config"] == f"blobs/{manifest['config']['digest'].replace(':', '/')}"


def test_there_is_no_other_program(root: Path) -> None:
    programs = [
        path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o111 and ".so" not in path.name
    ]
    assert [str(path.relative_to(root)) for path in programs] == ["usr/bin/caas-exporter"]
    assert len(list((root / "var/lib/dpkg/status.d").iterdir())) > 10
    assert "BEGIN CERTIFICATE" in (root / "etc/ssl/certs/ca-certificates.crt").read_text()


class Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_runs_and_has_what_it_loads_later(root: Path) -> None:
    """libcurl and libldap are loaded when they are first needed."""
    part = HTTPServer(("127.0.0.1", 0), Well)
    threading.Thread(target=part.serve_forever, daemon=True).start()
    port, closed = free_port(), free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "parts": [{"name": "well", "url": f"http://127.0.0.1:{part.server_port}/"}],
        "directory": {
            "uri": f"ldap://127.0.0.1:{closed}",
            "users_base": "dc=x",
            "groups_base": "dc=x",
            "users_group": "u",
            "admins_group": "a",
        },
        "refresh_seconds": 0.2,
    }
    (root / "etc/caas/exporter.json").write_text(json.dumps(config))
    command = ["chroot", "--userspec=65532:65532", root, "/usr/bin/caas-exporter", "/etc/caas/exporter.json"]
    process = subprocess.Popen(command)
    text = loaded = ""
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end and not ("caas_part_up{" in text and "caas_directory_up" in text):
            time.sleep(0.1)
            try:
                text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            except OSError:
                continue
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.terminate()
        process.wait(timeout=20)
        part.shutdown()
    assert 'caas_part_up{part="well"} 1\n' in text
    assert "caas_directory_up 0\n" in text
    assert "/libcurl" in loaded
    assert "/libldap" in loaded
