"""Who left loses everything, a directory that is away ends nobody, and the doors close before the slow parts."""

import asyncio
import dataclasses
import datetime
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm, roles
from pangeo_hub.accounts import Accounts
from pangeo_hub.authenticator import PangeoAuthenticator, SignInRefused
from pangeo_hub.directory import Account, DirectoryAway, PasswordExpired, TooManyWrong, normal_dn
from pangeo_hub.membership import Membership
from pangeo_hub.settings import Settings


def account(name: str, *groups: str, locked: bool = False, uid: int | None = 60001) -> Account:
    return Account(name, f"uid={name},cn=users", uid, uid, frozenset(groups), locked)


class FakeDirectory:
    """What the directory says of everybody; None = it is away."""

    def __init__(self, *people: Account) -> None:
        self.people: dict[str, Account] | None = {person.name: person for person in people}
        self.members: set[str] = set()
        self.passwords = {person.name: f"{person.name}-pw" for person in people}

    def accounts(self, names: Any) -> dict[str, Account]:
        if self.people is None:
            raise DirectoryAway("no answer")
        return {name: self.people[name] for name in names if name in self.people}

    def account(self, name: str) -> Account | None:
        return self.accounts([name]).get(name)

    def direct_members(self) -> dict[str, frozenset[str]]:
        return {"unit_notebook_users": frozenset(self.members), "unit_notebook_admins": frozenset()}

    def password_is_right(self, dn: str, password: str) -> bool:
        name = dn.split(",")[0].removeprefix("uid=")
        if password == "expired":
            raise PasswordExpired
        if password == "the eleventh":
            raise TooManyWrong
        return self.passwords.get(name) == password


class FakeUser:
    def __init__(self, orm_user: orm.User, db: Any) -> None:
        self.orm_user, self.db = orm_user, db
        self.name = orm_user.name
        self.spawners: dict[str, Any] = {}
        self.stopped: list[str] = []
        self.tokens_when_stopped = -1
        self._auth_refreshed: float | None = None

    async def stop(self, name: str) -> None:
        self.tokens_when_stopped = len(self.orm_user.api_tokens)
        self.stopped.append(name)
        self.spawners[name].active = self.spawners[name].ready = False

    def sync_groups(self, names: list[str]) -> None:
        self.orm_user.groups = [orm.Group.find(self.db, name) or orm.Group(name=name) for name in names]
        self.db.commit()


class FakeSpawner(SimpleNamespace):
    """Of a server that is ready."""

    def __init__(self) -> None:
        super().__init__(
            active=True, ready=True, pending=None, stopped_because="", stop_seconds=10, rests=0, fault=None
        )

    async def end_rest(self) -> None:
        self.rests += 1
        if self.fault:
            raise self.fault


class FakeProxy:
    async def delete_user(self, user: FakeUser, name: str) -> None:
        pass


@pytest.fixture
def hub(settings: Settings, tmp_path: Any) -> SimpleNamespace:
    """alice and bob are members with a server and a token each."""
    db = orm.new_session_factory("sqlite:///:memory:")()
    db.add(orm.OAuthClient(identifier="jupyterhub"))
    for role in roles.get_default_roles():
        roles.create_role(db, role)
    authenticator = PangeoAuthenticator(settings=settings, accounts=Accounts(tmp_path / "users.json"))
    authenticator.log = logging.getLogger("unit")
    users: dict[orm.User, FakeUser] = {}
    group = orm.Group(name="unit_notebook_users")
    db.add(group)
    for name in ("alice", "bob"):
        row = orm.User(name=name)
        row.groups = [group]
        db.add(row)
        db.commit()
        row.new_api_token()
        users[row] = FakeUser(row, db)
        users[row].spawners[""] = FakeSpawner()
    app = SimpleNamespace(db=db, users=users, proxy=FakeProxy())
    members = FakeDirectory(account("alice", "unit_notebook_users"), account("bob", "unit_notebook_users"))
    authenticator.directory = members
    authenticator.membership = Membership(app, authenticator)
    named = {user.name: user for user in users.values()}
    return SimpleNamespace(
        authenticator=authenticator, membership=authenticator.membership, directory=members, db=db, **named
    )


