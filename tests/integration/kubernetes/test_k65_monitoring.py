"""The cluster on Kubernetes watched by a real Prometheus: what is collected, who may see it, and that it goes without a trace."""

import base64
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import dask_cluster
import kubernetes_names
import promql
import pytest
import watching
from bed import PASSWORD, SERVERS, Bed, Lab, eventually
from elsewhere import Elsewhere, free_port
from hubclient import HubClient
from mailserver import USER, MailServer
from prometheus import Prometheus
from test_k25_network import LOOK, ip, look, name, pod_of, run_in
from watching import EXPORTER, IMAGE, PAGE, WATCHER, cluster_wide, end_of, load_images, machine, told

JOBS = {"prometheus", "hub", "proxy", "exporter", "node", "alertmanager"}
WORKLOADS = {"prometheus", "exporter", "node-exporter"}
NODE = "component=node-exporter"
TOKEN = "of-another-server"
FORM = "{enabled: true, retention_gb: 2, backup_cronjob: backup, grafana: install}"


def write_form(lab: Lab, monitoring: str) -> None:
    """As the tests before have left it, with monitoring."""
    images = f"  images: {{exporter: '{IMAGE}'}}\n"
    lab.write_form(cpus=0.6, storage=2, extra=images, top=f"monitoring: {monitoring}\n")


@pytest.fixture(scope="module")
def mails(lab: Lab, bed: Bed) -> Iterator[MailServer]:
    with MailServer(lab.caas.folder / "mail", free_port(), bed.host) as server:
        yield server


@pytest.fixture(scope="module")
def watched(lab: Lab, bed: Bed, mails: MailServer) -> Lab:
    load_images(bed)
    smtp = f"host: {bed.host}, port: {mails.port}, user: {USER}, password_file: mail/mail-password, ca: mail/server.crt"
    write_form(
        lab,
        f"{{enabled: true, retention_gb: 2, backup_cronjob: backup, grafana: install, scrape_from: [{bed.host}],"
        f" alert_email: [ops@example.org, second@example.org], smtp: {{{smtp}}}}}",
    )
    plan = lab.plan(status=2).stdout
    assert "mail-Secret" not in plan
    lab.apply()
    watching.say_at_once(lab, "BackupOld")
    return lab


@pytest.fixture(scope="module")
def prometheus(watched: Lab, bed: Bed) -> Iterator[Prometheus]:
    with bed.forwarded(watched.namespace, "deploy/prometheus", 9090) as port:
        yield Prometheus(f"http://127.0.0.1:{port}{PAGE}prometheus")


@pytest.fixture(scope="module")
def emma(watched: Lab) -> Iterator[HubClient]:
    watched.add_user("emma")
    client = watched.signed_in("emma")
    client.spawn()
    yield client
    client.stop()


@pytest.fixture(scope="module")
def dask(emma: HubClient) -> Iterator[None]:
    with dask_cluster.at_work(emma):
        yield


@pytest.fixture(scope="module")
def admin(watched: Lab) -> HubClient:
    return watched.signed_in("admin", watched.caas.run("password", watched.name).stdout.strip())


# ---- what is collected


def test_the_form_needs_an_image(lab: Lab) -> None:
    lab.write_form(cpus=0.6, storage=2, top="monitoring: {enabled: true}\n")
    assert "kubernetes.images.exporter" in lab.caas.run("check", str(lab.form), status=1).stdout


def test_nothing_is_to_be_done(watched: Lab) -> None:
    assert "othing to do" in watched.plan(status=0).stdout


def test_every_target_is_up(watched: Lab, prometheus: Prometheus) -> None:
    prometheus.targets_up(JOBS)
    for job in JOBS:
        labels = f'job="{job}", cluster="{watched.name}", namespace="{watched.namespace}"'
        assert prometheus.wait(f"count(up{{{labels}}})") == 1


def test_every_part_and_source_is_well(prometheus: Prometheus) -> None:
    prometheus.wait("count(caas_part_up == 1) == count(caas_part_up) == 8")
    assert prometheus.wait('caas_part_up{part="grafana"}') == 1
    prometheus.wait("count(caas_source_up == 1) == count(caas_source_up) >= 7")


