"""A browser's part in Python's standard library alone: sign in, start a server, run cells in a kernel, stop.

health.py acts through it, and so do the integration tests, which run with any python3. Calls block; every one is bounded."""

import base64
import html
import http.cookiejar
import json
import os
import re
import socket
import ssl
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

SECONDS = 30.0
START_FAILED = re.compile(r'class="pg-box pg-words">\s*(.+?)\s*</div>', re.S)
NOT_TEXT = re.compile(r"<(script|style|head|nav)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.S)
LOGIN_ERROR = re.compile(r'class="login_error"[^>]*>\s*([^<]+?)\s*<', re.S)


class HubError(Exception):
    """The other side answered with something else than what was to be expected."""


class Unreachable(HubError, OSError):
    """There is nobody at the address, or not the one that the certificate has to be of."""


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _opener_at(address: str | None, context: ssl.SSLContext) -> list[urllib.request.BaseHandler]:
    """Handlers that connect to `address` whatever the URL's host resolves to; the certificate has to be the host's."""

    def connect(target: tuple[str, int], *arguments: Any, **named: Any) -> socket.socket:
        return socket.create_connection((address or target[0], target[1]), *arguments, **named)

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: Any) -> Any:
            return self.do_open(_made(HTTPConnection, connect), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request: Any) -> Any:
            return self.do_open(_made(HTTPSConnection, connect), request, context=context)

    return [Plain(), Secure(context=context)]


def _made(kind: type, connect: Callable[..., socket.socket]) -> Callable[..., HTTPConnection]:
    def make(*arguments: Any, **named: Any) -> HTTPConnection:
        connection = kind(*arguments, **named)
        connection._create_connection = connect
        return connection

    return make


