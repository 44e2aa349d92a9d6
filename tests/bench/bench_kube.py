"""The Kubernetes part of `make bench`; kube.sh prepares it.   bench_kube.py FOLDER KUBECONFIG BIN

FOLDER is scratch and holds the state ($CAAS_STATE), BIN has kubectl and helm. Both sides act on the same API server, in
namespaces bench-… that are removed at the end. Every figure is printed with its target; nothing is judged."""

import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kube_daskhub
import kube_floor
import kube_objects
from measure import CAAS, ROOT, figure, load, note, peak_kb, run

ROUNDS = int(os.environ.get("BENCH_KUBE_ROUNDS", "3"))
SECONDS = 900  # the longest that anything may take
LAB, CLASS = "bench-lab", "bench-claims"
SIZES = (40, 400, 4000)
SIDES = ("caas", "helm", "kubectl", "floor", "daskhub", "alike")
ALIKE = {"daskhub": "alike"}  # what of ours is compared with it: no directory of its own
HOMES, USERS = 1000, 10000
FORM = """\
cluster: {name}
target: kubernetes
notebook: {{cpus: 1, ram: 1, storage: 1}}
dask:
  worker: {{cpus: 0.25, ram: 0.75}}
  max: {{cpus: 1, ram: 2}}
kubernetes:
  kubeconfig: {kubeconfig}
  resources:
    hub: {{cpus: 0.1, ram: 0.5}}
    proxy: {{cpus: 0.05, ram: 0.25}}
    front: {{cpus: 0.05, ram: 0.25}}
    gateway: {{cpus: 0.05, ram: 0.5}}
    directory: {{cpus: 0.1, ram: 0.5}}
"""


@dataclass
class Used:
    wall: float
    cpu: float
    peak: int  # kB
    server: float  # processor of API server and etcd meanwhile

    def best(self, other: "Used | None") -> "Used":
        if other is None:
            return self
        return Used(
            min(self.wall, other.wall),
            min(self.cpu, other.cpu),
            min(self.peak, other.peak),
            min(self.server, other.server),
        )

    def __str__(self) -> str:
        return f"{self.wall * 1000:.0f} ms, {self.cpu * 1000:.0f} ms"


