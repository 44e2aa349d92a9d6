"""What a Grafana does with the files that it is given, as far as its documentation says: signs people in by generic OAuth, asks
its data source's questions. There is no Grafana in it (docs/TESTING.md). And what one that runs is asked: ask()."""

import base64
import configparser
import http.client
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

from hubclient import HubClient

# https://grafana.com/docs/grafana/latest/setup-grafana/configure-security/configure-authentication/generic-oauth/
OAUTH_KEYS = """enabled name icon client_id client_secret auth_url token_url api_url auth_style scopes empty_scopes
    allow_sign_up auto_login login_attribute_path name_attribute_path email_attribute_path role_attribute_path
    role_attribute_strict skip_org_role_sync allow_assign_grafana_admin tls_skip_verify_insecure tls_client_cert
    tls_client_key tls_client_ca use_pkce use_refresh_token"""
# https://grafana.com/docs/grafana/latest/administration/provisioning/
SOURCE_KEYS = """name type access orgId uid url user database basicAuth basicAuthUser withCredentials isDefault jsonData
    secureJsonData version editable"""
PROVIDER_KEYS = "name orgId folder folderUid type disableDeletion updateIntervalSeconds allowUiUpdates options"
SECURE_KEYS = "basicAuthPassword tlsCACert tlsClientCert tlsClientKey httpHeaderValue1"
# and https://grafana.com/docs/grafana/latest/datasources/prometheus/configure/
JSON_KEYS = """httpMethod prometheusType prometheusVersion cacheLevel timeInterval queryTimeout manageAlerts
    disableRecordingRules customQueryParameters tlsAuth tlsAuthWithCACert tlsSkipVerify serverName timeout
    allowAsRecordingRulesTarget oauthPassThru"""

# The home of a Grafana (bin/, conf/, public/), which is tried in the place of the stand-in; docs/TESTING.md.
REAL = os.environ.get("CAAS_TEST_GRAFANA", "")
SOURCE = {"type": "prometheus", "uid": "pangeo"}
STAND_IN = Path(__file__).resolve().parents[2] / "grafana"


def lay_out(home: Path) -> None:
    """Puts into a folder what runs as Grafana, as its package has it in /usr/share/grafana."""
    if REAL:
        for name in ("bin", "conf", "public"):
            shutil.copytree(Path(REAL) / name, home / name, symlinks=True)
        return
    made = subprocess.run(["bash", STAND_IN / "build.sh"], check=True, stdout=subprocess.PIPE, text=True)
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    shutil.copy(Path(made.stdout.strip()) / "grafana", home / "bin" / "grafana")
    (home / "conf" / "defaults.ini").write_text("")


