"""The page of the cluster's monitoring, for hub admins: how it is at a glance, Prometheus' own pages, and the dashboards.

A service of the hub: who comes is sent to the hub's sign-in, and let in with the hub's scope for this service, which admins
have and users do not. Programs (a Grafana, an outside Prometheus) come with a token of an admin instead.

    page.py CONFIG          CONFIG: page.json, as the role writes it"""

import asyncio
import base64
import json
import os
import re
import signal
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import questions
import who
from behind import Alertmanager, Away, Prometheus
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPHeaders

HERE = Path(__file__).resolve().parent
# What of Prometheus is shown. Not there: what changes something (/-/reload, deleting series), and its profiles.
PAGES = re.compile(r"(classic/)?((graph|alerts|status|flags|config|rules|targets|service-discovery|tsdb-status)/?)?")
STATIC = re.compile(r"(classic/)?static/[A-Za-z0-9_./-]+")
DATA = re.compile(
    r"metrics|federate|api/v1/(query|query_range|query_exemplars|format_query|series|labels|label/[A-Za-z0-9_]+/values|metadata"
    r"|targets|targets/metadata|rules|alerts|alertmanagers|status/[a-z]+)"
)
ASKED_BY_POST = re.compile(r"api/v1/(query|query_range|query_exemplars|format_query|series|labels)")
# What dashboards and the search for metrics need, and no more: not how the cluster is configured, nor where its parts are.
ASKED_BY_GRAFANA = re.compile(
    r"api/v1/(query|query_range|series|labels|label/[A-Za-z0-9_]+/values|metadata|status/buildinfo)"
)
TO_PROMETHEUS = ("Accept", "Accept-Encoding", "Content-Type", "If-Modified-Since", "If-None-Match")
FROM_PROMETHEUS = ("Content-Type", "Content-Encoding", "Cache-Control", "ETag", "Last-Modified", "Vary")
ANSWER_BYTES = 64 * 1024 * 1024
# Who loses the hub's favour is out within this time: `caas revoke` promises ten seconds for all of it.
REMEMBERED_SECONDS = 5

GLANCE = {
    "People with a server": "caas_hub_servers",
    "Dask clusters": "sum(caas_dask_user_clusters) or vector(0)",
    "Memory in use": "sum(caas_user_memory_bytes) or vector(0)",
    "CPUs in use": "sum(rate(caas_user_cpu_seconds_total[2m])) or vector(0)",
    "Space left for homes": "caas_homes_free_bytes",
}
GRAPHS = {
    "Memory by person": "sum by (user) (caas_user_memory_bytes)",
    "CPUs by person": "sum by (user) (rate(caas_user_cpu_seconds_total[2m]))",
    "How full homes are": "caas_home_used_bytes / caas_home_size_bytes",
    "Dask workers": "caas_dask_cluster_workers",
    "Sign-ins in an hour": "sum by (outcome) (increase(caas_sign_ins_total[1h]))",
    "The directory's answers": "sum by (operation) (rate(caas_directory_request_duration_seconds_sum[5m]))"
    " / sum by (operation) (rate(caas_directory_request_duration_seconds_count[5m]))",
}

MAILS = 'sum(increase(alertmanager_notifications_{}{{integration="email"}}[24h]))'
SILENCE_HOURS = (1, 8, 24, 168)

ASKING = """\
(function () {
  function token() {
    const found = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/);
    return found ? found[1] : "";
  }
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, url) {
    const result = open.apply(this, arguments);
    if (new URL(url, location.href).origin === location.origin) this.setRequestHeader("X-XSRFToken", token());
    return result;
  };
  const fetch = window.fetch;
  window.fetch = function (resource, options) {
    const request = new Request(resource, options);
    if (new URL(request.url).origin === location.origin) request.headers.set("X-XSRFToken", token());
    return fetch(request);
  };
})();
"""


