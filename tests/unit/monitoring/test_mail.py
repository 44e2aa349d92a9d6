"""The mails about alerts: what roles/alerts writes, given to a real Alertmanager that writes to a real mail server."""

import contextlib
import datetime
import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql
import pytest
from mailserver import USER, MailServer

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "alerts"
TO = "ops@example.org, second@example.org"
PREFIX = "/services/monitoring/mail"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def configuration(values: dict[str, Any]) -> str:
    """What the role writes, with these values in it; Alertmanager reads YAML as well as the role does."""
    body = (ROLE / "config.yaml").read_text()

    def put(match: re.Match[str]) -> str:
        whole = re.fullmatch(r"\$\{([^}]*)\}", match[1])
        if whole:
            return json.dumps(values[whole[1]])
        return json.dumps(re.sub(r"\$\{([^}]*)\}", lambda one: str(values[one[1]]), match[1]))

    return re.sub(r'"([^"\n]*\$\{[^"\n]*)"', put, body)


class Alertmanager:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}{PREFIX}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v2/{path}", timeout=10) as answer:
            return json.load(answer)

    def tell(self, *alerts: dict[str, Any]) -> None:
        """As Prometheus does."""
        asked = urllib.request.Request(
            f"{self.url}/api/v2/alerts", json.dumps(alerts).encode(), headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(asked, timeout=10).close()


def alert(name: str, *, over: bool = False, **labels: str) -> dict[str, Any]:
    """As Prometheus makes it of the rule."""
    rule = next(one for one in promql.alerts() if one.name == name)
    named = {"alertname": name, "cluster": "lab", **rule.labels, **labels}
    words = {
        key: re.sub(r"\{\{ \$value.*? \}\}", "97%", re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: named[m[1]], text))
        for key, text in rule.annotations.items()
    }
    now = datetime.datetime.now(datetime.UTC)
    began = now - datetime.timedelta(minutes=5)
    ended = {"endsAt": now.isoformat()} if over else {}
    return {"labels": named, "annotations": words, "startsAt": began.isoformat(), **ended}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with MailServer(tmp_path_factory.mktemp("mail"), free_port()) as made:
        yield made


def write(folder: Path, server: MailServer, **other: Any) -> Path:
    values = {
        "form.monitoring.smtp.host": "127.0.0.1",
        "form.monitoring.smtp.port": server.port,
        "form.monitoring.smtp.from": USER,
        "form.monitoring.smtp.tls": True,
        "form.monitoring.alert_email": TO,
        "alerts/here.name": "pangeo.example.org",
        "alerts/sign_in.user": USER,
        "alerts/sign_in.password": server.password.read_text().strip(),
        "alerts/trust.tls": {"ca_file": str(server.certificate)},
        "alerts/here.words": str(ROLE / "mail.tmpl"),
        **other,
    }
    path = folder / "alertmanager.yaml"
    # Nobody waits for minutes here.
    path.write_text(re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", configuration(values)))
    return path


@contextlib.contextmanager
def run(config: Path) -> Iterator[Alertmanager]:
    port, log = free_port(), config.parent / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={config.parent / 'data'}",
                "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--web.external-url=https://pangeo.example.org{PREFIX}/",
            ],
            stdout=out,
            stderr=out,
        )
        made = Alertmanager(port)
        try:
            end = time.monotonic() + 30
            while True:
                try:
                    made.get("status")
                    break
                except OSError:
                    assert time.monotonic() < end and process.poll() is None, log.read_text()[-3000:]
                    time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def config(server: MailServer) -> Path:
    return write(server.folder, server)


@pytest.fixture(scope="module")
def alertmanager(config: Path) -> Iterator[Alertmanager]:
    with run(config) as made:
        yield made


def test_alertmanager_takes_the_configuration(config: Path) -> None:
    done = subprocess.run(["amtool", "check-config", config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("one", promql.alerts(), ids=lambda a: a.name)
def test_every_alert_has_its_way(config: Path, one: promql.Alert) -> None:
    labels = [f"alertname={one.name}", "cluster=lab", *(f"{k}={v}" for k, v in one.labels.items())]
    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={config}", "--verify.receivers=mail", *labels],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_inhibited_is_there() -> None:
    """A name that no alert has any more would be a rule that does nothing."""
    named = re.findall(r'alertname=~?"([\w|]+)"', (ROLE / "config.yaml").read_text())
    assert named and {name for names in named for name in names.split("|")} <= {one.name for one in promql.alerts()}


def test_a_mail_says_what_it_is_about(alertmanager: Alertmanager, server: MailServer) -> None:
    alertmanager.tell(alert("PartDown", part="hub"), alert("PartDown", part="proxy"))
    mail = server.wait("critical", 30)
    assert mail["Subject"] == "[lab] critical: PartDown, PartDown"
    assert mail["From"] == USER and mail["X-Rcpt-To"] == TO and mail["To"] == TO
    text = server.text(mail)
    assert text.startswith("Cluster lab\n")
    for words in (
        "* hub of lab is down\n",
        "* proxy of lab is down\n",
        "has not answered for two minutes",
        "What to do: docs/RUNBOOK.md#partdown",
        "https://pangeo.example.org/services/monitoring/mail",
    ):
        assert words in text, text
    assert "{{" not in text and "<no value>" not in text


def test_and_when_it_is_over(alertmanager: Alertmanager, server: MailServer) -> None:
    alertmanager.tell(alert("PartDown", part="hub", over=True), alert("PartDown", part="proxy", over=True))
    mail = server.wait("over: PartDown", 30)
    assert "Over:\n* hub of lab is down (PartDown, until " in server.text(mail)


def test_severities_do_not_share_a_mail(alertmanager: Alertmanager, server: MailServer) -> None:
    alertmanager.tell(alert("DirectoryAway"), alert("HomeFull", user="alice"))
    assert "HomeFull" not in str(server.wait("critical: DirectoryAway", 30)["Subject"])
    assert "* The home of alice of lab is full\n  97% is used." in server.text(server.wait("warning: HomeFull", 30))


def test_what_follows_from_it_is_not_mailed(alertmanager: Alertmanager) -> None:
    alertmanager.tell(
        alert("HomeFull", user="bob"), alert("HomeFilling", user="bob"), alert("HomeFilling", user="carol")
    )
    end = time.monotonic() + 10
    while True:  # inhibiting is worked out a moment after an alert came
        held = [one for one in alertmanager.get("alerts") if one["labels"]["alertname"] == "HomeFilling"]
        if {one["labels"]["user"]: one["status"]["state"] for one in held} == {"bob": "suppressed", "carol": "active"}:
            return
        assert time.monotonic() < end, held
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"alerts/trust.tls": {}}, "certificate"),
        ({"form.monitoring.smtp.host": "localhost"}, "certificate"),
        ({"alerts/sign_in.password": "wrong"}, "535"),
    ],
    ids=["unknown CA", "another name", "wrong password"],
)
def test_no_mail_goes_to_a_server_that_is_not_the_one(
    tmp_path: Path, server: MailServer, other: dict[str, Any], reason: str
) -> None:
    config = write(tmp_path, server, **other)
    with run(config) as one:
        one.tell(alert("DirectoryAway", cluster="elsewhere"))
        end = time.monotonic() + 20
        while not re.search(rf"level=(warn|error|WARN|ERROR) .*{reason}", (tmp_path / "log").read_text()):
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.1)
    assert not [mail for mail in server.mails() if "elsewhere" in str(mail["Subject"])]
