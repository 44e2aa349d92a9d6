"""Puts welcome.ipynb into a new home, once: never over a file of that name, never again when the user removed it."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "welcome.ipynb"


def copy_welcome(log, home=None, source=SOURCE) -> bool:
    """True when it was copied. A home that is full or strange must not keep the server from starting."""
    home = Path(home or os.path.expanduser("~"))
    target = home / "welcome.ipynb"
    mark = home / ".local" / "share" / "pangeo" / "welcome"
    try:
        if mark.exists():
            return False
        text = source.read_bytes()
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copied = False
        if not os.path.lexists(target):
            with open(target, "xb") as f:
                f.write(text)
            copied = True
        mark.touch()
        return copied
    except OSError as e:
        log.warning("cannot put welcome.ipynb into %s: %s", home, e)
        return False
