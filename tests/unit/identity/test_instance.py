"""roles/identity/files/directory.py: the files it writes. The server itself is tested in tests/unit/{client,kind,access}."""

import importlib.util
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("directory", ROOT / "roles/identity/files/directory.py")
directory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(directory)


SHIPPED = dict.fromkeys(directory.SHIPPED, "# as the package brings it\n")


@pytest.fixture
def config(tmp_path):
    return {
        "folder": str(tmp_path),
        "config": "slapd-test",
        "name": "caas-t",
        "suffix": "dc=t,dc=caas,dc=internal",
        "address": "127.0.0.1",
        "port": 21199,
        "user": "dirsrv",
        "root_dn": "cn=Directory Manager",
        "first_uid": 200000,
        "last_uid": 209999,
        "keys": "store-1",
        "schema": "dn: cn=schema\n",
    }


def test_folded_lines_comments_and_base64_survive():
    text = (
        "version: 1\n# note\n\ndn: cn=a,\n cn=config\ncn: a\n# more\ndescription:: YcOp\nempty:\n\n\ndn: cn=b\ncn: b\n"
    )
    entries = directory.parse_ldif(text)
    assert [entry[0] for entry in entries] == ["cn=a,cn=config", "cn=b"]
    assert entries[0][1] == [("cn", "a"), ("description", ": YcOp"), ("empty", "")]
    assert directory.parse_ldif(directory.format_ldif(entries)) == entries


def test_an_entry_without_dn_is_refused():
    with pytest.raises(directory.Failure):
        directory.parse_ldif("cn: a\n")


def test_values_cannot_become_lines():
    entries = []
    directory.lay_over(entries, "cn=x", {"cn": "a\ndn: cn=evil", "b": " lead", "c": ":", "d": "<file", "e": "é"})
    back = directory.parse_ldif(directory.format_ldif(entries))
    assert len(back) == 1
    assert all(value.startswith(": ") for _, value in back[0][1])


def test_settings_replace_whatever_stood_there():
    entries = directory.parse_ldif("dn: cn=Config\nNSSLAPD-PORT: 389\nnsslapd-port: 390\nother: 1\n")
    directory.lay_over(entries, "CN = config", {"nsslapd-port": 0, "list": ["a", "b"], "other": None})
    assert entries == [["cn=Config", [("nsslapd-port", "0"), ("list", "a"), ("list", "b")]]]


def test_the_root_password_is_known_by_its_hash_only():
    text = directory.hash_password("secret", b"0123456789abcdef")
    assert "secret" not in text
    assert directory.is_hash_of(text, "secret")
    assert not directory.is_hash_of(text, "Secret")
    assert not directory.is_hash_of("", "secret")


def test_a_damaged_file_is_not_taken(tmp_path):
    path = tmp_path / "dse.ldif"
    assert directory.sound_entries(str(path)) is None
    for text in ("", "dn: cn=config\nnsslapd-schemadir: /x\n", "garbage\n\nmore", "\0\0\0"):
        path.write_text(text)
        assert directory.sound_entries(str(path)) is None


@pytest.mark.skipif(not pathlib.Path(directory.TEMPLATE).exists(), reason="needs the package 389-ds-base")
def test_the_first_configuration_is_whole_and_stays(config, tmp_path):
    directory.create(config, {"root_password": "a-long-secret"}, SHIPPED)
    dse = tmp_path / "slapd-test/dse.ldif"
    first = dse.read_text()
    entries = directory.sound_entries(str(dse))
    assert entries and "%" not in directory.value_of(entries, "cn=config", "nsslapd-schemadir")
    assert "a-long-secret" not in first
    indexes = [
        dn
        for dn, _ in entries
        if directory.dn_key(dn).endswith(",cn=index," + directory.dn_key("cn=userRoot," + directory.LDBM))
    ]
    assert len(indexes) > 20
    root = (tmp_path / "slapd-test/root").read_text()
    directory.create(config, {"root_password": "a-long-secret"}, SHIPPED)
    assert (dse.read_text(), (tmp_path / "slapd-test/root").read_text()) == (first, root)
    directory.create(config, {"root_password": "another-secret"}, SHIPPED)
    assert (tmp_path / "slapd-test/root").read_text() != root


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not pathlib.Path(directory.TEMPLATE).exists(), reason="needs the package 389-ds-base")
def test_the_file_cannot_say_who_makes_the_folders(config):
    """instance.json stands in a folder of the server's account, which could replace it."""
    server = pwd.getpwnam("dirsrv").pw_uid
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "instance.json")
        pathlib.Path(path).write_text(json.dumps({**config, "folder": folder, "user": "root"}))
        os.chmod(path, 0o644)
        os.chown(folder, server, -1)
        done = subprocess.run(
            [sys.executable, "-I", directory.__spec__.origin, "create", path],
            input=json.dumps({"root_password": "a-long-secret"}),
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        made = [entry for entry in os.scandir(folder) if entry.name != "instance.json"]
        assert len(made) > 3 and {entry.stat().st_uid for entry in made} == {server}
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(config, tmp_path, monkeypatch):
    """An instance that `run` would start; what it would start instead of the server is what the fixture yields."""
    started = []
    monkeypatch.setattr(directory.os, "execv", lambda path, argv: started.append(argv))
    for name in ("db", "keys/store-1", "lock/server", "slapd-test"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "slapd-test/dse.ldif").write_text(
        "dn: cn=config\nnsslapd-schemadir: /x\n\ndn: cn=userRoot,%s\nnsslapd-suffix: dc=t\n" % directory.LDBM
    )
    for name in ("__db.001", "__db.003", "log.0000000001", "DBVERSION"):
        (tmp_path / "db" / name).write_text("x")
    return started


def left(tmp_path):
    return sorted(entry.name for entry in (tmp_path / "db").iterdir())


def test_shared_memory_of_a_run_that_was_cut_off_is_made_anew(config, tmp_path, server):
    (tmp_path / "lock/server/999999999").touch()  # of a server that was killed
    directory.run(config)
    assert server and left(tmp_path) == ["DBVERSION", "log.0000000001"]


def test_shared_memory_of_a_running_server_is_left_alone(config, tmp_path, server):
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", str(tmp_path / "slapd-test")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as other:
        (tmp_path / "lock/server" / str(other.pid)).touch()
        directory.run(config)
        other.stdin.close()
    assert server and "__db.001" in left(tmp_path)
