"""Against ldap3's directory in memory; TLS is in test_directory_tls.py, the real thing in the integration tests."""

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ldap3
import pytest
from conftest import SUFFIX
from pangeo_hub.directory import Directory, DirectoryAway, PasswordExpired, TooManyWrong, normal_dn
from pangeo_hub.settings import DirectorySettings, Settings

USERS, GROUPS = f"cn=users,cn=accounts,{SUFFIX}", f"cn=groups,cn=accounts,{SUFFIX}"
MEMBERS, MODELLERS = f"cn=unit_notebook_users,{GROUPS}", f"cn=modellers,{GROUPS}"


def person(name: str, password: str, **more: Any) -> tuple[str, dict[str, Any]]:
    attributes = {"objectClass": ["person"], "uid": name, "userPassword": password, "uidNumber": "60001"}
    return f"uid={name},{USERS}", {**attributes, "gidNumber": "60001", **more}


PEOPLE = [
    person("alice", "alice-pw", memberOf=[MEMBERS.upper(), MODELLERS, f"cn=unrelated,{GROUPS}"]),
    person("bob", "bob-pw"),
    person("carol", "carol-pw", memberOf=[MEMBERS.replace(",", ", ")]),
    person("locked", "locked-pw", memberOf=[MEMBERS], nsAccountLock="TRUE"),
    person("expired", "expired-pw", memberOf=[MEMBERS], krbPrincipalExpiration="20200101000000Z"),
    person("later", "later-pw", memberOf=[MEMBERS], krbPrincipalExpiration="29990101000000Z"),
    person("guessed", "guessed-pw", memberOf=[MEMBERS], accountUnlockTime="29990101000000Z"),
    person("root", "root-pw", memberOf=[MEMBERS], uidNumber="0"),
]


@pytest.fixture
def directory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    made = Directory(settings.directory, ["modellers"])

    def connect(user: str, password: str) -> ldap3.Connection:
        connection = ldap3.Connection(
            ldap3.Server("memory", get_info=ldap3.NONE), user, password, client_strategy=ldap3.MOCK_SYNC
        )
        add = connection.strategy.add_entry
        add(settings.directory.bind_dn, {"objectClass": "account", "userPassword": "secret-of-the-hub"})
        for dn, attributes in PEOPLE:
            add(dn, dict(attributes))
        for group in ("unit_notebook_users", "unit_notebook_admins"):
            add(f"cn={group},{GROUPS}", {"objectClass": "groupOfNames", "cn": group, "member": [PEOPLE[0][0]]})
        return connection

    monkeypatch.setattr(made, "_connect", connect)
    yield made


def test_groups_are_those_asked_for_however_they_are_spelled(directory: Directory) -> None:
    alice = directory.account("alice")
    assert alice is not None
    assert alice.groups == {"unit_notebook_users", "modellers"}
    carol = directory.account("carol")
    assert carol is not None
    assert carol.groups == {"unit_notebook_users"}
    bob = directory.account("bob")
    assert bob is not None
    assert not bob.groups


@pytest.mark.parametrize(
    ("name", "locked"), [("alice", False), ("locked", True), ("expired", True), ("later", False), ("guessed", False)]
)
def test_locked_and_expired(directory: Directory, name: str, locked: bool) -> None:
    account = directory.account(name)
    assert account is not None
    assert account.locked is locked


def test_a_number_of_the_machine_itself_is_no_uid(directory: Directory) -> None:
    root = directory.account("root")
    assert root is not None
    assert root.uid is None


@pytest.mark.parametrize(
    "name", ["*", "alice)(uid=*", "", "../alice", "Alice", "a" * 65, "alice\n", "1alice", "-x", "älice"]
)
def test_no_name_reaches_the_directory_that_is_none(directory: Directory, name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(directory, "_connect", lambda *_: pytest.fail("asked the directory"))
    assert directory.account(name) is None


def test_passwords(directory: Directory) -> None:
    dn = PEOPLE[0][0]
    assert directory.password_is_right(dn, "alice-pw")
    assert not directory.password_is_right(dn, "wrong")
    assert not directory.password_is_right(dn, "")


def test_when_passwords_are_taken_again(directory: Directory) -> None:
    guessed, alice = directory.account("guessed"), directory.account("alice")
    assert guessed is not None and alice is not None
    assert (guessed.opens and guessed.opens.year, alice.opens) == (2999, None)


@pytest.mark.parametrize(
    ("result", "message", "raised"),
    [
        (19, "Exceed password retry limit. Please try later.", TooManyWrong),
        (53, "Too many failed logins.\n", TooManyWrong),
        (49, "Password is expired", PasswordExpired),
        (51, "", DirectoryAway),
        (49, "", None),
        (53, "Account inactivated.", None),
    ],
)
def test_refused_binds(
    directory: Directory, monkeypatch: Any, result: int, message: str, raised: type[Exception] | None
) -> None:
    refused = SimpleNamespace(
        bind=lambda: False, unbind=lambda: None, result={"result": result, "message": message, "description": ""}
    )
    monkeypatch.setattr(directory, "_connect", lambda *_: refused)
    with pytest.raises(raised) if raised else contextlib.nullcontext():
        assert not directory.password_is_right("uid=x", "y")


def test_direct_members(directory: Directory) -> None:
    assert directory.direct_members()["unit_notebook_users"] == {normal_dn(PEOPLE[0][0])}


def test_many_names_are_asked_in_batches(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def search(_: Any, __: str, what: str, ___: Any) -> list[Any]:
        asked.append(what)
        return []

    monkeypatch.setattr(directory, "_search", search)
    assert directory.accounts(f"user{number}" for number in range(250)) == {}
    assert [what.count("(uid=") for what in asked] == [100, 100, 50]


@pytest.mark.parametrize("uri", ["http://x", "ldaps://", "example.org"])
def test_an_address_that_is_none(settings: Settings, uri: str) -> None:
    with pytest.raises(ValueError, match="directory.uri"):
        Directory(dataclasses.replace(settings.directory, uri=uri))


def at(settings: Settings, port: int) -> DirectorySettings:
    return dataclasses.replace(
        settings.directory, uri=f"ldaps://127.0.0.1:{port}", connect_seconds=1, receive_seconds=1
    )


def test_nobody_there_is_away_and_is_not_asked_again_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pangeo_hub.directory.AWAY_SECONDS", 600)
    with contextlib.closing(socket.socket()) as there:
        there.bind(("127.0.0.1", 0))
        directory = Directory(at(settings, there.getsockname()[1]))
        with pytest.raises(DirectoryAway):
            directory.account("alice")
        there.listen()
        there.setblocking(False)
        with pytest.raises(DirectoryAway):
            directory.account("alice")
        with pytest.raises(BlockingIOError):  # nobody called
            there.accept()


def test_one_that_takes_the_connection_and_says_nothing_is_away_in_time(settings: Settings) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True).start()
        with pytest.raises(DirectoryAway):
            Directory(at(settings, silent.getsockname()[1])).account("alice")
        for connection in held:
            connection.close()


def test_a_ca_file_that_is_not_there_is_away(settings: Settings) -> None:
    with pytest.raises(DirectoryAway):
        Directory(dataclasses.replace(at(settings, 1), ca="/nonexistent/ca.crt")).account("alice")