def measured(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Used:
    """Wall, user + sys and the most memory of the process and what it starts."""
    before, server = resource.getrusage(resource.RUSAGE_CHILDREN), server_seconds()
    began, peak = time.monotonic(), 0
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as process:
        ended = threading.Event()
        said: list[bytes] = []

        def watch() -> None:
            nonlocal peak
            while not ended.is_set():
                peak = max(peak, peak_kb(process.pid))
                ended.wait(0.003)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            said.append(process.communicate(timeout=SECONDS)[1])
            took = time.monotonic() - began
        finally:
            process.kill()
            ended.set()
            watcher.join()
    if process.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise SystemExit(f"{words}: status {process.returncode}\n{said[0].decode(errors='replace')[-3000:]}")
    after, server = resource.getrusage(resource.RUSAGE_CHILDREN), server_seconds() - server
    return Used(took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak, server)


def settle() -> None:
    """Ends when API server and etcd have nothing to do: what was removed before keeps them busy."""
    for _ in range(60):
        before = server_seconds()
        time.sleep(0.5)
        if server_seconds() - before <= 0.05:
            return


def in_turns(sides: dict[str, Callable[[], Used]], rounds: int = ROUNDS) -> dict[str, Used]:
    """The best of a few of each, one after the other: what else runs on the machine comes to all of them."""
    best: dict[str, Used] = {}
    for _ in range(rounds):
        for name, act in sides.items():
            settle()
            best[name] = act().best(best.get(name))
    return best


def ratio(ours: float, theirs: float) -> str:
    return f"1/{theirs / ours:.1f}" if ours else "-"


def compare(what: str, best: dict[str, Used], targets: dict[str, str], memory: str = "") -> None:
    ours = best["caas"]
    for name, used in best.items():
        figure(f"{what}: {name}, wall and processor", str(used))
    for name, target in targets.items():
        theirs, alike = best[name], ALIKE.get(name, "")
        of = alike if alike in best else "caas"
        text = f"{ratio(best[of].wall, theirs.wall)} and {ratio(best[of].cpu, theirs.cpu)}"
        figure(f"  {of} to {name}, wall and processor", text, f"target: {target}")
    peaks = ", ".join(f"{name} {used.peak / 1000:.0f} MB" for name, used in best.items())
    figure(f"  memory, caas to {next(iter(targets))}", ratio(ours.peak, best[next(iter(targets))].peak), memory)
    note(f"peak: {peaks}; {load()}")
    servers = ", ".join(f"{name} {used.server:.2f} s" for name, used in best.items())
    note(f"processor of API server and etcd meanwhile: {servers}")


class Bench:
    def __init__(self, folder: Path, kubeconfig: Path, programs: Path) -> None:
        self.folder, self.kubeconfig = folder, kubeconfig
        self.kubectl_words = [programs / "kubectl", "--kubeconfig", kubeconfig]
        self.helm_words = [programs / "helm", "--kubeconfig", kubeconfig]
        self.images = ROOT / "roles" / "base" / "images.yaml"
        self.daskhub: kube_daskhub.Daskhub | None = None

    def kubectl(self, *words: str | Path, given: str | None = None) -> str:
        done = subprocess.run(
            [*self.kubectl_words, *words], input=given, capture_output=True, text=True, timeout=SECONDS
        )
        if done.returncode != 0:
            raise SystemExit(f"kubectl {words}: {done.stderr[-2000:]}")
        return done.stdout

    def forget(self, *spaces: str) -> None:
        """Ends when everything in them is gone."""
        self.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=true", "--timeout=300s")

    def form(self, name: str) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(FORM.format(name=name, kubeconfig=self.kubeconfig))
        return path

    def caas(self, command: str, name: str, data: Path | None = None, state: str = "state") -> Used:
        environment = dict(os.environ, CAAS_STATE=str(self.folder / state))
        if data:
            environment["CAAS_DATA"] = str(data)
        more = ["--yes"] if command == "apply" else []
        return measured([CAAS, command, self.form(name), *more, "--quiet"], environment)

    # ---- the role set ----

    def lab(self) -> list[kube_objects.Object]:
        """A cluster as it is: the objects that caas made for it, live."""
        took = self.caas("apply", LAB)
        note(
            f"first apply of the whole, pods, signing in and all: {took.wall:.0f} s, {took.peak / 1000:.0f} MB; {load()}"
        )
        text = self.kubectl(
            "get", kube_objects.KINDS, "-n", LAB, "-l", f"caas.pangeo.io/cluster={LAB}", "-o", "json",
            "--show-managed-fields",
        )  # fmt: skip
        live: list[kube_objects.Object] = json.loads(text)["items"]
        return live

    def ours(self, name: str, objects: list[kube_objects.Object], side: str = "caas") -> Callable[[], Used]:
        """caas installs these objects into a namespace of its own, or finds that they are there."""
        space = f"bench-{name}-{side}"
        resources = kube_objects.as_resources(objects, space)
        data = kube_objects.role(self.folder / f"{name}.d" / f"data-{side}", self.images, resources)
        return lambda: self.caas("apply", space, data, f"state-{name}")

    def tools(self, name: str, objects: list[kube_objects.Object]) -> dict[str, Callable[[], Used]]:
        """The same for each tool."""
        spaces = {tool: f"bench-{name}-{tool}" for tool in ("helm", "kubectl")}
        place = self.folder / f"{name}.d"
        place.mkdir()
        chart = kube_objects.chart(place / "chart", objects)
        manifest = kube_objects.manifest(place / "objects.yaml", objects)
        helm = ["upgrade", "--install", "bench", chart, "-n", spaces["helm"], "--create-namespace"]
        kubectl = ["apply", "--server-side", "-n", spaces["kubectl"], "-f", manifest]
        return {
            "caas": self.ours(name, objects),
            "helm": lambda: measured([*self.helm_words, *helm]),
            "kubectl": lambda: measured([*self.kubectl_words, *kubectl]),
        }

    def clean(self, name: str, spaces: Sequence[str] = SIDES) -> None:
        """Nothing is there, and nobody remembers it."""
        if self.daskhub and self.daskhub.chart:
            self.daskhub.remove()
        state = self.folder / f"state-{name}"
        run(["rm", "-rf", "--", state])
        self.forget(*(f"bench-{name}-{tool}" for tool in spaces))

    def same_objects(
        self,
        name: str,
        objects: list[kube_objects.Object],
        rounds: int,
        alike: Sequence[kube_objects.Object] = (),
        **more: Callable[[], Used],
    ) -> tuple[dict[str, Used], ...]:
        """First install, and nothing to do. alike: what is measured beside daskhub; more: in turn with the latter."""
        tools, first = self.tools(name, objects), {}
        if self.daskhub and self.daskhub.chart:
            words = self.daskhub.command()
            tools["daskhub"] = lambda: measured(words)
            tools["alike"] = self.ours(name, list(alike), "alike")
        floor = kube_floor.applies(self.folder / f"{name}.floor", self.kubectl, objects, f"bench-{name}-floor")
        for number in range(rounds):
            self.clean(name)
            for tool in ("kubectl", "floor"):
                self.kubectl("create", "namespace", f"bench-{name}-{tool}")
            sides = list((tools | {"floor": lambda: measured(floor)}).items())
            # Another one begins each time: who is the first to fill what was emptied meets the server's own clearing up.
            sides = sides[number % len(sides) :] + sides[: number % len(sides)]
            for tool, used in in_turns(dict(sides), 1).items():
                first[tool] = used.best(first.get(tool))
        again = in_turns(tools | more, rounds)
        if "daskhub" in tools:
            note(f"daskhub, the real chart: {self.daskhub.objects()} objects" if self.daskhub else "")
        self.clean(name)
        self.asked(name)
        self.clean(name)
        return first, again

    def asked(self, name: str) -> None:
        """How often caas asks the API server for what."""
        space = f"bench-{name}-caas"
        environment = dict(os.environ, CAAS_STATE=str(self.folder / f"state-{name}"), CAAS_TRACE="kube")
        environment["CAAS_DATA"] = str(self.folder / f"{name}.d" / "data-caas")
        for what in ("first install", "nothing to do"):
            command = [CAAS, "apply", self.form(space), "--yes", "--quiet"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
            if done.returncode != 0:
                raise SystemExit(done.stderr[-3000:])
            words = re.findall(r"\b(GET|PATCH|POST|PUT|DELETE) (/\S*): \d+", done.stderr)
            verbs = Counter(verb for verb, _ in words)
            text = ", ".join(f"{count} {verb}" for verb, count in verbs.most_common())
            note(f"{what}: caas asks {len(words)} times: {text}")

    def role_set(self) -> None:
        live = self.lab()
        objects = kube_objects.without_pods(map(kube_objects.as_written, live))
        alike = [one for one, at in zip(objects, live, strict=True) if not kube_objects.is_of_directory(at)]
        size = len(json.dumps(objects)) // 1000
        note(f"{len(objects)} objects, {size} kB, at none of which a pod runs")
        place = self.folder / "daskhub.d"
        self.daskhub = kube_daskhub.Daskhub(place, self.helm_words, self.kubectl, "bench-set-daskhub")
        real = ["daskhub"] if self.daskhub.chart else []
        note(f"alike: what daskhub has, too, without the directory of ours: {len(alike)} objects")
        first, again = self.same_objects("set", objects, ROUNDS, alike, whole=lambda: self.caas("apply", LAB))
        self.daskhub = None
        whole = again.pop("whole")
        compare("first install of the role set's objects", first, dict.fromkeys(["helm", *real], "1/3"), "target: 1/4")
        floor = first["floor"].wall
        least = f"{ratio(floor, first['helm'].wall)}, {100 * floor / first['caas'].wall:.0f} % of caas"
        figure("  these applies alone (curl) to helm, wall", least)
        targets = {**dict.fromkeys(["helm", *real], "1/10"), "kubectl": "1/4"}
        compare("nothing to do, the same objects", again, targets, "target: 1/4")
        again.pop("alike", None)
        again["caas"] = whole
        compare("nothing to do, the whole cluster", again, targets, "target: 1/4")

    # ---- growth ----

    def sizes(self) -> None:
        each: dict[str, list[float]] = {}
        for count in SIZES:
            objects = kube_objects.many(count)
            if count <= 400:
                first, again = self.same_objects(f"n{count}", objects, 1 if count > 100 else ROUNDS)
            else:
                tools = self.tools(f"n{count}", objects)
                self.kubectl("create", "namespace", f"bench-n{count}-floor")
                floor = kube_floor.applies(self.folder / "floor", self.kubectl, objects, f"bench-n{count}-floor")
                first = {"caas": tools["caas"](), "floor": measured(floor)}
                again = in_turns({"caas": tools["caas"]}, ROUNDS)
                self.clean(f"n{count}", ("caas", "floor"))
            for what, best in (("first install", first), ("nothing to do", again)):
                for tool, used in best.items():
                    figure(f"{count} ConfigMaps, {what}: {tool}", f"{used}", "linear" if tool == "caas" else "")
                    note(f"peak {used.peak / 1000:.0f} MB; {load()}")
                    each.setdefault(f"{what}, {tool}, wall", []).append(used.wall / count * 1000)
                    each.setdefault(f"{what}, {tool}, processor", []).append(used.cpu / count * 1000)
                    each.setdefault(f"{what}, {tool}, API server and etcd", []).append(used.server / count * 1000)
        for name, costs in each.items():
            if len(costs) == len(SIZES):
                text = ", ".join(f"{cost:.2f}" for cost in costs)
                figure(f"an object, {name}", f"{text} ms", f"{SIZES[-1]} to {SIZES[-2]}: {costs[-1] / costs[-2]:.2f}")

    # ---- homes ----

    def homes(self) -> None:
        space = "bench-homes"
        self.kubectl("create", "namespace", space)
        volumes, claims = kube_objects.claims(HOMES, space, CLASS)
        expandable = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": CLASS},
            "provisioner": "bench.invalid",
            "allowVolumeExpansion": True,
        }
        listed = kube_objects.manifest(self.folder / "claims.yaml", [expandable, *volumes, *claims])
        began = time.monotonic()
        self.kubectl("apply", "--server-side", "-n", space, "-f", listed)
        bound = '{range .items[*]}{.status.phase}{"\\n"}{end}'
        while self.kubectl("get", "pvc", "-n", space, "-o", f"jsonpath={bound}").split().count("Bound") < HOMES:
            if time.monotonic() - began > SECONDS:
                raise SystemExit("the claims are not bound")
            time.sleep(1)
        note(f"{HOMES} claims made and bound in {time.monotonic() - began:.0f} s")

        def data(gb: int) -> Path:
            wanted = {"id": "bench0/homes", "kind": "kube.claim", "spec": {"gb": gb}}
            return kube_objects.role(self.folder / f"homes-{gb}", self.images, [wanted])

        state = "state-homes"
        self.caas("apply", space, data(1), state)
        environment = dict(os.environ, CAAS_STATE=str(self.folder / state), CAAS_DATA=str(data(2)))
        plans = [timed_plan([CAAS, "plan", self.form(space)], environment) for _ in range(ROUNDS)]
        figure(f"growth of {HOMES} homes: plan", f"{min(plans) * 1000:.0f} ms", "target: under 1000 ms")
        server = server_seconds()
        used = measured([CAAS, "apply", self.form(space), "--yes", "--quiet"], environment)
        server = server_seconds() - server
        text = f"{used.wall:.1f} s, {HOMES / used.wall:.0f} requests/s"
        figure(f"growth of {HOMES} homes: apply", text, "target: the API server's limit")
        note(f"processor: caas {used.cpu:.2f} s, API server and etcd {server:.1f} s; {load()}")
        floor = measured(kube_floor.growth(self.folder / "homes.floor", self.kubectl, claims, space, "3G"))
        text = f"{floor.wall:.1f} s, {HOMES / floor.wall:.0f} requests/s"
        figure("  these patches alone (curl)", text, f"caas to that: {used.wall / floor.wall:.2f}")

    def remove_homes(self) -> None:
        self.forget("bench-homes")
        volumes = ["persistentvolumes", "-l", "caas-bench=bench-homes"]
        self.kubectl("delete", *volumes, "--ignore-not-found", "--wait=false")
        self.kubectl("delete", "storageclass", CLASS, "--ignore-not-found")

    # ---- users ----

    def users(self) -> None:
        script = (
            "import sqlite3\n"
            "base = sqlite3.connect('/srv/jupyterhub/jupyterhub.sqlite', timeout=60)\n"
            "base.executemany('insert into users (name, admin, created, last_activity, cookie_id) values"
            ' (?, 0, "2026-01-01 00:00:00.000000", "2026-01-02 00:00:00.000000", ?)\','
            f" ((f'bench{{i:05}}', f'bench-cookie-{{i}}') for i in range({USERS})))\n"
            "base.commit()\n"
        )
        self.kubectl("exec", "-i", "-n", LAB, "deployment/hub", "--", "python3", "-", given=script)
        best = in_turns({"caas": lambda: measured([CAAS, "users", LAB, "--json"])})["caas"]
        figure(f"users, with {USERS} users of the hub", f"{best}", "target: under 2000 ms")
        note(f"peak {best.peak / 1000:.0f} MB; {load()}")

    def remove(self) -> None:
        self.remove_homes()
        names = ("set", *(f"n{count}" for count in SIZES))
        self.forget(*(f"bench-{name}-{tool}" for name in names for tool in SIDES))
        if (self.folder / "state" / "clusters" / LAB).exists():
            run([CAAS, "destroy", LAB, "--yes", "--delete-data", "--quiet"])
        self.forget(LAB)


def timed_plan(command: Sequence[str | Path], environment: dict[str, str]) -> float:
    """`plan` ends with 2 when there is something to do."""
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    took = time.monotonic() - began
    if done.returncode != 2:
        raise SystemExit(f"plan: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def server_seconds() -> float:
    """What the API servers and their etcds on this machine have used; 0 where they are elsewhere."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")[:2]
            if any(word.endswith((b"kube-apiserver", b"etcd")) for word in words):
                ticks += sum(int(text) for text in (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    parts: dict[str, Any] = {"set": bench.role_set, "sizes": bench.sizes, "homes": bench.homes, "users": bench.users}
    note(f"Kubernetes, best of {ROUNDS}; {load()}")
    try:
        for name in os.environ.get("BENCH_KUBE", "set users homes sizes").split():
            parts[name]()
    except SystemExit as fault:
        print(fault, file=sys.stderr)
        raise
    finally:
        bench.remove()
        note(load())


if __name__ == "__main__":
    main()
