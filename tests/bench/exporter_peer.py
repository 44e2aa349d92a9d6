"""The exporter as one writes it in Python, of the parts that 2i2c's group exporter is made of: an application of aiohttp, a task
of it that asks the hub's API again and again, gauges of prometheus-client. exporter_peer.py PORT API-PORT SECONDS. It says
exactly what caas-exporter says of the hub and the gateway."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

PORT, API, SECONDS = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}", float(sys.argv[3])
PAGE = 500
HEADERS = {"Accept": "application/jupyterhub-pagination+json"}
registry = CollectorRegistry()


def gauge(name: str, *labels: str) -> Gauge:
    return Gauge(name, "As caas-exporter says it.", labels, registry=registry)


hub_users, hub_servers = gauge("caas_hub_users"), gauge("caas_hub_servers")
started = gauge("caas_server_started_timestamp_seconds", "user", "server")
activity = gauge("caas_server_last_activity_timestamp_seconds", "user", "server")
ready = gauge("caas_server_ready", "user", "server")
of_cluster = {
    key: gauge(f"caas_dask_cluster_{name}", "user", "dask_cluster")
    for key, name in {
        "workers": "workers",
        "cpus": "cores",
        "memory": "memory_bytes",
        "started": "started_timestamp_seconds",
        "idle_seconds": "idle_seconds",
    }.items()
}
user_cores, user_memory = gauge("caas_dask_user_cores", "user"), gauge("caas_dask_user_memory_bytes", "user")
user_clusters = gauge("caas_dask_user_clusters", "user")
max_cores, max_memory = gauge("caas_dask_max_cores"), gauge("caas_dask_max_memory_bytes")


async def ask(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(API + path) as answer:
        return await answer.json()


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


async def refresh_hub(session: aiohttp.ClientSession) -> None:
    hub_users.set((await ask(session, "/hub/api/users?limit=1"))["_pagination"]["total"])
    servers, offset = [], 0
    while True:
        page = await ask(session, f"/hub/api/users?state=active&limit={PAGE}&offset={offset}")
        for user in page["items"]:
            servers += [(user["name"], name, server) for name, server in user["servers"].items()]
        if not page["_pagination"]["next"]:
            break
        offset = page["_pagination"]["next"]["offset"]
    for family in (started, activity, ready):
        family.clear()
    hub_servers.set(len(servers))
    for user, name, server in servers:
        started.labels(user, name).set(seconds(server["started"]))
        activity.labels(user, name).set(seconds(server["last_activity"]))
        ready.labels(user, name).set(server["ready"])


async def refresh_gateway(session: aiohttp.ClientSession) -> None:
    answer = await ask(session, "/gateway/api/v1/caas/clusters")
    for family in (*of_cluster.values(), user_cores, user_memory, user_clusters):
        family.clear()
    for cluster in answer["clusters"]:
        for key, family in of_cluster.items():
            family.labels(cluster["user"], cluster["name"]).set(cluster[key])
    for user, count in Counter(cluster["user"] for cluster in answer["clusters"]).items():
        user_clusters.labels(user).set(count)
    for user, held in answer["users"].items():
        user_cores.labels(user).set(held["cpus"])
        user_memory.labels(user).set(held["memory"])
    max_cores.set(answer["maximum"]["cpus"])
    max_memory.set(answer["maximum"]["memory"])


async def refresh_on() -> None:
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while True:
            await refresh_hub(session)
            await refresh_gateway(session)
            await asyncio.sleep(SECONDS)


async def refreshing(_: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(refresh_on())
    yield
    task.cancel()


async def metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(registry), content_type="text/plain")


app = web.Application()
app.router.add_get("/metrics", metrics)
app.cleanup_ctx.append(refreshing)
web.run_app(app, host="127.0.0.1", port=PORT, print=None)
