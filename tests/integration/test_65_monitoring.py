"""The cluster watched by a real Prometheus: what is collected, and who may see it."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dask_cluster
import pytest
from conftest import Cluster
from elsewhere import Elsewhere, Passage, free_port
from hubclient import HubClient
from kubernetes_names import QUESTIONS
from mailserver import USER, MailServer
from prometheus import SECONDS, Prometheus

PAGE = "/services/monitoring/"
JOBS = {"prometheus", "node", "hub", "proxy", "exporter"}
SERVICES = {"prometheus", "node_exporter", "exporter", "monitoring_page"}
TRY_ALL = """
import ssl, urllib.request
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for url in {urls}:
    try:
        print(urllib.request.urlopen(url, timeout=5, context=context).status)
    except Exception as error:
        print(getattr(error, "code", type(error).__name__))
"""


class Watcher(Prometheus):
    """With the certificate that it wants."""

    def __init__(self, cluster: Cluster) -> None:
        self.folder = cluster.folder / "monitoring"
        config = json.loads((self.folder / "page.json").read_text())["prometheus"]
        context = ssl.create_default_context(cafile=config["ca"])
        context.load_cert_chain(config["certificate"], config["key"])
        super().__init__(config["url"] + PAGE + "prometheus", context)


@pytest.fixture(scope="module")
def watcher(cluster: Cluster) -> Watcher:
    return Watcher(cluster)


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> HubClient:
    return cluster.signed_in("admin", cluster.caas.run("password", cluster.name).stdout.strip())


@pytest.fixture(scope="module")
def dask(alice: HubClient) -> Iterator[None]:
    with dask_cluster.at_work(alice):
        yield


def running(cluster: Cluster) -> dict[str, str]:
    """The command lines of the cluster's processes."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(cluster.folder) in line:
                found[entry.name] = line
    return found


# ---- what is collected


def test_every_target_is_up(watcher: Watcher) -> None:
    watcher.targets_up(JOBS)


def test_the_cluster_is_in_the_labels(cluster: Cluster, watcher: Watcher) -> None:
    for job in JOBS:
        assert watcher.wait(f'count(up{{job="{job}", cluster="{cluster.name}", namespace="{cluster.name}"}})') == 1
    assert watcher.wait('count(up{app="jupyterhub"})') == 1


def test_every_part_and_source_is_well(watcher: Watcher) -> None:
    watcher.wait("count(caas_part_up == 1) == count(caas_part_up) == 7")
    watcher.wait("count(caas_source_up == 1) == count(caas_source_up)")
    watcher.wait(f"count({QUESTIONS['memory of components'][0]} > 1e6) == 7")  # the cluster's own, as pods
    assert watcher.wait(f"sum({QUESTIONS['processor of components'][0]}) > 0") < os.cpu_count()
    assert watcher.wait('caas_run_last_success{command="apply"}') == 1
    assert watcher.wait("count(caas_drift_resources)") == 1
    for certificate in ("public", "directory", "ca", "metrics", "prometheus"):
        ends = f'caas_certificate_expiry_timestamp_seconds{{certificate="{certificate}"}}'
        assert watcher.wait(ends) > time.time(), certificate


def test_a_users_server_appears(cluster: Cluster, watcher: Watcher, alice: HubClient) -> None:
    watcher.wait('caas_server_ready{user="alice"} == 1')
    assert watcher.wait('max(jupyterhub_active_users{period="24h"}) >= 1') <= 20
    assert "active users in the last" not in cluster.caas.run("logs", cluster.name, "hub").stdout  # each minute
    assert watcher.wait('caas_user_memory_bytes{user="alice", kind="notebook"} > 3e7') < 1.5e9
    assert watcher.wait('caas_user_memory_limit_bytes{user="alice", kind="notebook"}') == pytest.approx(1.5e9, rel=0.01)
    kernel = alice.kernel()
    kernel.run("open('/home/alice/filled', 'wb').write(bytes(50_000_000))")
    watcher.wait('caas_home_used_bytes{user="alice"} > 4.5e7')
    kernel.run("import os; os.remove('/home/alice/filled')")
    kernel.close()
    for user in ("alice", "carol"):  # directly, and through another group
        assert watcher.wait(f'caas_user_group_info{{user="{user}", group="users"}}') == 1
    # as Kubernetes would say it, with a namespace of the exporter's own writing
    watcher.wait(f'container_memory_working_set_bytes{{namespace="{cluster.name}", pod="jupyter-alice"}} > 3e7')
    watcher.wait(
        f'kube_pod_labels{{namespace="{cluster.name}", pod="jupyter-alice", label_component="singleuser-server"}}'
    )


