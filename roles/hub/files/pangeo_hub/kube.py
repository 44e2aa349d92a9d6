"""Servers as pods. KubeSpawner makes claim and pod and watches them; what is ours is the size and image that were chosen, a pod
that may do nothing, and words for the person who waits when Kubernetes says no."""

import asyncio
import base64
import json
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import kubespawner.spawner
from jupyterhub.utils import exponential_backoff
from kubernetes_asyncio.client import V1OwnerReference
from kubernetes_asyncio.client.rest import ApiException
from kubespawner import KubeSpawner
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .base import PangeoSpawner, StartFailed, unknown_is_running
from .metrics import counted_start

HOME = "/home/jovyan"
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 0.2
# A registry that answers late is asked again; one that has not got the image says so at each try.
PULL_SECONDS = 20.0
# Room may come free, and an autoscaler needs a moment to say that it will make some.
ROOM_SECONDS = 90.0
GPU = "nvidia.com/gpu"
UNBOUND = "unbound immediate PersistentVolumeClaims"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"

STUCK = {
    "InvalidImageName": "the name of its image is not a valid one",
    "ErrImageNeverPull": "its image is not on the machine and must not be fetched",
    "CreateContainerConfigError": "its configuration is not complete",
    "CreateContainerError": "its container could not be made",
    "RunContainerError": "its container could not be started",
    "CrashLoopBackOff": "it ends again and again",
}
NO_POD: dict[str, Any] = {"status": {}}
PULLING = ("ErrImagePull", "ImagePullBackOff")

# What the stock class was told about a pod, it looks at in intervals of up to five seconds: most of a start, or of the ten
# seconds in which access has to be withdrawn.
kubespawner.spawner.exponential_backoff = partial(exponential_backoff, max_wait=0.5)


