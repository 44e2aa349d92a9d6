"""A Grafana elsewhere: what it is given is enough to sign people in by the real hub and to ask the real Prometheus, and for
nothing else. It asks from 127.0.0.3."""

import json
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grafana
import pytest
from bed import eventually
from conftest import PASSWORD, Cluster
from grafana import Grafana
from hubclient import HubClient

HOME = "https://grafana.example.org/"
CALLBACK = HOME + "login/generic_oauth"


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Iterator[str]:
    """What apply said; afterwards the form is as it was, and all of it is gone."""
    cluster.write_form(
        extra=f"monitoring:\n  grafana: external\n  grafana_url: {HOME}\n  grafana_from: [127.0.0.3, '2001:db8::/32']\n"
    )
    yield cluster.apply().stdout
    cluster.write_form()
    cluster.apply()
    assert not (cluster.folder / "monitoring" / "grafana").exists()
    assert not (cluster.folder / "monitoring" / "grafana-token").exists()
    assert cluster.caas.json("status", cluster.name)["access"]["grafana"] is None


@pytest.fixture(scope="module")
def there(cluster: Cluster, applied: str) -> Grafana:
    return Grafana(cluster.folder / "monitoring" / "grafana", cluster.name, "127.0.0.3")


@pytest.fixture(scope="module")
def client(cluster: Cluster, there: Grafana) -> Any:
    return there.client(cluster.folder / "env" / "hub")


@pytest.fixture(scope="module")
def admin(cluster: Cluster, applied: str) -> HubClient:
    return cluster.signed_in("admin", cluster.caas.run("password", cluster.name).stdout.strip())


@pytest.fixture(scope="module")
def token(there: Grafana, client: Any, admin: HubClient) -> str:
    """That the hub gives Grafana for an administrator."""
    status, code = there.sign_in(client, admin, CALLBACK)
    assert status == 0, (status, code)
    status, token = there.redeem(client, code, CALLBACK)
    assert status == 0, (status, token)
    return token


# ---- the files


def test_it_is_said_where_they_are(cluster: Cluster, applied: str) -> None:
    folder = str(cluster.folder / "monitoring" / "grafana")
    assert HOME in applied and folder in applied and "docs/MONITORING.md#a-grafana-elsewhere" in applied
    assert f"{HOME}; its files: {folder}\n" in cluster.caas.run("status", cluster.name).stdout


def test_secrets_are_roots(cluster: Cluster, there: Grafana) -> None:
    assert stat.S_IMODE(there.folder.stat().st_mode) == 0o700
    secret = [there.oauth["client_secret"], there.data["secureJsonData"]["basicAuthPassword"]]
    assert len(set(secret)) == 2 and all(len(one) >= 40 for one in secret)
    holding = []
    for path in there.folder.rglob("*"):
        if path.is_file() and any(one in path.read_text() for one in secret):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_uid == 0, path
            holding.append(path.suffix)
    assert sorted(holding) == [".ini", ".yaml"]


def test_they_say_what_grafanas_documentation_knows(there: Grafana) -> None:
    for written, known in (
        (there.oauth, grafana.OAUTH_KEYS),
        (there.data, grafana.SOURCE_KEYS),
        (there.data["jsonData"], grafana.JSON_KEYS),
        (there.data["secureJsonData"], grafana.SECURE_KEYS),
        (there.dashboards, grafana.PROVIDER_KEYS),
    ):
        assert not set(written) - set(known.split())
    assert there.data["type"] == "prometheus" and there.data["access"] == "proxy"
    assert there.data["jsonData"]["tlsAuthWithCACert"] is True
    # "$" stands for a variable in them, ";" and "#" for a comment in the other
    assert "$" not in json.dumps([there.data, there.dashboards])
    assert not any(set(value) & set('#;$`"') for value in there.oauth.values())
    found = list(there.here(there.dashboards["options"]["path"]).glob("*.json"))
    assert len(found) >= 7 and all(json.loads(path.read_text())["panels"] for path in found)


# ---- signing in


def test_an_administrator_is_an_editor(there: Grafana, token: str) -> None:
    status, text = there.user(token)
    user = json.loads(text)
    assert status == 200 and user["role"] == "Editor" and there.oauth["role_attribute_path"] == "role"
    assert user["sub"] == user["login"] == user["email"] == "admin@localhost"
    assert there.user(token) == (200, text)  # the next time it is the same person


