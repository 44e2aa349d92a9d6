import asyncio
import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import kubespawner.spawner
import pytest
from jupyterhub import orm
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.rest import ApiException
from pangeo_hub import kube
from pangeo_hub.base import StartFailed
from pangeo_hub.choices import Choices
from pangeo_hub.settings import Settings
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[3]
PREFERRED = {
    "weight": 100,
    "preference": {"matchExpressions": [{"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}]},
}
UNSCHEDULED = "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available"


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "jupyter-alice"}, "status": {"phase": "Pending", **status}}


def notebook(**state: Any) -> dict[str, Any]:
    return pod(containerStatuses=[{"name": "notebook", "state": state}])


def unscheduled(message: str = UNSCHEDULED) -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


class Reflector:
    def __init__(self) -> None:
        self.pods: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []


class Api:
    """Stands in for the API server: what each call answers, or raises."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.made.append((name, arguments, named))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def cluster(settings: Settings) -> Settings:
    tree = {key: value for key, value in settings.raw.items() if key not in ("environments_folder", "homes", "sandbox")}
    tree["profiles"] = [*tree["profiles"], {"name": "gpu", "description": "", "cpus": 2, "ram": 4, "gpus": 1}]
    tree["environments"] = [{"name": "climate", "description": "Our own", "image": "registry.example.org/climate:1"}]
    tree["variables"] = {"DASK_GATEWAY__PUBLIC_ADDRESS": "{JUPYTERHUB_SERVICE_PREFIX}proxy/dask-gateway"}
    tree["kubernetes"] = {
        "namespace": "unit-test",
        "labels": {"app": "jupyterhub", "release": "unit"},
        "image": "quay.io/pangeo/pangeo-notebook:1",
        "cpu_guarantee": 0.05,
        "storage_class": None,
        "pull_secrets": [{"name": "registry"}],
        "node_selector": {"pool": "pangeo"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "pangeo", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [PREFERRED]}},
        "volumes": [{"name": "notebook-code", "configMap": {"name": "notebook-code"}}],
        "volume_mounts": [{"name": "notebook-code", "mountPath": "/etc/caas/notebook", "readOnly": True}],
    }
    return Settings(tree)


def configuration(settings: Settings, tmp_path: Path, monkeypatch: Any) -> Config:
    """jupyterhub_config.py as it is, with these values."""
    tree = {
        **settings.raw,
        "sweep_seconds": 120,
        "database": str(tmp_path / "hub.sqlite"),
        "accounts": str(tmp_path / "users.json"),
        "hub": {"url": "http://:8081", "connect": "http://hub:8081"},
        "proxy": {"url": "http://:8000", "api": "http://proxy-api:8001"},
        "tokens": {"cookie": "00" * 32, "caas": "1", "gateway": "2", "prometheus": "3", "proxy": "4"},
        "gateway": {"proxy": "http://traefik", "api": "http://api", "token": "5"},
    }
    folder = tmp_path / "hub"
    folder.mkdir()
    # As in a pod: a link to where the ConfigMap is.
    (folder / "code").symlink_to(ROOT / "roles/hub/files")
    (folder / "hub.json").write_text(json.dumps(tree))
    path = folder / "code" / "jupyterhub_config.py"
    c = Config()
    exec(compile(path.read_text(), path, "exec"), {"get_config": lambda: c, "__file__": str(path)})
    return c


@pytest.fixture
def spawner(cluster: Settings, tmp_path: Path, monkeypatch: Any) -> kube.PangeoKubeSpawner:
    api = Api()
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **_: None)
    monkeypatch.setattr(kubespawner.spawner, "shared_client", lambda *_: api)
    config = configuration(cluster, tmp_path, monkeypatch)
    user = SimpleNamespace(name="alice", groups=[], url="/user/alice/", id=1, escaped_name="alice")
    hub = SimpleNamespace(
        api_url="http://hub:8081/hub/api", base_url="/hub/", public_host="", server=SimpleNamespace(base_url="/hub/")
    )
    made = kube.PangeoKubeSpawner(
        config=config, settings=cluster, accounts=None, choices=Choices(cluster), user=user, hub=hub
    )
    made.orm_spawner = orm.Spawner(name="", state={})
    made.api_token = "token"
    monkeypatch.setattr(kube.PangeoKubeSpawner, "server", SimpleNamespace(base_url="/user/alice/"))
    reflector = Reflector()
    monkeypatch.setattr(
        kube.PangeoKubeSpawner, "reflectors", {("pods", "unit-test"): reflector, ("events", "unit-test"): reflector}
    )

    async def watching(*_: Any, **__: Any) -> Any:
        return reflector

    monkeypatch.setattr(kube.PangeoKubeSpawner, "_start_watching_pods", watching)
    monkeypatch.setattr(kube.PangeoKubeSpawner, "_start_watching_events", watching)
    monkeypatch.setattr(kube, "LOOK_SECONDS", 0.01)
    made.test_api, made.test_pods = api, reflector
    return made


def manifest(spawner: kube.PangeoKubeSpawner) -> dict[str, Any]:
    return ApiClient.sanitize_for_serialization(ApiClient.__new__(ApiClient), asyncio.run(spawner.get_pod_manifest()))


def test_a_pod_that_may_do_nothing(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.choose()
    made = manifest(spawner)
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "fsGroup": 100,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": 1000,
    }
    assert not spec.get("initContainers")
    # At every address of the pod, of IPv6 as well.
    (served,) = [each["value"] for each in container["env"] if each["name"] == "JUPYTERHUB_SERVICE_URL"]
    assert served == "http://:8888/user/alice/"
    assert made["metadata"]["labels"]["component"] == "singleuser-server"
    assert made["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"
    assert made["metadata"]["labels"]["release"] == "unit"


def test_size_image_and_place_are_those_of_the_choice(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.user_options = {"profile": "large", "environment": "climate"}
    spawner.choose()
    made = manifest(spawner)
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert container["image"] == "registry.example.org/climate:1"
    assert container["resources"]["limits"] == {"cpu": 8.0, "memory": 32_000_000_000}
    assert container["resources"]["requests"] == {"cpu": 0.4, "memory": 32_000_000_000}
    spawner.settings["kubernetes"]["cpu_guarantee"] = 1
    spawner.choose()
    assert manifest(spawner)["spec"]["containers"][0]["resources"]["requests"]["cpu"] == 8.0
    assert spec["nodeSelector"] == {"pool": "pangeo"}
    assert spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == [PREFERRED]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert [each["key"] for each in spec["tolerations"]] == ["dedicated"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["CAAS_ENVIRONMENT"] == environment["DASK_GATEWAY__CLUSTER__OPTIONS__ENVIRONMENT"] == "climate"
    assert environment["DASK_GATEWAY__PUBLIC_ADDRESS"] == "{JUPYTERHUB_SERVICE_PREFIX}proxy/dask-gateway"
    assert environment["HOME"] == kube.HOME


def test_gpus_are_asked_for_and_their_taint_is_borne(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.user_options = {"profile": "gpu"}
    spawner.choose()
    made = manifest(spawner)["spec"]
    assert made["containers"][0]["resources"]["limits"][kube.GPU] == "1"
    assert {"key": kube.GPU, "operator": "Exists", "effect": "NoSchedule"} in made["tolerations"]
    spawner.user_options = {}
    spawner.choose()
    made = manifest(spawner)["spec"]
    assert kube.GPU not in made["containers"][0]["resources"]["limits"]
    assert kube.GPU not in json.dumps(made["tolerations"])


def test_the_home_is_a_claim_of_the_forms_size_that_stays(spawner: kube.PangeoKubeSpawner) -> None:
    made = spawner.get_pvc_manifest()
    assert made.metadata.name == "claim-alice"
    assert made.metadata.labels["component"] == "singleuser-storage"
    assert made.metadata.labels["release"] == "unit"
    assert made.spec.resources.requests == {"storage": "1500M"}
    assert made.spec.storage_class_name is None
    assert spawner.delete_pvc is False
    asyncio.run(spawner.delete_forever())
    assert spawner.test_api.made == []
    spawner.choose()
    spec = manifest(spawner)["spec"]
    assert {"name": "home", "persistentVolumeClaim": {"claimName": "claim-alice"}} in spec["volumes"]
    assert {"name": "home", "mountPath": kube.HOME} in spec["containers"][0]["volumeMounts"]
    assert "/etc/caas/notebook" in json.dumps(spec["containers"][0]["volumeMounts"])


def test_pods_belong_to_the_account_of_the_hub(
    spawner: kube.PangeoKubeSpawner, tmp_path: Path, monkeypatch: Any
) -> None:
    claims = {"kubernetes.io": {"namespace": "unit-test", "serviceaccount": {"name": "hub", "uid": "0-1-2"}}}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    token = tmp_path / "token"
    token.write_text(f"head.{body}.sign")
    assert kube.own_account(str(token)) == ("hub", "0-1-2")
    assert kube.own_account(str(tmp_path / "nothing")) is None
    monkeypatch.setattr(kube, "own_account", lambda: ("hub", "0-1-2"))
    spawner.choose()
    owner = manifest(spawner)["metadata"]["ownerReferences"]
    assert owner == [
        {"apiVersion": "v1", "blockOwnerDeletion": False, "kind": "ServiceAccount", "name": "hub", "uid": "0-1-2"}
    ]


def refused(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="Forbidden")
    error.body = json.dumps({"kind": "Status", "message": message})
    return error


@pytest.mark.parametrize(
    ("status", "message", "words", "page"),
    [
        (
            403,
            'pods "x" is forbidden: exceeded quota: q, requested: limits.memory=4G',
            "share of the machines is used up",
            403,
        ),
        (
            403,
            "exceeded quota: q, requested: requests.storage=1G, used: requests.storage=9G",
            "no more of it for home",
            403,
        ),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"', "rules of the cluster", 500),
        (403, "maximum memory usage per Container is 1Gi, but limit is 2G", "may not be as large", 403),
        (403, 'User "system:serviceaccount:a:hub" cannot create resource "pods"', "hub may not start servers", 500),
        (503, "the server is currently unable", "is busy", 503),
        (422, "Pod is invalid: spec.containers[0].image", "refused to start the server", 500),
    ],
)
def test_what_the_api_refuses_is_said_in_words(status: int, message: str, words: str, page: int) -> None:
    text, code = kube.refusal(refused(status, message))
    assert words in text
    assert message in text
    assert code == page


def test_an_answer_that_is_no_json_is_said_as_it_is() -> None:
    error = ApiException(status=500, reason="Internal")
    error.body = "<html>oops</html>"
    assert "<html>oops</html>" in kube.refusal(error)[0]
    error.body = None
    assert "500 Internal" in kube.refusal(error)[0]


def start(spawner: kube.PangeoKubeSpawner) -> Any:
    async def run() -> Any:
        return await asyncio.wait_for(asyncio.shield(spawner.start()), 10)

    return asyncio.run(run())


def test_a_full_quota_is_explained_at_the_start(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.test_api.answers["create_namespaced_pod"] = refused(403, "exceeded quota: q, requested: limits.cpu=1")
    with pytest.raises(StartFailed) as failed:
        start(spawner)
    assert "choose a smaller size" in failed.value.jupyterhub_message
    assert failed.value.status_code == 403


def test_an_api_that_is_away_is_explained(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.test_api.answers["create_namespaced_persistent_volume_claim"] = aiohttp.ClientConnectionError("gone")
    with pytest.raises(StartFailed, match="does not answer right now"):
        start(spawner)


def running_pod() -> dict[str, Any]:
    made = notebook(running={"startedAt": "now"})
    made["status"].update(phase="Running", podIP="10.0.0.9")
    made["status"]["containerStatuses"][0]["ready"] = True
    made["metadata"]["uid"] = "1"
    made["spec"] = {"containers": [{"name": "notebook", "ports": [{"name": "notebook-port", "containerPort": 8888}]}]}
    return made


def answer(monkeypatch: Any, *codes: int) -> list[str]:
    """The server answers with these, one after the other and the last for ever; 0 = it does not listen. What was asked."""
    asked: list[str] = []

    async def fetch(_: Any, url: str, **__: Any) -> Any:
        asked.append(url)
        code = codes[min(len(asked), len(codes)) - 1]
        if code == 0:
            raise ConnectionRefusedError
        return SimpleNamespace(code=code)

    monkeypatch.setattr(kube, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(kube.AsyncHTTPClient, "fetch", fetch)
    return asked


def test_a_claim_that_is_there_is_used_however_full_the_quota_is(
    spawner: kube.PangeoKubeSpawner, monkeypatch: Any
) -> None:
    asked = answer(monkeypatch, 0, 503, 200)
    spawner.test_api.answers["create_namespaced_persistent_volume_claim"] = refused(403, "exceeded quota: storage")
    spawner.test_pods.pods["unit-test/jupyter-alice"] = running_pod()
    assert start(spawner) == "http://10.0.0.9:8888"
    assert asked == ["http://10.0.0.9:8888/user/alice/api"] * 3


def test_a_server_that_never_answers_is_not_waited_for_after_its_end(
    spawner: kube.PangeoKubeSpawner, monkeypatch: Any
) -> None:
    answer(monkeypatch, 0)
    key = "unit-test/jupyter-alice"
    spawner.test_pods.pods[key] = running_pod()

    async def run() -> None:
        starting = spawner.start()
        await asyncio.sleep(0.1)
        spawner.test_pods.pods[key] = notebook(terminated={"exitCode": 137, "reason": "OOMKilled"})
        with pytest.raises(StartFailed, match="more memory"):
            await asyncio.wait_for(starting, 2)

    asyncio.run(run())


def test_a_start_that_is_broken_off_ends_at_once(spawner: kube.PangeoKubeSpawner) -> None:
    async def run() -> None:
        starting = spawner.start()
        await asyncio.sleep(0.05)
        spawner.withdrawn = "access was withdrawn by an administrator"
        with pytest.raises(StartFailed, match="broken off"):
            await asyncio.wait_for(starting, 2)

    asyncio.run(run())


def test_a_server_that_ends_while_starting_says_why(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.test_pods.pods["unit-test/jupyter-alice"] = notebook(terminated={"exitCode": 1, "reason": "Error"})
    spawner.test_api.answers["read_namespaced_pod_log"] = "Traceback\nModuleNotFoundError: jupyterhub\n"
    with pytest.raises(StartFailed, match="exit status 1.*last words were: Traceback / ModuleNotFoundError"):
        start(spawner)


def test_when_waiting_makes_no_sense(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.choose()
    hopeless = spawner.hopeless
    assert hopeless(None, [], 500) is None
    assert hopeless(pod(), [], 500) is None
    pulling = notebook(waiting={"reason": "ImagePullBackOff", "message": "not found"})
    assert hopeless(pulling, [], 1) is None
    assert "could not be fetched (quay.io/pangeo/pangeo-notebook:1)" in (hopeless(pulling, [], 30) or "")
    assert "not a valid one" in (hopeless(notebook(waiting={"reason": "InvalidImageName"}), [], 1) or "")
    assert hopeless(unscheduled(), [], 10) is None
    assert "room for a server with 2 GB memory and 1 CPU" in (hopeless(unscheduled(), [], 100) or "")
    assert hopeless(unscheduled(), [{"reason": "TriggeredScaleUp"}], 100) is None
    assert "No machine of the cluster may run" in (hopeless(unscheduled("node(s) didn't match"), [], 100) or "")
    assert "home folder" in (hopeless(unscheduled("unbound immediate PersistentVolumeClaims"), [], 100) or "")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (notebook(terminated={"exitCode": 137, "reason": "OOMKilled"}), "needed more memory"),
        (notebook(terminated={"exitCode": 3, "reason": "Error"}), "exit status 3"),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "was short of something",
        ),
        (pod(phase="Failed", reason="NodeLost"), "NodeLost"),
        (notebook(running={}), None),
    ],
)
def test_how_a_server_ended(state: dict[str, Any], words: str | None) -> None:
    said = kube.how_it_ended(state)
    assert said is None if words is None else words in (said or "")


def test_the_reason_is_known_before_the_pod_is_removed(spawner: kube.PangeoKubeSpawner) -> None:
    key = "unit-test/jupyter-alice"
    spawner.test_pods.pods[key] = notebook(terminated={"exitCode": 137, "reason": "OOMKilled"})
    spawner.test_pods.pods[key]["status"]["phase"] = "Failed"

    async def delete(**_: Any) -> None:
        spawner.test_pods.pods.pop(key)

    async def read(**_: Any) -> Any:
        return SimpleNamespace(status=404)

    spawner.api = SimpleNamespace(delete_namespaced_pod=delete, read_namespaced_pod=read)
    assert asyncio.run(spawner.poll()) == 137
    assert "more memory" in spawner.stopped_because
    spawner.stopped_because = ""
    assert asyncio.run(spawner.poll()) == 1
    assert "machine it ran on was taken away" in spawner.explain_end(1)


def test_a_revoked_server_gets_a_second(spawner: kube.PangeoKubeSpawner) -> None:
    spawner.stopped_because = spawner.withdrawn = "access was withdrawn"
    asyncio.run(spawner.stop())
    assert spawner.test_api.made[-1][2]["grace_period_seconds"] == 1
    spawner.withdrawn = ""
    asyncio.run(spawner.stop())
    assert spawner.test_api.made[-1][2]["grace_period_seconds"] == 10


@pytest.mark.parametrize(("there", "deleted"), [(True, 1), (False, 0)])
def test_a_pod_that_outlived_its_server_is_ended(
    spawner: kube.PangeoKubeSpawner, monkeypatch: Any, there: bool, deleted: int
) -> None:
    """The hub knows nothing of it any more, nor need the list of pods."""
    asked: list[dict[str, Any]] = []

    async def read(**_: Any) -> Any:
        async def body() -> str:
            return json.dumps({"metadata": {"name": spawner.pod_name}})

        return SimpleNamespace(status=200 if there else 404, read=body)

    async def delete(**what: Any) -> None:
        asked.append(what)
        spawner.test_pods.pods.clear()

    monkeypatch.setattr(spawner.test_api, "read_namespaced_pod", read, raising=False)
    monkeypatch.setattr(spawner.test_api, "delete_namespaced_pod", delete, raising=False)
    asyncio.run(spawner.end_rest())
    assert [(what["name"], what["grace_period_seconds"]) for what in asked] == [(spawner.pod_name, 0)] * deleted


@pytest.mark.parametrize(
    "refused", [ApiException(status=429), ApiException(status=503), aiohttp.ClientConnectionError(), OSError()]
)
def test_a_busy_api_server_is_asked_again_to_delete(
    spawner: kube.PangeoKubeSpawner, monkeypatch: Any, refused: Exception
) -> None:
    answers = [refused, refused, None]

    async def delete(**_: Any) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    monkeypatch.setattr(spawner.test_api, "delete_namespaced_pod", delete, raising=False)
    asyncio.run(spawner.stop())
    assert not answers
    answers.append(ApiException(status=403))
    with pytest.raises(ApiException):
        asyncio.run(spawner.stop())


def test_events_in_words() -> None:
    assert "another one is being started" in kube.event_words({"reason": "TriggeredScaleUp"}, "pangeo")
    assert "pangeo" in kube.event_words({"reason": "Pulling", "message": "Pulling image x"}, "pangeo")
    assert kube.event_words({"reason": "New", "message": "as it is"}, "pangeo") == "as it is"
    assert kube.event_words({"reason": "Created"}, "pangeo") == ""
    assert kube.event_words({"reason": "Killing", "message": "Stopping container"}, "pangeo") == ""
    unbound = {"reason": "FailedScheduling", "message": "pod has unbound immediate PersistentVolumeClaims"}
    assert kube.event_words(unbound, "pangeo") == "Making your home folder"
    assert "No machine has room" in kube.event_words({"reason": "FailedScheduling", "message": UNSCHEDULED}, "pangeo")


def test_the_culler_asks_the_hub_beside_it(cluster: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    config = configuration(cluster, tmp_path, monkeypatch)
    culler = next(each for each in config.JupyterHub.services if each["name"] == "idle-culler")
    assert "--url=http://127.0.0.1:8081/hub/api" in culler["command"]
    assert "/usr/bin/setpriv" not in culler["command"]
    assert config.JupyterHub.hub_connect_url == "http://hub:8081"