def test_every_certificate_is_read(watched: Lab, prometheus: Prometheus) -> None:
    """By who shows it, or as it lies in a Secret, of which the exporter has no key."""
    files = {name: f"ca/{name.replace('_', '-')}.crt" for name in ("ca", "directory", "node_exporter", "prometheus")}
    for certificate, file in {**files, "public": "proxy/own.crt"}.items():
        ends = prometheus.wait(f'caas_certificate_expiry_timestamp_seconds{{certificate="{certificate}"}}')
        assert ends == end_of(watched.folder / file) > time.time(), certificate
    assert prometheus.value("count(caas_certificate_expiry_timestamp_seconds)") == 5
    volumes = {volume["name"]: volume for volume in pod_of(watched, EXPORTER)["spec"]["volumes"]}
    secrets = [source["secret"] for source in volumes["certificates"]["projected"]["sources"]]
    assert {item["key"] for secret in secrets for item in secret["items"]} == {"ca.crt", "tls.crt"}


def test_what_caas_did_is_known(watched: Lab, prometheus: Prometheus) -> None:
    """Its journal is not in the cluster, so it leaves there how its runs ended."""
    (last,) = [run for run in told(watched)["runs"] if run["command"] == "apply"]
    wanted = {"timestamp_seconds": last["ended"] / 1000, "success": 1}
    wanted["duration_seconds"] = (last["ended"] - last["began"]) / 1000
    for what, value in wanted.items():  # what the run before left may still be shown
        prometheus.wait(f'abs(caas_run_last_{what}{{command="apply"}} - {value}) < 0.01')
    assert prometheus.wait("caas_drift_resources + 1") == 1 + told(watched)["drift"]
    assert watched.caas.json("history", watched.name)[0]["outcome"] == last["outcome"] == "done"


def test_a_users_server_appears(watched: Lab, prometheus: Prometheus, emma: HubClient) -> None:
    prometheus.wait('caas_server_ready{user="emma"} == 1')
    assert prometheus.wait('caas_user_memory_bytes{user="emma", kind="notebook"} > 3e7') < 1e9
    assert prometheus.wait('caas_user_memory_limit_bytes{user="emma", kind="notebook"}') == pytest.approx(1e9, rel=0.01)
    prometheus.wait('rate(caas_user_cpu_seconds_total{user="emma", kind="notebook"}[2m]) > 0', 150)
    prometheus.wait('caas_home_size_bytes{user="emma"} > 0')
    assert prometheus.wait('caas_user_group_info{user="emma", group="users"}') == 1
    here = f'namespace="{watched.namespace}", pod="jupyter-emma"'
    prometheus.wait(f"container_memory_working_set_bytes{{{here}}} > 3e7")
    prometheus.wait(f'kube_pod_labels{{{here}, label_component="singleuser-server"}}')
    prometheus.wait(f'kube_pod_container_resource_limits{{{here}, container="notebook", resource="memory"}} == 1e9')
    watching.all_volumes_are_asked(watched, prometheus)


def test_nothing_of_other_namespaces_is_told(watched: Lab, prometheus: Prometheus) -> None:
    prometheus.wait("kube_pod_info")
    assert prometheus.value(f'{{namespace!="{watched.namespace}", namespace!=""}}') is None


# ---- the nodes


def test_nodes_are_known_by_their_names(bed: Bed, prometheus: Prometheus) -> None:
    """By the API server's word, so that they join with what it says of nodes."""
    node = bed.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
    labels = prometheus.get("query", query='up{job="node"}')["result"][0]["metric"]
    assert labels["instance"] == labels["node"] == node
    prometheus.wait('node_memory_MemTotal_bytes == on (node) kube_node_status_capacity{resource="memory"}')
    cpus = 'count by (node) (node_cpu_seconds_total{mode="idle"})'
    prometheus.wait(f'{cpus} == on (node) kube_node_status_capacity{{resource="cpu"}}')


