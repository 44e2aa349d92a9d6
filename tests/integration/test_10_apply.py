"""The form applied from nothing, and what is refused before anything is touched."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path

from conftest import PROGRAM, Caas, Cluster


def test_a_second_apply_and_the_plan_have_nothing_to_do(cluster: Cluster) -> None:
    assert "nothing" in cluster.apply().stdout.lower()
    plan = cluster.caas.run("plan", str(cluster.form), "--json")
    assert json.loads(plan.stdout)["steps"] == []


def test_status_says_that_every_part_runs(cluster: Cluster) -> None:
    status = cluster.caas.json("status", cluster.name)
    assert {part["name"] for part in status["services"]} >= {"hub", "gateway", "chp", "caddy", "directory"}
    assert all(part["running"] for part in status["services"])
    authority = cluster.folder / "ca" / "ca.crt"
    assert f"  certificate   verified by {authority}\n" in cluster.caas.run("status", cluster.name).stdout


def test_nothing_listens_on_an_outside_address_but_the_front(cluster: Cluster) -> None:
    ours = {
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(cluster.folder).encode() in command_line(entry)
    }
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listening.splitlines():
        address = line.split()[3]
        if set(re.findall(r"pid=(\d+)", line)) & ours and not address.endswith(f":{cluster.port}"):
            found.append(address)
    assert len(found) >= 5
    assert all(address.startswith(("127.0.0.1:", "[::1]:", "[::ffff:127.0.0.1]:")) for address in found), found


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def secrets_of(cluster: Cluster) -> set[str]:
    """Passwords and tokens of the cluster, the commands' own and those in the configuration of its parts."""
    hub = json.loads((cluster.folder / "hub/hub.json").read_text())
    gateway = json.loads((cluster.folder / "gateway/gateway.json").read_text())
    found = {cluster.caas.run("password", cluster.name).stdout.strip(), cluster.directory()["password"]}
    found |= {*hub["tokens"].values(), hub["directory"]["bind_password"], hub["gateway"]["token"]}
    found |= {gateway[name] for name in ("hub_token", "proxy_token", "admin_token", "db_key")}
    found |= {
        hub["monitoring"]["token"],
        json.loads((cluster.folder / "monitoring/exporter.json").read_text())["token"],
    }
    assert len(found) >= 10 and all(len(secret) >= 8 for secret in found)
    return found


def test_no_secret_is_in_the_arguments_of_a_process(cluster: Cluster) -> None:
    shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [secret for secret in secrets_of(cluster) if secret in shown]


def test_files_with_secrets_are_closed(cluster: Cluster) -> None:
    secrets = {secret.encode() for secret in secrets_of(cluster)}
    for path in cluster.caas.state.rglob("*"):
        if (
            path.is_symlink()
            or not path.is_file()
            or "env" in path.parts
            or "cache" in path.parts
            or "homes" in path.parts
        ):
            continue
        mode = path.stat().st_mode
        if mode & 0o004 and path.stat().st_size < 1_000_000:
            content = path.read_bytes()
            assert not [secret for secret in secrets | {b"PRIVATE KEY"} if secret in content], path


def test_a_domain_that_points_elsewhere_is_found_first(caas: Caas) -> None:
    other = Cluster(caas, "elsewhere", 9543)
    other.form.write_text(other.form.read_text().replace("external_ip: 127.0.0.1", "external_ip: 192.0.2.7"))
    said = caas.run("apply", str(other.form), "--yes", status=1).stderr
    assert "localhost" in said and "127.0.0.1" in said and "192.0.2.7" in said
    assert not other.folder.exists()


def test_a_port_in_use_is_found_first(caas: Caas) -> None:
    with socket.create_server(("127.0.0.1", 9544)):
        other = Cluster(caas, "taken", 9544)
        said = caas.run("apply", str(other.form), "--yes", status=1).stderr
    assert "9544" in said
    assert not other.folder.exists()


def test_somebody_elses_folder_is_refused(caas: Caas, cluster: Cluster) -> None:
    theirs = caas.folder / "theirs"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    said = caas.run("--state", str(theirs), "apply", str(cluster.form), "--yes", status=1).stderr
    assert str(theirs) in said
    assert [path.name for path in theirs.iterdir()] == ["thesis.tex"]


def test_two_at_once_the_second_says_who(cluster: Cluster) -> None:
    cluster.write_form(cpus=0.9)
    first = cluster.caas.start("apply", str(cluster.form), "--yes")
    lock = cluster.caas.state / "lock" / cluster.name
    end = time.monotonic() + 20
    while f'"pid":{first.pid}' not in lock.read_text().replace(" ", "") and time.monotonic() < end:
        time.sleep(0.002)
    second = subprocess.run(
        [PROGRAM, "apply", str(cluster.form), "--yes"],
        env=cluster.caas.environment,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    third = cluster.caas.start("apply", str(cluster.form), "--yes", "--wait")
    assert first.poll() is None
    first.communicate(timeout=300)
    assert first.returncode == 0
    said = third.communicate(timeout=300)[0]
    assert third.returncode == 0 and "othing to do" in said, said
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    cluster.write_form()
    cluster.apply()