class PangeoKubeSpawner(PangeoSpawner, KubeSpawner):
    """Unlike the stock class: sizes and environments of choices.py instead of profile_list, no token of the cluster, restarts
    only by a person (a server that was ended for its memory says so), and starts that cannot succeed end early."""

    # --- what runs ---

    def choose(self) -> None:
        """The traits that get_pod_manifest() reads, from what was chosen."""
        choice = self.begin()
        kubernetes = self.settings["kubernetes"]
        self.mem_guarantee = self.mem_limit
        # People think longer than they compute, so CPUs can be shared. Memory cannot.
        self.cpu_guarantee = max(0.01, round(choice.size.cpus * kubernetes["cpu_guarantee"], 3))
        self.image = choice.environment.image
        self.tolerations = list(kubernetes["tolerations"])
        self.extra_resource_limits = {}
        if choice.size.gpus:
            self.extra_resource_limits = {GPU: str(choice.size.gpus)}
            self.tolerations.append({"key": GPU, "operator": "Exists", "effect": "NoSchedule"})

    async def load_user_options(self) -> None:
        """choose() has done it. The stock class would look for the choice in a profile_list, which there is none of."""

    async def get_pod_manifest(self) -> Any:
        """Owned by the hub's own account, so that Kubernetes removes it when the cluster is removed and no hub is left to."""
        pod = await super().get_pod_manifest()
        account = own_account()
        if account:
            pod.metadata.owner_references = [
                V1OwnerReference(
                    api_version="v1", kind="ServiceAccount", name=account[0], uid=account[1], block_owner_deletion=False
                )
            ]
        return pod

    def get_env(self) -> dict[str, str]:
        env: dict[str, str] = super().get_env()
        # Not through the trait `environment`: KubeSpawner would take braces in them for its own.
        env.update(self.settings["variables"])
        env["HOME"] = HOME
        if self._choice is not None:
            env["CAAS_ENVIRONMENT"] = self._choice.environment.name
            env["DASK_GATEWAY__CLUSTER__OPTIONS__ENVIRONMENT"] = self._choice.environment.name
        env["JUPYTER_RUNTIME_DIR"] = "/tmp/jupyter"
        return env

    # --- start ---

    def start(self) -> "asyncio.Future[Any]":
        # Held on to as KubeSpawner's own start() does: progress() ends with it.
        self._start_future = asyncio.ensure_future(self._start_watched())
        return self._start_future

    @counted_start
    async def _start_watched(self) -> Any:
        self.choose()
        began = time.monotonic()
        starting = asyncio.ensure_future(self._start_and_answer())
        try:
            while True:
                done, _ = await asyncio.wait({starting}, timeout=LOOK_SECONDS)
                if done:
                    return starting.result()
                self._fail_if_withdrawn()
                seconds = time.monotonic() - began
                reason = self.hopeless(self._pod(), self.events, seconds)
                if reason:
                    raise StartFailed(await self._with_last_words(reason), outcome=hopeless_outcome(self._pod()))
                if seconds > self.start_timeout - 2:
                    outcome = "no_room" if unscheduled_words(self._pod() or NO_POD) else "timeout"
                    raise StartFailed(await self._with_last_words(self._too_long()), outcome=outcome)
        except ApiException as error:
            self.log.error("the start of %s was refused: %s %s", self._log_name, error.status, error.body)
            raise StartFailed(*refusal(error), "refused") from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            self.log.error("the start of %s failed: %s", self._log_name, error)
            raise StartFailed(
                "Kubernetes, which runs the servers, does not answer right now. Please try again in a minute.",
                503,
                "refused",
            ) from error
        finally:
            starting.cancel()

    async def _start_and_answer(self) -> Any:
        """The server's address, when it answers there. The hub's own waiting gives up early, cannot see that the server has
        ended, and backs off to seconds between its looks."""
        url = await self._start()
        client = AsyncHTTPClient()
        while True:
            try:
                address = f"{url}{self.server.base_url}api"
                response = await client.fetch(address, raise_error=False, request_timeout=5, follow_redirects=False)
                if response.code < 500:
                    return url
            except (HTTPClientError, OSError):
                pass  # not listening yet
            await asyncio.sleep(ANSWER_SECONDS)

    def _pod(self) -> dict[str, Any] | None:
        reflector = self.pod_reflector
        return reflector.pods.get(f"{self.namespace}/{self.pod_name}") if reflector else None

    def hopeless(
        self, pod: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]], seconds: float
    ) -> str | None:
        """Why waiting on makes no sense; None while it does. seconds: how long the start takes so far."""
        if pod is None:
            return None
        state = waiting_of(pod)
        if state in STUCK:
            return f"Your server cannot start: {STUCK[state]}. Kubernetes says: {waiting_words(pod)}"
        if state in PULLING and seconds >= PULL_SECONDS:
            return (
                f"The software environment could not be fetched ({self.image}). An administrator has to look at it."
                f" Kubernetes says: {waiting_words(pod)}"
            )
        ended = how_it_ended(pod)
        if ended:
            return f"The server ended while it was starting: {ended}."
        words = unscheduled_words(pod)
        growing = any(event.get("reason") == "TriggeredScaleUp" for event in events)
        if words and seconds >= ROOM_SECONDS and not growing:
            return no_room(words, self._size_words())
        return None

    def _too_long(self) -> str:
        pod = self._pod()
        words = unscheduled_words(pod) if pod else None
        if words:
            return no_room(words, self._size_words())
        said = [event["message"] for event in self.events if event.get("type") == "Warning"]
        last = f" Kubernetes says: {said[-1]}" if said else ""
        return f"The server did not start within {self.start_timeout} seconds.{last}"

    def _size_words(self) -> str:
        size = self._choice.size if self._choice else None
        return f"{size.ram:g} GB memory and {size.cpus:g} CPU" if size else "its size"

    async def _with_last_words(self, reason: str) -> str:
        """With the end of the server's log, if there is one."""
        try:
            log = await asyncio.wait_for(
                self.api.read_namespaced_pod_log(
                    name=self.pod_name, namespace=self.namespace, container="notebook", tail_lines=4
                ),
                self.k8s_api_request_timeout,
            )
        except (ApiException, aiohttp.ClientError, OSError):
            return reason
        lines = [line.rstrip()[:300] for line in (log or "").splitlines() if line.strip()]
        return f"{reason} Its last words were: {' / '.join(lines)}" if lines else reason

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """KubeSpawner's events in words for the person who waits."""
        async for step in super().progress():
            event = step.get("raw_event")
            if event:
                words = event_words(event, self._choice.environment.name if self._choice else "")
                if not words:
                    continue
                step["message"] = words
            yield step

    # --- end ---

    @unknown_is_running
    async def poll(self) -> int | None:
        await self._start_watching_pods()
        pod = self._pod()
        if pod is None and self.server:
            pod = await self._look_again()
        if pod is not None and not self.stopped_because:
            # Before the stock class, which removes a pod that has ended, and with it the reason.
            self.stopped_because = how_it_ended(pod) or ""
        return await super().poll()

    async def _look_again(self) -> dict[str, Any] | None:
        """The list of pods may be older than the pod: watching begins with what any API server remembers. So the pod itself is
        asked for before the hub forgets its server. Raises if nobody can say."""
        asking = self.api.read_namespaced_pod(name=self.pod_name, namespace=self.namespace, _preload_content=False)
        answer = await asyncio.wait_for(asking, self.k8s_api_request_timeout)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise ApiException(status=answer.status, reason=answer.reason)
        pod: dict[str, Any] = json.loads(await answer.read())
        self.pod_reflector.pods[f"{self.namespace}/{self.pod_name}"] = pod
        return pod

    async def _start_reflector(self, kind: str, reflector_class: Any, replace: bool = False, **named: Any) -> Any:
        """The stock class goes on with one whose first list failed, or that gave up after a minute without the API server: it
        knows no pods, or those of then, until the hub is started again."""
        known = self.reflectors.get(self._get_reflector_key(kind))
        return await super()._start_reflector(kind, reflector_class, replace or given_up(known), **named)

    def explain_end(self, status: int) -> str:
        if self._pod() is None:
            return (
                "its pod was removed: the machine it ran on was taken away or restarted, or an administrator removed it"
            )
        return super().explain_end(status)

    async def stop(self, now: bool = False) -> None:
        if not self.stopped_because:
            self.stopped_because = self.explain_stop()
        self.delete_grace_period = 1 if self.withdrawn else max(1, math.ceil(self.stop_seconds))
        await super().stop(now)

    async def end_rest(self) -> None:
        """The hub forgets a server that it has stopped even if the API server was away."""
        await self._start_watching_pods()
        if await self._look_again() is not None:
            self.log.warning("the pod of %s outlived its server: it is ended", self.user.name)
            await super().stop(now=True)

    async def _make_delete_pod_request(self, *arguments: Any) -> bool:
        """Tried again for half a minute where the API server is busy or away; the stock class does so only where no answer comes.
        The hub forgets the server in any case, and its pod would run on."""
        try:
            return bool(await super()._make_delete_pod_request(*arguments))
        except ApiException as error:
            if error.status != 429 and error.status < 500:
                raise
        except (aiohttp.ClientError, OSError):
            pass
        return False