def test_figures_are_the_machines_own(bed: Bed, prometheus: Prometheus) -> None:
    """A pod has its own network, mounts and processes; these it shares."""
    assert prometheus.wait("node_memory_MemTotal_bytes") == machine(bed, "meminfo")["MemTotal"][0] * 1024
    idle = machine(bed, "stat")["cpu"][3] / os.sysconf("SC_CLK_TCK")
    assert prometheus.wait('sum(node_cpu_seconds_total{mode="idle"})') == pytest.approx(idle, rel=0.02)
    (loads,) = machine(bed, "loadavg").values()  # of 5 and 15 minutes
    assert prometheus.wait("node_load15") == pytest.approx(loads[1], rel=0.5, abs=2)
    disks = {disk: numbers[6] * 512 for disk, numbers in machine(bed, "diskstats").items()}
    found = prometheus.get("query", query="node_disk_written_bytes_total")["result"]
    written = {one["metric"]["device"]: float(one["value"][1]) for one in found}
    assert written and set(written) <= set(disks)
    for disk, value in written.items():
        assert disks[disk] * 0.8 <= value <= disks[disk], disk


def test_what_would_be_a_pods_own_is_not_told(prometheus: Prometheus) -> None:
    names = prometheus.get("label/__name__/values", **{"match[]": '{job="node"}'})
    assert {name.split("_")[1] for name in names if name.startswith("node_")} == {
        "cpu",
        "disk",
        "exporter",
        "load1",
        "load5",
        "load15",
        "memory",
        "scrape",
        "vmstat",
    }
    assert prometheus.value("count(node_scrape_collector_success == 0)") is None


def test_it_is_a_pod_like_any_other(watched: Lab) -> None:
    """The level "restricted" takes it: nothing of the machine is mounted, and it may do nothing."""
    space = json.loads(watched.bed.kubectl("get", "namespace", watched.namespace, "-o", "json"))
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = pod_of(watched, NODE)["spec"]
    assert [set(volume) - {"name"} for volume in spec["volumes"]] == [{"secret"}]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    security = spec["securityContext"] | container["securityContext"]
    assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"] and security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_it_asks_nobody(watched: Lab, bed: Bed) -> None:
    """From its own network: neither parts of the cluster nor the API server, not even names."""
    pid = bed.inside("pgrep", "-x", "node_exporter").split()[0]
    api_server = bed.get("endpoints", "default")[0]["subsets"][0]["addresses"][0]["ip"]
    names = next(s for s in bed.get("service", "kube-system") if s["metadata"]["name"] == "kube-dns")
    hub = ip(pod_of(watched, f"release={watched.name},component=hub"))
    targets = [f"{hub}:8081", f"{ip(pod_of(watched, EXPORTER))}:9099", f"{api_server}:6443"]
    targets += [f"{names['spec']['clusterIP']}:53", "169.254.169.254:80"]
    said = bed.inside("nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", LOOK, *targets)
    assert said.split() == ["closed"] * len(targets)


def test_it_answers_only_who_has_the_certificate(watched: Lab) -> None:
    """Also who is let through by the network: here the page, beside Prometheus."""
    ca = (watched.folder / "ca" / "ca.crt").read_text()
    page = ["-n", watched.namespace, "exec", "deploy/prometheus", "-c", "page"]
    said = watched.bed.kubectl(
        *page, "--", "python3", "-c", watching.WITHOUT_CERTIFICATE, ip(pod_of(watched, NODE)), ca
    )
    assert said.strip() == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_another_one_is_found(watched: Lab, prometheus: Prometheus) -> None:
    """They come and go with their nodes, and at updates."""
    before = pod_of(watched, NODE)
    watched.kubectl("delete", "pod", name(before), "--wait")

    def found() -> bool:
        targets = prometheus.get("targets", scrapePool="node")["activeTargets"]
        now = [(one["scrapeUrl"], one["health"]) for one in targets if one["labels"]["job"] == "node"]
        return now == [(f"https://{ip(pod_of(watched, NODE))}:9100/metrics", "up")]

    eventually(found, 120)
    assert prometheus.value('count(count by (instance) (last_over_time(up{job="node"}[10m])))') == 1


