"""What the monitoring's page hands on to Prometheus, and to whom; without a hub and a Prometheus (test_65_monitoring.py)."""

import importlib.util
import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock, patch
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.testing import AsyncHTTPTestCase

FILES = Path(__file__).resolve().parents[3] / "roles" / "monitoring" / "files"
PREFIX = "/services/monitoring/"
ANSWER = {"Content-Type": "text/html", "Set-Cookie": "theirs=1", "Location": "https://evil.example.org/"}


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    sys.path.insert(0, str(FILES))  # where Python looks first for what page.py imports
    spec = importlib.util.spec_from_file_location("monitoring_page", FILES / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FILES))


class TestForward(AsyncHTTPTestCase):
    """An admin is signed in; what comes through to Prometheus stands in self.asked."""

    @pytest.fixture(autouse=True)
    def given(self, page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.page, self.folder, self.asked = page, tmp_path, []
        asked = self.asked

        class Answering(page.Prometheus):
            def __init__(self, *_: Any) -> None:
                self._classic = False

            async def fetch(self, path: str, **options: Any) -> HTTPResponse:
                asked.append((path, options))
                request = HTTPRequest("https://127.0.0.1/" + path)
                return HTTPResponse(request, 200, HTTPHeaders(ANSWER), BytesIO(b"<head></head>"))

        monkeypatch.setattr(page, "Prometheus", Answering)
        monkeypatch.setattr(page.ssl, "create_default_context", MagicMock())
        monkeypatch.setattr(page.Guarded, "get_current_user", lambda _: {"name": "admin", "kind": "user"})
        monkeypatch.setattr(page.Guarded, "xsrf_token", "x")

    def get_app(self) -> Any:
        config = {
            "prefix": PREFIX,
            "cluster": "unit",
            "public_url": "https://unit.example.org" + PREFIX,
            "prometheus": {"url": "https://127.0.0.1:1", "ca": "", "certificate": "", "key": ""},
            "mail": {},
            "scrape": {},
            "grafana": self.grafana(),
            "dashboards": str(self.folder),
        }
        return self.page.application(config, "s3cret")

    def grafana(self) -> dict[str, Any]:
        return {}

    def ask(self, path: str, **options: Any) -> HTTPResponse:
        return self.fetch(f"{PREFIX}prometheus/{path}", follow_redirects=False, **options)

    def test_questions_and_pages_come_through(self) -> None:
        for path in (
            "graph",
            "alerts",
            "static/js/main.js",
            "classic/static/img/x.png",
            "metrics",
            "federate?match[]=up",
            "api/v1/query?query=up%7Bjob%3D%22hub%22%7D",
            "api/v1/label/job/values",
            "api/v1/status/config",
        ):
            assert self.ask(path).code == 200, path
            assert self.asked.pop()[0] == path
        assert self.ask("api/v1/query", method="POST", body="query=up").code == 200
        assert self.asked.pop()[1]["body"] == b"query=up"

    def test_nothing_else_does(self) -> None:
        for path in (
            "-/reload",
            "-/quit",
            "%2d/quit",
            "api/v1/admin/tsdb/delete_series?match[]=up",
            "api/v1/admin/tsdb/snapshot",
            "api/v1/write",
            "api/v1/read",
            "api/v1/otlp/v1/metrics",
            "api/v1/status/../admin/tsdb/snapshot",
            "api/v1/label/a%2f..%2fb/values",
            "debug/pprof/heap",
            "static/../-/quit",
            "static/%2e%2e/-/quit",
            "static/..%2f-%2fquit",
            "static/%252e%252e/-/quit",
            "static/x%3fy",
            "static/x%0d%0aHost:%20evil",
            "graph%0a",
            "graph/../-/quit",
            "/-/quit",
            "//evil.example.org/graph",
            "%2f%2fevil.example.org/",
            "https://evil.example.org/graph",
            "@evil.example.org/graph",
            "nonsense",
        ):
            for method in ("GET", "POST"):
                answer = self.ask(path, method=method, body=None if method == "GET" else "")
                assert answer.code in (400, 404, 405), (path, answer.code)
                assert not self.asked, path
        for path in ("federate", "metrics", "graph", "api/v1/status/config", "api/v1/rules"):
            assert self.ask(path, method="POST", body="").code == 405
        for method in ("PUT", "DELETE", "PATCH"):
            answer = self.ask("api/v1/query", method=method, body=None if method == "DELETE" else "")
            assert answer.code == 405 and not self.asked

    def test_what_is_the_browsers_stays_here(self) -> None:
        """And what is Prometheus' stays there."""
        headers = {
            "Cookie": "session=1",
            "Authorization": "token t",
            "X-Forwarded-For": "1.2.3.4",
            "Accept": "text/html",
        }
        answer = self.ask("graph", headers=headers)
        assert dict(self.asked[0][1]["headers"]) == {"Accept": "text/html"}
        assert "Location" not in answer.headers and "theirs" not in str(answer.headers.get_list("Set-Cookie"))
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_another_users_page_at_the_same_host_reads_nothing(self) -> None:
        """fetch(…, {mode: "no-cors"}) is given the answer there; and so is who opened the window it stands in."""
        script = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
        for path in ("graph", "api/v1/query?query=up", "federate?match[]=up"):
            assert self.ask(path, headers=script).code == 403 and not self.asked, path
        assert self.fetch(PREFIX, headers=script).code == 403
        assert self.fetch(PREFIX + "dashboards/overview.json", headers=script).code == 403
        assert self.ask("static/js/main.js", headers={**script, "Sec-Fetch-Dest": "script"}).code == 200
        assert self.ask("graph").headers["Cross-Origin-Opener-Policy"] == "noopener-allow-popups"

    def test_no_grafana_is_let_in_that_the_form_does_not_name(self) -> None:
        for path in ("grafana/api/v1/query?query=up", "grafana/own/api/v1/query?query=up", "grafana/user"):
            assert self.fetch(PREFIX + path, headers={"Authorization": "Basic dW5pdDo="}).code == 403
        assert not self.asked


class TestGrafana(TestForward):
    """The form names one, at 192.0.2.7."""

    def grafana(self) -> dict[str, Any]:
        (self.folder / "token").write_text("t0ken\n")
        url, files = "https://grafana.example.org/", "/files"
        allowed = {"from": ["192.0.2.7"], "token": str(self.folder / "token")}
        return {"url": url, "files": files, "domain": "unit.example.org", **allowed}

    def question(self, path: str, **options: Any) -> HTTPResponse:
        right = {"Authorization": "Basic " + b64encode(b"unit:t0ken").decode(), "X-Forwarded-For": "192.0.2.7"}
        options["headers"] = {**right, **options.get("headers", {})}
        return self.fetch(f"{PREFIX}grafana/{path}", follow_redirects=False, **options)

    def test_its_questions_come_through(self) -> None:
        for path in (
            "api/v1/query?query=up",
            "api/v1/query_range?query=up&start=1&end=2&step=15",
            "api/v1/series?match[]=up",
            "api/v1/labels",
            "api/v1/label/__name__/values?match[]=up",
            "api/v1/metadata",
            "api/v1/status/buildinfo",
        ):
            assert self.question(path).code == 200, path
            assert self.asked.pop()[0] == path
        for path in ("query", "query_range", "series", "labels"):
            answer = self.question("api/v1/" + path, method="POST", body="query=up")
            assert answer.code == 200 and self.asked.pop()[1]["body"] == b"query=up"

    def test_nothing_else_of_it_does(self) -> None:
        for path in (
            "api/v1/admin/tsdb/snapshot",
            "api/v1/status/config",
            "api/v1/status/flags",
            "api/v1/targets",
            "api/v1/rules",
            "api/v1/alerts",
            "api/v1/read",
            "api/v1/write",
            "api/v1/label/a%2f..%2fb/values",
            "api/v1/query/../admin/tsdb/snapshot",
            "api/v1/query%0a",
            "api/v1//query",
            "api/v2/alerts",
            "api/",
        ):
            for method in ("GET", "POST"):
                answer = self.question(path, method=method, body=None if method == "GET" else "")
                assert answer.code == 404 and not self.asked, (path, answer.code)
        for path in ("metrics", "federate?match[]=up", "graph", "-/reload", ""):
            answer = self.question(path)
            assert "Pangeo" in answer.body.decode() and answer.code == 404 and not self.asked, (path, answer.code)
        for path in ("metadata", "status/buildinfo", "label/job/values"):
            assert self.question("api/v1/" + path, method="POST", body="").code == 405 and not self.asked

    def test_nobody_elses_do(self) -> None:
        for wrong in ("", "Basic", "Bearer t0ken", "t0ken", "Basic " + b64encode(b"unit:t0ke").decode()):
            assert self.question("api/v1/query?query=up", headers={"Authorization": wrong}).code == 403, wrong
        for address in ("192.0.2.8", "", "192.0.2.7, 198.51.100.1"):
            assert self.question("api/v1/query?query=up", headers={"X-Forwarded-For": address}).code == 403, address
        assert not self.asked

    def signed_in(self, scopes: list[str], kind: str = "user") -> HTTPResponse:
        async def user(token: str, sync: bool) -> dict[str, Any] | None:
            return {"name": "ada", "kind": kind, "scopes": scopes} if token == "of-ada" else None

        hub = MagicMock(user_for_token=user, check_scopes=lambda wanted, who: wanted & set(who["scopes"]))
        with patch.object(self.page.Guarded, "hub_auth", hub):
            return self.question("user", headers={"Authorization": "Bearer of-ada"})

    def test_it_is_told_who_signs_in(self) -> None:
        answer = self.signed_in(["access:services!service=grafana"])
        address = "ada@unit.example.org"
        whole = {"sub": address, "login": address, "email": address, "name": "ada", "role": "Editor"}
        assert answer.code == 200 and json.loads(answer.body) == whole

    def test_only_of_whom_the_hub_lets_in_there(self) -> None:
        assert self.signed_in(["access:services!service=monitoring", "self"]).code == 403
        assert self.signed_in(["access:services!service=grafana"], kind="service").code == 403
        asked = AsyncMock(return_value=None)
        with patch.object(self.page.Guarded, "hub_auth", MagicMock(user_for_token=asked)):
            for wrong in ("", "Bearer ", "Bearer of ada", "Bearer tökén", "Bearer " + "x" * 201, "Basic of-ada"):
                assert self.question("user", headers={"Authorization": wrong}).code == 403, wrong
            elsewhere = {"Authorization": "Bearer of-ada", "X-Forwarded-For": "192.0.2.8"}
            assert self.question("user", headers=elsewhere).code == 403
            asked.assert_not_called()  # the hub is not bothered
            assert self.question("user", headers={"Authorization": "Bearer of-bob"}).code == 403
            asked.assert_called_once()


class TestOwn(TestForward):
    """Users may sign in to that Grafana, and see their own: each question comes with a token of who looks."""

    def grafana(self) -> dict[str, Any]:
        return {"url": "https://unit.example.org/services/grafana/", "domain": "unit.example.org", "users": True}

    def own(self, path: str, *more: str, name: str = "ada", **options: Any) -> HTTPResponse:
        async def user(token: str, sync: bool) -> dict[str, Any] | None:
            scopes = {"access:services!service=grafana", *more}
            return {"name": name, "kind": "user", "scopes": scopes} if token == "t" else None

        hub = MagicMock(user_for_token=user, check_scopes=lambda wanted, who: wanted & who["scopes"])
        options.setdefault("headers", {"Authorization": "Bearer t"})
        with patch.object(self.page.Guarded, "hub_auth", hub):
            return self.fetch(f"{PREFIX}grafana/{path}", follow_redirects=False, **options)

    def refused(self, answer: HTTPResponse) -> str:
        """Why, as Prometheus would say it."""
        said = json.loads(answer.body)
        assert said["status"] == "error" and not self.asked
        return str(said["error"])

    def test_ones_own_question_is_put_anew(self) -> None:
        question = 'rate(up{user="ada"}[5m])'
        body = urlencode({"query": question, "time": "4", "timeout": "1h", "lookback_delta": "1y", "x": "y"})
        for options in ({"method": "POST", "body": body}, {}):
            path = "api/v1/query" + ("" if options else "?" + body)
            assert self.own("own/" + path, **options).code == 200
            asked, given = self.asked.pop()
            assert given["method"] == "GET" and given.get("body") is None and "Authorization" not in given["headers"]
            assert parse_qs(urlsplit(asked).query) == {"query": [question], "time": ["4"], "timeout": ["10s"]}
        answer = self.own("own/api/v1/query_range", method="POST", body=f"{body}&start=1&end=2&step=15")
        assert answer.code == 200 and set(parse_qs(self.asked.pop()[0])) >= {"start", "end", "step", "timeout"}
        for path in ("series", "labels", "label/kind/values"):
            assert self.own(f"own/api/v1/{path}?match[]=" + quote('{user="ada"}')).code == 200
            assert self.asked.pop()[0] == f"api/v1/{path}?" + urlencode({"match[]": '{user="ada"}'})

    def test_nobody_elses_is(self) -> None:
        mine, theirs = quote('up{user="ada"}'), quote('up{user="bob"}')
        for path in (
            f"query?query={theirs}",
            "query?query=up",
            "query",
            f"query?query={mine}&query={theirs}",
            f"query?query={mine}&time=1&time=2",
            f"series?match[]={mine}&match[]={theirs}",
            f"series?match%5B%5D={mine}&match%5B%5D={theirs}",
            "series",
            "labels",
            f"labels?match={mine}",
            "label/user/values",
            f"label/user/values?match[]={theirs}",
            "metadata",
            "status/buildinfo",
        ):
            answer = self.own("own/api/v1/" + path)
            assert answer.code == 403 and self.refused(answer), path
        both = {"method": "POST", "body": f"query={theirs}"}
        assert self.own(f"own/api/v1/query?query={mine}", **both).code == 403 and not self.asked
        json_body = {"Authorization": "Bearer t", "Content-Type": "application/json"}
        answer = self.own("own/api/v1/query", method="POST", body=f"query={mine}", headers=json_body)
        assert answer.code == 403 and not self.asked

    def test_admins_ask_what_they_like(self) -> None:
        for path in ("query?query=up", "labels", "metadata", "status/buildinfo", "label/user/values"):
            assert self.own("own/api/v1/" + path, "custom:figures:all").code == 200
            assert self.asked.pop()[0] == "api/v1/" + path
        answer = self.own("own/api/v1/query", "custom:figures:all", method="POST", body="query=up")
        assert answer.code == 200 and self.asked.pop()[1]["body"] == b"query=up"
        for path in ("rules", "status/config", "admin/tsdb/snapshot", "query/../rules"):
            assert self.own("own/api/v1/" + path, "custom:figures:all").code == 404 and not self.asked

    def test_a_token_is_needed(self) -> None:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic t"}, {"Cookie": "token=t"}):
            answer = self.own("own/api/v1/query?query=1", headers=headers)
            assert answer.code == 403 and "Sign in again" in self.refused(answer), headers

    def test_it_is_told_who_may_edit(self) -> None:
        assert json.loads(self.own("user").body)["role"] == "Viewer"
        assert json.loads(self.own("user", "custom:figures:all").body)["role"] == "Editor"

    def test_no_token_of_everybodys(self) -> None:
        nobody = {"Authorization": "Basic " + b64encode(b"unit:").decode(), "X-Forwarded-For": "192.0.2.7"}
        assert self.fetch(PREFIX + "grafana/api/v1/query?query=up", headers=nobody).code == 403 and not self.asked
