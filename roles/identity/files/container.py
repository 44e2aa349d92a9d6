#!/usr/bin/python3
"""The directory of a cluster on Kubernetes: everything that directory.py does in steps on a host, then the server itself.

    container.py FOLDER     FOLDER: what the provisioner gave (a Secret's volume): instance.json, root_password, tls.crt, tls.key,
                            ca.crt. Data go to the folder that instance.json names.

What is there already stays; a changed password or certificate counts from this start on."""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import directory  # noqa: E402


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def pkcs12(folder, password):
    """Certificate and key in the one form that NSS takes, as base64. The password protects it for a moment only."""
    with tempfile.TemporaryDirectory() as scratch:
        secret, out = os.path.join(scratch, "password"), os.path.join(scratch, "server.p12")
        directory.write_file(secret, password + "\n")
        directory.tool(
            ["openssl", "pkcs12", "-export", "-name", "Server-Cert", "-passout", "file:" + secret, "-out", out]
            + ["-in", os.path.join(folder, "tls.crt"), "-inkey", os.path.join(folder, "tls.key")]
            + ["-certfile", os.path.join(folder, "ca.crt")]
        )
        with open(out, "rb") as file:
            return base64.b64encode(file.read()).decode()


def main(argv):
    if len(argv) != 2:
        print("usage: container.py FOLDER", file=sys.stderr)
        return 64
    os.umask(0o077)
    given = argv[1]
    try:
        config = json.loads(read(given, "instance.json"))
        config["schema"] = read(HERE, "schema.ldif")
        # A key store for each certificate.
        config["keys"] = "store-" + hashlib.sha256(read(given, "tls.crt").encode()).hexdigest()[:16]
        os.makedirs(config["folder"], mode=0o700, exist_ok=True)
        directory.create(config, {"root_password": read(given, "root_password").strip()}, directory.shipped())
        password = secrets.token_hex(24)
        wanted = {"pkcs12": pkcs12(given, password), "password": password, "ca": read(given, "ca.crt")}
        directory.certify(config, wanted)
        directory.run(config)  # does not come back
    except (directory.Failure, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
        print("directory: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
