"""Uid and gid of everybody who ever signed in, so that a server starts while the directory is away.

One JSON file, {"alice": {"uid": 60001, "gid": 60001}, …}, 0600. The hub writes it, the Dask gateway reads it."""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple


class Ids(NamedTuple):
    uid: int
    gid: int


class Accounts:
    """Used from the hub's one event loop only; a write takes well under a millisecond but for the disk's fsync."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._ids: dict[str, Ids] = {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            content = {}
        for name, ids in content.items():
            self._ids[name] = Ids(int(ids["uid"]), int(ids["gid"]))

    def __deepcopy__(self, _: dict[int, object]) -> "Accounts":
        """Itself: traitlets copies what is configured, but authenticator and spawners have to see the same accounts."""
        return self

    def get(self, name: str) -> Ids | None:
        return self._ids.get(name)

    def remember(self, name: str, uid: int, gid: int) -> None:
        """Returns when it is on disk; does nothing if it was known."""
        ids = Ids(uid, gid)
        if self._ids.get(name) == ids:
            return
        self._ids[name] = ids
        self._write()

    def forget(self, name: str) -> None:
        """Returns when it is gone from the disk as well; does nothing if it was not known."""
        if self._ids.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        text = json.dumps({name: ids._asdict() for name, ids in sorted(self._ids.items())}, indent=1) + "\n"
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".accounts-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