class Guarded(HubOAuthenticated, web.RequestHandler):
    """For hub admins, in a browser or with a token."""

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        # Who opened it, and may be another user's notebook page at the same host, holds no handle on it.
        self.set_header("Cross-Origin-Opener-Policy", "noopener-allow-popups")
        # Prometheus' pages have scripts of their own and none from elsewhere. Names that users gave are shown in them.
        self.set_header(
            "Content-Security-Policy",
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        )

    def prepare(self) -> None:
        """JupyterHub wants no XSRF token where a browser says no-cors, as with images, of which a page learns nothing. But
        fetch() can say so, too, and at the same host it is given everything."""
        if self.request.headers.get("Sec-Fetch-Mode") == "no-cors" and not self.is_shown_to_all():
            raise web.HTTPError(403)

    def is_shown_to_all(self) -> bool:
        return False

    @property
    def prometheus(self) -> Prometheus:
        return self.settings["prometheus"]

    def write_error(self, status_code: int, **options: Any) -> None:
        error = options.get("exc_info", (None, None))[1]
        words = error.words if isinstance(error, Away) else WORDS.get(status_code, "")
        self.finish(self.render_string("error.html", status=status_code, reason=self._reason, words=words))


WORDS = {
    403: "This page is for the cluster's administrators.",
    404: "There is no such page.",
}


class Index(Guarded):
    @web.authenticated
    async def get(self) -> None:
        names = list(GLANCE)
        asked = [self.prometheus.ask("query", query=query) for query in GLANCE.values()]
        up, alerts, *values = await asyncio.gather(
            self.prometheus.ask("query", query="count by (job) (up) - sum by (job) (up)"),
            self.prometheus.ask("alerts"),
            *asked,
        )
        if up is None:
            raise Away("prometheus")
        firing = [alert for alert in (alerts or {}).get("alerts", []) if alert["state"] == "firing"]
        self.render(
            "index.html",
            cluster=self.settings["cluster"],
            glance=[(name, amount(name, first_value(value))) for name, value in zip(names, values, strict=True)],
            mail=self.settings["mail"],
            scrape=self.settings["scrape"],
            grafana=self.settings["grafana"],
            address=urlsplit(self.settings["public_url"]).netloc,
            parts=sorted((one["metric"]["job"], int(float(one["value"][1]))) for one in up["result"]),
            firing=firing,
            graphs={
                name: urlencode({"g0.expr": question, "g0.tab": 0, "g0.range_input": "1h"})
                for name, question in GRAPHS.items()
            },
            dashboards=self.settings["dashboards"],
            prometheus=self.settings["public_url"] + "prometheus",
        )


class Mail(Guarded):
    """What is mailed, to whom, and what is not for a while. Alertmanager has no pages of its own in Debian."""

    @property
    def alertmanager(self) -> Alertmanager:
        if not self.settings["mail"]:
            raise web.HTTPError(404)
        return self.settings["alertmanager"]

    @web.authenticated
    async def get(self) -> None:
        alertmanager = self.alertmanager
        alerts, silences, sent, failed = await asyncio.gather(
            alertmanager.ask("alerts"),
            alertmanager.ask("silences"),
            self.prometheus.ask("query", query=MAILS.format("total")),
            self.prometheus.ask("query", query=MAILS.format("failed_total")),
        )
        active = [one for one in silences if one["status"]["state"] == "active"]
        self.render(
            "mail.html",
            mail=self.settings["mail"],
            cluster=self.settings["cluster"],
            sent=amount("", first_value(sent)),
            failed=amount("", first_value(failed)),
            alerts=sorted(alerts, key=lambda one: one["startsAt"]),
            silences=[(one["id"], matched(one), one["createdBy"], one["endsAt"][:16]) for one in active],
            hours=SILENCE_HOURS,
        )

    @web.authenticated
    async def post(self) -> None:
        alert, silence = self.get_body_argument("alert", ""), self.get_body_argument("end", "")
        hours = self.get_body_argument("hours", "")
        if re.fullmatch(r"[A-Za-z]\w{0,99}", alert) and hours in map(str, SILENCE_HOURS):
            await self.alertmanager.silence(alert, self.current_user["name"], int(hours))
        elif re.fullmatch(r"[0-9a-f-]{36}", silence):
            await self.alertmanager.end(silence)
        else:
            raise web.HTTPError(400)
        self.redirect(self.settings["prefix"] + "mail/")


