"""Who is let in to read all metrics, past the sign-in of the monitoring page."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

WHO = Path(__file__).resolve().parents[3] / "roles" / "monitoring" / "files" / "who.py"
SCRAPE = {"from": ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"], "authorization": "Bearer token-0123456789"}
RIGHT = "Bearer token-0123456789"


@pytest.fixture(scope="module")
def who() -> Any:
    spec = importlib.util.spec_from_file_location("monitoring_who", WHO)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("address", ["192.0.2.7", "198.51.100.200", "2001:db8::9", "::ffff:192.0.2.7"])
def test_from_where_it_may(who: Any, address: str) -> None:
    assert who.may_read(SCRAPE, address, RIGHT)


@pytest.mark.parametrize(
    "address", ["192.0.2.8", "198.51.101.1", "::1", "127.0.0.1", "2001:db9::1", "", "x", "192.0.2.7%1"]
)
def test_from_elsewhere(who: Any, address: str) -> None:
    assert not who.may_read(SCRAPE, address, RIGHT)


def test_only_the_proxy_says_from_where(who: Any) -> None:
    headers = HTTPHeaders({"X-Real-Ip": "192.0.2.7", "X-Forwarded-For": "192.0.2.7, 203.0.113.9"})
    assert who.came_from(headers) == "203.0.113.9"
    assert who.came_from(HTTPHeaders({"X-Real-Ip": "192.0.2.7"})) == ""
    headers = HTTPHeaders({"X-Forwarded-For": "192.0.2.7"})
    headers.add("X-Forwarded-For", "203.0.113.9")
    assert who.came_from(headers) == "203.0.113.9"


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Bearer token-012345678", RIGHT + "9", "bearer token-0123456789", "Bearer tökén"]
)
def test_without_the_token(who: Any, said: str) -> None:
    assert not who.may_read(SCRAPE, "192.0.2.7", said)