def sweep(hub: SimpleNamespace) -> list[dict[str, Any]]:
    return asyncio.run(hub.membership.sweep())


def test_nobody_left_nothing_ends(hub: SimpleNamespace) -> None:
    cookie = hub.alice.orm_user.cookie_id
    assert sweep(hub) == []
    assert not hub.alice.stopped
    assert hub.alice.orm_user.cookie_id == cookie
    assert hub.alice._auth_refreshed


@pytest.mark.parametrize("now", [None, account("alice"), account("alice", "unit_notebook_users", locked=True)])
def test_removed_and_locked_lose_all(hub: SimpleNamespace, now: Account | None) -> None:
    cookie = hub.alice.orm_user.cookie_id
    hub.directory.people.pop("alice")
    if now:
        hub.directory.people["alice"] = now
    (ended,) = sweep(hub)
    assert (ended["user"], ended["servers"], ended["tokens"], ended["errors"]) == ("alice", 1, 1, [])
    assert hub.alice.stopped == [""]
    assert hub.alice.tokens_when_stopped == 0
    assert hub.alice.orm_user.cookie_id != cookie
    assert not hub.alice.orm_user.groups
    assert hub.alice.spawners[""].stopped_because == "no longer a member"
    assert not hub.bob.stopped
    assert sweep(hub) == []


def test_a_directory_that_is_away_ends_nobody(hub: SimpleNamespace) -> None:
    hub.directory.people = None
    with pytest.raises(DirectoryAway):
        sweep(hub)
    assert not hub.alice.stopped
    assert asyncio.run(hub.authenticator.refresh_user(hub.alice)) is True


def test_a_missing_member_of_that_the_group_contradicts_ends_nobody(hub: SimpleNamespace) -> None:
    hub.directory.people["alice"] = account("alice")
    hub.directory.members = {normal_dn("uid=alice,cn=users")}
    with pytest.raises(DirectoryAway, match="memberOf"):
        sweep(hub)
    assert not hub.alice.stopped


def test_a_server_that_does_not_stop_is_tried_again(hub: SimpleNamespace) -> None:
    async def refuse(_: str) -> None:
        raise RuntimeError("stuck")

    stop, hub.alice.stop = hub.alice.stop, refuse
    hub.directory.people.pop("alice")
    (ended,) = sweep(hub)
    assert not ended["complete"]
    assert "stuck" in ended["errors"][0]
    assert hub.alice.orm_user.groups
    assert not hub.alice.orm_user.api_tokens
    hub.alice.stop = stop
    assert sweep(hub)[0]["complete"]


def test_what_a_stop_has_left_is_ended_before_all_is_called_done(hub: SimpleNamespace) -> None:
    async def away(name: str) -> None:
        """As JupyterHub does it: whatever comes of the stop, the server is forgotten."""
        hub.alice.spawners[name].active = hub.alice.spawners[name].ready = False
        raise RuntimeError("the API server is away")

    hub.alice.stop = away
    hub.directory.people.pop("alice")
    assert not sweep(hub)[0]["complete"]
    spawner = hub.alice.spawners[""]
    spawner.fault = RuntimeError("it is away still")
    (ended,) = sweep(hub)
    assert spawner.rests == 1 and not ended["complete"] and "away still" in ended["errors"][0]
    spawner.fault = None
    (ended,) = sweep(hub)
    assert spawner.rests == 2 and ended["complete"] and not ended["servers"]
    assert not sweep(hub)


def test_groups_follow_the_directory(hub: SimpleNamespace) -> None:
    hub.directory.people["alice"] = account("alice", "unit_notebook_users", "unit_notebook_admins")
    sweep(hub)
    assert {group.name for group in hub.alice.orm_user.groups} == {"unit_notebook_users", "unit_notebook_admins"}