def test_dask_clusters_come_and_go(watcher: Watcher, alice: HubClient, dask: None) -> None:
    watcher.wait('caas_dask_user_clusters{user="alice"} >= 1')
    watcher.wait('sum(caas_dask_cluster_workers{user="alice"}) >= 1')
    watcher.wait('caas_user_memory_bytes{user="alice", kind="dask"} > 3e7')


def test_schedulers_say_how_they_are(watcher: Watcher, alice: HubClient, dask: None) -> None:
    """Their pages are on a socket in their owner's home: only the exporter comes there."""
    watcher.wait('caas_dask_scheduler_up{user="alice"} == 1')
    watcher.wait('sum(dask_scheduler_workers{user="alice"}) >= 1')
    assert watcher.wait('dask_worker_threads{user="alice"}') == 1  # of its worker, whom nobody asks
    assert watcher.wait('caas_dask_worker_memory_limit_bytes{user="alice"}') == pytest.approx(0.91e9, rel=0.01)


def test_top_shows_it(cluster: Cluster, watcher: Watcher, alice: HubClient, dask: None) -> None:
    table = cluster.caas.start("top", cluster.name, "--once")
    shown = cluster.caas.json("top", cluster.name, "--once")
    (mine,) = [user for user in shown["users"] if user["user"] == "alice"]
    notebook, workers = mine["notebook"], mine["dask"]
    assert mine["server"]["ready"] and notebook["cpu"] is not None and 3e7 < notebook["memory_bytes"] < 1.5e9
    assert notebook["memory_limit_bytes"] == pytest.approx(1.5e9, rel=0.01)
    assert workers["workers"] == 1 and workers["memory_bytes"] > 3e7
    assert mine["home"]["used_bytes"] < mine["home"]["size_bytes"] == pytest.approx(5e8, rel=0.01)
    assert {"alice"} == {one["user"] for one in shown["dask_clusters"]}
    assert {"hub", "proxy", "gateway", "gateway_proxy", "entry", "directory"} <= {one["part"] for one in shown["parts"]}
    assert all(one["up"] for one in shown["parts"] + shown["sources"]), shown
    said = table.communicate(timeout=60)[0]
    assert table.returncode == 0 and re.search(r"^alice +\d+\w+ ", said, re.M), said


