"""What the monitoring's page hands on to Prometheus, and to whom; without a hub and a Prometheus (test_65_monitoring.py)."""

import importlib.util
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.testing import AsyncHTTPTestCase

PAGE = Path(__file__).resolve().parents[3] / "roles" / "monitoring" / "files" / "page.py"
PREFIX = "/services/monitoring/"
ANSWER = {"Content-Type": "text/html", "Set-Cookie": "theirs=1", "Location": "https://evil.example.org/"}


@pytest.fixture(scope="module")
def page() -> Any:
    spec = importlib.util.spec_from_file_location("monitoring_page", PAGE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
            "dashboards": str(self.folder),
        }
        return self.page.application(config, "s3cret")

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