def test_nobody_else_is_let_in(cluster: Cluster, there: Grafana, client: Any, alice: HubClient) -> None:
    assert there.sign_in(client, alice, CALLBACK)[0] == 403
    status, where = there.sign_in(client, cluster.client(), CALLBACK)
    assert status == 302 and where.startswith("/hub/login")
    stranger = cluster.client()  # bob has an account, and is in neither group
    assert stranger.login("bob", PASSWORD)[0] == 403
    status, where = there.sign_in(client, stranger, CALLBACK)
    assert status == 302 and where.startswith("/hub/login")


def test_codes_go_to_the_forms_grafana_only(there: Grafana, client: Any, admin: HubClient) -> None:
    for elsewhere in ("https://evil.example.org/login/generic_oauth", HOME, CALLBACK + "/../../x"):
        status, said = there.sign_in(client, admin, elsewhere)
        assert status >= 400 and "code=" not in said, (elsewhere, status)


def test_a_code_is_worth_nothing_without_the_secret(there: Grafana, client: Any, admin: HubClient) -> None:
    _, code = there.sign_in(client, admin, CALLBACK)
    for wrong in ("0" * 64, there.data["secureJsonData"]["basicAuthPassword"]):
        assert there.redeem(client, code, CALLBACK, wrong)[0] in (400, 401)
    assert there.redeem(client, code, CALLBACK)[0] == 0
    assert there.redeem(client, code, CALLBACK)[0] in (400, 401)  # nor a second time


def test_what_grafana_holds_opens_nothing_else(cluster: Cluster, there: Grafana, token: str, alice: HubClient) -> None:
    program = cluster.client()
    for held in (token, there.oauth["client_secret"]):
        given = {"Authorization": f"Bearer {held}"}
        for path in ("users", "users/alice", "groups", "proxy", "services", "info"):
            assert program.request("GET", f"/hub/api/{path}", headers=given).status in (403, 404), path
        assert program.request("POST", "/hub/api/users/admin/tokens", headers=given, data={}).status == 403
        assert program.request("POST", "/hub/api/users/alice/server", headers=given, data={}).status in (403, 404)
        for path in ("prometheus/api/v1/query?query=up", "prometheus/config", "federate", "grafana/api/v1/labels"):
            answer = program.request("GET", f"/services/monitoring/{path}", headers=given, follow=False)
            assert answer.status in (302, 403), path
        assert program.request("GET", "/user/alice/api/contents", headers=given, follow=False).status in (302, 403)
    assert there.user(there.oauth["client_secret"])[0] == 403
    made = alice.api("POST", "/users/alice/tokens", data={"note": "test"}).json()["token"]
    for other in (made, "0" * 30, ""):
        assert there.user(other)[0] == 403


# ---- its questions


def test_its_questions_are_answered(there: Grafana) -> None:
    """As its plug-in for Prometheus sends them (pkg/promlib/client)."""
    now = time.time()
    end = now + 60
    while not json.loads(there.ask("POST", "api/v1/query", query="up", time=f"{time.time():.3f}")[1])["data"]["result"]:
        assert time.time() < end
        time.sleep(1)
    asked = {"query": "sum by (job) (up)", "start": f"{now - 3600:.3f}", "end": f"{time.time():.3f}", "step": "15"}
    status, text = there.ask("POST", "api/v1/query_range", **asked)
    result = json.loads(text)["data"]
    assert status == 200 and result["resultType"] == "matrix"
    assert {"hub", "exporter"} <= {one["metric"]["job"] for one in result["result"]}
    for method, path, arguments, wanted in (
        ("POST", "query", {"query": "1+1", "time": "4"}, '"2"'),  # "Save & test"
        ("GET", "labels", {}, '"__name__"'),
        ("POST", "labels", {"start": f"{now - 3600:.0f}", "end": f"{now:.0f}"}, '"job"'),
        ("GET", "label/__name__/values", {}, '"up"'),
        ("GET", "label/job/values", {"match[]": "up"}, '"hub"'),
        ("POST", "series", {"match[]": "up"}, '"exporter"'),
        ("GET", "metadata", {}, '"gauge"'),
        ("GET", "status/buildinfo", {}, '"version"'),
    ):
        status, text = there.ask(method, "api/v1/" + path, **arguments)
        assert status == 200 and wanted in text, (path, status)
    # Where it may only be asked by GET, Grafana goes on to that after this.
    assert there.ask("POST", "api/v1/status/buildinfo")[0] == 405


