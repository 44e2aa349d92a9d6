"""From the sign-in page to a JupyterLab that answers: the cluster against the plain recipe, by the same client.

The plain recipe has the same directory, environments, proxy, certificate and size of page; its server runs as an account of
this machine, which is made for the time of the measurement."""

import contextlib
import json
import pwd
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measure import CAAS, ROOT, Started, figure, load, median, note, run
from plain import ByHand

sys.path.insert(0, str(ROOT / "tests/integration/lib"))
from hubclient import HubClient  # noqa: E402 - the path has to be there first

OURS, PLAIN = "bench-ours", "bench-plain"
ROUNDS = 5


def once(client: HubClient, user: str, password: str) -> tuple[float, float]:
    """Seconds to be signed in, and to the page of the Lab. The server is stopped again."""
    began = time.monotonic()
    status, text = client.login(user, password)
    if status != 302:
        raise SystemExit(f"{user} cannot sign in at {client.base}: {status} {text}")
    signed_in = time.monotonic() - began
    client.spawn()
    if client.request("GET", f"/user/{user}/lab").status != 200:
        raise SystemExit(f"{client.base}: the page of the Lab does not come")
    ready = time.monotonic() - began
    client.stop()
    return signed_in, ready


@contextlib.contextmanager
def account(name: str, home: Path) -> Iterator[None]:
    home.mkdir(mode=0o700)
    with contextlib.suppress(KeyError):  # of a run that was killed; anybody else's is left, and useradd says so
        if re.fullmatch(r"/var/tmp/caas-bench\.\w+/hand/home", pwd.getpwnam(name).pw_dir):
            run(["userdel", name])
    run(["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/bash", name])
    try:
        ids = pwd.getpwnam(name)
        run(["chown", f"{ids.pw_uid}:{ids.pw_gid}", home])
        yield
    finally:
        run(["userdel", name])


def directory_of(cluster: Path) -> dict[str, Any]:
    known = json.loads((cluster / "hub/hub.json").read_text())["directory"]
    uri = urlsplit(known["uri"])
    return {
        "address": uri.hostname,
        "port": uri.port,
        "ca": known["ca"],
        "bind_dn": known["bind_dn"],
        "bind_password": known["bind_password"],
        "users_base": known["users_base"],
        "group": f"cn={known['users_group']},{known['groups_base']}",
    }


def put_up(by: Started, hand: ByHand, cluster: Path) -> str:
    """The plain recipe with the cluster's own environments and certificate; where it is."""
    hub, python = cluster / "env/hub", cluster / "env/notebook/pangeo/bin/python"
    hand.authenticator()
    values = hand.values(directory_of(cluster), python, scheme="https")
    tls = cluster / "proxy/tls"
    files = ("--ssl-key", tls / "own.key", "--ssl-cert", tls / "own.crt")
    hand.start_proxy(by, hub, cluster / "node", values, *files)
    hand.start_hub(by, hub, values)
    return str(values["url"])


def measure(name: str, cluster: Path, hand: ByHand) -> None:
    password = secrets.token_urlsafe(12)
    ca = str(cluster / "ca/ca.crt")
    for user in (OURS, PLAIN):
        run([CAAS, "user", "add", name, user, "--grant"], input=password + "\n", stdin=None)
    ours_url = json.loads(
        subprocess.run([CAAS, "status", name, "--json"], capture_output=True, text=True, check=False).stdout
    )["access"]["url"]
    took: dict[str, list[tuple[float, float]]] = {OURS: [], PLAIN: []}
    with account(PLAIN, hand.folder / "home"), Started(hand.folder) as by:
        urls = {OURS: ours_url, PLAIN: put_up(by, hand, cluster)}
        for turn in range(ROUNDS + 1):  # the first makes homes and warms both; it does not count
            for user, url in urls.items():
                seconds = once(HubClient(url, ca, address="127.0.0.1"), user, password)
                if turn:
                    took[user].append(seconds)
    ours, plain = (median([ready for _, ready in took[user]]) for user in (OURS, PLAIN))
    for user, what in ((OURS, "caas"), (PLAIN, "plain recipe")):
        each = ", ".join(f"{ready:.2f}" for _, ready in took[user])
        note(f"{what}: signed in after {median([at for at, _ in took[user]]):.2f} s, Lab after {each} s")
    figure("sign-in to ready Lab, caas, median of 5", f"{ours:.2f} s")
    figure("sign-in to ready Lab, plain recipe, median of 5", f"{plain:.2f} s")
    figure("  ratio", f"{ours / plain:.2f}", "target: at most 1")
    note(load())
