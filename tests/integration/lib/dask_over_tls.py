"""Dask over TLS, again and again: dask_over_tls.py [TIMES], run by the Python of a notebook environment.

Each time a scheduler, two workers and a client, all new processes, connect over TLS with a certificate as dask-gateway
makes them, and sum the numbers to 100. Prints "20 of 20 right" and ends with 0 only if all were. On Python with OpenSSL 3.4
or newer this fails most of the times without the cure of caas_env.py.
"""

import contextlib
import datetime
import os
import ssl
import subprocess
import sys
import tempfile
import time

SECONDS = 60  # for one round

CLIENT = """
import sys
from distributed import Client
from distributed.security import Security
cert, key = sys.argv[2:4]
security = Security(tls_ca_file=cert, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
with Client(sys.argv[1], security=security, timeout=30) as client:
    client.wait_for_workers(2, timeout=30)
    total = client.submit(sum, client.map(lambda x: x, range(101))).result(timeout=30)
    # connections between the workers, and some that are closed meanwhile
    parts = client.gather(client.map(lambda x: bytes(100_000), range(40), pure=False))
    client.run(lambda: None)
print(total, sum(map(len, parts)))
"""


def certificate(folder: str) -> tuple[str, str]:
    """One self-signed certificate that is its own CA: what dask-gateway gives to a cluster."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dask-gateway")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cluster")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=False)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = os.path.join(folder, "dask.crt"), os.path.join(folder, "dask.pem")
    with open(cert_path, "wb") as f:
        f.write(made.public_bytes(serialization.Encoding.PEM))
    with open(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return cert_path, key_path


def start(command: list[str], log: str) -> subprocess.Popen:
    with open(log, "ab") as out:
        return subprocess.Popen([sys.executable, "-m", "dask", *command], stdout=out, stderr=out)


def address_in(log: str) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError), open(log, encoding="utf-8", errors="replace") as f:
            for line in f:
                if "tls://127.0.0.1:" in line:
                    return "tls://" + line.split("tls://", 1)[1].split()[0]
        time.sleep(0.05)
    raise TimeoutError(f"the scheduler did not say its address, see {log}")


def once(folder: str) -> bool:
    cert, key = certificate(folder)
    tls = ["--protocol", "tls", "--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key, "--no-dashboard"]
    log = os.path.join(folder, "scheduler.log")
    processes = [start(["scheduler", "--host", "127.0.0.1", "--port", "0", *tls], log)]
    try:
        address = address_in(log)
        for i in range(2):
            own = os.path.join(folder, f"worker-{i}")
            where = ["--host", "127.0.0.1", "--nthreads", "1", "--local-directory", own]
            processes.append(start(["worker", address, *where, *tls], f"{own}.log"))
        answer = subprocess.run(
            [sys.executable, "-c", CLIENT, address, cert, key],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if answer.stdout.split() == ["5050", "4000000"]:
            return True
        print((answer.stdout + answer.stderr).strip().splitlines()[-1:], flush=True)
        return False
    except (TimeoutError, subprocess.TimeoutExpired) as e:
        print(e, flush=True)
        return False
    finally:
        for p in reversed(processes):
            p.terminate()
        for p in processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}", flush=True)
    right = 0
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            right += once(folder)
    print(f"{right} of {times} right")
    return 0 if right == times else 1


if __name__ == "__main__":
    sys.exit(main())
