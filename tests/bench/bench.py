"""What `make bench` measures with a cluster; run.sh prepares it.   bench.py FOLDER FORM ANSIBLE_VENV

FOLDER is scratch and holds the state ($CAAS_STATE). Every figure is printed with its target; nothing is judged."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import signin
from measure import (
    CAAS,
    PYTHON,
    ROOT,
    each,
    empty_folder,
    figure,
    load,
    median,
    note,
    processor_seconds,
    run,
    run_bare,
    run_watched,
)
from plain import ByHand

NAME = "bench"
IDLE_SECONDS = 45  # three refreshes of the exporter
CHECKS, MAKES, APPLIES, ROUNDS = 100, 5, 10, int(os.environ.get("BENCH_ROUNDS", "2"))


def check_of_form(form: Path) -> None:
    used = processor_seconds()
    took = each(CHECKS, lambda: run_bare([CAAS, "check", form, "--quiet"]) * 1000)
    used = (processor_seconds() - used) / CHECKS * 1000
    figure("check of the demo form, mean of 100", f"{sum(took) / CHECKS:.2f} ms", "target: under 5 ms")
    figure("check of the demo form, worst of 100", f"{max(took):.2f} ms")
    note(f"of the processor it takes {used:.2f} ms, with its start; {load()}")


def make_with_nothing_to_do() -> None:
    """As somebody asks for it who works on it: not as a part of the make that runs this."""
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    took = each(MAKES, lambda: run(["make", "--no-print-directory", "all"], cwd=ROOT, env=env) * 1000)
    figure("make with nothing to do, median of 5", f"{median(took):.0f} ms", "target: under 300 ms")
    note(load())


def first_apply(form: Path, cluster: Path, hand: ByHand) -> None:
    """Rounds of by hand and by caas, one after the other; the cluster of the last stays."""
    took: dict[str, list[float]] = {"hub": [], "notebook": [], "directory": [], "caas": []}
    peaks = []
    hand.warm()
    for turn in range(ROUNDS):
        if turn:
            run([CAAS, "destroy", NAME, "--yes", "--delete-data"])
        took["hub"].append(hand.hub_chain())
        took["notebook"].append(hand.notebook_chain())
        seconds, peak = run_watched([CAAS, "apply", form, "--yes", "--quiet"])
        took["caas"].append(seconds)
        peaks.append(peak)
        took["directory"].append(hand.directory_chain(cluster))
        note(
            f"round {turn + 1}: "
            + ", ".join(f"{key} {values[-1]:.1f} s" for key, values in took.items())
            + f"; {load()}"
        )
    best = {key: min(values) for key, values in took.items()}
    slowest = max(("hub", "notebook", "directory"), key=lambda key: best[key])
    figure("by hand: hub env, npm ci, proxy up, hub up", f"{best['hub']:.1f} s")
    figure("by hand: notebook env, gateway up", f"{best['notebook']:.1f} s")
    figure("by hand: directory made, directory up", f"{best['directory']:.1f} s")
    figure(f"first apply, warm caches, best of {ROUNDS}", f"{best['caas']:.1f} s")
    figure("  ratio to the slowest chain", f"{best['caas'] / best[slowest]:.2f}", "target: at most 1.3")
    figure("peak memory of caas, first apply", f"{max(peaks) / 1024:.1f} MB", "target: under 30 MB")


def ansible_run(venv: Path, folder: Path, *words: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [venv / "bin/ansible-playbook", "-i", "localhost,", "playbook.json", *words],
        env={**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - began
    counts = dict(re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2]))
    if done.returncode != 0 or counts.get("changed") != "0" or counts.get("failed") != "0":
        raise SystemExit(f"ansible: {counts}\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return took


def nothing_to_do(form: Path, state: Path, hand: ByHand, venv: Path) -> None:
    folder = empty_folder(hand.folder / "playbook", 0o700)
    tool = [PYTHON, "-B", Path(__file__).resolve().parent / "playbook.py"]
    subprocess.run([*tool, state / "journal.sqlite", NAME, hand.uv, folder], check=True)
    apply = [CAAS, "apply", form, "--yes"]
    said = json.loads(subprocess.run([*apply, "--json"], capture_output=True, text=True).stdout.splitlines()[-1])
    if said.get("changed"):
        raise SystemExit("there was something to do")
    theirs = [ansible_run(venv, folder)]
    used = processor_seconds()
    ours = each(APPLIES, lambda: run_bare([*apply, "--quiet"]))
    used = (processor_seconds() - used) / APPLIES * 1000
    theirs.append(ansible_run(venv, folder))
    without = ansible_run(venv, folder, "--skip-tags", "slow")
    took, theirs_took = median(ours), min(theirs)
    figure("apply with nothing to do, median of 10", f"{took * 1000:.0f} ms", "target: under 150 ms")
    figure("apply with nothing to do, best of 10", f"{min(ours) * 1000:.0f} ms")
    note(f"of the processor caas itself takes {used:.0f} ms")
    figure("ansible-core, same state, changed=0, best of 2", f"{theirs_took:.1f} s")
    figure("  ratio", f"1/{theirs_took / took:.0f}", "target: at most 1/50")
    figure("  ratio to it without folders of files and environments", f"1/{without / took:.0f}")
    figure(
        "peak memory of caas, nothing to do",
        f"{max(run_watched([*apply, '--quiet'])[1] for _ in range(5)) / 1024:.1f} MB",
        "target: under 30 MB",
    )
    note(load())


def exporter_seconds(pid: int) -> float:
    """Processor time of all its threads, to the nanosecond."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def idle_exporter(cluster: Path) -> None:
    """The cluster's own caas-exporter while nobody is there; Prometheus scrapes it as it always does."""
    config = str(cluster / "monitoring/exporter.json").encode()
    (pid,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"caas-exporter\0" in path.read_bytes() and config in path.read_bytes()
    )
    before, began = exporter_seconds(pid), time.monotonic()
    time.sleep(IDLE_SECONDS)
    share = (exporter_seconds(pid) - before) / (time.monotonic() - began)
    figure("caas-exporter of an idle cluster, of a core", f"{share * 100:.2f} %", "target: under 0.2 %")


def main(folder: Path, form: Path, venv: Path) -> None:
    state, cache = Path(os.environ["CAAS_STATE"]), Path(os.environ["CAAS_CACHE"])
    cluster = state / "clusters" / NAME
    hand = ByHand(empty_folder(folder / "hand", 0o711), cache)
    check_of_form(form)
    make_with_nothing_to_do()
    if not hand.uv.exists():
        note("the caches are empty: a first apply that does not count fills them")
        run([CAAS, "apply", form, "--yes"])
        run([CAAS, "destroy", NAME, "--yes", "--delete-data"])
    first_apply(form, cluster, hand)
    nothing_to_do(form, state, hand, venv)
    idle_exporter(cluster)
    signin.measure(NAME, cluster, hand)


if __name__ == "__main__":
    main(*(Path(word).resolve() for word in sys.argv[1:4]))