def test_a_backup_leaves_its_time(watched: Lab, prometheus: Prometheus) -> None:
    """By the word of Kubernetes: of the CronJob that the form names, which is not there at first."""
    prometheus.wait("caas_backup_last_success_timestamp_seconds == 0")
    watched.kubectl("create", "cronjob", "backup", "--image=backup:1", "--schedule=0 0 1 1 *")
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    done = json.dumps({"status": {"lastSuccessfulTime": ended}})
    watched.kubectl("patch", "cronjob", "backup", "--subresource=status", "--type=merge", "-p", done)
    prometheus.wait("time() - caas_backup_last_success_timestamp_seconds < 300")
    may_not = ["get cronjobs.batch/other", "list cronjobs"]
    assert watching.exporter_may(watched, ["get cronjobs.batch/backup", *may_not]) == ["get cronjobs.batch/backup"]
    watched.kubectl("delete", "cronjob", "backup")


def test_dask_clusters_come_and_go(prometheus: Prometheus, dask: None) -> None:
    prometheus.wait('caas_dask_user_clusters{user="emma"} >= 1')
    prometheus.wait('sum(caas_dask_cluster_workers{user="emma"}) >= 1')
    prometheus.wait('caas_user_memory_bytes{user="emma", kind="dask"} > 3e7')


def test_schedulers_say_how_they_are(prometheus: Prometheus, dask: None) -> None:
    """To who knows their secret, as the exporter does, by the gateway."""
    prometheus.wait('caas_dask_scheduler_up{user="emma"} == 1')
    prometheus.wait('sum(dask_scheduler_workers{user="emma"}) >= 1')


def test_schedulers_say_how_their_workers_are(prometheus: Prometheus, emma: HubClient, dask: None) -> None:
    """By their heartbeats: a second one comes and leaves again, and the sums follow."""
    one = prometheus.wait('dask_worker_threads{user="emma"} > 0')
    limit = prometheus.wait('caas_dask_worker_memory_limit_bytes{user="emma"} > 0')
    prometheus.wait('sum(dask_worker_memory_bytes{user="emma", type=~"managed|unmanaged"}) > 3e7')
    kernel = emma.kernel()
    dask_cluster.scale(kernel, 2)
    prometheus.wait(f'dask_worker_threads{{user="emma"}} == {2 * one}')
    assert prometheus.wait('caas_dask_worker_memory_limit_bytes{user="emma"}') == 2 * limit
    assert 0 < prometheus.wait('caas_dask_worker_memory_fullest_ratio{user="emma"}') < 1.2
    dask_cluster.scale(kernel, 1)
    prometheus.wait(f'dask_worker_threads{{user="emma"}} == {one}')
    kernel.close()


def test_what_dashboards_and_alerts_ask_is_there(watched: Lab, prometheus: Prometheus, dask: None) -> None:
    end = time.monotonic() + 180  # rates want several scrapes
    absent = promql.NOT_ON_KUBERNETES + r'|code=~"5'  # the hub has no failures to count,
    absent += "|^caas_home_used_bytes"  # and all homes of the test bed are on the one disk of this machine
    while wrong := promql.check(prometheus.url, {"cluster": watched.name, "me": "emma"}, absent, seconds=300):
        assert time.monotonic() < end, "\n".join(wrong)
        time.sleep(5)


@pytest.mark.parametrize("question", kubernetes_names.QUESTIONS)
def test_dashboards_made_for_kubernetes_are_answered(prometheus: Prometheus, dask: None, question: str) -> None:
    """Those of jupyterhub/grafana-dashboards, but for what nothing here can tell."""
    if question in kubernetes_names.NOT_ON_KUBERNETES:
        assert prometheus.value(kubernetes_names.QUESTIONS[question][0]) is None
    else:
        eventually(lambda: kubernetes_names.answered(prometheus, question), 90)


def test_alert_rules_are_loaded(prometheus: Prometheus) -> None:
    assert len(prometheus.rules_healthy()) == len(promql.alerts()) >= 10


