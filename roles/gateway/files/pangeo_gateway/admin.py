"""Routes for the provisioner: what runs, and ending all clusters of one user.

Those want `Authorization: token …` with the admin_token of gateway.json."""

import asyncio
import hmac

from aiohttp import web
from dask_gateway_server.backends.db_base import JobStatus

from .limits import worker_size

STOP_SECONDS = 8


def routes(backend, token: str):
    def check(request):
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), f"token {token}".encode()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "token"})

    def model(cluster):
        each = worker_size(cluster.config)
        workers = cluster.active_workers()
        return {
            "name": cluster.name,
            "user": cluster.username,
            "status": cluster.model_status.name.lower(),
            "environment": cluster.options.get("environment", ""),
            "workers": len(workers),
            "workers_running": sum(w.status == JobStatus.RUNNING for w in workers),
            "workers_wanted": cluster.count,
            "worker_cpus": each.millicores / 1000,
            "worker_memory": each.memory,
            "started": cluster.start_time / 1000,
        }

    async def clusters(request):
        check(request)
        alive = [c for c in backend.db.name_to_cluster.values() if c.status < JobStatus.STOPPED]
        users = {}
        for name in sorted({c.username for c in alive}):
            use = backend.ledger.real(backend.clusters_of(name))
            users[name] = {"cpus": use.millicores / 1000, "memory": use.memory}
        cap = backend.ledger.cap
        return web.json_response(
            {
                "clusters": [model(c) for c in alive],
                "users": users,
                "maximum": {"cpus": cap.millicores / 1000, "memory": cap.memory},
            }
        )

    async def stop_user(request):
        check(request)
        name = request.match_info["user"]
        request.app["authenticator"].forget(name)
        alive = [c for c in backend.clusters_of(name) if c.status < JobStatus.STOPPED]
        for c in alive:
            await backend.stop_cluster(c.name)
        waits = [asyncio.ensure_future(c.shutdown) for c in alive]
        if waits:
            await asyncio.wait(waits, timeout=STOP_SECONDS)
        left = sum(c.status < JobStatus.STOPPED for c in alive)
        return web.json_response({"stopped": len(alive) - left, "stopping": left}, status=202 if left else 200)

    async def here(request):
        """The hub looks here from time to time whether the service is there."""
        return web.json_response({"service": "dask-gateway"})

    return [
        web.get("/", here),
        web.get("/api/v1/caas/clusters", clusters),
        web.delete("/api/v1/caas/users/{user}/clusters", stop_user),
    ]