class HubClient:
    """One browser session. url: the address of the cluster; ca: a file of certificates to trust beside the
    system's, or ""; address: where to connect whatever the name in the URL resolves to."""

    def __init__(self, url: str, ca: str = "", address: str | None = None) -> None:
        self.base = url.rstrip("/")
        parts = urllib.parse.urlsplit(self.base)
        self.host, self.port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self.context = ssl.create_default_context()
        if ca:
            self.context.load_verify_locations(ca)
            # The file may also be the server's own certificate, of a CA that this host does not know.
            self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.address = address
        self.jar = http.cookiejar.CookieJar()
        # No proxies of the environment: the cluster is on this host.
        common = [
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar),
            *_opener_at(address, self.context),
        ]
        self._following = urllib.request.build_opener(*common)
        self._staying = urllib.request.build_opener(*common, _NoRedirect())
        self.user = ""

    # --- HTTP ---

    def open(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, str] | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        follow: bool = True,
        seconds: float = SECONDS,
    ) -> Any:
        """The open response, also for 4xx and 5xx. The caller closes it."""
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, method=method, headers={"Sec-Fetch-Mode": "navigate", **(headers or {})})
        if form is not None:
            request.data = urllib.parse.urlencode(form).encode()
        elif data is not None:
            request.data = json.dumps(data).encode()
            request.add_header("Content-Type", "application/json")
        try:
            return (self._following if follow else self._staying).open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            return error
        except urllib.error.URLError as error:
            raise Unreachable(f"cannot reach {self.base}: {error.reason}") from error

    def request(self, method: str, path: str, **options: Any) -> Answer:
        with self.open(method, path, **options) as response:
            return Answer(response.status, response.headers, response.read())

    def cookie(self, name: str, path: str) -> str:
        return next((cookie.value or "" for cookie in self.jar if cookie.name == name and cookie.path == path), "")

    def api(self, method: str, path: str, **options: Any) -> Answer:
        """The hub's REST interface in the name of who is signed in."""
        if not self.cookie("_xsrf", "/hub/"):
            self.request("GET", "/hub/home")
        return self.request(method, f"/hub/api{path}", headers=self._script_headers(), **options)

    def _script_headers(self) -> dict[str, str]:
        """What a browser sends with a request of the hub's own scripts."""
        return {
            "X-XSRFToken": self.cookie("_xsrf", "/hub/"),
            "Referer": f"{self.base}/hub/home",
            "Sec-Fetch-Mode": "same-origin",
            "Sec-Fetch-Site": "same-origin",
        }

    # --- sign-in ---

    def login(self, user: str, password: str) -> tuple[int, str]:
        """(302, where to) or (status, what the page says)."""
        self.request("GET", "/hub/login")
        form = {"username": user, "password": password, "_xsrf": self.cookie("_xsrf", "/hub/")}
        answer = self.request("POST", "/hub/login?next=", form=form, follow=False)
        if answer.status == 302:
            self.user = user
            self.request("GET", "/hub/home")  # the XSRF token belongs to the session: the old one is not good any more
            return 302, answer.headers.get("Location", "")
        found = LOGIN_ERROR.search(answer.text)
        return answer.status, html.unescape(found.group(1)) if found else answer.text

    # --- server ---

    def spawn(self, options: dict[str, str] | None = None, seconds: float = 120) -> list[dict[str, Any]]:
        """Starts the server; its progress events, with the seconds since the start in "at". Raises HubError on failure."""
        began = time.monotonic()
        answer = self.api("POST", f"/users/{self.user}/server", data=options or {}, seconds=seconds)
        if answer.status not in (201, 202):
            raise HubError(f"the start was refused ({answer.status}): {_message(answer)}")
        events: list[dict[str, Any]] = []
        headers = self._script_headers()
        with self.open(
            "GET", f"/hub/api/users/{self.user}/server/progress", headers=headers, seconds=seconds
        ) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    events.append({**event, "at": round(time.monotonic() - began, 2)})
                    if event.get("ready"):
                        self.enter()
                        return events
                    if event.get("failed"):
                        raise HubError(" | ".join(str(item.get("message")) for item in events[-4:]))
                if time.monotonic() - began > seconds:
                    break
        if time.monotonic() - began > seconds:
            raise HubError(f"the server was not ready after {seconds:g} s; last: {events[-1:] or 'nothing'}")
        raise HubError(f"the start failed: {self._why_not_started()}")

    def _why_not_started(self) -> str:
        """What the hub's page says of a start that failed before its progress could be asked for: once it has cleared away
        what there was of it."""
        end = time.monotonic() + 10
        while not (found := START_FAILED.search(self.request("GET", f"/hub/spawn-pending/{self.user}").text)):
            if time.monotonic() > end:
                return "the hub does not say why"
            time.sleep(0.25)
        return html.unescape(found.group(1))

    def enter(self) -> None:
        """Opens the server's page: the way through the hub that gives this session the server's own cookies."""
        self.request("GET", f"/user/{self.user}/lab")

    def stop(self, seconds: float = 60) -> float:
        """Stops the server and waits until it is gone; how long that took."""
        began = time.monotonic()
        self.api("DELETE", f"/users/{self.user}/server")
        while time.monotonic() - began < seconds:
            if not self.api("GET", f"/users/{self.user}").json().get("servers"):
                return time.monotonic() - began
            time.sleep(0.2)
        raise HubError(f"the server did not stop within {seconds:g} s")

    def kernel(self, name: str = "python3") -> "Kernel":
        return Kernel(self, name)


def _message(answer: Answer) -> str:
    """What it says, of a page the words alone."""
    try:
        return str(answer.json().get("message") or answer.text)
    except (ValueError, AttributeError):
        return " ".join(html.unescape(NOT_TEXT.sub(" ", answer.text)).split())[:300]


@dataclass
class Reply:
    """What a cell did. status: "ok", "error", or "dead" when the kernel went away; error: what was raised, as Python says it."""

    status: str
    text: str = ""
    error: str = ""
    data: list[dict[str, Any]] = field(default_factory=list)


