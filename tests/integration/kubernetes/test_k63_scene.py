"""Some hours of a cluster on Kubernetes in minutes, and everything that dashboards and alerts ask of the Prometheus that has watched
it: the scene of lib/scene.py in pods. What a provider has and the test bed has not, volumes with an end, two homes are given here."""

import base64
import contextlib
import copy
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask_cluster
import pytest
import scene as scenes
import watching
from bed import HOMES, Bed, Lab, eventually
from prometheus import Prometheus
from scene import EITHER, SILENT, ZERO, ZERO_OR_MORE, Scene, Stage
from test_k65_monitoring import FORM, write_form
from watching import EXPORTER, PAGE, WATCHER

USERS = ("emma", "finn")
EVERY = 5  # seconds from one look to the next, of the exporter and of Prometheus; kubelets have new figures every 10
HOME = 2 * 1024**3  # bytes, the disk of a home of 2 GB
SILENT_HERE = SILENT | {
    "caas_homes_": "homes are volumes of their own: there is no disk that all of them are on",
    "node_filesystem_": "a pod sees its own file systems, not the node's",
    "node_network_": "a pod sees its own network, not the node's",
}
EITHER_HERE = EITHER | {
    "alert GrafanaDown": "how busy it is: on a crowded machine a part may answer late",
    "alert VolumeFull": "how full the machine's disk is, which all volumes but these homes are on",
    "alert VolumeFilling": "how full the machine's disk is, which all volumes but these homes are on",
}
SHOWN = scenes.SHOWN | {
    "alert DriftFound": [{}],
    "Provisioner / Changed by others": [{}],
}
# Of 1 GB, all that runs in the pod together: its last twentieth in more than the 15 s that a kubelet takes to look again.
LEAK_SLOWLY = """
import psutil, time
blocks = []
def used(): return sum(one.info["memory_full_info"].pss for one in psutil.process_iter(["memory_full_info"]))
while used() < 920_000_000: blocks.append(bytearray(b'x' * 10_000_000))
while True:
    blocks.append(bytearray(b'x' * 1_000_000))
    time.sleep(0.5)
"""
FILL = """
import os
try:
    with open(os.path.expanduser("~/fill"), "wb") as file:
        for step in range(1000):
            os.posix_fallocate(file.fileno(), step * 50_000_000, 50_000_000)
except OSError as error:
    print(error.errno)
"""


def settings(lab: Lab, labels: str, name: str, key: str) -> dict[str, Any]:
    (secret,) = [one for one in lab.get("secret", labels) if one["metadata"]["name"] == name]
    return json.loads(base64.b64decode(secret["data"][key]))


def put(lab: Lab, prometheus: dict[str, Any], exporter: dict[str, Any]) -> None:
    """Gives both other settings. They are told so: a deployment does not follow a Secret."""
    (pod,) = lab.names("pod", WATCHER)
    for name, key, value in (("prometheus", "prometheus.yaml", prometheus), ("exporter", "exporter.json", exporter)):
        lab.kubectl("patch", "secret", name, "-p", json.dumps({"stringData": {key: json.dumps(value)}}))
    lab.kubectl("delete", "pod", "-l", EXPORTER, "--wait=false")
    # A kubelet looks at once where a pod has changed.
    lab.kubectl("annotate", "pod", pod, f"tests/looked={time.monotonic()}", "--overwrite")
    inside = ("-n", lab.namespace, "exec", pod, "-c", "prometheus", "--")
    read = (*inside, "cat", "/etc/caas/prometheus/prometheus.yaml")
    eventually(lambda: json.loads(lab.bed.kubectl(*read)) == prometheus, 120)
    lab.bed.kubectl(*inside, "sh", "-c", "kill -HUP 1")


@contextlib.contextmanager
def looking_often(lab: Lab) -> Iterator[None]:
    written = [
        settings(lab, WATCHER, "prometheus", "prometheus.yaml"),
        settings(lab, EXPORTER, "exporter", "exporter.json"),
    ]
    often = copy.deepcopy(written)
    scenes.look_often(*often, EVERY)
    put(lab, *often)
    try:
        yield
    finally:
        put(lab, *written)


def folder_of(lab: Lab, user: str) -> str:
    """Where the test bed has made a user's home."""
    (claim,) = [one for one in lab.get("pvc", HOMES) if one["metadata"]["name"] == f"claim-{user}"]
    volume = lab.bed.kubectl("get", "pv", claim["spec"]["volumeName"], "-o", "jsonpath={.spec.local.path}")
    return volume.strip()


