"""What is behind the page: Prometheus, and Alertmanager, which writes the mails."""

import datetime
import json
import ssl
from typing import Any
from urllib.parse import urlencode

from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

ANSWER_SECONDS = 70


class Away(web.HTTPError):
    """A part does not answer; `log` is what its log is called, if not as the part."""

    def __init__(self, part: str, log: str = "") -> None:
        super().__init__(503)
        where = f"caas logs CLUSTER {log or part}"
        self.words = f"{part.capitalize()} does not answer. It may be starting; its log is shown by: {where}"


class Behind:
    """A part that answers who shows the page's certificate; without one where nobody else reaches its port."""

    name = ""

    def __init__(self, url: str, tls: ssl.SSLContext | None, log: str = "") -> None:
        self.base = url
        self.tls = tls
        self.log = log

    def away(self) -> Away:
        return Away(self.name, self.log)

    async def fetch(self, path: str, **options: Any) -> HTTPResponse:
        request = HTTPRequest(
            self.base + path,
            ssl_options=self.tls,
            follow_redirects=False,
            connect_timeout=5,
            request_timeout=ANSWER_SECONDS,
            **options,
        )
        try:
            return await AsyncHTTPClient().fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:  # it is not there, or does not answer in time
            raise self.away() from error


class Prometheus(Behind):
    name = "prometheus"
    _classic: bool | None = None  # not known yet

    async def is_classic(self) -> bool:
        """Debian's Prometheus has pages of its own instead of upstream's; links in alerts lead to upstream's addresses."""
        if self._classic is None:
            response = await self.fetch("")
            self._classic = "/classic/" in response.headers.get("Location", "")
        return self._classic

    async def ask(self, path: str, **arguments: str) -> Any:
        """The data of one question, or None: the page shows what there is."""
        response = await self.fetch(f"api/v1/{path}?{urlencode(arguments)}")
        if response.code != 200:
            return None
        return json.loads(response.body).get("data")


class Alertmanager(Behind):
    """Writes the mails."""

    name = "alertmanager"

    async def ask(self, path: str) -> list[dict[str, Any]]:
        response = await self.fetch("api/v2/" + path)
        if response.code != 200:
            raise self.away()
        return json.loads(response.body)

    async def silence(self, alert: str, user: str, hours: int) -> None:
        """No mails about an alert of this name."""
        now = datetime.datetime.now(datetime.UTC)
        silence = {
            "matchers": [{"name": "alertname", "value": alert, "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": (now + datetime.timedelta(hours=hours)).isoformat(),
            "createdBy": user,
            "comment": "on the page",
        }
        await self._change("silences", method="POST", body=json.dumps(silence))

    async def end(self, silence: str) -> None:
        await self._change(f"silence/{silence}", method="DELETE")

    async def _change(self, path: str, **options: Any) -> None:
        response = await self.fetch("api/v2/" + path, headers={"Content-Type": "application/json"}, **options)
        if response.code != 200:
            raise self.away() if response.code >= 500 else web.HTTPError(404)  # there is no such silence any more