def test_top_shows_it_through_the_api_server(watched: Lab, emma: HubClient, dask: None) -> None:
    def seen() -> dict[str, Any] | None:
        shown = json.loads(watched.caas.run("top", watched.name, "--once", "--json").stdout)
        mine = [user for user in shown["users"] if user["user"] == "emma"]
        return shown if mine and mine[0]["server"] and mine[0]["dask"]["workers"] else None

    shown = eventually(seen, 60)
    (mine,) = [user for user in shown["users"] if user["user"] == "emma"]
    assert mine["server"]["ready"] and mine["notebook"]["memory_bytes"] > 3e7 and mine["notebook"]["cpu"] is not None
    assert {part["part"]: part["up"] for part in shown["parts"]}["hub"]
    assert "emma" in watched.caas.run("top", watched.name, "--once").stdout


def test_status_and_logs_know_it(watched: Lab) -> None:
    services = {item["name"]: item for item in watched.settled()["services"]}
    assert set(services) >= WORKLOADS and all(services[one]["role"] == "monitoring" for one in WORKLOADS)
    lines = watched.caas.run("logs", watched.name, "monitoring", "--json").stdout.splitlines()
    assert {json.loads(line)["service"] for line in lines} <= WORKLOADS


# ---- who may see it


def test_other_pods_reach_nothing(watched: Lab, emma: HubClient, dask: None) -> None:
    exporter, prometheus = ip(pod_of(watched, EXPORTER)), ip(pod_of(watched, WATCHER))
    targets = [f"{exporter}:9099", f"{prometheus}:8080", f"{prometheus}:9090", f"{ip(pod_of(watched, NODE))}:9100"]
    targets.append(f"{prometheus}:9093")
    targets += ["exporter:9099", "monitoring:8080", "proxy-metrics:8002"]
    mine = f"{SERVERS},hub.jupyter.org/username=emma"
    worker = f"release={watched.name},app.kubernetes.io/component=dask-worker"
    for labels in (mine, worker):
        assert look(watched, name(pod_of(watched, labels)), *targets) == ["closed"] * len(targets), labels
    hub = name(pod_of(watched, f"release={watched.name},component=hub"))
    # Also who is let through to the pod does not come to Prometheus: it listens on the loopback.
    assert look(watched, hub, *targets[:5]) == ["closed", "open", "closed", "closed", "closed"]


def test_prometheus_listens_on_its_loopback_only(watched: Lab, bed: Bed) -> None:
    words = (
        "-n",
        watched.namespace,
        "exec",
        "deploy/prometheus",
        "-c",
        "page",
        "--",
        "python3",
        "-c",
        watching.LISTENING,
    )
    listening = bed.kubectl(*words).split()
    inner = {"0100007F:2382", "0100007F:2385"}  # 127.0.0.1: 9090, and Alertmanager's 9093
    assert inner <= set(listening)
    assert {address.rsplit(":", 1)[1] for address in listening if address not in inner} == {"1F90"}  # 8080


def test_the_exporter_wants_its_token(watched: Lab, bed: Bed) -> None:
    with bed.forwarded(watched.namespace, "deploy/exporter", 9099) as port:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
        assert refused.value.code == 401


def test_the_exporters_page_follows_the_conventions(watched: Lab, bed: Bed, dask: None) -> None:
    """Those of Prometheus, by its own tool, of all that it says here."""
    (secret,) = watched.get("secret", EXPORTER)
    token = json.loads(base64.b64decode(secret["data"]["exporter.json"]))["token"]
    with bed.forwarded(watched.namespace, "deploy/exporter", 9099) as port:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            page = answer.read()
    assert b"kube_pod_info{" in page and b"dask_scheduler_workers{" in page
    linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert linted.returncode == 0, linted.stderr.decode()


def test_none_of_it_has_an_address_outside(watched: Lab) -> None:
    services = watched.get("service", EXPORTER) + watched.get("service", WATCHER)
    assert {service["metadata"]["name"] for service in services} == {"exporter", "monitoring"}
    for service in services:
        assert service["spec"]["type"] == "ClusterIP" and "externalIPs" not in service["spec"], service
        assert not [port for port in service["spec"]["ports"] if "nodePort" in port], service
    for pods in (EXPORTER, WATCHER):
        for pod in watched.get("pod", pods):
            ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
            assert not pod["spec"].get("hostNetwork") and not [port for port in ports if "hostPort" in port], pods


