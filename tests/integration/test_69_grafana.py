"""A Grafana of the cluster's own: installed from a repository, behind the hub's sign-in; who gets in, as what, and whose figures
are answered. The hub, the page, Prometheus, apt are real; what runs as Grafana is the stand-in (tests/grafana), which refuses
settings that Grafana does not know, or the Grafana that CAAS_TEST_GRAFANA names (docs/TESTING.md)."""

import json
import os
import re
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grafana
import promql
import pytest
from bed import eventually
from conftest import PASSWORD, PORT, ROOT, Cluster
from grafana import ask
from hubclient import HubClient

HOME = "/services/grafana/"
SOURCE = HOME + "api/datasources/proxy/uid/pangeo/api/v1/"
# Where somebody begins to sign in: an older Grafana does not go on to there by itself.
BEGIN = HOME if grafana.knows("auth.generic_oauth", "auto_login") else HOME + "login/generic_oauth"
# Not "localhost": what apt is told of a host holds for another run on this machine as well.
MIRROR = f"127.69.{PORT >> 8}.{PORT & 255}"
MACHINES = Path(f"/etc/apt/apt.conf.d/99caas-test-mirror-{PORT}")


class Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # apt 3 wants a connection ended by TLS, which this server would not do

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def mirror() -> Iterator[tuple[str, Path]]:
    """(address, key) of a repository by https; the machine's apt is told of its authority, as an administrator would."""
    with tempfile.TemporaryDirectory(prefix="caas-mirror-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        grafana.lay_out(folder / "tree" / "usr" / "share" / "grafana")
        version = re.search(r"^ +version: \"(.*)\"$", (ROOT / "roles/grafana/role.yaml").read_text(), re.MULTILINE)
        assert version
        make = ["bash", ROOT / "tests/lib/apt-repository.sh", folder / "apt", "grafana", version[1], folder / "tree"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        certificate, key = folder / "tls.crt", folder / "tls.key"
        subject = ["-subj", "/CN=mirror", "-addext", f"subjectAltName=IP:{MIRROR}"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        server = ThreadingHTTPServer((MIRROR, 0), partial(Quiet, directory=str(folder / "apt")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        MACHINES.write_text(f'Acquire::https::{MIRROR}::CaInfo "{certificate}";\n')
        yield f"https://{MIRROR}:{server.server_address[1]}/", folder / "apt" / "key.asc"
        MACHINES.unlink()
        server.shutdown()


def form(address: str, key: Path) -> str:
    return f"monitoring:\n  grafana: install\n  grafana_repository: {address}\n  grafana_key: {key}\n"


@pytest.fixture(scope="module")
def applied(cluster: Cluster, mirror: tuple[str, Path]) -> Iterator[str]:
    """What apply said; afterwards the form is as it was, and all of it is gone."""
    cluster.write_form(extra=form(*mirror))
    yield cluster.apply().stdout
    cluster.write_form()
    cluster.apply()
    assert not (cluster.folder / "grafana").exists()
    assert cluster.client().request("GET", HOME + "api/health").status in (404, 503)


def signed_in(cluster: Cluster, user: str, password: str = PASSWORD) -> HubClient:
    """At the hub, and by it at Grafana."""
    client = cluster.signed_in(user, password)
    page = client.request("GET", BEGIN)
    # One that was built without its pages has none to show.
    assert page.status == 200 or not grafana.has_pages()
    assert client.request("GET", HOME + "api/user").status == 200
    return client


def refused(said: tuple[int, Any]) -> bool:
    """With words. (What a data source refuses, Grafana 9.4 shows as no figures.)"""
    return said == (200, []) if grafana.REAL and grafana.version() < (10,) else said[0] == 403 and bool(said[1])


@pytest.fixture(scope="module")
def looking(cluster: Cluster, applied: str) -> HubClient:
    return signed_in(cluster, "alice")


@pytest.fixture(scope="module")
def admin(cluster: Cluster, applied: str) -> HubClient:
    return signed_in(cluster, "admin", cluster.caas.run("password", cluster.name).stdout.strip())


def command(pid: str) -> str:
    """With its arguments; "" of one that has ended."""
    try:
        return (Path("/proc") / pid / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


# ---- installing it


def test_a_repository_that_is_not_there_is_found_before(cluster: Cluster, mirror: tuple[str, Path]) -> None:
    with socket.socket() as taken:
        taken.bind((MIRROR, 0))  # nobody listens
        cluster.write_form(extra=form(f"https://{MIRROR}:{taken.getsockname()[1]}/", mirror[1]))
        done = cluster.caas.run("apply", str(cluster.form), "--yes", status=1)
    said = done.stdout + done.stderr
    assert f"cannot be had from https://{MIRROR}:" in said and "monitoring.grafana can be external or off" in said
    assert not (cluster.folder / "grafana").exists() and "nothing was changed" in said.lower()
    cluster.write_form()


def test_it_is_there_and_said(cluster: Cluster, applied: str) -> None:
    address = f"{cluster.url}{HOME}"
    assert address in applied and address in cluster.caas.run("status", cluster.name).stdout
    program = (cluster.folder / "grafana" / "program").resolve()
    assert (program / "usr/share/grafana/bin/grafana").exists() and not (program / ".apt").exists()
    assert subprocess.run(["dpkg-query", "-W", "grafana"], capture_output=True).returncode != 0
    assert not Path("/tmp/caas-a-script-of-a-package-was-run").exists()
    assert "nothing to do" in cluster.caas.run("plan", str(cluster.form)).stdout.lower()


def test_it_listens_here_only_and_its_secrets_are_its_own(cluster: Cluster, applied: str) -> None:
    (pid,) = (
        pid for pid in filter(str.isdigit, os.listdir("/proc")) if command(pid).startswith(f"{cluster.folder}/grafana")
    )
    listening = subprocess.run(["ss", "-Hltnp"], check=True, capture_output=True, text=True).stdout.splitlines()
    own = [line.split()[3] for line in listening if f"pid={pid}," in line]
    assert own and all(one.startswith("127.0.0.1:") for one in own)
    assert os.stat(f"/proc/{pid}").st_uid != 0
    for name in ("client-secret", "secret-key"):
        path = cluster.folder / "grafana" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o640 and path.stat().st_uid == 0
        secret = path.read_text().strip().encode()
        assert secret not in (Path("/proc") / pid / "environ").read_bytes()


# ---- who gets in, and as what


def test_an_administrator_may_edit_and_a_user_look(admin: HubClient, looking: HubClient) -> None:
    for client, user, role in ((admin, "admin", "Editor"), (looking, "alice", "Viewer")):
        who = client.request("GET", HOME + "api/user").json()
        assert who["login"] == f"{user}@localhost" and who["name"] == user and not who["isGrafanaAdmin"]
        assert [one["role"] for one in client.request("GET", HOME + "api/user/orgs").json()] == [role]


def test_others_are_sent_to_the_hub(cluster: Cluster, applied: str) -> None:
    stranger = cluster.client()
    assert stranger.request("GET", HOME + "api/user").status == 401
    page = stranger.request("GET", BEGIN)
    assert page.status == 200 and 'name="password"' in page.text
    assert stranger.login("bob", PASSWORD)[0] == 403  # he is no member
    assert 'name="password"' in stranger.request("GET", BEGIN).text
    basic = {"Authorization": "Basic YWRtaW46YWRtaW4="}  # Grafana's own first account
    assert stranger.request("GET", HOME + "api/user", headers=basic).status == 401
    assert stranger.request("POST", HOME + "login", data={"user": "admin", "password": "admin"}).status == 401


def test_who_signs_out_is_out(cluster: Cluster, applied: str) -> None:
    client = signed_in(cluster, "dora")
    answer = client.request("GET", HOME + "logout", follow=False)
    assert answer.status == 302 and answer.headers["Location"] == f"{cluster.url}/hub/home"
    assert client.request("GET", HOME + "api/user").status == 401


def test_data_sources_are_changed_by_nobody(admin: HubClient, looking: HubClient) -> None:
    for client in (admin, looking):
        (one,) = client.request("GET", HOME + "api/datasources").json()
        assert one["uid"] == "pangeo" and one["readOnly"] and not one.get("secureJsonData")
        for method, path in (("POST", ""), ("DELETE", "/uid/pangeo"), ("PUT", "/uid/pangeo")):
            given = {"name": "x", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:1/"}
            assert client.request(method, HOME + "api/datasources" + path, data=given).status == 403, (method, path)


def test_it_complains_of_nothing(cluster: Cluster, admin: HubClient, looking: HubClient) -> None:
    said = cluster.caas.run("logs", cluster.name, "grafana").stdout
    old = "logger=provisioning.notifiers"  # of versions before 11, which look for one folder more
    assert not [line for line in said.splitlines() if "level=error" in line and old not in line]


# ---- whose figures


def test_every_panel_is_answered(cluster: Cluster, admin: HubClient) -> None:
    """Together with what else its panel asks, and with all that a panel sends of a question."""
    variables = {"me": "admin", "cluster": cluster.name, "__user.login": "admin@localhost"}
    asked, wrong = 0, []
    for name, source in promql.dashboards().items():
        board = admin.request("GET", f"{HOME}api/dashboards/uid/{source['uid']}").json()
        assert board["meta"]["provisioned"] and board["meta"]["folderTitle"] == "Pangeo", name
        for panel in promql.panels(board["dashboard"]):
            for target in panel.get("targets", []):
                asked += 1
                more = {**target, "intervalMs": 15000, "maxDataPoints": 600, "datasource": grafana.SOURCE}
                status, said = ask(admin, promql.fill(more.pop("expr"), variables), **more)
                if status != 200:
                    wrong.append((name, panel["title"], said))
    assert asked > 150 and not wrong


def test_ones_own_figures_are_answered(looking: HubClient, admin: HubClient) -> None:
    own = 'caas_user_group_info{user="alice"}'
    status, result = eventually(lambda: (said := ask(looking, own))[1] and said, 60)
    assert status == 200 and {one["user"] for one in result} == {"alice"}
    status, result = ask(admin, "caas_user_group_info")
    assert status == 200 and {one["user"] for one in result} >= {"alice", "dora"}
    assert eventually(lambda: ask(admin, 'caas_part_up{part="grafana"} == 1')[1], 60)  # the exporter looks at it, too


def test_my_usage_asks_nothing_that_is_refused(cluster: Cluster, looking: HubClient) -> None:
    board = looking.request("GET", HOME + "api/dashboards/uid/caas-own").json()["dashboard"]
    variables = {"me": "alice", "cluster": cluster.name, "__user.login": "alice@localhost"}
    asked = [target["expr"] for panel in promql.panels(board) for target in panel.get("targets", [])]
    asked += ["caas_exporter_build_info"]
    (login,) = [v["definition"] for v in board["templating"]["list"] if v["name"] == "me"]
    wrong = {one: said for one in asked if (said := ask(looking, promql.fill(one, variables)))[0] != 200}
    assert len(asked) >= 12 and not wrong
    (who,) = ask(looking, promql.fill(login.removeprefix("query_result(")[:-1], variables))[1]
    assert who == {"login": "alice@localhost", "user": "alice"}


@pytest.mark.parametrize(
    "question",
    [
        "caas_user_group_info",
        'caas_user_group_info{user="dora"}',
        'caas_user_group_info{user=~"alice|dora"}',
        'caas_user_group_info{user="alice"} or caas_user_group_info',
        'max_over_time(caas_user_group_info{user="dora"}[5m:15s])',
        'label_replace(caas_user_group_info{user="dora"}, "user", "alice", "", "")',
        'caas_user_group_info{user="alice\\", user=\\"dora"}',
        'caas_user_group_info{user="alice"} # \n or caas_user_group_info',
        'caas_user_group_info{user="alice"',
    ],
)
def test_nobody_elses_are(looking: HubClient, question: str) -> None:
    assert refused(ask(looking, question)), question


def test_nor_by_other_questions(looking: HubClient) -> None:
    for path in ("labels", "label/user/values", "series?match[]=up", 'series?match[]={user="dora"}', "metadata"):
        assert looking.request("GET", SOURCE + path).status == 403, path
    for path in ("admin/tsdb/snapshot", "status/config", "rules", "query/../../../../prometheus/api/v1/query?query=up"):
        answer = looking.request("GET", SOURCE + path)
        assert answer.status in (403, 404) and "yaml" not in answer.text, path


def test_a_token_is_the_persons_own(cluster: Cluster, looking: HubClient) -> None:
    """At the page itself, as whoever is on this machine could come to it."""
    own = "/services/monitoring/grafana/own/api/v1/query?query="
    for token in ("", "x" * 40, (cluster.folder / "grafana" / "client-secret").read_text().strip()):
        given = {"Authorization": f"Bearer {token}"}
        assert cluster.client().request("GET", own + "1", headers=given).status == 403
    made = looking.api("POST", "/users/alice/tokens", data={"note": "test"}).json()["token"]
    given = {"Authorization": f"Bearer {made}"}
    assert cluster.client().request("GET", own + "1%2B1", headers=given).status == 200
    assert cluster.client().request("GET", own + "up", headers=given).status == 403
    assert "user=" in json.loads(cluster.client().request("GET", own + "up", headers=given).text)["error"]


def test_who_is_taken_out_sees_nothing_any_more(cluster: Cluster, applied: str) -> None:
    cluster.add_user("gina")
    client = signed_in(cluster, "gina")
    assert ask(client, "1")[0] == 200
    cluster.caas.run("revoke", cluster.name, "gina")
    eventually(lambda: refused(ask(client, "1")), 10)