def given_up(reflector: Any) -> bool:
    """One that has begun and does not watch."""
    if reflector is None or not reflector.first_load_future.done():
        return False
    return reflector.watch_task is None or reflector.watch_task.done()


def quantity(gb: float) -> str:
    """GB of the form are 10^9 bytes."""
    return f"{max(1, round(float(gb) * 1000))}M"


def own_account(token: str = TOKEN) -> tuple[str, str] | None:
    """Name and uid of the ServiceAccount that this pod runs as: its token says them. None outside of a cluster."""
    try:
        payload = Path(token).read_text(encoding="ascii").split(".")[1]
    except (OSError, IndexError):
        return None
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    account = claims.get("kubernetes.io", {}).get("serviceaccount", {})
    return (account["name"], account["uid"]) if account.get("uid") else None


# --- what a pod says; all of it pure ---


def _notebook(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    for status in pod["status"].get("containerStatuses") or []:
        if status.get("name") == "notebook":
            return status
    return {}


def _init_waiting(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    for status in pod["status"].get("initContainerStatuses") or []:
        waiting = (status.get("state") or {}).get("waiting")
        if waiting:
            return waiting
    return {}


def _waiting(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_notebook(pod).get("state") or {}).get("waiting") or _init_waiting(pod)


def waiting_of(pod: Mapping[str, Any]) -> str:
    return _waiting(pod).get("reason") or ""


def waiting_words(pod: Mapping[str, Any]) -> str:
    waiting = _waiting(pod)
    return waiting.get("message") or waiting.get("reason") or "nothing"


def how_it_ended(pod: Mapping[str, Any]) -> str | None:
    """Goes on the sentence "Your server was stopped because …"; None while it has not ended."""
    status = pod["status"]
    ended = (_notebook(pod).get("state") or {}).get("terminated")
    if ended and ended.get("reason") == "OOMKilled":
        return "it was killed because it needed more memory than it has"
    if status.get("reason") == "Evicted":
        return f"the machine it ran on was short of something ({(status.get('message') or 'no details').strip()})"
    if ended:
        return f"it ended by itself (exit status {ended.get('exitCode')})"
    if status.get("phase") == "Failed":
        return f"Kubernetes ended it ({status.get('reason') or 'Failed'}: {status.get('message') or 'no details'})"
    return None


def unscheduled_words(pod: Mapping[str, Any]) -> str | None:
    """The scheduler's own words why there is no machine for the pod; None if there is one, or nobody has looked yet."""
    for condition in pod["status"].get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return condition.get("message") or "Unschedulable"
    return None


def hopeless_outcome(pod: Mapping[str, Any] | None) -> str:
    """How a start is counted that hopeless() gave up."""
    pod = pod or NO_POD
    if how_it_ended(pod):
        return "ended"
    return "no_room" if unscheduled_words(pod) else "refused"


def no_room(words: str, size: str) -> str:
    if UNBOUND in words or "volume" in words.lower():
        plain = "Your home folder could not be connected to a machine of the cluster."
    elif "Insufficient" in words or "Too many pods" in words:
        plain = f"No machine of the cluster has room for a server with {size} right now."
    else:
        plain = "No machine of the cluster may run your server."
    return f"{plain} Try again later, or choose a smaller size. Kubernetes says: {words}"


def event_words(event: Mapping[str, Any], environment: str) -> str:
    """One line of the page that shows a start; "" for what says nothing new."""
    reason, message = event.get("reason") or "", event.get("message") or ""
    plain = {
        "Scheduled": "There is a machine for your server",
        "SuccessfulAttachVolume": "Your home folder is connected",
        "Pulling": f"Fetching the environment {environment}: the first time on a machine this takes minutes",
        "Pulled": f"The environment {environment} is there",
        "Created": "",
        "Started": "Starting JupyterLab",
        "TriggeredScaleUp": "No machine has room: another one is being started, which takes some minutes",
        "FailedScheduling": "Making your home folder" if UNBOUND in message else f"No machine has room yet ({message})",
        "NotTriggerScaleUp": "",
        "Killing": "",  # of the server before this one
    }
    return plain.get(reason, message)


def refusal(error: ApiException) -> tuple[str, int]:
    """What the API server refused, in words, and the page's status."""
    try:
        said = json.loads(error.body or "{}").get("message") or ""
    except ValueError:
        said = str(error.body)
    said = said or f"{error.status} {error.reason}"
    lower = said.lower()
    if "exceeded quota" in lower or "must specify" in lower:
        what = "home folders" if "requests.storage" in lower or "persistentvolumeclaims" in lower else "servers"
        return (
            f"The cluster's share of the machines is used up: there is no more of it for {what}. Stop a server or a Dask cluster"
            f" that you no longer need, choose a smaller size, or ask an administrator for more. Kubernetes says: {said}"
        ), 403
    if "violates podsecurity" in lower:
        return (
            f"The rules of the cluster (Pod Security) do not let the server start. An administrator has to look at it."
            f" Kubernetes says: {said}"
        ), 500
    if "limitrange" in lower or "per container is" in lower or "per pod is" in lower:
        return (
            f"A server may not be as large as that here. Choose another size, or ask an administrator. Kubernetes says: {said}"
        ), 403
    if error.status == 403:
        return f"The hub may not start servers. An administrator has to look at it. Kubernetes says: {said}", 500
    if error.status in (429, 500, 502, 503, 504):
        return f"Kubernetes, which runs the servers, is busy. Please try again in a minute. It says: {said}", 503
    return f"Kubernetes refused to start the server. An administrator has to look at it. It says: {said}", 500
