"""The port of a user's server stays that user's until nothing leads there any more.

Ports are shared with everybody on this host. When a server dies, the proxy goes on sending its user's requests, cookies and
all, to the port until the hub has seen it and taken the route away; whoever listens there by then would be given them. So the
hub keeps a second handle on the server's own listening socket: for as long as it is open, the kernel gives the port to nobody.
This works for servers that outlive a restart of the hub as well."""

import asyncio
import ctypes
import os
import socket
from pathlib import Path

PIDFD_GETFD = 438  # the same number on every processor; Python has no name for it
_libc = ctypes.CDLL(None, use_errno=True)


def listener(port: int) -> tuple[int, int] | None:
    """uid and inode of the socket that listens on the TCP port of 127.0.0.1; None if nobody does."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if words[1] == f"0100007F:{port:04X}" and words[3] == "0A":  # listening
                return int(words[7]), int(words[9])
    return None


def _owner(uid: int, inode: int) -> tuple[int, int] | None:
    """A process of this user that has the socket open, and its number there."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdigit() or process.stat().st_uid != uid:
                continue
            for link in (process / "fd").iterdir():
                if str(link.readlink()) == wanted:
                    return int(process.name), int(link.name)
        except OSError:
            continue  # it has ended, or closed something
    return None


class Taken(Exception):
    """Somebody else listens there."""


class HeldPort:
    """From hold() to release(). When the last process with the socket ends, connections are refused; the port stays held."""

    def __init__(self, uid: int, inode: int) -> None:
        """Raises OSError."""
        self._uid, self._inode = uid, inode
        self._process, number = self._open_owner()
        try:
            copy = _libc.syscall(PIDFD_GETFD, self._process, number, 0)
            if copy < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            self._socket = socket.socket(fileno=copy)
            if os.fstat(copy).st_ino != inode:
                self._socket.close()
                raise ProcessLookupError("the server has just closed its socket")
        except OSError:
            os.close(self._process)
            raise
        # With it two sockets could have the port as soon as neither listens.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        asyncio.get_running_loop().add_reader(self._process, self._ended)

    def _open_owner(self) -> tuple[int, int]:
        found = _owner(self._uid, self._inode)
        if found is None:
            raise ProcessLookupError("no process of the user has the socket that listens")
        return os.pidfd_open(found[0]), found[1]

    def _ended(self) -> None:
        """The process has ended: another one may have the socket, too."""
        self._forget_process()
        try:
            self._process, _ = self._open_owner()
        except OSError:
            self._socket.shutdown(socket.SHUT_RDWR)  # else connections would wait for an answer
        else:
            asyncio.get_running_loop().add_reader(self._process, self._ended)

    def _forget_process(self) -> None:
        if self._process >= 0:
            asyncio.get_running_loop().remove_reader(self._process)
            os.close(self._process)
            self._process = -1

    def release(self) -> None:
        self._forget_process()
        self._socket.close()


def hold(port: int, uid: int) -> HeldPort:
    """Raises Taken, and OSError if the port cannot be held."""
    found = listener(port)
    if found is None or found[0] != uid:
        raise Taken(f"port {port} belongs to uid {found[0] if found else '?'} and not to {uid}")
    return HeldPort(uid, found[1])
