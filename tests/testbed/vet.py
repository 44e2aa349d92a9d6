"""vet.py FLAG…: what `go vet` finds in the Go package of this folder; FLAGs are those it was built with.

Go's own command looks at every package below as well, for what it may learn about functions there: with Kubernetes below, that
takes as long as building it. Here the tool is run as Go runs it, for the one package, with what the compiler left of the
others."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    fields = "-json=ImportPath,Export,DepOnly,Dir,GoFiles,ImportMap,Module"
    listed = subprocess.run(
        ["go", "list", *sys.argv[1:], "-deps", "-export", fields, "."], capture_output=True, text=True
    )
    if listed.returncode:
        print(listed.stderr, file=sys.stderr)
        return 1
    packages, text, decoder = [], listed.stdout.lstrip(), json.JSONDecoder()
    while text:
        package, end = decoder.raw_decode(text)
        packages.append(package)
        text = text[end:].lstrip()
    (own,) = [package for package in packages if not package.get("DepOnly")]
    names = {package["ImportPath"]: package["ImportPath"] for package in packages}
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "ID": own["ImportPath"],
            "Compiler": "gc",
            "Dir": own["Dir"],
            "ImportPath": own["ImportPath"],
            "GoFiles": [str(Path(own["Dir"]) / name) for name in own["GoFiles"]],
            "GoVersion": f"go{own['Module']['GoVersion']}",
            "ModulePath": own["Module"]["Path"],
            "ImportMap": {**names, **own.get("ImportMap", {})},
            "PackageFile": {each["ImportPath"]: each["Export"] for each in packages if each.get("Export")},
            "VetxOutput": f"{folder}/vetx",
        }
        path = Path(folder) / "vet.cfg"
        path.write_text(json.dumps(config))
        return subprocess.run(["go", "tool", "vet", path]).returncode


if __name__ == "__main__":
    sys.exit(main())