def give_disk(lab: Lab, user: str) -> None:
    """A home with an end, as a provider's volumes are: a disk of its own, in the place of the folder that the first start has made."""
    client = lab.signed_in(user)
    client.spawn()
    client.stop()
    folder = folder_of(lab, user)
    made = f"truncate -s {HOME} {folder}.disk && mkfs.xfs -q {folder}.disk && mount -o loop {folder}.disk {folder}"
    lab.bed.inside("sh", "-c", f"{made} && chmod 0777 {folder}")


@contextlib.contextmanager
def with_disks(lab: Lab) -> Iterator[None]:
    """The users, with such homes; afterwards nothing is left of both."""
    for user in USERS:
        lab.add_user(user)
    try:
        with ThreadPoolExecutor() as beside:
            for done in [beside.submit(give_disk, lab, user) for user in USERS]:
                done.result(timeout=300)
        yield
    finally:
        for user in USERS:
            if f"claim-{user}" in lab.names("pvc", HOMES):
                folder = folder_of(lab, user)
                lab.bed.inside("sh", "-c", f"! mountpoint -q {folder} || umount {folder}; rm -f {folder}.disk")
            lab.caas.run("user", "remove", lab.name, user, "--yes", "--delete-home")


def back_up(lab: Lab) -> None:
    """As Kubernetes writes down of the CronJob that the form names."""
    lab.kubectl("create", "cronjob", "backup", "--image=backup:1", "--schedule=0 0 1 1 *")
    done = json.dumps({"status": {"lastSuccessfulTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}})
    lab.kubectl("patch", "cronjob", "backup", "--subresource=status", "--type=merge", "-p", done)


def scale_directory(lab: Lab, replicas: int) -> None:
    lab.kubectl("scale", "statefulset/directory", f"--replicas={replicas}")
    if not replicas:
        lab.kubectl("wait", "--for=delete", "pod/directory-0", "--timeout=60s")


def watch(lab: Lab, bed: Bed) -> None:
    watching.load_images(bed)
    write_form(lab, FORM)
    # Two workers and a scheduler have 1.3 CPUs: that is to be all that somebody may.
    lab.form.write_text(lab.form.read_text().replace("max: {cpus: 1.4", "max: {cpus: 1.35"))
    # Somebody else changes something, which the apply finds.
    lab.kubectl("label", "configmap", "directory-ca", "component=other", "--overwrite")
    lab.apply()


@pytest.fixture(scope="module")
def scene(lab: Lab, bed: Bed) -> Iterator[Scene]:
    watch(lab, bed)
    forwarded = bed.forwarded(lab.namespace, "deploy/prometheus", 9090)
    with with_disks(lab), looking_often(lab), forwarded as port:
        stage = Stage(
            lab,
            Prometheus(f"http://127.0.0.1:{port}{PAGE}prometheus"),
            LEAK_SLOWLY,
            FILL,
            back_up=lambda: back_up(lab),
            take_directory=lambda: scale_directory(lab, 0),
            bring_directory=lambda: scale_directory(lab, 1),
            every=EVERY,
            silent=SILENT_HERE,
            either=EITHER_HERE,
            zero=ZERO,
            zero_or_more=ZERO_OR_MORE,
        )
        made = scenes.play(stage)
        yield made
        lab.kubectl("delete", "cronjob", "backup")
        assert made.emma.kernel().run(dask_cluster.STOP_ALL, seconds=60).status == "ok"
        made.emma.stop()


@pytest.mark.parametrize("user", [".*", "(emma|finn)"])  # all, and two chosen: as Grafana fills the variable in
def test_every_expression_of_dashboards_and_alerts_is_answered(scene: Scene, user: str) -> None:
    scene.ask_everything(user)


def test_what_is_excused_is_asked() -> None:
    assert scenes.unneeded(SILENT_HERE, EITHER_HERE, ZERO, ZERO_OR_MORE) == []


def test_what_shows_nothing_but_zeros_is_known(scene: Scene) -> None:
    scene.zeros_are_known()


@pytest.mark.parametrize("where", SHOWN)
def test_what_happened_is_shown(scene: Scene, where: str) -> None:
    scene.shows(where, SHOWN[where])


def test_the_directory_has_an_alert_of_its_own(scene: Scene) -> None:
    scene.directory_has_an_alert_of_its_own()


def test_the_directory_was_away_and_is_back(scene: Scene) -> None:
    scene.directory_was_away_and_is_back()