def test_rights_are_few(watched: Lab) -> None:
    may = ["list pods", "get nodes --subresource=metrics", "list nodes", "get configmaps/monitoring-runs"]
    may_not = ["get secrets", "get nodes --subresource=proxy", "create pods --subresource=exec", "delete pods"]
    may_not += ["get pods --subresource=log", "patch configmaps/monitoring-runs", "get configmaps/hub"]
    assert watching.exporter_may(watched, may + may_not) == may
    assert watching.exporter_may(watched, ["list pods"], "kube-system") == []


def test_strangers_are_sent_to_the_sign_in_and_users_refused(watched: Lab, emma: HubClient) -> None:
    stranger = watched.client()
    answer = stranger.request("GET", PAGE, follow=False)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize?client_id=service-monitoring")
    assert stranger.request("GET", f"{PAGE}prometheus/api/v1/query?query=up", follow=False).status == 403
    for path in ("", "prometheus/graph", "dashboards/overview.json"):
        assert emma.request("GET", PAGE + path).status == 403, path


def test_admins_are_let_in(watched: Lab, admin: HubClient) -> None:
    page = admin.request("GET", PAGE)
    assert page.status == 200 and "What is watched" in page.text and "/services/grafana/" in page.text
    assert "monitoring-scrape" in page.text
    assert "services/monitoring" in admin.request("GET", "/hub/home").text
    assert admin.request("GET", f"{PAGE}dashboards/overview.json").json()["panels"]
    token = admin.api("POST", "/users/admin/tokens", data={"note": "test"}).json()["token"]
    given = {"Authorization": f"Bearer {token}"}
    program = watched.client()
    answer = program.request("GET", f"{PAGE}prometheus/api/v1/query?query=up", headers=given)
    assert answer.status == 200 and len(answer.json()["data"]["result"]) == len(JOBS)
    shown = program.request("GET", f"{PAGE}prometheus/api/v1/status/config", headers=given).json()["data"]["yaml"]
    assert "credentials: <secret>" in shown
    for path in ("-/reload", "-/quit", "api/v1/admin/tsdb/delete_series", "static/../-/reload"):
        assert program.request("POST", f"{PAGE}prometheus/{path}", headers=given).status in (403, 404, 405), path


# ---- mails


def test_a_mail_comes_of_what_fires(watched: Lab, mails: MailServer) -> None:
    """There was no backup. The mail server wants STARTTLS and a password, and stands outside of Kubernetes."""
    mail = mails.wait(f"[{watched.name}] warning: ", 120)
    assert mail["From"] == USER and mail["To"] == mail["X-Rcpt-To"] == "ops@example.org, second@example.org"
    text = mails.text(mail)
    assert text.startswith(f"Cluster {watched.name}\n") and "  BackupOld, warning, since " in text
    assert "What to do: docs/RUNBOOK.md#backupold\n" in text and f"{watched.url}{PAGE}mail" in text


def test_its_password_is_in_its_secret_alone(watched: Lab, bed: Bed) -> None:
    assert "mail-Secret 42" in watched.get_secret("alertmanager", "alertmanager\\.yaml")
    for kind in ("configmap", "deployment", "pod"):
        assert "mail-Secret" not in json.dumps(watched.get(kind)), kind
    assert b"mail-Secret" not in b"".join(path.read_bytes() for path in watched.caas.state.glob("journal.sqlite*"))
    with bed.forwarded(watched.namespace, "deploy/prometheus", 9093) as port:
        url = f"http://127.0.0.1:{port}{PAGE}mail/api/v2/status"
        assert "mail-Secret" not in urllib.request.urlopen(url, timeout=10).read().decode()


