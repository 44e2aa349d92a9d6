"""The directory as the hub sees it: who somebody is, which groups they are in, whether a password is right.

Everything here blocks and is called from threads only. Every network operation has a time-out, TLS is always verified, and
the two ways of not getting an answer are kept apart: "no" (None, False) and "nobody there" (DirectoryAway)."""

import datetime
import re
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidDnError
from ldap3.core.results import (
    RESULT_CONSTRAINT_VIOLATION,
    RESULT_INVALID_CREDENTIALS,
    RESULT_NO_SUCH_OBJECT,
    RESULT_SUCCESS,
)
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

from .metrics import timed
from .settings import DirectorySettings

# A user's name becomes part of paths, of control groups and of URLs. FreeIPA's own rule is about the same.
USER_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,63}")
# Numbers below belong to the machine's own accounts.
FIRST_UID = 1000
LAST_UID = 2**31 - 1
ATTRIBUTES = [
    "uid",
    "uidNumber",
    "gidNumber",
    "memberOf",
    "nsAccountLock",
    "krbPrincipalExpiration",
    "accountUnlockTime",
]
BATCH = 100
# After a failure nobody waits for the directory again for this long: they are told at once.
AWAY_SECONDS = 5.0


class VerifiedTls(ldap3.Tls):
    """TLS as Python's ssl verifies it. ldap3's own Tls() verifies nothing unless it is told to, and its check of the name
    knows no addresses since Python 3.12 (it falls back to a copy of an old match_hostname)."""

    def __init__(self, host: str, ca: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED, ca_certs_file=ca or None)
        self._host = host

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(
            connection.socket, server_hostname=self._host, do_handshake_on_connect=do_handshake
        )


class DirectoryAway(Exception):
    """The directory does not answer, or not in a way that proves who it is: nothing is known about anybody."""


class PasswordExpired(Exception):
    """The password is right and has expired."""


class TooManyWrong(Exception):
    """After too many wrong passwords the directory takes none for this account, for a while."""


@dataclass(frozen=True)
class Account:
    """One person. groups: those of the asked-for groups that they are in, directly or through other groups. locked: by an
    administrator, which ends what they have here. opens: when passwords are taken again after too many wrong ones, which
    anybody can give: it ends nothing."""

    name: str
    dn: str
    uid: int | None
    gid: int | None
    groups: frozenset[str]
    locked: bool
    opens: datetime.datetime | None = None


def normal_dn(dn: str) -> str:
    """A DN in a form that can be compared: lower case, no blanks around separators. Not a DN: itself, lowered."""
    try:
        return ",".join(
            f"{kind.strip().lower()}={value.strip().lower()}" for kind, value, _ in parse_dn(dn, strip=True)
        )
    except LDAPInvalidDnError:
        return dn.lower()


def _number(values: Sequence[str]) -> int | None:
    try:
        number = int(values[0])
    except (IndexError, ValueError):
        return None
    return number if FIRST_UID <= number <= LAST_UID else None


