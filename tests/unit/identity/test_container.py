"""roles/identity/files/container.py: what it makes of the Secret it is given, up to the server's start."""

import base64
import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

FILES = pathlib.Path(__file__).resolve().parents[3] / "roles/identity/files"


@pytest.fixture
def container(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    spec = importlib.util.spec_from_file_location("container", FILES / "container.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def given(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=directory", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "ca.crt").write_text(certificate.read_text())
    (folder / "root_password").write_text("not-a-secret\n")
    (folder / "instance.json").write_text(
        json.dumps({"folder": str(tmp_path / "data"), "config": "slapd-t", "port": 3636})
    )
    return folder


def test_everything_up_to_the_start(container, given, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        container.directory, "create", lambda config, secret, shipped: seen.update(create=(dict(config), secret))
    )
    monkeypatch.setattr(container.directory, "certify", lambda config, keys: seen.update(certify=keys))
    monkeypatch.setattr(container.directory, "run", lambda config: seen.update(run=config))
    assert container.main(["container.py", str(given)]) == 0
    config, secret = seen["create"]
    assert secret == {"root_password": "not-a-secret"}
    assert "ipaUserGroup" in config["schema"]
    assert config["keys"].startswith("store-")
    assert seen["run"]["keys"] == config["keys"]
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    pack, password = seen["certify"]["pkcs12"], seen["certify"]["password"]
    command = ["openssl", "pkcs12", "-in", "/dev/stdin", "-passin", "pass:" + password, "-nodes"]
    text = subprocess.run(command, input=base64.b64decode(pack), check=True, capture_output=True).stdout.decode()
    assert "friendlyName: Server-Cert" in text
    assert "PRIVATE KEY" in text


def test_a_new_certificate_gets_a_store_of_its_own(container, given, monkeypatch):
    stores = []
    for name in ("create", "certify"):
        monkeypatch.setattr(container.directory, name, lambda *_: None)
    monkeypatch.setattr(container.directory, "run", lambda config: stores.append(config["keys"]))
    monkeypatch.setattr(container, "pkcs12", lambda *_: "")
    container.main(["container.py", str(given)])
    container.main(["container.py", str(given)])
    (given / "tls.crt").write_text("another")
    container.main(["container.py", str(given)])
    assert stores[0] == stores[1] != stores[2]


@pytest.mark.parametrize("missing", ["instance.json", "tls.crt", "root_password"])
def test_what_is_missing_is_one_line(container, given, missing, capsys, monkeypatch):
    for name in ("create", "certify", "run"):
        monkeypatch.setattr(container.directory, name, lambda *_: None)
    (given / missing).unlink()
    assert container.main(["container.py", str(given)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("directory: ")
    assert said.count("\n") == 1