def test_it_goes_no_further_than_it_has_to(watched: Lab, bed: Bed, mails: MailServer) -> None:
    """Who writes mails and who reads metrics are one pod."""
    api_server = bed.get("endpoints", "default")[0]["subsets"][0]["addresses"][0]["ip"]
    may = [f"{bed.host}:{mails.port}", "hub:8081", "proxy-metrics:8002", "exporter:9099"]
    may.append(f"{ip(pod_of(watched, NODE))}:9100")
    may_not = [f"{api_server}:6443", f"169.254.169.254:{mails.port}", f"{ip(pod_of(watched, EXPORTER))}:9100"]
    may_not.append(f"{ip(pod_of(watched, f'release={watched.name},component=hub'))}:8888")
    page = ("-n", watched.namespace, "exec", "deploy/prometheus", "-c", "page", "--")
    said = bed.kubectl(*page, "python3", "-c", LOOK, *may, *may_not).split()
    assert said == ["open"] * len(may) + ["closed"] * len(may_not)


def test_an_admin_silences_it(watched: Lab, admin: HubClient) -> None:
    assert "ops@example.org, second@example.org" in admin.request("GET", PAGE).text
    page = admin.request("GET", PAGE + "mail/")
    assert page.status == 200 and "Mails about" in page.text and "BackupOld" in page.text
    token = {"X-XSRFToken": admin.cookie("_xsrf", PAGE)}
    asked = {"alert": "BackupOld", "hours": "8"}
    page = admin.request("POST", PAGE + "mail/", form=asked, headers=token)
    assert "alertname=BackupOld until" in page.text and "by admin" in page.text
    (silence,) = re.findall(r'name="end" value="([^"]+)"', page.text)
    page = admin.request("POST", PAGE + "mail/", form={"end": silence}, headers=token)
    assert page.status == 200 and "alertname=BackupOld until" not in page.text


# ---- a Prometheus elsewhere


def test_a_prometheus_elsewhere_reads_everything(watched: Lab, prometheus: Prometheus, emma: HubClient) -> None:
    token = watched.get_secret("monitoring-scrape", "token")
    assert len(token) >= 40
    prometheus.wait('caas_user_group_info{user="emma"}')
    program = watched.client()  # at bed.host
    answer = program.request("GET", f"{PAGE}federate", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200
    assert re.search(rf'^caas_user_group_info{{[^}}]*cluster="{watched.name}"[^}}]*user="emma"', answer.text, re.M)
    for wrong in ("", token[:-1], token + "x", "0" * len(token)):
        given = {"Authorization": f"Bearer {wrong}"}
        assert program.request("GET", f"{PAGE}federate", headers=given).status == 403, wrong
    # The token opens nothing else.
    given = {"Authorization": f"Bearer {token}"}
    for other in ("prometheus/api/v1/query?query=up", "prometheus/federate?match[]=up", ""):
        assert program.request("GET", PAGE + other, headers=given, follow=False).status in (302, 403), other
    assert program.request("GET", "/hub/api/users", headers=given).status == 403


def test_not_from_where_it_may_not(watched: Lab, bed: Bed, emma: HubClient) -> None:
    """Whatever it says of itself: the balancer leaves addresses as they are, and Caddy writes down what it sees."""
    token = watched.get_secret("monitoring-scrape", "token")
    policy, address = watching.traffic(watched)
    assert policy == "Local"
    ca, host = (watched.folder / "ca" / "ca.crt").read_text(), watched.url.removeprefix("https://")
    pod = name(pod_of(watched, f"{SERVERS},hub.jupyter.org/username=emma"))
    for path, status in ((f"{PAGE}federate?match[]=up", "403"), ("/hub/health", "200")):
        asked = run_in(watched, pod, "python3", "-c", watching.ASK, address, host, ca, path, token, bed.host)
        assert asked.strip() == status, path


# ---- a changed form


def test_a_run_that_was_stopped_is_known(watched: Lab, prometheus: Prometheus) -> None:
    """And what it found that others had changed. The exporter is to have other settings after the hub, which it does not come to."""
    write_form(watched, "{enabled: true, retention_gb: 2}")
    watched.form.write_text(
        watched.form.read_text().replace("hub: {cpus: 0.1, ram: 0.5}", "hub: {cpus: 0.1, ram: 0.6}")
    )
    watched.kubectl("label", "configmap", "monitoring-alerts", "component=other", "--overwrite")
    process = watched.caas.start("apply", str(watched.form), "--yes", "--json")
    for line in process.stdout or []:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "progress" and event["id"] == "hub/service":
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=120)
    (last,) = [run for run in told(watched)["runs"] if run["command"] == "apply"]
    assert last["outcome"] == "cancelled" and told(watched)["drift"] == 1
    prometheus.wait('caas_run_last_success{command="apply"} == 0')
    assert prometheus.wait("caas_drift_resources == 1")