def _moment(values: Sequence[str]) -> datetime.datetime | None:
    """A generalized time: 20260131235959Z."""
    try:
        return datetime.datetime.strptime(values[0], "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)
    except (IndexError, ValueError):
        return None


class Directory:
    """Safe to use from several threads: every operation has a connection of its own."""

    def __init__(self, settings: DirectorySettings, groups: Iterable[str] = ()) -> None:
        url = urlsplit(settings.uri)
        if url.scheme not in ("ldap", "ldaps") or not url.hostname:
            raise ValueError(f"directory.uri: expected ldaps://server or ldap://server, found {settings.uri!r}")
        self._settings = settings
        self._implicit_tls = url.scheme == "ldaps"
        self._host = url.hostname
        self._port = url.port or (636 if self._implicit_tls else 389)
        names = {settings.users_group, settings.admins_group, *groups}
        self._groups = {normal_dn(f"cn={name},{settings.groups_base}"): name for name in names}
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._away_reason = ""

    def account(self, name: str) -> Account | None:
        """The account of that name, or None. Raises DirectoryAway."""
        return self.accounts([name]).get(name)

    def accounts(self, names: Iterable[str]) -> dict[str, Account]:
        """The accounts of these names that exist. Raises DirectoryAway, also when only a part could be read."""
        wanted = sorted({name for name in names if USER_NAME.fullmatch(name)})
        return self._accounts(wanted) if wanted else {}

    @timed("search", DirectoryAway)
    def _accounts(self, wanted: list[str]) -> dict[str, Account]:
        found: dict[str, Account] = {}
        with self._service() as connection:
            for start in range(0, len(wanted), BATCH):
                batch = wanted[start : start + BATCH]
                either = "".join(f"(uid={escape_filter_chars(name)})" for name in batch)
                entries = self._search(
                    connection, self._settings.users_base, f"(&(objectClass=person)(|{either}))", ATTRIBUTES
                )
                for dn, attributes in entries:
                    account = self._to_account(dn, attributes)
                    if account.name in batch:
                        found[account.name] = account
        return found

    @timed("groups", DirectoryAway)
    def direct_members(self) -> dict[str, frozenset[str]]:
        """Group name → normal DNs of its direct members, for each of the cluster's two groups. Raises DirectoryAway when
        one of them cannot be read: then nothing that is read about memberships may be believed."""
        result = {}
        with self._service() as connection:
            for name in (self._settings.users_group, self._settings.admins_group):
                base = f"cn={name},{self._settings.groups_base}"
                entries = self._search(connection, base, "(objectClass=*)", ["member"], scope=ldap3.BASE)
                if len(entries) != 1:
                    raise DirectoryAway(f"group {base} cannot be read")
                result[name] = frozenset(normal_dn(member) for member in entries[0][1].get("member", []))
        return result

    @timed("password", DirectoryAway)
    def password_is_right(self, dn: str, password: str) -> bool:
        """Tries to bind. A locked account answers like a wrong password. Raises DirectoryAway, PasswordExpired,
        TooManyWrong."""
        if not password or not dn:  # an empty password would be an anonymous bind, which succeeds
            return False
        connection = self._connect(dn, password)
        try:
            right = connection.bind()
            result = connection.result
        except LDAPException as error:
            raise self._away(error) from error
        finally:
            self._close(connection)
        if right:
            return True
        message = (result.get("message") or "").lower()
        if result["result"] == RESULT_INVALID_CREDENTIALS and "expired" in message:
            raise PasswordExpired
        # 389 Directory Server's own policy, and FreeIPA's.
        if result["result"] == RESULT_CONSTRAINT_VIOLATION or "too many failed" in message:
            raise TooManyWrong
        if result["result"] in (51, 52, 80):  # busy, unavailable, other
            raise self._away(f"bind: {result.get('description')}")
        return False

    def _to_account(self, dn: str, attributes: dict[str, list[str]]) -> Account:
        # With several values of uid one person could be two users: the one in the DN counts.
        kind, value, _ = parse_dn(dn)[0]
        names = attributes.get("uid", [])
        name = value if kind.lower() == "uid" else (names[0] if names else "")
        groups = frozenset(
            self._groups[member] for member in map(normal_dn, attributes.get("memberOf", [])) if member in self._groups
        )
        locked = any(value.lower() == "true" for value in attributes.get("nsAccountLock", []))
        expires = _moment(attributes.get("krbPrincipalExpiration", []))
        return Account(
            name=name.lower(),
            dn=dn,
            uid=_number(attributes.get("uidNumber", [])),
            gid=_number(attributes.get("gidNumber", [])),
            groups=groups,
            locked=locked or (expires is not None and expires <= datetime.datetime.now(datetime.UTC)),
            opens=_moment(attributes.get("accountUnlockTime", [])),
        )

    def _connect(self, user: str, password: str) -> ldap3.Connection:
        """An open connection over verified TLS, not bound yet."""
        with self._lock:
            if time.monotonic() < self._away_until:
                raise DirectoryAway(self._away_reason)
        settings = self._settings
        try:
            tls = VerifiedTls(self._host, settings.ca)
            server = ldap3.Server(
                self._host,
                port=self._port,
                use_ssl=self._implicit_tls,
                tls=tls,
                get_info=ldap3.NONE,
                connect_timeout=settings.connect_seconds,
            )
        except LDAPException as error:  # an unreadable CA file
            raise self._away(error) from error
        # No referrals: they would carry the password to whoever the answer names.
        connection = ldap3.Connection(
            server,
            user=user,
            password=password,
            auto_referrals=False,
            receive_timeout=settings.receive_seconds,
            read_only=True,
        )
        try:
            connection.open()
            if not self._implicit_tls and not connection.start_tls():
                raise DirectoryAway(f"{settings.uri} refuses StartTLS")
        except (LDAPException, OSError) as error:
            self._close(connection)
            raise self._away(error) from error
        return connection

    def _service(self) -> "_Bound":
        return _Bound(self)

    def _bind_service(self) -> ldap3.Connection:
        connection = self._connect(self._settings.bind_dn, self._settings.bind_password)
        try:
            if connection.bind():
                return connection
            reason = f"{self._settings.uri} refuses {self._settings.bind_dn}: {connection.result.get('description')}"
        except LDAPException as error:
            reason = str(error)
        self._close(connection)
        raise self._away(reason)

    def _search(
        self, connection: ldap3.Connection, base: str, what: str, attributes: list[str], scope: str = ldap3.SUBTREE
    ) -> list[tuple[str, dict[str, list[str]]]]:
        try:
            connection.search(base, what, search_scope=scope, attributes=attributes)
        except LDAPException as error:
            raise self._away(error) from error
        code = connection.result["result"]
        if code == RESULT_NO_SUCH_OBJECT and scope == ldap3.BASE:
            return []
        if code != RESULT_SUCCESS:  # a part of an answer would look like people who left
            raise self._away(f"search below {base}: {connection.result.get('description')}")
        return [
            (entry["dn"], {key: [_text(value) for value in values] for key, values in entry["raw_attributes"].items()})
            for entry in connection.response
            if entry.get("type") == "searchResEntry"
        ]

    def _away(self, reason: object) -> DirectoryAway:
        with self._lock:
            self._away_until = time.monotonic() + AWAY_SECONDS
            self._away_reason = str(reason)
        return DirectoryAway(str(reason))

    @staticmethod
    def _close(connection: ldap3.Connection) -> None:
        try:
            connection.unbind()
        except (LDAPException, OSError):
            pass  # it was broken already


class _Bound:
    """with …: a connection bound as the hub's own account, closed at the end."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def __enter__(self) -> ldap3.Connection:
        self._connection = self._directory._bind_service()
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._directory._close(self._connection)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