class Kernel:
    """A kernel of the user's server, spoken to over its websocket."""

    def __init__(self, client: HubClient, name: str) -> None:
        self._client = client
        self._path = f"/user/{client.user}"
        client.enter()
        self._headers = {
            "X-XSRFToken": client.cookie("_xsrf", f"{self._path}/"),
            "Referer": f"{client.base}{self._path}/lab",
            "Sec-Fetch-Mode": "same-origin",
            "Sec-Fetch-Site": "same-origin",
        }
        answer = client.request("POST", f"{self._path}/api/kernels", data={"name": name}, headers=self._headers)
        if answer.status != 201:
            raise HubError(f"the server made no kernel ({answer.status}): {_message(answer)}")
        self.id = answer.json()["id"]
        self.connect()

    def connect(self) -> None:
        """Opens the websocket; again after it was cut."""
        self._socket = WebSocket(self._client, f"{self._path}/api/kernels/{self.id}/channels")

    def run(self, code: str, seconds: float = 60) -> Reply:
        identity = uuid.uuid4().hex
        header = {
            "msg_id": identity,
            "username": "",
            "session": identity,
            "msg_type": "execute_request",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps(message))
        reply, replied, idle = Reply("ok"), False, False
        end = time.monotonic() + seconds
        while not (replied and idle):
            got = json.loads(self._socket.receive(end - time.monotonic()))
            kind, content = got["msg_type"], got["content"]
            if kind == "status" and content.get("execution_state") in ("restarting", "autorestarting", "dead"):
                return Reply("dead", reply.text)
            if got["parent_header"].get("msg_id") != identity:
                continue
            if kind == "stream":
                reply.text += content["text"]
            elif kind in ("execute_result", "display_data"):
                reply.text += content["data"].get("text/plain", "") + "\n"
                reply.data.append(content["data"])
            elif kind == "error":
                plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
                reply.text += plain + "\n"
                reply.error = f"{content['ename']}: {content['evalue']}"
            elif kind == "execute_reply":
                reply.status, replied = content["status"], True
            elif kind == "status":
                idle = content["execution_state"] == "idle"
        return reply

    def close(self) -> None:
        self._socket.close()
        self._client.request("DELETE", f"{self._path}/api/kernels/{self.id}", headers=self._headers)


class WebSocket:
    """The client's side of RFC 6455, as much as a kernel needs: text out, text in, pings answered."""

    LARGEST = 64 * 1024 * 1024

    def __init__(self, client: HubClient, path: str) -> None:
        plain = socket.create_connection((client.address or client.host, client.port), timeout=SECONDS)
        secure = client.base.startswith("https:")
        self._socket = client.context.wrap_socket(plain, server_hostname=client.host) if secure else plain
        request = urllib.request.Request(client.base + path)
        client.jar.add_cookie_header(request)
        lines = [
            f"GET {path} HTTP/1.1",
            # As a browser writes it, without the scheme's own port: the server compares it with the Origin.
            f"Host: {urllib.parse.urlsplit(client.base).netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            f"Origin: {client.base}",
            f"Cookie: {request.get_header('Cookie') or ''}",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise HubError(f"no websocket: {head.splitlines()[0].decode('latin-1')}")

    def _more(self) -> None:
        got = self._socket.recv(65536)
        if not got:
            raise HubError("the websocket was closed by the other side")
        self._buffer += got

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _frame(self, operation: int, payload: bytes) -> None:
        length = len(payload)
        head = bytes([0x80 | operation])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += struct.pack(">BH", 0x80 | 126, length)
        else:
            head += struct.pack(">BQ", 0x80 | 127, length)
        mask = os.urandom(4)
        whole = (mask * (length // 4 + 1))[:length]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(length, "big")
        self._socket.sendall(head + mask + masked)

    def send(self, text: str) -> None:
        self._frame(1, text.encode())

    def receive(self, seconds: float) -> str:
        """The next text message; TimeoutError if there is none within the time."""
        if seconds <= 0:
            raise TimeoutError("no answer from the kernel in time")
        self._socket.settimeout(seconds)
        message = b""
        while True:
            first, second = self._take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            if len(message) + length > self.LARGEST:
                raise HubError("a websocket message is larger than 64 MiB")
            payload = self._take(length)
            operation = first & 0x0F
            if operation == 8:
                raise HubError("the websocket was closed by the other side")
            if operation == 9:
                self._frame(10, payload)
            elif operation in (0, 1, 2):
                message += payload
                if first & 0x80:
                    return message.decode("utf-8", "replace")

    def close(self) -> None:
        try:
            self._frame(8, struct.pack(">H", 1000))
        except OSError:
            pass  # it is gone already
        self._socket.close()
