#!/usr/bin/env python3
"""mkimage.py <SPECS >ARCHIVE: an archive of images, of layers that are tars as they are, for `ctr images import -`.

SPECS: a line of JSON an image: {"name": "registry/repository:tag", "layers": [path, …], "config": {what an image's
configuration has}}. A layer of several images is there once."""

import hashlib
import io
import json
import os
import sys
import tarfile

CREATED = "2026-01-01T00:00:00Z"


def digest(path):
    """Layers do not change, so their digests are kept beside them."""
    note = path + ".sha256"
    try:
        with open(note, encoding="ascii") as file:
            return file.read()
    except OSError:
        pass
    value = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            value.update(block)
    with open(note, "w", encoding="ascii") as file:
        file.write(value.hexdigest())
    return value.hexdigest()


def main():
    specs = [json.loads(line) for line in sys.stdin if line.strip()]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    layers, configs, manifest = {}, {}, []
    for spec in specs:
        digests = [digest(path) for path in spec["layers"]]
        layers.update(zip(digests, spec["layers"], strict=True))
        config = {
            "architecture": machine,
            "os": "linux",
            "created": CREATED,
            "config": spec["config"],
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in digests]},
            "history": [{"created": CREATED} for _ in digests],
        }
        text = json.dumps(config, sort_keys=True).encode()
        name = hashlib.sha256(text).hexdigest() + ".json"
        configs[name] = text
        manifest.append({"Config": name, "RepoTags": [spec["name"]], "Layers": [d + "/layer.tar" for d in digests]})
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", bufsize=1 << 20) as out:
        for path, data in [("manifest.json", json.dumps(manifest).encode()), *configs.items()]:
            member = tarfile.TarInfo(path)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
        for value, path in layers.items():
            member = tarfile.TarInfo(value + "/layer.tar")
            member.size = os.path.getsize(path)
            with open(path, "rb") as file:
                out.addfile(member, file)


if __name__ == "__main__":
    main()
