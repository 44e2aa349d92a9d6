"""Who may ask: by address and secret, or by a token that the hub gave for somebody."""

import hmac
import ipaddress
import re
from typing import Any

from tornado import web
from tornado.httputil import HTTPHeaders

# The hub gives it for Grafana alone, to whom it also lets in here.
SCOPE_OF_GRAFANA = "access:services!service=grafana"
# The role of admins has it: everybody's figures, and nothing else.
SCOPE_OF_ALL = "custom:figures:all"


def came_from(headers: HTTPHeaders) -> str:
    """The address that Caddy wrote, which is the last. Tornado's own remote_ip believes X-Real-Ip, and so whoever sends it.
    Processes on this machine can come past Caddy; the token is what they do not have."""
    return headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()


def comes_from(allowed: dict[str, Any], address: str) -> bool:
    try:
        there = ipaddress.ip_address(address)
    except ValueError:
        return False
    there = getattr(there, "ipv4_mapped", None) or there
    return any(there in ipaddress.ip_network(network) for network in allowed["from"])


def may_read(allowed: dict[str, Any], address: str, authorization: str) -> bool:
    """Compared in constant time, whatever the address."""
    given = hmac.compare_digest(authorization.encode(), allowed["authorization"].encode())
    return comes_from(allowed, address) and given


async def person(hub_auth: Any, headers: HTTPHeaders) -> tuple[str, bool]:
    """(name, whether everybody's figures are theirs to see) of the person whose token this is; of nobody else's."""
    given = re.fullmatch(r"[Bb]earer ([A-Za-z0-9_-]{1,200})", headers.get("Authorization", ""))
    user = await hub_auth.user_for_token(given[1], sync=False) if given else None
    if not user or user["kind"] != "user" or not hub_auth.check_scopes({SCOPE_OF_GRAFANA}, user):
        raise web.HTTPError(403)
    return user["name"], bool(hub_auth.check_scopes({SCOPE_OF_ALL}, user))