def knows(section: str, key: str) -> bool:
    """Whether it has a setting. One that is older than ours passes over in silence what it does not know."""
    if not REAL:
        return True
    sections = re.split(r"^\[(.*)\]$", (Path(REAL) / "conf" / "defaults.ini").read_text(), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    return re.search(rf"^{key} *=", texts.get(section, ""), re.MULTILINE) is not None


def version() -> tuple[int, ...]:
    said = subprocess.run([Path(REAL) / "bin" / "grafana", "-v"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return tuple(int(part) for part in re.findall(r"[0-9]+", said)[:3])


def has_pages() -> bool:
    return not REAL or (Path(REAL) / "public" / "views" / "index.html").exists()


def ask(client: HubClient, question: str, home: str = "/services/grafana/", **more: Any) -> tuple[int, Any]:
    """As a panel does, of the Grafana at `home`: the status that its plug-in was told, and the labels of each series that was
    found, or why not. more: of the query, instead of an instant one."""
    now = int(time.time() * 1000)
    one = {"datasource": SOURCE, "instant": True, **more, "refId": "A", "expr": question}
    asked = {"from": str(now - 600_000), "to": str(now), "queries": [one]}
    answer = client.request("POST", home + "api/ds/query", data=asked).json()
    said = answer["results"]["A"] if "results" in answer else {"status": 0, "error": answer}
    if "error" in said:
        return said["status"], said["error"]
    fields = [field for frame in said["frames"] for field in frame["schema"].get("fields", [])]
    return said["status"], [field.get("labels", {}) for field in fields if field["type"] == "number"]


class Grafana:
    """folder: as it is copied to /etc/grafana. source: the address that its requests come from."""

    def __init__(self, folder: Path, cluster: str, source: str) -> None:
        self.folder, self.source = folder, source
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string((folder / "pangeo-caas" / f"{cluster}.ini").read_text())
        self.oauth = dict(parser["auth.generic_oauth"])
        sources = folder / "provisioning" / "datasources" / f"pangeo-caas-{cluster}.yaml"
        (self.data,) = self.read(sources)["datasources"]
        (self.dashboards,) = self.read(folder / "provisioning" / "dashboards" / "pangeo-caas.yaml")["providers"]
        self.ca = self.here(self.oauth["tls_client_ca"])

    @staticmethod
    def read(path: Path) -> Any:
        """It is JSON, which every reader of YAML takes."""
        config = json.loads(path.read_text())
        assert config.pop("apiVersion") == 1
        return config

    def here(self, path: str) -> Path:
        """Where a file lies that Grafana has at `path`."""
        return self.folder / Path(path).relative_to("/etc/grafana")

    def send(
        self, context: ssl.SSLContext, method: str, url: str, body: str, headers: dict[str, str]
    ) -> tuple[int, str]:
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, source_address=(self.source, 0), context=context, timeout=60
        )
        if method == "POST":
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), body or None, headers)
        answer = connection.getresponse()
        said = answer.status, answer.read().decode()
        connection.close()
        return said

    # ---- the data source, as the Prometheus plug-in asks

    def ask(self, method: str, path: str, authorization: str | None = None, **arguments: str) -> tuple[int, str]:
        context = ssl.create_default_context(cadata=self.data["secureJsonData"]["tlsCACert"])
        given = f"{self.data.get('basicAuthUser')}:{self.data['secureJsonData'].get('basicAuthPassword')}"
        basic = "Basic " + base64.b64encode(given.encode()).decode()
        headers = {"Authorization": basic if authorization is None else authorization}
        query, url = urllib.parse.urlencode(arguments), f"{self.data['url']}/{path}"
        if method == "GET":
            return self.send(context, method, f"{url}?{query}" if query else url, "", headers)
        return self.send(context, method, url, query, headers)

    # ---- signing in, by an OAuth client that knows nothing of JupyterHub

    def client(self, environment: Path) -> Any:
        """oauthlib's, from an environment that has it."""
        (packages,) = environment.glob("lib/python3*/site-packages")
        sys.path.append(str(packages))
        try:
            from oauthlib.oauth2 import WebApplicationClient
        finally:
            sys.path.remove(str(packages))
        return WebApplicationClient(self.oauth["client_id"])

    def sign_in(self, client: Any, browser: HubClient, callback: str) -> tuple[int, str]:
        """The code that the hub's sign-in leads back with; or its status and page, when it does not."""
        state = secrets.token_urlsafe(32)
        scopes = self.oauth["scopes"].replace(",", " ").split()
        there = client.prepare_request_uri(self.oauth["auth_url"], redirect_uri=callback, scope=scopes, state=state)
        answer = browser.request("GET", there, follow=False)
        location = answer.headers.get("Location") or ""
        if not location.startswith(callback + "?"):
            return answer.status, location or answer.text
        return 0, client.parse_request_uri_response(location, state=state)["code"]

    def redeem(self, client: Any, code: str, callback: str, secret: str = "") -> tuple[int, str]:
        """For the access token; or the status and what the hub says."""
        body = client.prepare_request_body(
            code=code,
            redirect_uri=callback,
            client_secret=secret or self.oauth["client_secret"],
            include_client_id=True,
        )
        status, text = self.send(self.verifying(), "POST", self.oauth["token_url"], body, {})
        return (0, client.parse_request_body_response(text)["access_token"]) if status == 200 else (status, text)

    def user(self, token: str) -> tuple[int, str]:
        return self.send(self.verifying(), "GET", self.oauth["api_url"], "", {"Authorization": f"Bearer {token}"})

    def verifying(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))