def test_refresh_ends_who_left_in_the_background(hub: SimpleNamespace) -> None:
    hub.directory.people.pop("alice")

    async def refresh() -> Any:
        kept = await hub.authenticator.refresh_user(hub.alice)
        await hub.membership.end("alice", "no longer a member")
        return kept

    assert asyncio.run(refresh()) is False
    assert hub.alice.stopped == [""]


def test_revoking_somebody_unknown_is_fine(hub: SimpleNamespace) -> None:
    assert asyncio.run(hub.membership.end("nobody", "x"))["complete"]


def sign_in(hub: SimpleNamespace, name: str, password: str) -> Any:
    return asyncio.run(hub.authenticator.get_authenticated_user(None, {"username": name, "password": password}))


def test_sign_in(hub: SimpleNamespace) -> None:
    assert sign_in(hub, "Alice", "alice-pw")["name"] == "alice"
    assert hub.authenticator.accounts.get("alice").uid == 60001
    for name, password in [("alice", "wrong"), ("alice", ""), ("nobody", "x"), ("*", "x"), ("", "")]:
        assert sign_in(hub, name, password) is None


def test_a_locked_account_answers_like_a_wrong_password(hub: SimpleNamespace) -> None:
    hub.directory.people["alice"] = account("alice", "unit_notebook_users", locked=True)
    assert sign_in(hub, "alice", "alice-pw") is None


@pytest.mark.parametrize(
    ("person", "password", "status", "page"),
    [
        (account("alice"), "alice-pw", 403, "not_a_member.html"),
        (account("alice", "unit_notebook_users"), "expired", 403, "login.html"),
        (account("alice", "unit_notebook_users", uid=None), "alice-pw", 403, "login.html"),
        (None, "alice-pw", 503, "login.html"),
    ],
)
def test_refusals_say_why(hub: SimpleNamespace, person: Account | None, password: str, status: int, page: str) -> None:
    hub.directory.people = None if person is None else {"alice": person}
    with pytest.raises(SignInRefused) as refused:
        sign_in(hub, "alice", password)
    assert (refused.value.status_code, refused.value.page) == (status, page)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "in some minutes"), (-5, "in a minute"), (55, "in a minute"), (299, "in 5 minutes")]
)
def test_too_many_wrong_passwords_say_when_to_try_again(hub: SimpleNamespace, seconds: int | None, words: str) -> None:
    opens = seconds and datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    hub.directory.people["alice"] = dataclasses.replace(account("alice", "unit_notebook_users"), opens=opens)
    with pytest.raises(SignInRefused) as refused:
        sign_in(hub, "alice", "the eleventh")
    assert (refused.value.status_code, refused.value.page) == (429, "login.html")
    assert f"Try again {words}." in refused.value.jupyterhub_message


def test_somebodys_guessing_ends_nothing(hub: SimpleNamespace) -> None:
    opens = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    hub.directory.people["alice"] = dataclasses.replace(account("alice", "unit_notebook_users"), opens=opens)
    assert sweep(hub) == []
    assert not hub.alice.stopped
    assert asyncio.run(hub.authenticator.refresh_user(hub.alice))["groups"] == ["unit_notebook_users"]


def test_who_is_no_member_hears_of_it_only_with_the_right_password(hub: SimpleNamespace) -> None:
    hub.directory.people["alice"] = account("alice")
    assert sign_in(hub, "alice", "wrong") is None


def test_admins_of_the_form_need_a_group_as_well(hub: SimpleNamespace) -> None:
    groups = hub.authenticator.groups_of
    assert groups(account("admin")) == []
    assert groups(account("admin", "unit_notebook_users")) == ["unit_notebook_admins", "unit_notebook_users"]
    assert groups(account("alice", "unit_notebook_users", "modellers")) == ["modellers", "unit_notebook_users"]
    assert groups(account("alice", "modellers")) == []
