"""Who may end what somebody has here: the caas service and hub admins, not those who hold a part of their rights."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.scopes import parse_scopes
from pangeo_hub.handlers import RevokeHandler
from tornado import web


def post(name: str, *scopes: str, signed_in: bool = True) -> list[Any]:
    """[name that was ended, answer] of a request by somebody with these scopes."""
    seen: list[Any] = []

    async def end(user: str, reason: str) -> dict[str, Any]:
        seen.append(user)
        return {"user": user}

    handler = SimpleNamespace(
        current_user=object() if signed_in else None,
        expanded_scopes=set(scopes),
        parsed_scopes=parse_scopes(set(scopes)),
        db=None,
        request=SimpleNamespace(path="/hub/api/caas/revoke"),
        authenticator=SimpleNamespace(membership=SimpleNamespace(end=end)),
        write=lambda text: seen.append(json.loads(text)),
    )
    asyncio.run(RevokeHandler.post(handler, name))
    return seen


def test_with_both_scopes() -> None:
    assert post("alice", "admin:users", "admin:servers") == ["alice", {"user": "alice"}]


@pytest.mark.parametrize(
    "scopes",
    [
        (),
        ("admin:users",),
        ("admin:servers",),
        ("admin:users!user=alice", "admin:servers!user=alice"),
        ("users!user=alice", "servers!user=alice", "tokens!user=alice"),
    ],
)
def test_with_less_nothing_is_ended(scopes: tuple[str, ...]) -> None:
    with pytest.raises(web.HTTPError) as refused:
        post("alice", *scopes)
    assert refused.value.status_code == 403


def test_without_signing_in() -> None:
    with pytest.raises(web.HTTPError) as refused:
        post("alice", "admin:users", "admin:servers", signed_in=False)
    assert refused.value.status_code == 403


@pytest.mark.parametrize("name", ["..%2Fbob", "%2e%2e", "Alice", "a%00b", "-a", "a" * 65])
def test_only_names_of_users(name: str) -> None:
    with pytest.raises(web.HTTPError) as refused:
        post(name, "admin:users", "admin:servers")
    assert refused.value.status_code == 400