def test_the_exporters_page_follows_the_conventions(cluster: Cluster, dask: None) -> None:
    """Those of Prometheus, by its own tool, of all that it says here."""
    config = json.loads((cluster.folder / "monitoring" / "exporter.json").read_text())
    headers = {"Authorization": f"Bearer {config['token']}"}
    asked = urllib.request.Request(f"http://{config['listen']}/metrics", headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        page = answer.read()
    assert b"dask_scheduler_workers{" in page and b"dask_worker_memory_bytes{" in page
    # this one has the name that prometheus-dirsize-exporter gave it, against the conventions
    page = b"".join(line for line in page.splitlines(keepends=True) if b"dirsize_entries_count" not in line)
    linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert linted.returncode == 0, linted.stderr.decode()


def test_alert_rules_are_loaded(cluster: Cluster, watcher: Watcher) -> None:
    written = "".join(path.read_text() for path in (cluster.folder / "monitoring" / "alerts").glob("*.yaml"))
    assert len(watcher.rules_healthy()) == len(re.findall(r"^\s*- alert:", written, re.M)) >= 10


# ---- who may see it


def test_only_loopback_is_listened_on(cluster: Cluster) -> None:
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = running(cluster)
    programs = {pid for pid, line in ours.items() if re.search(r"prometheus|caas-exporter|/monitoring/page", line)}
    found = []
    for line in listening.splitlines():
        if set(re.findall(r"pid=(\d+)", line)) & programs:
            found.append(line.split()[3])
    assert len(found) == 4 and all(address.startswith("127.0.0.1:") for address in found), found


def test_debians_own_services_do_not_run() -> None:
    """They would listen on every address: those who came with the packages never started, nor will at the next boot."""
    shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    theirs = [line for line in shown.splitlines() if re.match(r"/usr/bin/prometheus(-node-exporter)?( |$)", line)]
    assert all("/clusters/" in line or "127.0.0.1:" in line for line in theirs), theirs
    started = list(Path("/etc").glob("rc[2-5].d/S*prometheus-node-exporter"))
    started += Path("/etc/systemd/system").glob("*.wants/prometheus-node-exporter.service")
    assert not started
    assert not Path("/etc/systemd/system/prometheus-node-exporter.service").is_symlink()


def test_processes_of_users_are_told_nothing(cluster: Cluster, watcher: Watcher, alice: HubClient) -> None:
    """They share the loopback with it."""
    exporter = json.loads((cluster.folder / "monitoring" / "exporter.json").read_text())["listen"]
    node = watcher.get("targets", scrapePool="node")["activeTargets"]
    (node_url,) = {one["scrapeUrl"] for one in node if one["labels"]["job"] == "node"}
    urls = [
        f"{watcher.url}/api/v1/query?query=up",
        node_url,
        f"http://{exporter}/metrics",
    ]
    kernel = alice.kernel()
    said = kernel.run(TRY_ALL.format(urls=urls), seconds=60).text.split()
    kernel.close()
    assert len(said) == 3 and "200" not in said, said
    assert said[2] == "401", said


def test_strangers_are_sent_to_the_sign_in(cluster: Cluster) -> None:
    stranger = cluster.client()
    answer = stranger.request("GET", PAGE, follow=False)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize?client_id=service-monitoring")
    assert "/hub/login" in stranger.open("GET", PAGE).url
    for path in ("api/v1/query?query=up", "federate?match[]=up"):
        assert stranger.request("GET", f"{PAGE}prometheus/{path}", follow=False).status == 403
    wrong = {"Authorization": "token 0123456789abcdef0123456789abcdef"}
    assert stranger.request("GET", f"{PAGE}prometheus/api/v1/query?query=up", headers=wrong).status == 403


def test_users_are_refused(cluster: Cluster, alice: HubClient) -> None:
    for path in ("", "prometheus/graph", "dashboards/overview.json"):
        assert alice.request("GET", PAGE + path).status == 403, path
    assert "services/monitoring" not in alice.request("GET", "/hub/home").text
    made = alice.api("POST", "/users/alice/tokens", data={"note": "test"}).json()
    given = {"Authorization": f"token {made['token']}"}
    stranger = cluster.client()
    assert stranger.request("GET", f"{PAGE}prometheus/api/v1/query?query=up", headers=given).status == 403


def test_admins_are_let_in(cluster: Cluster, admin: HubClient) -> None:
    page = admin.request("GET", PAGE)
    assert page.status == 200 and "What is watched" in page.text and "overview.json" in page.text
    assert "services/monitoring" in admin.request("GET", "/hub/home").text
    graph = admin.request("GET", f"{PAGE}prometheus/graph")
    assert graph.status == 200 and "Prometheus" in graph.text
    for script in re.findall(r'<script src="([^"]+)"', graph.text):
        assert script.startswith(PAGE), script
        assert admin.request("GET", script).status == 200
    dashboard = admin.request("GET", f"{PAGE}dashboards/overview.json")
    assert dashboard.status == 200 and dashboard.json()["panels"]
    assert admin.request("GET", f"{PAGE}dashboards/..%2fpage.json").status == 404
    assert admin.request("GET", f"{PAGE}prometheus/config").status == 200
    assert (
        "credentials: <secret>" in admin.request("GET", f"{PAGE}prometheus/api/v1/status/config").json()["data"]["yaml"]
    )


def test_a_program_of_an_admin_asks_with_a_token(cluster: Cluster, admin: HubClient) -> None:
    given = {
        "Authorization": f"Bearer {admin.api('POST', '/users/admin/tokens', data={'note': 'test'}).json()['token']}"
    }
    program = cluster.client()
    for method, options in (("GET", {}), ("POST", {"form": {"query": "up"}})):
        path = f"{PAGE}prometheus/api/v1/query" + ("?query=up" if method == "GET" else "")
        answer = program.request(method, path, headers=given, **options)
        assert answer.status == 200 and len(answer.json()["data"]["result"]) >= 5
    assert "up{" in program.request("GET", f"{PAGE}prometheus/federate?match[]=up", headers=given).text


def test_another_page_cannot_ask_in_an_admins_name(admin: HubClient) -> None:
    """A user's notebook has an address of the same host; what runs in it has not the token that Prometheus' pages show."""
    admin.request("GET", f"{PAGE}prometheus/graph")
    path = f"{PAGE}prometheus/api/v1/query"
    fetch = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    token = {"X-XSRFToken": admin.cookie("_xsrf", PAGE)}
    assert admin.request("GET", f"{path}?query=up", headers=fetch).status == 403
    assert admin.request("POST", path, form={"query": "up"}).status == 403
    assert admin.request("GET", f"{path}?query=up", headers={**fetch, "X-XSRFToken": "x"}).status == 403
    assert admin.request("GET", f"{path}?query=up", headers={**fetch, "Sec-Fetch-Mode": "no-cors"}).status == 403
    assert admin.request("GET", f"{path}?query=up", headers={**fetch, **token}).status == 200
    assert admin.request("POST", path, form={"query": "up"}, headers=token).status == 200


def test_the_page_only_reads_and_leads_nowhere_else(admin: HubClient) -> None:
    admin.request("GET", f"{PAGE}prometheus/graph")
    token = {"X-XSRFToken": admin.cookie("_xsrf", PAGE)}
    for path in (
        "-/reload",
        "-/quit",
        "api/v1/admin/tsdb/delete_series",
        "api/v1/write",
        "debug/pprof/",
        "static/../-/reload",
    ):
        for method in ("GET", "POST"):
            answer = admin.request(method, f"{PAGE}prometheus/{path}", headers=token, follow=False)
            assert answer.status in (404, 405), (path, answer.status)
            assert "Monitoring · Pangeo" in answer.text, path  # our page says so, and not Prometheus
    for path in ("//evil.example.org", "/evil.example.org", "oauth_callback?code=x&state=x&next=//evil.example.org"):
        answer = admin.request("GET", PAGE + path, follow=False)
        assert "evil" not in (answer.headers["Location"] or ""), path
        assert answer.status in (403, 404) or answer.headers["Location"] == PAGE, (path, answer.status)


def test_the_page_says_when_prometheus_does_not_answer(cluster: Cluster, admin: HubClient) -> None:
    (pid,) = [int(pid) for pid, line in running(cluster).items() if line.startswith("/usr/bin/prometheus --config")]
    os.kill(pid, signal.SIGSTOP)
    try:
        for path in ("", "prometheus/graph"):
            answer = admin.request("GET", PAGE + path)
            assert answer.status == 503 and "Prometheus does not answer" in answer.text, (path, answer.status)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert admin.request("GET", PAGE).status == 200


# ---- a changed form


@pytest.fixture(scope="module")
def mails(cluster: Cluster) -> Iterator[MailServer]:
    with MailServer(cluster.caas.folder / "mail", free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster) -> Iterator[Elsewhere]:
    with Elsewhere(cluster.caas.folder / "elsewhere", free_port(), "of-another-server") as there:
        yield there


def test_what_the_form_says_of_it_counts(cluster: Cluster, mails: MailServer, elsewhere: Elsewhere) -> None:
    token = cluster.caas.folder / "metrics-token"
    token.write_text("of-another-server\n")
    token.chmod(0o600)
    cluster.write_form(
        extra="monitoring:\n  retention_days: 7\n  retention_gb: 2\n"
        f"  remote_write: {{url: 'https://127.0.0.1:{elsewhere.port}/write', token_file: metrics-token,"
        " ca: elsewhere/server.crt}\n"
        "  alert_email: [ops@example.org, second@example.org]\n"
        f"  smtp: {{host: 127.0.0.1, port: {mails.port}, user: {USER}, password_file: mail/mail-password,"
        " ca: mail/server.crt}\n"
        "  scrape_from: [127.0.0.3, 127.0.0.128/25]\n"
        "  backup_stamp: last-good-backup\n"
    )
    plan = json.loads(cluster.caas.run("plan", str(cluster.form), "--json", status=2).stdout)
    assert {step["id"].split("/")[0] for step in plan["steps"]} == {"monitoring", "alerts", "scrape"}
    cluster.apply()
    watcher = Watcher(cluster)
    (line,) = [line for line in running(cluster).values() if line.startswith("/usr/bin/prometheus --config")]
    assert "--storage.tsdb.retention.time=7d " in line and "--storage.tsdb.retention.size=2000000000B " in line
    config = watcher.get("status/config")["yaml"]
    assert f"https://127.0.0.1:{elsewhere.port}/write" in config and "of-another-server" not in config
    members = f'caas_group_members{{cluster="{cluster.name}", group="users", job="exporter"}}'
    assert elsewhere.wait(members) == watcher.wait(members) and not elsewhere.refused


def test_a_backup_leaves_its_time(cluster: Cluster, watcher: Watcher) -> None:
    """The form names a file that is not there yet: so there has been no backup."""
    stamp = cluster.caas.folder / "last-good-backup"
    watcher.wait("caas_backup_last_success_timestamp_seconds == 0")
    stamp.touch()
    watcher.wait("time() - caas_backup_last_success_timestamp_seconds < 300")


def test_a_mail_comes_of_what_fires(cluster: Cluster, mails: MailServer, admin: HubClient) -> None:
    """The gateway hangs. Nobody waits for two minutes here: the rule that is loaded says so at once."""
    rules = cluster.folder / "monitoring" / "alerts" / "parts.yaml"
    written = rules.read_text()
    processes = running(cluster)
    (prometheus,) = [int(pid) for pid, line in processes.items() if line.startswith("/usr/bin/prometheus --config")]
    (gateway,) = [int(pid) for pid, line in processes.items() if "-m dask_gateway_server -f" in line]
    os.kill(gateway, signal.SIGSTOP)
    try:
        rules.write_text(written.replace("for: 2m", "for: 0s"))
        os.kill(prometheus, signal.SIGHUP)
        mail = mails.wait(f"[{cluster.name}] critical: PartDown", SECONDS)
        shown = admin.request("GET", PAGE).text
    finally:
        os.kill(gateway, signal.SIGCONT)
        rules.write_text(written)
        os.kill(prometheus, signal.SIGHUP)
    assert mail["From"] == USER and mail["To"] == mail["X-Rcpt-To"] == "ops@example.org, second@example.org"
    text = mails.text(mail)
    assert text.startswith(f"Cluster {cluster.name}\n") and f"* gateway of {cluster.name} is down\n" in text
    assert "has not answered for two minutes" in text and "What to do: docs/RUNBOOK.md#partdown\n" in text
    assert f"{cluster.url}{PAGE}mail" in text
    assert f"gateway of {cluster.name} is down" in shown and "What to do: docs/RUNBOOK.md#partdown" in shown


def test_alertmanager_keeps_to_itself(cluster: Cluster, watcher: Watcher) -> None:
    processes = running(cluster)
    (pid,) = [pid for pid, line in processes.items() if line.startswith("/usr/bin/prometheus-alertmanager ")]
    for kind in ("-Hltnp", "-Hlunp"):
        shown = subprocess.run(["ss", kind], capture_output=True, text=True, check=True).stdout
        ours = [line.split()[3] for line in shown.splitlines() if f"pid={pid}," in line]
        assert len(ours) == (kind == "-Hltnp") and all(one.startswith("127.0.0.1:") for one in ours), ours
    all_of_them = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    theirs = [line for line in all_of_them.splitlines() if line.startswith("/usr/bin/prometheus-alert")]
    assert all("/clusters/" in line for line in theirs), theirs  # Debian's own would name none
    mode = (cluster.folder / "monitoring" / "mail" / "alertmanager.yaml").stat().st_mode
    assert mode & 0o7777 == 0o640
    url = (
        json.loads((cluster.folder / "monitoring" / "page.json").read_text())["mail"]["url"]
        + PAGE
        + "mail/api/v2/status"
    )
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        unknown = ssl.create_default_context(cafile=str(cluster.folder / "ca" / "ca.crt"))
        urllib.request.urlopen(url, context=unknown, timeout=10)
    with urllib.request.urlopen(url, context=watcher.context, timeout=10) as answer:
        assert "mail-Secret" not in answer.read().decode()
    watcher.wait('up{job="alertmanager"} == 1')


def test_an_admin_silences_it(cluster: Cluster, admin: HubClient) -> None:
    assert "ops@example.org, second@example.org" in admin.request("GET", PAGE).text
    page = admin.request("GET", PAGE + "mail/")
    assert page.status == 200 and "Mails about" in page.text
    fetch = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    assert (
        admin.request("GET", PAGE + "mail/", headers=fetch).status == 302
    )  # nobody is signed in who is not sent there
    asked = {"alert": "PartDown", "hours": "8"}
    assert admin.request("POST", PAGE + "mail/", form=asked).status == 403
    token = {"X-XSRFToken": admin.cookie("_xsrf", PAGE)}
    assert admin.request("POST", PAGE + "mail/", form={**asked, "hours": "9"}, headers=token).status == 400
    page = admin.request("POST", PAGE + "mail/", form=asked, headers=token)
    assert "alertname=PartDown until" in page.text and "by admin" in page.text
    (silence,) = re.findall(r'name="end" value="([^"]+)"', page.text)
    page = admin.request("POST", PAGE + "mail/", form={"end": silence}, headers=token)
    assert page.status == 200 and "alertname=PartDown until" not in page.text


def federate(cluster: Cluster, token: str, source: str, query: str = "") -> tuple[int, str]:
    """As a Prometheus at that address asks."""
    context = ssl.create_default_context(cafile=str(cluster.folder / "ca" / "ca.crt"))
    asked = http.client.HTTPSConnection(
        "localhost", cluster.port, source_address=(source, 0), context=context, timeout=30
    )
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "127.0.0.3", "X-Real-IP": "127.0.0.3"}
    asked.request("GET", f"{PAGE}federate{query}", headers=headers)
    answer = asked.getresponse()
    said = answer.status, answer.read().decode()
    asked.close()
    return said


