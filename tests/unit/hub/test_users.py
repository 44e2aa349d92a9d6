"""What `caas users` is told of everybody, and who may ask for it."""

import asyncio
import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.scopes import parse_scopes
from pangeo_hub.handlers import UsersHandler
from tornado import web

TEN = datetime(2026, 11, 21, 10, 0, 0)


def spawner(**how: Any) -> SimpleNamespace:
    record = SimpleNamespace(started=TEN, last_activity=None)
    return SimpleNamespace(**{"active": True, "ready": True, "pending": None, "orm_spawner": record} | how)


def get(*scopes: str) -> dict[str, Any]:
    db = orm.new_session_factory("sqlite:///:memory:")()
    people = [orm.User(name=name, admin=name == "ada", last_activity=TEN) for name in ("ada", "bob", "cyd", "dan")]
    people[1].last_activity = None
    db.add_all(people)
    db.commit()
    spawners = {
        "ada": {"": spawner(), "second": spawner()},
        "bob": {"": spawner(active=False)},
        "cyd": {"": spawner(ready=False, pending="spawn")},
    }
    users = {one.id: SimpleNamespace(id=one.id, spawners=spawners.get(one.name, {})) for one in people}
    said: list[str] = []
    handler = SimpleNamespace(
        current_user=object() if scopes else None,
        expanded_scopes=set(scopes),
        parsed_scopes=parse_scopes(set(scopes)),
        db=db,
        request=SimpleNamespace(path="/hub/api/caas/users"),
        users=users,
        write=said.append,
    )
    asyncio.run(UsersHandler.get(handler))
    db.close()
    answer: dict[str, Any] = json.loads(said[0])
    return answer


def test_everybody() -> None:
    assert get("admin:users", "read:servers") == {
        "ada": {
            "admin": True,
            "last_activity": "2026-11-21T10:00:00Z",
            "server": {"started": "2026-11-21T10:00:00Z", "last_activity": None, "ready": True, "pending": None},
        },
        "bob": {"admin": False, "last_activity": None, "server": None},
        "cyd": {
            "admin": False,
            "last_activity": "2026-11-21T10:00:00Z",
            "server": {"started": "2026-11-21T10:00:00Z", "last_activity": None, "ready": False, "pending": "spawn"},
        },
        "dan": {"admin": False, "last_activity": "2026-11-21T10:00:00Z", "server": None},
    }


@pytest.mark.parametrize(
    "scopes",
    [(), ("admin:users",), ("read:servers",), ("admin:users!user=ada", "read:servers!user=ada"), ("users!user=ada",)],
)
def test_others_are_told_nothing(scopes: tuple[str, ...]) -> None:
    with pytest.raises(web.HTTPError) as refused:
        get(*scopes)
    assert refused.value.status_code == 403
