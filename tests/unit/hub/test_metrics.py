"""What the hub counts, at the places where it happens."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pangeo_hub import metrics
from pangeo_hub.accounts import Accounts
from pangeo_hub.authenticator import PangeoAuthenticator, SignInRefused
from pangeo_hub.base import StartFailed
from pangeo_hub.choices import Choices
from pangeo_hub.directory import Account, DirectoryAway, PasswordExpired, TooManyWrong
from pangeo_hub.kube import hopeless_outcome
from pangeo_hub.settings import Settings
from pangeo_hub.spawner import SandboxSpawner
from pangeo_hub.systemd import PangeoSystemdSpawner
from prometheus_client import REGISTRY, generate_latest


def value(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels} is not shown"
    return found


class People:
    """A directory of one."""

    def __init__(self, account: Account | None, password: Exception | bool) -> None:
        self.answer, self.password = account, password

    def account(self, name: str) -> Account | None:
        if isinstance(self.password, DirectoryAway):
            raise self.password
        return self.answer

    def password_is_right(self, dn: str, password: str) -> bool:
        if isinstance(self.password, Exception):
            raise self.password
        return self.password


MEMBER = "unit_notebook_users"


def alice(*groups: str, locked: bool = False, uid: int | None = 60001) -> Account:
    return Account("alice", "uid=alice,cn=users", uid, uid, frozenset(groups), locked)


@pytest.mark.parametrize(
    ("account", "password", "outcome"),
    [
        (alice(MEMBER), True, "success"),
        (alice(MEMBER), False, "wrong_password"),
        (None, True, "wrong_password"),
        (alice(MEMBER, locked=True), True, "locked"),
        (alice(MEMBER), PasswordExpired(), "password_expired"),
        (alice(MEMBER), TooManyWrong(), "too_many_tries"),
        (alice(), True, "not_a_member"),
        (alice(MEMBER, uid=None), True, "no_ids"),
        (alice(MEMBER), DirectoryAway("gone"), "directory_away"),
        (alice(MEMBER), RuntimeError("a mistake of ours"), "error"),
    ],
)
def test_sign_ins(settings: Settings, tmp_path: Path, account: Any, password: Any, outcome: str) -> None:
    authenticator = PangeoAuthenticator(settings=settings, accounts=Accounts(tmp_path / "users.json"))
    authenticator.directory = People(account, password)
    before = {name: value("caas_sign_ins_total", outcome=name) for name in metrics.SIGN_IN_OUTCOMES}
    try:
        model = asyncio.run(authenticator.authenticate(None, {"username": "alice", "password": "x"}))
        assert bool(model) is (outcome == "success")
    except (SignInRefused, RuntimeError):
        assert outcome not in ("success", "wrong_password", "locked")
    after = {name: value("caas_sign_ins_total", outcome=name) for name in metrics.SIGN_IN_OUTCOMES}
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {outcome: 1}


@pytest.fixture
def spawner(settings: Settings, tmp_path: Path) -> SandboxSpawner:
    made = SandboxSpawner(settings=settings, accounts=Accounts(tmp_path / "users.json"), choices=Choices(settings))
    made.user = SimpleNamespace(name="alice", groups=[], url="/user/alice/")
    made.orm_spawner = SimpleNamespace(
        name="", user_options=None, server=None, last_activity=None, started=None, state={}
    )
    return made


def start(spawner: SandboxSpawner, outcome: str) -> None:
    before = value("caas_spawns_total", outcome=outcome)
    with pytest.raises(StartFailed):
        asyncio.run(spawner.start())
    assert value("caas_spawns_total", outcome=outcome) == before + 1


def test_starts_that_fail_say_why(spawner: SandboxSpawner) -> None:
    start(spawner, "no_account")
    spawner.accounts.remember("alice", 60001, 60001)
    spawner.settings.raw["homes"]["helper"] = "/bin/false"
    start(spawner, "home")
    spawner.user_options = {"profile": "huge"}
    start(spawner, "bad_choice")
    spawner.withdrawn = "no longer a member"
    start(spawner, "withdrawn")


def test_every_way_of_starting_is_counted(settings: Settings, tmp_path: Path) -> None:
    async def begin(self: Any) -> str:
        return "here"

    before = value("caas_spawns_total", outcome="success")
    assert asyncio.run(metrics.counted_start(begin)(None)) == "here"
    assert value("caas_spawns_total", outcome="success") == before + 1
    for way in (SandboxSpawner.start, PangeoSystemdSpawner.start):
        assert way.__wrapped__


def test_a_start_that_is_cancelled_has_failed() -> None:
    async def begin() -> None:
        raise asyncio.CancelledError

    before = value("caas_spawns_total", outcome="error")
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(metrics.counted_start(begin)())
    assert value("caas_spawns_total", outcome="error") == before + 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"phase": "Failed"}, "ended"),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}]}, "no_room"),
        (
            {"containerStatuses": [{"name": "notebook", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "refused",
        ),
    ],
)
def test_pods_that_cannot_start(status: dict[str, Any], outcome: str) -> None:
    assert hopeless_outcome({"status": status}) == outcome
    assert outcome in metrics.SPAWN_OUTCOMES


def test_the_time_of_the_directory() -> None:
    @metrics.timed("search", DirectoryAway)
    def question(answer: Any) -> Any:
        time.sleep(0.02)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def seen() -> tuple[float, float]:
        return (
            value("caas_directory_request_duration_seconds_count", operation="search"),
            value("caas_directory_requests_failed_total", operation="search"),
        )

    count, failed = seen()
    seconds = value("caas_directory_request_duration_seconds_sum", operation="search")
    began = time.monotonic()
    assert question("alice") == "alice"
    most = time.monotonic() - began
    assert seen() == (count + 1, failed)
    assert 0.02 <= value("caas_directory_request_duration_seconds_sum", operation="search") - seconds <= most
    with pytest.raises(PasswordExpired):
        question(PasswordExpired())
    assert seen() == (count + 2, failed)
    with pytest.raises(DirectoryAway):
        question(DirectoryAway("gone"))
    assert seen() == (count + 2, failed + 1)


def test_all_of_it_is_shown_from_the_beginning() -> None:
    page = generate_latest(REGISTRY).decode()
    for outcome in metrics.SPAWN_OUTCOMES:
        assert f'caas_spawns_total{{outcome="{outcome}"}}' in page
    for operation in metrics.DIRECTORY_OPERATIONS:
        assert f'caas_directory_request_duration_seconds_count{{operation="{operation}"}}' in page
