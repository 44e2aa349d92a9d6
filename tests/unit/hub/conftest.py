"""The hub's Python without a stack: run by tests/lib/pytest.sh with the hub's own environment."""

import sys
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "hub" / "files"
sys.path.insert(0, str(FILES))

from pangeo_hub.settings import Settings  # noqa: E402

SUFFIX = "dc=unit,dc=test"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tree: dict[str, Any] = {
        "cluster": "unit",
        "url": "https://pangeo.example.org:443/",
        "directory": {
            "uri": "ldaps://ldap.example.org",
            "users_base": f"cn=users,cn=accounts,{SUFFIX}",
            "groups_base": f"cn=groups,cn=accounts,{SUFFIX}",
            "users_group": "unit_notebook_users",
            "admins_group": "unit_notebook_admins",
            "bind_dn": f"uid=hub,cn=sysaccounts,cn=etc,{SUFFIX}",
            "bind_password": "secret-of-the-hub",
        },
        "admins": ["admin"],
        "notebook": {"cpus": 1, "ram": 2, "storage": 1.5},
        "profiles": [
            {"name": "large", "description": "For <big> arrays", "cpus": 8, "ram": 32, "groups": []},
            {"name": "model", "description": "Modellers", "cpus": 0.5, "ram": 1, "groups": ["modellers"]},
        ],
        "environments": [{"name": "climate", "description": "Our own", "lock": "/x"}],
        "environments_folder": "/srv/env/notebook",
        "idle": {"notebook_minutes": 60, "kernel_minutes": 60, "max_hours": 168},
        "homes": {"helper": "/bin/true", "images": str(tmp_path / "images"), "mounts": str(tmp_path / "mounts")},
        "sandbox": {"helper": "/bin/true", "parent": "caas-unit", "tasks": 100, "logs": str(tmp_path), "read_only": []},
    }
    return Settings(tree)
