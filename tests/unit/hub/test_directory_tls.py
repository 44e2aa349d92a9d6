"""Sign-in over verified TLS: who is not proven to be the directory sees nothing of a password."""

import dataclasses
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pangeo_hub.directory import Directory, DirectoryAway
from pangeo_hub.settings import Settings

DN, PASSWORD = "uid=alice,cn=users,cn=accounts,dc=unit,dc=test", "a-very-secret-password"
SUCCESS, PROTOCOL_ERROR = 0, 2
BIND_RESPONSE, EXTENDED_RESPONSE = 0x61, 0x78


class Server(threading.Thread):
    """Takes one connection. start_tls: what it answers to StartTLS; None: TLS from the first byte. Then it lets everybody in,
    and keeps what it was told, before TLS and inside it."""

    def __init__(self, certificate: Path, start_tls: int | None) -> None:
        super().__init__(daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._start_tls = start_tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self.port = self._listener.getsockname()[1]
        self.clear = self.inside = b""
        self.left = False

    def run(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(30)
            try:
                if self._start_tls is None:
                    self.clear = connection.recv(4096, socket.MSG_PEEK)
                elif not self._answer(connection, EXTENDED_RESPONSE, self._start_tls):
                    self.left = self._until_left(connection)
                    return
                with self._context.wrap_socket(connection, server_side=True) as proven:
                    self.inside = said = proven.recv(4096)
                    if said:
                        proven.sendall(response(said, BIND_RESPONSE, SUCCESS))
                        self.left = self._until_left(proven)
            except OSError:  # the handshake was broken off
                self.left = True

    def _answer(self, connection: socket.socket, kind: int, code: int) -> bool:
        self.clear = connection.recv(4096)
        connection.sendall(response(self.clear, kind, code))
        return code == SUCCESS

    def _until_left(self, connection: socket.socket) -> bool:
        try:
            while said := connection.recv(4096):
                if isinstance(connection, ssl.SSLSocket):
                    self.inside += said
                else:
                    self.clear += said
        except TimeoutError:
            return False
        return True


def response(request: bytes, kind: int, code: int) -> bytes:
    """An LDAPResult of RFC 4511 without a word, to the message of that number."""
    return bytes([0x30, 12, 2, 1, request[4], kind, 7, 10, 1, code, 4, 0, 4, 0])


@contextmanager
def serving(certificate: Path, start_tls: int | None) -> Iterator[Server]:
    server = Server(certificate, start_tls)
    server.start()
    yield server
    server.join(60)
    assert not server.is_alive()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each is its own authority. others.crt has the right name, elsewhere.crt that of another server."""
    folder = tmp_path_factory.mktemp("certificates")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=directory", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    for name, address in (("right", "127.0.0.1"), ("others", "127.0.0.1"), ("elsewhere", "127.0.0.2")):
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        more = ["-addext", f"subjectAltName=IP:{address},DNS:{name}.example.org"]
        subprocess.run([*command, *files, *more], check=True, capture_output=True, timeout=60)
    return folder


def asking(settings: Settings, server: Server, scheme: str, ca: Path) -> Directory:
    uri = f"{scheme}://127.0.0.1:{server.port}"
    return Directory(
        dataclasses.replace(settings.directory, uri=uri, ca=str(ca), connect_seconds=20, receive_seconds=20)
    )


WAYS = pytest.mark.parametrize(("scheme", "start_tls"), [("ldaps", None), ("ldap", SUCCESS)])


@WAYS
@pytest.mark.parametrize(
    ("certificate", "ca"), [("others.crt", "right.crt"), ("elsewhere.crt", "elsewhere.crt")], ids=["ca", "name"]
)
def test_who_is_not_proven_sees_nothing(
    settings: Settings, certificates: Path, scheme: str, start_tls: int | None, certificate: str, ca: str
) -> None:
    with serving(certificates / certificate, start_tls) as server:
        directory = asking(settings, server, scheme, certificates / ca)
        with pytest.raises(DirectoryAway, match="certificate verify failed"):
            directory.password_is_right(DN, PASSWORD)
    assert not server.inside
    assert server.clear and PASSWORD.encode() not in server.clear and b"alice" not in server.clear
    assert server.left


def test_no_tls_no_password(settings: Settings, certificates: Path) -> None:
    with serving(certificates / "right.crt", PROTOCOL_ERROR) as server:
        directory = asking(settings, server, "ldap", certificates / "right.crt")
        with pytest.raises(DirectoryAway, match="(?i)StartTLS"):
            directory.password_is_right(DN, PASSWORD)
    assert b"1.3.6.1.4.1.1466.20037" in server.clear  # it was asked
    assert PASSWORD.encode() not in server.clear and b"alice" not in server.clear
    assert server.left


@WAYS
def test_the_directory_itself_is_asked(
    settings: Settings, certificates: Path, scheme: str, start_tls: int | None
) -> None:
    with serving(certificates / "right.crt", start_tls) as server:
        assert asking(settings, server, scheme, certificates / "right.crt").password_is_right(DN, PASSWORD)
    assert PASSWORD.encode() in server.inside
    assert PASSWORD.encode() not in server.clear and b"alice" not in server.clear