@pytest.fixture(scope="module")
def elsewhere(watched: Lab, bed: Bed) -> Iterator[Elsewhere]:
    with Elsewhere(watched.caas.folder / "elsewhere", free_port(), TOKEN, bed.host) as there:
        yield there


def test_what_the_form_says_of_it_counts(watched: Lab, bed: Bed, elsewhere: Elsewhere) -> None:
    file = watched.caas.folder / "metrics-token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    url = f"https://{bed.host}:{elsewhere.port}/write"
    remote = f"{{url: '{url}', token_file: {file}, ca: {elsewhere.certificate}}}"
    write_form(watched, f"{{enabled: true, nodes: false, retention_days: 7, retention_gb: 3, remote_write: {remote}}}")
    assert TOKEN not in watched.plan(status=2).stdout
    watched.apply()
    containers = watched.get("deployment", WATCHER)[0]["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["prometheus", "page"]
    arguments = containers[0]["args"]
    assert {"--storage.tsdb.retention.time=7d", "--storage.tsdb.retention.size=3000000000B"} <= set(arguments)
    (claim,) = watched.get("pvc", WATCHER)
    assert claim["spec"]["resources"]["requests"]["storage"] == "5G"
    assert not cluster_wide(watched)
    assert watching.traffic(watched)[0] == "Cluster" and not {"monitoring-scrape", "alertmanager"} & watched.names(
        "secret"
    )
    with bed.forwarded(watched.namespace, "deploy/prometheus", 9090) as port:
        after = Prometheus(f"http://127.0.0.1:{port}{PAGE}prometheus")
        config = after.get("status/config")["yaml"]
        assert url in config and TOKEN not in config
        after.targets_up(JOBS - {"alertmanager"})
        # What it had it still has, and the nodes are not asked any more.
        assert after.value("count(count_over_time(up[1h])) > 0")
        asked = 'caas_source_up{source="kubelet"}'  # what a Prometheus that ended had of it lasts for minutes
        after.wait(f"absent({asked}) or time() - timestamp({asked}) > 30")
        after.wait('caas_run_last_success{command="apply"} == 1')
        members = f'caas_group_members{{cluster="{watched.name}", group="users"}}'
        assert elsewhere.wait(members) == after.wait(members) and not elsewhere.refused
    journal = b"".join(path.read_bytes() for path in watched.caas.state.glob("journal.sqlite*"))
    assert TOKEN.encode() not in journal


def test_it_can_be_left_out(watched: Lab) -> None:
    watched.write_form(cpus=0.6, storage=2)
    said = watched.apply().stdout
    assert "monitoring/data" in said, said
    kinds = "deployment daemonset pvc secret configmap service networkpolicy role serviceaccount"
    for kind in kinds.split():
        for labels in (EXPORTER, WATCHER, NODE, "component=grafana"):
            assert not watched.names(kind, labels), (kind, labels)
    assert not {"exporter", "monitoring", "node-exporter", "grafana"} & watched.names("networkpolicy")
    assert watched.client().request("GET", "/services/grafana/").status == 404
    assert watched.client().request("GET", PAGE).status == 404
    assert "monitoring.enabled" in watched.caas.run("top", watched.name, "--once", status=1).stderr


def test_it_goes_with_the_cluster(watched: Lab) -> None:
    """As it comes back here, the tests of destroying that follow find it."""
    write_form(watched, "{enabled: true, grafana: install}")
    watched.apply()
    assert len(cluster_wide(watched)) == 2
    assert watched.signed_in("alice", PASSWORD).request("GET", PAGE).status == 403
