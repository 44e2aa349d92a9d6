"""A mail server, on loopback if not said otherwise: aiosmtpd, STARTTLS first, then a password, then it takes mails and keeps them.

    with MailServer(folder, port) as server: …

As a program it is the server; Debian's Python has aiosmtpd (python3-aiosmtpd)."""

import email
import email.message
import email.policy
import os
import subprocess
import sys
import time
from pathlib import Path

USER = "pangeo@example.org"
PASSWORD = "mail-Secret 42"


class MailServer:
    """`folder`: gets the certificate (server.crt, which is its own CA), the password and the mails."""

    def __init__(self, folder: Path, port: int, address: str = "127.0.0.1") -> None:
        self.folder, self.port, self.address = folder, port, address
        self.certificate, self.password = folder / "server.crt", folder / "mail-password"

    def __enter__(self) -> "MailServer":
        self.folder.mkdir(exist_ok=True)
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made += ["-keyout", "server.key", "-out", "server.crt", "-days", "2", "-subj", "/CN=mail of the tests"]
        made += ["-addext", f"subjectAltName=IP:{self.address}"]
        subprocess.run(made, cwd=self.folder, check=True, capture_output=True, timeout=30)
        words = ["/usr/bin/python3", "-B", __file__, str(self.port), str(self.folder), self.address]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout and self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def mails(self) -> list[email.message.EmailMessage]:
        return [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in sorted(self.folder.glob("*.eml"))
        ]

    def wait(self, words: str, seconds: float) -> email.message.EmailMessage:
        """The first mail whose subject has these words."""
        end = time.monotonic() + seconds
        while True:
            for mail in self.mails():
                if words in str(mail["Subject"]):
                    return mail
            assert time.monotonic() < end, (words, [str(mail["Subject"]) for mail in self.mails()])
            time.sleep(0.2)

    @staticmethod
    def text(mail: email.message.EmailMessage) -> str:
        """What is read: there is one part, and it is plain text."""
        (part,) = mail.iter_parts()
        assert part.get_content_type() == "text/plain"
        return part.get_content().replace("\r\n", "\n")


def serve(port: int, folder: Path, address: str) -> None:
    import ssl
    import threading

    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Keep:
        count = 0

        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            self.count += 1
            part = folder / f"{self.count}.part"
            to = f"X-Rcpt-To: {', '.join(envelope.rcpt_tos)}\r\nX-Mail-From: {envelope.mail_from}\r\n"
            part.write_bytes(to.encode() + envelope.content)
            os.rename(part, folder / f"{self.count:04}.eml")
            return "250 kept"

    def check(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        right = getattr(data, "login", b"") == USER.encode() and data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    controller = Controller(
        Keep(),
        hostname=address,
        port=port,
        tls_context=tls,
        require_starttls=True,
        auth_required=True,
        authenticator=check,
        auth_exclude_mechanism=["LOGIN"],  # its questions are not those that other servers ask
    )
    controller.start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
