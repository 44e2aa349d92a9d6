"""hub.json, the values that the provisioner writes in the folder above this code (0600: it holds tokens and a password)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DirectorySettings:
    """Where accounts are looked up and how; read-only credentials."""

    uri: str
    users_base: str
    groups_base: str
    users_group: str
    admins_group: str
    bind_dn: str
    bind_password: str = field(repr=False)
    ca: str = ""
    connect_seconds: int = 5
    receive_seconds: int = 10


@dataclass(frozen=True)
class Settings:
    """hub.json as it is, with names for what several modules need."""

    raw: dict[str, Any] = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        return self.raw[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.raw.get(key, default)

    @property
    def cluster(self) -> str:
        return self.raw["cluster"]

    @property
    def directory(self) -> DirectorySettings:
        return DirectorySettings(**self.raw["directory"])

    @property
    def admins(self) -> list[str]:
        return list(self.raw.get("admins") or [])

    @property
    def public_url(self) -> str:
        """The address that people use, without a port that goes without saying."""
        url: str = self.raw["url"]
        return url.replace(":443/", "/") if url.startswith("https://") else url


def load(path: str | Path) -> Settings:
    return Settings(json.loads(Path(path).read_text(encoding="utf-8")))
