"""Routes for the provisioner: what runs, and ending all clusters of one user.

Those want `Authorization: token …` with the admin_token of gateway.json."""

import hmac

from aiohttp import web

from .limits import worker_size

STOP_SECONDS = 8  # within those that the hub waits for an answer


def routes(backend, token: str):
    def check(request):
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), f"token {token}".encode()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "token"})

    def model(cluster):
        each, held = worker_size(cluster.config), backend.ledger.real([cluster])
        return {
            "name": cluster.name,
            "user": cluster.username,
            "environment": cluster.options.get("environment", ""),
            "workers_wanted": cluster.count,
            "worker_cpus": each.millicores / 1000,
            "worker_memory": each.memory,
            # with its scheduler, and what has not ended yet
            "cpus": held.millicores / 1000,
            "memory": held.memory,
            "idle_seconds": backend.idle.seconds(cluster.name),
            **backend.describe(cluster),
        }

    async def clusters(request):
        check(request)
        alive = backend.list_alive()
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
        alive = [c for c in backend.clusters_of(name) if backend.ledger.is_alive(c)]
        for c in alive:
            await backend.stop_cluster(c.name)
        await backend.ended(alive, STOP_SECONDS)
        left = sum(backend.ledger.is_alive(c) for c in backend.clusters_of(name))
        return web.json_response({"stopped": len(alive) - left, "stopping": left}, status=202 if left else 200)

    async def here(request):
        """The hub looks here from time to time whether the service is there."""
        return web.json_response({"service": "dask-gateway"})

    return [
        web.get("/", here),
        web.get("/api/v1/caas/clusters", clusters),
        web.delete("/api/v1/caas/users/{user}/clusters", stop_user),
    ]