def matched(silence: dict[str, Any]) -> str:
    """What a silence is about; those that others made by Alertmanager's API may have several conditions."""
    return ", ".join(f"{one['name']}={one['value']}" for one in silence["matchers"])


class Scrape(Guarded):
    """For a Prometheus elsewhere: everything that is known now, to who has the token and comes from where it may."""

    async def get(self) -> None:
        scrape = self.settings["scrape"]
        headers = self.request.headers
        if not scrape or not who.may_read(scrape, who.came_from(headers), headers.get("Authorization", "")):
            raise web.HTTPError(403)
        asked = self.get_query_arguments("match[]") or ['{__name__=~".+"}']
        query = urlencode([("match[]", one) for one in asked])
        accepted = {name: headers[name] for name in ("Accept", "Accept-Encoding") if name in headers}
        response = await self.prometheus.fetch(
            "federate?" + query, headers=HTTPHeaders(accepted), decompress_response=False
        )
        self.set_status(response.code)
        for name in ("Content-Type", "Content-Encoding"):
            if name in response.headers:
                self.set_header(name, response.headers[name])
        self.finish(response.body)


def first_value(data: Any) -> float | None:
    return float(data["result"][0]["value"][1]) if data and data["result"] else None


def amount(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in ("Memory in use", "Space left for homes"):
        return f"{value / 1e9:.1f} GB"
    return f"{value:.1f}" if name == "CPUs in use" else f"{value:.0f}"


class Dashboard(Guarded):
    @web.authenticated
    def get(self, name: str) -> None:
        for dashboard in self.settings["dashboards"]:
            if dashboard["name"] == name:
                self.set_header("Content-Type", "application/json")
                self.set_header("Content-Disposition", f'attachment; filename="{name}"')
                self.finish(dashboard["text"])
                return
        raise web.HTTPError(404)


class Forward(Guarded):
    """Prometheus behind the sign-in: reading only, and nothing of the browser's cookies or tokens goes on to it."""

    def get_login_url(self) -> str:
        if "/api/" in self.request.path or self.request.path.endswith("/federate"):
            raise web.HTTPError(403)  # a program that is sent to a page for people learns nothing from it
        return super().get_login_url()

    def is_shown_to_all(self) -> bool:
        """Files of Debian's package are no secret, and pages, styles and fonts bring no token for them."""
        return STATIC.fullmatch(self.path_args[0]) is not None

    def check_xsrf_cookie(self) -> None:
        """Asked where somebody comes by cookie and not by going to a page: another user's notebook, whose address is of the
        same host, cannot ask in an admin's name."""
        if not self.is_shown_to_all():
            super().check_xsrf_cookie()

    @web.authenticated
    async def get(self, path: str) -> None:
        if path and PAGES.fullmatch(path) and not path.startswith("classic/") and await self.prometheus.is_classic():
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(self.settings["prefix"] + "prometheus/classic/" + path + query)
            return
        await self._forward(path)

    @web.authenticated
    async def post(self, path: str) -> None:
        if not ASKED_BY_POST.fullmatch(path):
            raise web.HTTPError(405)
        await self._forward(path, body=self.request.body)

    async def _forward(self, path: str, query: str | None = None, **options: Any) -> None:
        """query, method: instead of those that came."""
        is_page = PAGES.fullmatch(path) is not None
        if ".." in path or not (is_page or STATIC.fullmatch(path) or DATA.fullmatch(path)):
            raise web.HTTPError(404)
        given = {name: self.request.headers[name] for name in TO_PROMETHEUS if name in self.request.headers}
        if is_page:  # it is changed on its way, so it must not be packed
            given.pop("Accept-Encoding", None)
        query = self.request.query if query is None else query
        options.setdefault("method", self.request.method)
        response = await self.prometheus.fetch(
            path + (f"?{query}" if query else ""),
            headers=HTTPHeaders(given),
            decompress_response=False,
            **options,
        )
        self.set_status(response.code)
        for name in FROM_PROMETHEUS:
            if name in response.headers:
                self.set_header(name, response.headers[name])
        location = response.headers.get("Location", "")
        if location.startswith(self.settings["prefix"]):
            self.set_header("Location", location)
        body = response.body
        if is_page and body and response.headers.get("Content-Type", "").startswith("text/html"):
            script = f'<head><script src="{self.settings["prefix"]}asking.js"></script>'
            body = body.replace(b"<head>", script.encode(), 1)
            self.xsrf_token  # noqa: B018 - sets the cookie that asking.js reads
        self.finish(body)


class Grafana(Forward):
    """For the data source of a Grafana elsewhere: its questions, from where it may, with its token instead of a sign-in."""

    def prepare(self) -> None:
        grafana, headers = self.settings["grafana"], self.request.headers
        if "token" not in grafana or not who.may_read(
            grafana, who.came_from(headers), headers.get("Authorization", "")
        ):
            raise web.HTTPError(403)
        if not ASKED_BY_GRAFANA.fullmatch(self.path_args[0]):
            raise web.HTTPError(404)

    async def get(self, path: str) -> None:
        await self._forward(path)

    async def post(self, path: str) -> None:
        if not ASKED_BY_POST.fullmatch(path):
            raise web.HTTPError(405)  # Grafana tries by POST first what can only be asked by GET
        await self._forward(path, body=self.request.body)


class Own(Grafana):
    """For the data source of a Grafana that sends the token of who looks at it: admins ask what they like, anybody else for
    their own figures. The token is the person's, so it does not matter where it comes from."""

    async def prepare(self) -> None:
        if not self.settings["grafana"].get("users"):
            raise web.HTTPError(403)
        self.person, self.sees_all = await who.person(self.hub_auth, self.request.headers)
        if not ASKED_BY_GRAFANA.fullmatch(self.path_args[0]):
            raise web.HTTPError(404)

    async def _forward(self, path: str, query: str | None = None, **options: Any) -> None:
        if self.sees_all:
            await super()._forward(path, query, **options)
            return
        async with self.settings["turns"].turn(self.person):
            asked = await questions.own(path, self.request.arguments, self.person, self.prometheus)
            await super()._forward(path, urlencode(asked), method="GET")

    def write_error(self, status_code: int, **options: Any) -> None:
        """As Prometheus says it: Grafana shows that in the panel."""
        error = options.get("exc_info", (None, None))[1]
        words = getattr(error, "words", "") or OWN_WORDS.get(status_code, self._reason)
        self.finish({"status": "error", "errorType": "refused", "error": words})


OWN_WORDS = {
    403: "The hub does not know this token any more. Sign in again.",
    429: "Too many questions at once.",
}


class GrafanaUser(Guarded):
    """Who signs in at that Grafana, in OpenID's words: it comes with the token that the hub gave it for somebody."""

    async def get(self) -> None:
        grafana, headers = self.settings["grafana"], self.request.headers
        if not grafana or ("from" in grafana and not who.comes_from(grafana, who.came_from(headers))):
            raise web.HTTPError(403)
        name, sees_all = await who.person(self.hub_auth, headers)
        # Where users are not let in, the hub gives tokens for this to admins only.
        role = "Editor" if sees_all or not grafana.get("users") else "Viewer"
        # Never the bare name: "admin" is there in every Grafana, and another hub may have an alice, too. It is written like
        # an address because Grafana wants one; nobody reads mails there.
        address = f"{name}@{grafana['domain']}"
        self.finish({"sub": address, "login": address, "email": address, "name": name, "role": role})


class Asking(web.RequestHandler):
    """Lets Prometheus' own pages show the token that check_xsrf_cookie() asks for."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/javascript")
        self.finish(ASKING)


class Health(web.RequestHandler):
    """For the supervisor: this process answers."""

    def get(self) -> None:
        self.finish("ok\n")


class Ready(web.RequestHandler):
    """For Kubernetes: Prometheus answers, too."""

    async def get(self) -> None:
        response = await self.settings["prometheus"].fetch("-/ready")
        self.set_status(200 if response.code == 200 else 503)
        self.finish()

    def write_error(self, status_code: int, **options: Any) -> None:
        self.finish()


class Nothing(Guarded):
    @web.authenticated
    def get(self) -> None:
        raise web.HTTPError(404)


def dashboards(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        model = json.loads(text)
        title, words = model.get("title") or path.stem, model.get("description") or ""
        found.append({"name": path.name, "title": title, "description": words, "text": text})
    return found


def application(config: dict[str, Any], cookie_secret: str) -> web.Application:
    prefix, watched = config["prefix"], config["prometheus"]
    mail, scrape, grafana = config.get("mail"), dict(config.get("scrape", {})), dict(config.get("grafana", {}))
    tls = None
    if "ca" in watched:
        tls = ssl.create_default_context(cafile=watched["ca"])
        tls.load_cert_chain(watched["certificate"], watched["key"])
    if scrape:
        scrape["authorization"] = "Bearer " + Path(scrape["token"]).read_text(encoding="utf-8").strip()
    if "token" in grafana:
        given = f"{config['cluster']}:{Path(grafana['token']).read_text(encoding='utf-8').strip()}"
        grafana["authorization"] = "Basic " + base64.b64encode(given.encode()).decode()
    return web.Application(
        [
            (prefix, Index),
            (prefix + "health", Health),
            (prefix + "ready", Ready),
            (prefix + "asking.js", Asking),
            (prefix + "oauth_callback", HubOAuthCallbackHandler),
            (prefix + "dashboards/([^/]+)", Dashboard),
            (prefix + "mail", web.RedirectHandler, {"url": prefix + "mail/", "permanent": False}),
            (prefix + "mail/", Mail),
            (prefix + "federate", Scrape),
            (prefix + "grafana/user", GrafanaUser),
            (prefix + "grafana/(api/.*)", Grafana),
            (prefix + "grafana/own/(api/.*)", Own),
            (prefix + "prometheus", web.RedirectHandler, {"url": prefix + "prometheus/", "permanent": False}),
            (prefix + "prometheus/(.*)", Forward),
            (".*", Nothing),
        ],
        cookie_secret=cookie_secret,
        template_path=str(HERE),
        prefix=prefix,
        cluster=config["cluster"],
        public_url=config["public_url"],
        prometheus=Prometheus(watched["url"] + prefix + "prometheus/", tls),
        mail=mail,
        alertmanager=Alertmanager(mail["url"] + prefix + "mail/", tls, mail.get("log", "")) if mail else None,
        scrape=scrape,
        grafana=grafana,
        turns=questions.Turns(),
        dashboards=dashboards(Path(config["dashboards"])),
    )


async def main(path: str) -> None:
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    AsyncHTTPClient.configure(None, max_body_size=ANSWER_BYTES, max_buffer_size=ANSWER_BYTES)
    HubOAuth.instance().cache_max_age = REMEMBERED_SECONDS
    # xheaders: the proxies in front say whether the browser's connection is encrypted, and only they can come here first.
    server = application(config, os.environ.pop("CAAS_COOKIE_SECRET")).listen(
        config["port"], config["address"], xheaders=True, max_body_size=1024 * 1024
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
