"""The websocket part of the client, against frames made by hand."""

import socket
import struct
import threading
from http.cookiejar import CookieJar
from types import SimpleNamespace
from typing import Any

import pytest
from pangeo_hub.client import LOGIN_ERROR, Answer, HubError, WebSocket, _message


@pytest.fixture
def pair() -> Any:
    ours, theirs = socket.socketpair()
    made = WebSocket.__new__(WebSocket)
    made._socket, made._buffer = ours, b""
    yield made, theirs
    ours.close()
    theirs.close()


def frame(operation: int, payload: bytes, final: bool = True) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else struct.pack(">BH", 126, length)
    return bytes([(0x80 if final else 0) | operation]) + size + payload


def test_fragments_pings_and_long_messages(pair: Any) -> None:
    made, theirs = pair
    theirs.sendall(
        frame(9, b"are you there") + frame(1, b"one ", final=False) + frame(0, b"two") + frame(1, b"x" * 400)
    )
    assert made.receive(5) == "one two"
    assert made.receive(5) == "x" * 400
    assert theirs.recv(1)[0] == 0x8A  # the pong


@pytest.mark.parametrize("host", ["pangeo.example.org", "pangeo.example.org:8443", "[2001:db8::1]"])
def test_the_host_is_the_origins(host: str) -> None:
    heard = []

    def answer(listener: socket.socket) -> None:
        with listener.accept()[0] as theirs:
            heard.append(theirs.recv(65536).decode())
            theirs.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        client: Any = SimpleNamespace(
            base=f"http://{host}", host="nowhere", address="127.0.0.1", port=listener.getsockname()[1], jar=CookieJar()
        )
        WebSocket(client, "/x")._socket.close()
        server.join(5)
    lines = heard[0].split("\r\n")
    assert f"Host: {host}" in lines and f"Origin: http://{host}" in lines


@pytest.mark.parametrize("length", [0, 5, 125, 126, 70000])
def test_what_is_sent_is_masked_and_whole(pair: Any, length: int) -> None:
    made, theirs = pair
    text = "ä" + "y" * length
    got = bytearray()

    def read() -> None:
        while len(got) < len(text.encode()) + 6:
            got.extend(theirs.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    made.send(text)
    made._socket.shutdown(socket.SHUT_WR)
    reader.join(5)
    assert got[1] & 0x80
    extra = {126: 2, 127: 8}.get(got[1] & 0x7F, 0)
    mask, body = got[2 + extra : 6 + extra], got[6 + extra :]
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(body)).decode() == text


def test_an_end_is_an_error_and_silence_a_time_out(pair: Any) -> None:
    made, theirs = pair
    with pytest.raises(TimeoutError):
        made.receive(0.05)
    theirs.sendall(frame(8, b""))
    with pytest.raises(HubError, match="closed"):
        made.receive(5)


def test_a_message_without_end_is_refused(pair: Any) -> None:
    made, theirs = pair
    theirs.sendall(bytes([0x81, 127]) + struct.pack(">Q", 1 << 40))
    with pytest.raises(HubError, match="64 MiB"):
        made.receive(5)


def test_the_error_of_the_sign_in_page_is_found() -> None:
    found = LOGIN_ERROR.search('<p class="login_error">\n  Wrong user name.\n</p>')
    assert found is not None
    assert found.group(1) == "Wrong user name."


@pytest.mark.parametrize(
    "body, says",
    [
        ('{"status": 403, "message": "not now"}', "not now"),
        (
            "<html><head><title>lab</title></head><body>\n<nav>Home</nav><h1>403</h1>\n<script>1 < 2</script>"
            "<!-- for <b>us</b> --><p class='a'>Ask &amp; wait</p></body></html>",
            "403 Ask & wait",
        ),
        ("plain\nwords", "plain words"),
    ],
)
def test_a_refusal_is_said_in_words(body: str, says: str) -> None:
    assert _message(Answer(403, {}, body.encode())) == says
