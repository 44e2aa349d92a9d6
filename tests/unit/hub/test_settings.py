import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pangeo_hub.accounts import Accounts, Ids
from pangeo_hub.options import CULLER, activity_seconds, culler_command
from pangeo_hub.settings import Settings, load


def with_idle(settings: Settings, minutes: int, hours: int) -> Settings:
    return Settings({**settings.raw, "idle": {"notebook_minutes": minutes, "kernel_minutes": 60, "max_hours": hours}})


def test_the_usual_port_is_not_shown(settings: Settings) -> None:
    assert settings.public_url == "https://pangeo.example.org/"
    assert Settings({**settings.raw, "url": "https://a:8443/"}).public_url == "https://a:8443/"


def test_passwords_are_not_in_what_is_printed(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "hub.json"
    path.write_text(json.dumps(settings.raw))
    loaded = load(path)
    assert loaded.directory.bind_password == "secret-of-the-hub"
    assert "secret-of-the-hub" not in repr(loaded) + repr(loaded.directory)


@pytest.mark.parametrize(("minutes", "expected"), [(60, 300), (0, 300), (4, 60), (1, 15)])
def test_activity_is_told_well_before_the_time_out(settings: Settings, minutes: int, expected: int) -> None:
    assert activity_seconds(with_idle(settings, minutes, 0)) == expected


def test_culler(settings: Settings) -> None:
    assert culler_command(with_idle(settings, 0, 0)) is None
    words = culler_command(with_idle(settings, 60, 168)) or []
    assert {"--timeout=3600", "--max-age=604800", "--cull-every=600"} <= set(words)
    only_age = culler_command(with_idle(settings, 0, 1)) or []
    assert "--max-age=3600" in only_age
    assert "--timeout=315360000" in only_age


def test_the_culler_first_lets_servers_report(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at once, and through an outage of the hub nobody could."""
    done: list[object] = []
    monkeypatch.setattr(time, "sleep", done.append)
    monkeypatch.setattr(runpy, "run_module", lambda name, run_name: done.append((name, run_name)))
    words = culler_command(with_idle(settings, 60, 168)) or []
    exec(words[words.index("-c") + 1], {})
    waited, ran = done
    assert isinstance(waited, int) and waited > 1.1 * activity_seconds(settings)
    assert ran == ("jupyterhub_idle_culler", "__main__")
    command = [sys.executable, "-c", CULLER.format(0), "--help"]
    assert "--cull-every" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_accounts_are_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    accounts = Accounts(path)
    assert accounts.get("alice") is None
    accounts.remember("alice", 60001, 60002)
    assert Accounts(path).get("alice") == Ids(60001, 60002)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"alice": {"uid": 60001, "gid": 60002}}
    assert [item.name for item in tmp_path.iterdir()] == ["users.json"]


def test_who_is_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "users.json")
    accounts.remember("alice", 60001, 60001)
    accounts.forget("alice")
    accounts.forget("nobody")
    assert Accounts(tmp_path / "users.json").get("alice") is None


def test_accounts_are_shared_when_traitlets_copies_them(tmp_path: Path) -> None:
    import copy

    accounts = Accounts(tmp_path / "users.json")
    assert copy.deepcopy(accounts) is accounts


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.json"
    accounts = Accounts(path)
    accounts.remember("alice", 60001, 60001)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        accounts.remember("bob", 60002, 60002)
    assert Accounts(path).get("bob") is None
    assert Accounts(path).get("alice") == Ids(60001, 60001)