def test_a_prometheus_elsewhere_reads_everything(cluster: Cluster, watcher: Watcher) -> None:
    path = cluster.folder / "monitoring" / "scrape-token"
    token = path.read_text()
    assert path.stat().st_mode & 0o7777 == 0o640 and len(token) >= 40
    watcher.wait('caas_user_group_info{user="alice"}')
    status, text = federate(cluster, token, "127.0.0.3")
    assert status == 200
    assert re.search(rf'^caas_user_group_info{{[^}}]*cluster="{cluster.name}"[^}}]*user="alice"', text, re.M)
    assert federate(cluster, token, "127.0.0.200", "?match[]=up")[0] == 200
    # And a real one, as the manual says.
    with Elsewhere(cluster.caas.folder / "reader", free_port(), "") as reader, Passage("127.0.0.200") as passage:
        reader.read_as_documented(f"localhost:{cluster.port}", path, cluster.folder / "ca" / "ca.crt", passage.name)
        reader.wait('up{job="ocean"} == 1')
        reader.wait(f'caas_user_group_info{{cluster="{cluster.name}", user="alice", job="exporter"}}')
    for source in ("127.0.0.1", "127.0.0.4", "127.0.0.127"):
        assert federate(cluster, token, source)[0] == 403, source
    for wrong in ("", token[:-1], token + "x", "0" * len(token)):
        assert federate(cluster, wrong, "127.0.0.3")[0] == 403, wrong
    # The token opens nothing else.
    given = {"Authorization": f"Bearer {token}"}
    program = cluster.client()
    for other in ("prometheus/api/v1/query?query=up", "prometheus/federate?match[]=up", "mail/"):
        answer = program.request("GET", PAGE + other, headers=given, follow=False)
        assert answer.status in (302, 403), other
    assert program.request("GET", "/hub/api/users", headers=given).status == 403


def test_it_can_be_left_out_and_comes_back(cluster: Cluster, alice: HubClient) -> None:
    cluster.write_form(extra="monitoring: {enabled: false}\n")
    assert "(for admins)" not in cluster.apply().stdout
    names = {part["name"] for part in cluster.caas.json("status", cluster.name)["services"]}
    assert not names & {*SERVICES, "alertmanager"} and "hub" in names
    assert not [line for line in running(cluster).values() if re.search(r"prometheus|caas-exporter|/monitoring/", line)]
    assert not (cluster.folder / "monitoring").exists()
    assert cluster.client().request("GET", PAGE).status == 404
    assert f":caas {cluster.name} monitoring:" not in Path("/etc/passwd").read_text()
    cluster.write_form()
    assert f"  monitoring    {cluster.url}{PAGE} (for admins)\n" in cluster.apply().stdout
    assert cluster.caas.json("plan", str(cluster.form))["steps"] == []
    assert all(part["running"] for part in cluster.caas.json("status", cluster.name)["services"])
    test_every_target_is_up(Watcher(cluster))