def test_nobody_elses_are(cluster: Cluster, there: Grafana, token: str) -> None:
    right = there.data["secureJsonData"]["basicAuthPassword"]
    for wrong in ("", "Basic x", f"Bearer {right}", f"Bearer {token}"):
        assert there.ask("POST", "api/v1/query", authorization=wrong, query="up")[0] == 403, wrong
    for source in ("127.0.0.1", "127.0.0.4"):
        elsewhere = Grafana(there.folder, cluster.name, source)
        assert elsewhere.ask("POST", "api/v1/query", query="up")[0] == 403, source
        assert elsewhere.user(token)[0] == 403, source
    assert there.ask("GET", "api/v1/query", query="up")[0] == 200


def test_only_questions_are_answered(there: Grafana) -> None:
    for path in (
        "admin/tsdb/snapshot",
        "admin/tsdb/delete_series",
        "write",
        "status/config",
        "targets",
        "query/../rules",
    ):
        for method in ("GET", "POST"):
            status, text = there.ask(method, f"api/v1/{path}", **{"match[]": "up"})
            assert status in (404, 405) and "Pangeo" in text, (path, status)
    for path in ("metrics", "federate", "-/quit", "../prometheus/metrics", "../prometheus/federate"):
        status, text = there.ask("GET", path, **{"match[]": "up"})
        assert status in (302, 403) and "up{" not in text, (path, status)  # to the sign-in, as everybody


def test_the_page_leads_there(admin: HubClient) -> None:
    page = admin.request("GET", "/services/monitoring/")
    assert page.status == 200 and re.search(rf'<a class="button" href="{HOME}"', page.text)


# ---- with users, who see their own


@pytest.fixture(scope="module")
def with_users(cluster: Cluster, applied: str) -> Grafana:
    cluster.write_form(
        extra=f"monitoring:\n  grafana: external\n  grafana_url: {HOME}\n  grafana_from: [127.0.0.3]\n  grafana_users: true\n"
    )
    cluster.apply()
    assert not (cluster.folder / "monitoring" / "grafana-token").exists()
    return Grafana(cluster.folder / "monitoring" / "grafana", cluster.name, "127.0.0.3")


def token_of(there: Grafana, client: Any, person: HubClient) -> str:
    status, code = there.sign_in(client, person, CALLBACK)
    assert status == 0, (status, code)
    return there.redeem(client, code, CALLBACK)[1]


def test_users_are_let_in_to_see_their_own(
    cluster: Cluster, with_users: Grafana, client: Any, admin: HubClient, alice: HubClient
) -> None:
    there = with_users
    assert there.data["jsonData"]["oauthPassThru"] and "basicAuthPassword" not in there.data["secureJsonData"]
    own, anybodys = 'caas_user_group_info{user="alice"}', "caas_user_group_info"
    for person, role, wanted in ((alice, "Viewer", {own: 200, anybodys: 403}), (admin, "Editor", {anybodys: 200})):
        bearer = token_of(there, client, person)
        assert json.loads(there.user(bearer)[1])["role"] == role
        for question, status in wanted.items():
            said = there.ask("POST", "api/v1/query", authorization=f"Bearer {bearer}", query=question)
            assert said[0] == status, (role, question, said)
        assert (
            cluster.client().request("GET", "/hub/api/users", headers={"Authorization": f"Bearer {bearer}"}).status
            == 403
        )
    assert there.ask("POST", "api/v1/query", authorization="", query="1")[0] == 403
    stranger = cluster.client()  # bob is no member
    assert stranger.login("bob", PASSWORD)[0] == 403
    assert there.sign_in(client, stranger, CALLBACK)[0] == 302


def test_and_not_when_the_form_says_so_no_more(
    cluster: Cluster, with_users: Grafana, client: Any, alice: HubClient
) -> None:
    bearer = token_of(with_users, client, alice)
    cluster.write_form(extra=f"monitoring:\n  grafana: external\n  grafana_url: {HOME}\n  grafana_from: [127.0.0.3]\n")
    cluster.apply()
    there = Grafana(with_users.folder, cluster.name, "127.0.0.3")
    assert there.sign_in(client, alice, CALLBACK)[0] == 403
    assert there.user(bearer)[0] == 403
    assert with_users.ask("POST", "api/v1/query", authorization=f"Bearer {bearer}", query="1")[0] == 403


