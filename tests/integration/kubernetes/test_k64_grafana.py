"""Grafana behind the hub's sign-in, on Kubernetes: who gets in, as what, and whose figures are answered. The real hub, page,
Prometheus and pod; what runs in it is the stand-in (tests/grafana), which refuses settings that Grafana does not know."""

import json

import promql
import pytest
from bed import Bed, Lab, eventually
from grafana import ask
from hubclient import HubClient
from test_k25_network import LOOK, ip, look, name, pod_of, server
from test_k65_monitoring import FORM, write_form
from watching import EXPORTER, WATCHER, load_images

HOME = "/services/grafana/"
GRAFANA = "component=grafana"
SOURCE = HOME + "api/datasources/proxy/uid/pangeo/api/v1/"


@pytest.fixture(scope="module")
def shown(lab: Lab, bed: Bed) -> Lab:
    load_images(bed)
    write_form(lab, FORM)
    assert "/services/grafana/" in lab.apply().stdout
    assert lab.client().request("GET", HOME + "api/health").status == 200  # as soon as it is said to be there
    return lab


def signed_in(lab: Lab, user: str, password: str = "") -> HubClient:
    """At the hub, and by it at Grafana."""
    client = lab.signed_in(user, password) if password else lab.signed_in(user)
    assert client.request("GET", HOME).status == 200
    return client


@pytest.fixture(scope="module")
def alice(shown: Lab) -> HubClient:
    return signed_in(shown, "alice")


@pytest.fixture(scope="module")
def admin(shown: Lab) -> HubClient:
    return signed_in(shown, "admin", shown.caas.run("password", shown.name).stdout.strip())


def users_of(result: list[dict[str, str]]) -> set[str]:
    return {one["user"] for one in result}


# ---- who gets in, and as what


def test_an_administrator_may_edit_and_a_user_look(admin: HubClient, alice: HubClient) -> None:
    for client, user, role in ((admin, "admin", "Editor"), (alice, "alice", "Viewer")):
        who = client.request("GET", HOME + "api/user").json()
        assert who["login"] == f"{user}@{client.host}" and who["name"] == user and not who["isGrafanaAdmin"]
        assert [one["role"] for one in client.request("GET", HOME + "api/user/orgs").json()] == [role]


def test_others_are_sent_to_the_hub(shown: Lab) -> None:
    stranger = shown.client()
    assert stranger.request("GET", HOME + "api/user").status == 401
    page = stranger.request("GET", HOME)
    assert page.status == 200 and 'name="password"' in page.text and "Grafana" not in page.text
    assert stranger.login("bob", "quiet-Heron-42")[0] == 403  # he is no member
    assert 'name="password"' in stranger.request("GET", HOME).text


def test_there_is_no_other_way_in(shown: Lab) -> None:
    stranger = shown.client()
    basic = {"Authorization": "Basic YWRtaW46YWRtaW4="}  # Grafana's own first account
    assert stranger.request("GET", HOME + "api/user", headers=basic).status == 401
    words = {"user": "admin", "password": "admin"}
    assert stranger.request("POST", HOME + "login", form=words).status == 401
    callback = f"{HOME}login/generic_oauth?state=x&code=x"
    answer = stranger.request("GET", callback, follow=False)
    assert answer.status == 302 and answer.headers["Location"] == HOME + "login"


# ---- whose figures


def test_ones_own_figures_are_answered(shown: Lab, alice: HubClient) -> None:
    """Also in the ways of writing that came with Prometheus 3: what it reads, it says itself."""
    for question in (
        'caas_user_group_info{user="alice"}',
        '{"caas_user_group_info", "user"="alice"}',
        'max by (user, group) (last_over_time(caas_user_group_info{user="alice"}[5m:15s]))',
        'caas_user_group_info{user="alice"} and on (user) (caas_user_group_info{user="alice"} > 0)',
    ):
        status, result = eventually(lambda question=question: (s := ask(alice, question))[1] and s, 60)
        assert status == 200, (question, result)
        assert users_of(result) == {"alice"}, question
    values = alice.request("GET", SOURCE + 'label/group/values?match[]={user="alice"}')
    assert values.status == 200 and values.json()["data"] == ["users"]


def test_my_usage_asks_nothing_that_is_refused(shown: Lab, alice: HubClient) -> None:
    board = alice.request("GET", HOME + "api/dashboards/uid/caas-own").json()["dashboard"]
    asked = [target["expr"] for panel in promql.panels(board) for target in panel.get("targets", [])]
    variables = {"me": "alice", "cluster": shown.name, "__user.login": f"alice@{alice.host}"}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            text = variable["query"]["query"]
            asked.append(text[text.index("(") + 1 : text.rindex(",") if text.startswith("label_values") else -1])
    assert len(asked) >= 8
    refused = {one: said for one in asked if (said := ask(alice, promql.fill(one, variables)))[0] != 200}
    assert not refused


