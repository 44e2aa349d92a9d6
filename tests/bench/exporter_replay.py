"""Plays a hub with many users and a Dask gateway with many clusters, for those who only ask: exporter_replay.py PORT USERS
SERVERS CLUSTERS. Every answer is made once, so that what is measured is who asks."""

import json
import sys
import urllib.parse
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, USERS, SERVERS, CLUSTERS = (int(word) for word in sys.argv[1:])


def user(number: int) -> dict:
    """As JupyterHub 5 describes one."""
    name = f"user{number:05d}"
    server = {
        "name": "",
        "full_name": f"{name}/",
        "last_activity": "2026-11-21T19:12:01.123456Z",
        "started": "2026-11-21T18:01:12.654321Z",
        "pending": None,
        "ready": True,
        "stopped": False,
        "url": f"/user/{name}/",
        "full_url": None,
        "user_options": {"environment": "pangeo", "size": "small"},
        "progress_url": f"/hub/api/users/{name}/server/progress",
        "state": {},
    }
    return {
        "server": f"/user/{name}/" if number < SERVERS else None,
        "pending": None,
        "kind": "user",
        "groups": ["demo_notebook_users"],
        "created": "2026-10-01T08:00:00.000000Z",
        "roles": ["user"],
        "name": name,
        "last_activity": "2026-11-21T19:12:01.123456Z",
        "admin": False,
        "servers": {"": server} if number < SERVERS else {},
    }


@cache
def page(active: bool, offset: int, limit: int) -> bytes:
    total = SERVERS if active else USERS
    following = {"offset": offset + limit, "limit": limit} if offset + limit < total else None
    pagination = {"offset": offset, "limit": limit, "total": total, "next": following}
    items = [user(number) for number in range(offset, min(offset + limit, total))]
    return json.dumps({"items": items, "_pagination": pagination}).encode()


@cache
def clusters() -> bytes:
    listed = [
        {
            "name": f"{number:032x}",
            "user": f"user{number:05d}",
            "environment": "pangeo",
            "workers_wanted": 4,
            "worker_cpus": 1.0,
            "worker_memory": 2000000000,
            "cpus": 5.0,
            "memory": 9000000000,
            "idle_seconds": 19.5 + number,
            "status": "running",
            "workers": 4,
            "workers_running": 4,
            "started": 1795295724.25 + number,
        }
        for number in range(CLUSTERS)
    ]
    users = {cluster["user"]: {"cpus": cluster["cpus"], "memory": cluster["memory"]} for cluster in listed}
    return json.dumps({"clusters": listed, "users": users, "maximum": {"cpus": 8.0, "memory": 16000000000}}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(asked.query)
        if asked.path == "/hub/api/users":
            limit, offset = int(query["limit"][0]), int(query.get("offset", ["0"])[0])
            body = page(query.get("state") == ["active"], offset, limit)
        else:
            body = clusters()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
