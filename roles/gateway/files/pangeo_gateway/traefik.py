"""What Traefik is told, and asks for twice a second (its provider "http"): so it needs no rights at the API server,
and none of its own resource definitions. Schedulers are reached by the name in the TLS greeting; there is no way to a
dashboard here. Pure."""

from typing import Any


def configuration(prefix: str, api: str, schedulers: dict[str, str]) -> dict[str, Any]:
    """prefix: below which the API is. api: its address. schedulers: address (host:port) by name of cluster."""
    # The provisioner's own routes are not for whoever comes this way.
    ours = f"PathPrefix(`{prefix}/`) && !PathPrefix(`{prefix}/api/v1/caas`)"
    out: dict[str, Any] = {
        "http": {
            "routers": {
                "api": {"entryPoints": ["web"], "rule": ours, "middlewares": ["prefix"], "service": "api"},
            },
            "middlewares": {"prefix": {"stripPrefix": {"prefixes": [prefix]}}},
            "services": {"api": {"loadBalancer": {"servers": [{"url": api}]}}},
        }
    }
    if schedulers:
        out["tcp"] = {"routers": {}, "services": {}}
    for name, address in sorted(schedulers.items()):
        key = name.replace(".", "-")
        out["tcp"]["routers"][key] = {
            "entryPoints": ["tcp"],
            "rule": f"HostSNI(`daskgateway-{name}`)",
            "service": key,
            "tls": {"passthrough": True},
        }
        out["tcp"]["services"][key] = {"loadBalancer": {"servers": [{"address": address}]}}
    return out