@pytest.mark.parametrize(
    "question",
    [
        "caas_user_group_info",
        'caas_user_group_info{user="dora"}',
        'caas_user_group_info{user=~"alice|dora"}',
        'caas_user_group_info{user=~"alice"}',
        'caas_user_group_info{user!="dora"}',
        '{"caas_user_group_info"}',
        'caas_user_group_info{user="alice"} or caas_user_group_info',
        'caas_user_group_info{user="alice"} * on () group_right () caas_user_group_info{user="dora"}',
        'sum(caas_user_group_info{user="alice"}) + count_values("user", caas_user_group_info{user="dora"})',
        'max_over_time(caas_user_group_info{user="dora"}[5m:15s])',
        'label_replace(caas_user_group_info{user="dora"}, "user", "alice", "", "")',
        'info(caas_user_group_info{user="alice"})',
        'caas_user_group_info{user="alice"',
    ],
)
def test_nobody_elses_are(alice: HubClient, question: str) -> None:
    status, why = ask(alice, question)
    assert status == 403 and why, question


def test_nor_by_other_questions(alice: HubClient) -> None:
    for path in ("labels", "label/user/values", "series?match[]=up", 'series?match[]={user="dora"}', "metadata"):
        assert alice.request("GET", SOURCE + path).status == 403, path
    for path in ("admin/tsdb/snapshot", "status/config", "rules", "query/../../../../prometheus/api/v1/query?query=up"):
        answer = alice.request("GET", SOURCE + path)
        assert answer.status in (403, 404) and "yaml" not in answer.text, path
    # Which data sources there are everybody may read; to change them is for Grafana's own administrators, and there are none.
    assert [one["uid"] for one in alice.request("GET", HOME + "api/datasources").json()] == ["pangeo"]
    assert alice.request("DELETE", HOME + "api/datasources/uid/pangeo").status == 403


def test_administrators_see_all(admin: HubClient) -> None:
    status, result = ask(admin, "caas_user_group_info")
    assert status == 200 and users_of(result) >= {"alice", "dora"}
    assert admin.request("DELETE", HOME + "api/datasources/uid/pangeo").status == 403


def test_who_is_taken_out_is_answered_nothing(shown: Lab) -> None:
    """The session at Grafana goes on; what it has to show a token for does not."""
    shown.add_user("gwen")
    gwen = signed_in(shown, "gwen")
    mine = 'caas_user_group_info{user="gwen"}'
    assert ask(gwen, mine)[0] == 200
    shown.caas.run("revoke", shown.name, "gwen")
    eventually(lambda: ask(gwen, mine)[0] == 403, 10)
    gwen.request("GET", HOME + "logout", follow=False)
    assert gwen.request("GET", HOME + "api/user").status == 401
    assert "Grafana" not in gwen.request("GET", HOME).text
    shown.caas.run("user", "remove", shown.name, "gwen", "--yes")


# ---- the pod


def test_it_is_a_pod_like_any_other(shown: Lab) -> None:
    pod = pod_of(shown, GRAFANA)
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    security = spec["securityContext"] | container["securityContext"]
    assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and security["runAsUser"]
    assert not security["allowPrivilegeEscalation"] and security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"} and spec["automountServiceAccountToken"] is False
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    secrets = [shown.get_secret("grafana", key) for key in ("client", "key")]
    told = json.dumps([container, shown.get("configmap", GRAFANA)])
    assert len(set(secrets)) == 2 and not any(secret in told for secret in secrets)


def test_who_reaches_whom(shown: Lab, bed: Bed, alice_pod: HubClient) -> None:
    """The proxy reaches it; it reaches the hub and the page."""
    pod = pod_of(shown, GRAFANA)
    hub, page = pod_of(shown, f"release={shown.name},component=hub"), pod_of(shown, WATCHER)
    exporter = pod_of(shown, EXPORTER)
    assert look(shown, name(server(shown, "alice")), f"{ip(pod)}:3000", "grafana:3000") == ["closed"] * 2
    api_server = bed.get("endpoints", "default")[0]["subsets"][0]["addresses"][0]["ip"]
    wanted = {
        f"{ip(hub)}:8081": "open",
        f"{ip(page)}:8080": "open",
        f"{ip(page)}:9090": "closed",
        f"{ip(exporter)}:9099": "closed",
        f"{ip(server(shown, 'alice'))}:8888": "closed",
        f"{api_server}:6443": "closed",
        "169.254.169.254:80": "closed",
        f"{bed.host}:22": "closed",
    }
    pid = bed.inside("pgrep", "-x", "run.sh").split()[0]
    said = bed.inside("nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", LOOK, *wanted)
    assert dict(zip(wanted, said.split(), strict=True)) == wanted


def test_it_starts_again_with_what_it_had(shown: Lab, alice: HubClient) -> None:
    """Sessions are on its claim."""
    before = name(pod_of(shown, GRAFANA))
    shown.kubectl("delete", "pod", before, "--wait")
    eventually(lambda: alice.request("GET", HOME + "api/user").status == 200, 60)
    assert name(pod_of(shown, GRAFANA)) != before


def test_its_dashboards_are_there(shown: Lab, alice: HubClient, admin: HubClient) -> None:
    found = {one["uid"]: one for one in alice.request("GET", HOME + "api/search").json()}
    assert len(found) >= 8
    for uid in found:
        read = admin.request("GET", f"{HOME}api/dashboards/uid/{uid}").json()
        assert read["meta"]["provisioned"] and read["dashboard"]["panels"]


def test_status_and_logs_know_it(shown: Lab) -> None:
    services = {item["name"]: item for item in shown.settled()["services"]}
    assert services["grafana"]["role"] == "grafana"
    assert "listening" in shown.caas.run("logs", shown.name, "grafana").stdout
