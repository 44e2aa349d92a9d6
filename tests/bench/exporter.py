"""Exporters: ours beside one in Python on prometheus-client, both of the same (played) hub and gateway. exporter.py FOLDER VENV.
Both must say the same before anything is measured."""

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

from measure import (
    CAAS,
    PYTHON,
    Started,
    each,
    empty_folder,
    figure,
    free_ports,
    listens,
    load,
    median,
    note,
    peak_kb,
    wait_for,
)

USERS, SERVERS, CLUSTERS = 10_000, 2_000, 500
REFRESH_SECONDS = 5
SCRAPES = 25
HERE = Path(__file__).resolve().parent
OURS = ("caas_hub_", "caas_server_", "caas_dask_")


def scrape(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()


def seconds_of_scrape(port: int) -> float:
    began = time.perf_counter()
    scrape(port)
    return time.perf_counter() - began


def samples(port: int) -> dict[tuple[str, ...], float]:
    """Of both exporters' own families: name and labels, whatever their order, with the value (to 14 digits)."""
    found = {}
    for line in scrape(port).decode().splitlines():
        if line.startswith(OURS):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            found[(name, *sorted(labels.rstrip("}").split(",")))] = float(f"{float(value):.14g}")
    return found


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def own_mib(pid: int) -> float:
    """What is its own now: without the pages of programs and libraries that other processes have, too."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def complete(port: int) -> bool:
    return listens(port) and len(samples(port)) == 2 + 3 * SERVERS + (5 + 3) * CLUSTERS + 2


def measure(name: str, port: int, pid: int) -> tuple[float, float, float]:
    took = median(each(SCRAPES, lambda: seconds_of_scrape(port)))
    before, began = processor_seconds(pid), time.monotonic()
    time.sleep(4 * REFRESH_SECONDS)
    share = (processor_seconds(pid) - before) / (time.monotonic() - began)
    peak = peak_kb(pid) / 1024
    figure(f"{name}: scrape", f"{took * 1000:.1f} ms")
    figure(f"{name}: most memory, libraries included; its own", f"{peak:.1f}, {own_mib(pid):.1f} MiB")
    figure(f"{name}: processor, refreshed every {REFRESH_SECONDS} s, not scraped", f"{share * 100:.2f} %")
    return took, peak, own_mib(pid)


def floors(port: int, replay: int) -> list[float]:
    """Peaks in MiB of a program that only has the libraries: those used here, and those of a whole cluster's exporter."""
    program = Path(CAAS).parent / "bench" / "bench_exporter_floor"
    command = [program, str(port), f"http://127.0.0.1:{replay}/hub/api/users?limit=1"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [int(line.split()[1]) / 1024 for line in said.splitlines()]


def main(folder: Path, venv: Path) -> None:
    replay, ours, peers, spare = free_ports(4)
    empty_folder(folder)
    config = {
        "listen": f"127.0.0.1:{ours}",
        "refresh_seconds": REFRESH_SECONDS,
        "hub": {"api": f"http://127.0.0.1:{replay}/hub/api", "token": "none"},
        "gateway": {"api": f"http://127.0.0.1:{replay}/gateway", "token": "none"},
    }
    (folder / "exporter.json").write_text(json.dumps(config), encoding="utf-8")
    with Started(folder) as started:
        command = [PYTHON, HERE / "exporter_replay.py", *map(str, (replay, USERS, SERVERS, CLUSTERS))]
        wait_for(lambda: listens(replay), started.start("replay", command))
        one = started.start("exporter", [Path(CAAS).with_name("caas-exporter"), folder / "exporter.json"])
        wait_for(lambda: complete(ours), one)
        command = [venv / "bin/python", HERE / "exporter_peer.py", *map(str, (peers, replay, REFRESH_SECONDS))]
        other = started.start("peer", command)
        wait_for(lambda: complete(peers), other)
        if samples(ours) != samples(peers):
            raise SystemExit("the exporters do not say the same")
        note(f"{USERS} users, {SERVERS} servers, {CLUSTERS} Dask clusters: {len(samples(ours))} samples; {load()}")
        took, peak, own = measure("caas-exporter", ours, one.pid)
        peer_took, peer_peak, peer_own = measure("prometheus-client", peers, other.pid)
        figure("exporter: scrape, ours to theirs", f"1/{peer_took / took:.0f}", "1/20, at most 50 ms")
        figure(
            "exporter: memory, ours to theirs",
            f"1/{peer_peak / peak:.1f}, 1/{peer_own / own:.1f}",
            "1/5, at most 20 MB",
        )
        used, whole = floors(spare, replay)
        figure("  the libraries alone, and with LDAP and SQLite", f"{used:.1f}, {whole:.1f} MiB")
        figure("  the libraries alone to prometheus-client", f"1/{peer_peak / used:.1f}")


main(Path(sys.argv[1]), Path(sys.argv[2]))
