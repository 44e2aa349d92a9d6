"""Images of Kubernetes have locks of their own. What a host has as well is there in the same version, or it is said why not."""

import re
import sys
from pathlib import Path

HUB, GATEWAY = Path("roles/hub"), Path("roles/gateway")
HOST = HUB / "requirements.txt"  # the hub's and the gateway's
# What holds a package back that upstream's image of the gateway does not name itself.
HELD_BACK = {"multidict": "aiohttp of that image wants less than 7"}


def versions(lock: Path) -> dict[str, str]:
    """Of a lock, or of what is named in full in the file that it is made of."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def differences(one: Path, other: Path, without: set[str]) -> list[str]:
    first, second = versions(one), versions(other)
    both = set(first) & set(second)
    if len(both) < 10:
        return [f"{one} and {other} have only {len(both)} packages in common: is that still what they are?"]
    return [
        f"{name}: {first[name]} in {one}, {second[name]} in {other}"
        for name in sorted(both - without)
        if first[name] != second[name]
    ]


def main() -> int:
    image = HUB / "image.txt"
    pinned = versions(GATEWAY / "image.in")
    found = differences(HOST, image, set())
    found += differences(image, Path("tests/testbed/images/hub.txt"), set())
    # That of the gateway has what upstream's image has; it is the same gateway.
    named = set(pinned) - {"dask-gateway-server"}
    found += differences(HOST, GATEWAY / "image.txt", named | set(HELD_BACK))
    locked, host = versions(GATEWAY / "image.txt"), versions(HOST)
    found += [
        f"{name}: {version} in image.in, {locked.get(name)} in {GATEWAY}/image.txt"
        for name, version in pinned.items()
        if locked.get(name) != version
    ]
    found += [
        f"{name} need not be held back any more ({why})"
        for name, why in HELD_BACK.items()
        if host.get(name) == locked.get(name)
    ]
    print("\n".join(found), file=sys.stderr)
    return bool(found)


sys.exit(main())