# ---- a Grafana that is there (docs/TESTING.md), with the files in its own folder in the place of /etc/grafana

if grafana.REAL:

    @pytest.fixture(scope="module")
    def real(cluster: Cluster, applied: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        """A browser before it, at its own address, and what it says; it asks from this host's."""
        cluster.write_form(
            extra=f"monitoring:\n  grafana: external\n  grafana_url: {HOME}\n  grafana_from: [127.0.0.1, '::1']\n"
        )
        cluster.apply()
        etc = tmp_path_factory.mktemp("etc") / "grafana"
        shutil.copytree(cluster.folder / "monitoring" / "grafana", etc)
        for path in etc.rglob("*"):
            if path.suffix in (".ini", ".yaml"):
                path.write_text(path.read_text().replace("/etc/grafana", str(etc)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = {
            "server": {"http_addr": "127.0.0.1", "http_port": port, "root_url": HOME},
            # Its own first account; before version 10 an address of a sign-in that is the same would be taken for it.
            "security": {"admin_user": "root", "admin_email": "root@grafana.example.org"},
            "database": {"wal": "true"},
            "paths": {"data": etc / "data", "provisioning": etc / "provisioning", "logs": etc / "log"},
            "analytics": {
                "reporting_enabled": "false",
                "check_for_updates": "false",
                "check_for_plugin_updates": "false",
            },
            "log": {"mode": "console"},
        }
        text = "".join(
            f"[{part}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for part, keys in own.items()
        )
        (etc / "grafana.ini").write_text(text + (etc / "pangeo-caas" / f"{cluster.name}.ini").read_text())
        program = Path(grafana.REAL) / "bin" / "grafana"
        words = [program, "server", f"--homepath={grafana.REAL}", f"--config={etc / 'grafana.ini'}"]
        with (etc / "said").open("w") as said:
            running = subprocess.Popen(words, stdout=said, stderr=said, cwd=etc)
        browser = HubClient(f"http://127.0.0.1:{port}")
        eventually(lambda: heard(browser), 180)
        yield browser, etc / "said"
        running.terminate()
        running.wait(30)

    def heard(browser: HubClient) -> bool:
        try:
            return bool(browser.request("GET", "/api/health").status == 200)
        except OSError:
            return False

    def comes_by(real: HubClient, hub: HubClient) -> str:
        """By the hub to Grafana, with the address that only its users can reach left out: where that leads; "" without a code."""
        there = real.request("GET", "/login/generic_oauth", follow=False).headers["Location"]
        back = hub.request("GET", there, follow=False).headers.get("Location") or ""
        if not back.startswith(CALLBACK + "?"):
            return ""
        return str(real.request("GET", back.removeprefix(HOME.rstrip("/")), follow=False).headers["Location"])

    def test_a_real_one_takes_the_files(
        cluster: Cluster, real: tuple[HubClient, Path], admin: HubClient, alice: HubClient
    ) -> None:
        browser, log = real
        assert comes_by(browser, alice) == "" and browser.request("GET", "/api/user").status == 401
        assert comes_by(browser, admin) == "/", log.read_text()[-3000:]
        who = browser.request("GET", "/api/user").json()
        assert who["login"] == "admin@localhost" and not who["isGrafanaAdmin"]
        assert [one["role"] for one in browser.request("GET", "/api/user/orgs").json()] == ["Editor"]
        (one,) = browser.request("GET", "/api/datasources").json()
        assert one["name"] == f"Pangeo {cluster.name}" and one["readOnly"] and one["basicAuth"]
        found = browser.request("GET", "/api/search?type=dash-db").json()
        assert len(found) >= 7 and {board["folderTitle"] for board in found} == {"Pangeo"}
        source = {"type": "prometheus", "uid": one["uid"]}
        status, result = grafana.ask(browser, "up", home="/", datasource=source)
        assert status == 200 and {"hub", "exporter"} <= {labels["job"] for labels in result}
        wrong = re.findall(
            r"level=error.*(?:provisioning\.(?:datasources|dashboard)|oauth|certificate).*", log.read_text()
        )
        assert not wrong
