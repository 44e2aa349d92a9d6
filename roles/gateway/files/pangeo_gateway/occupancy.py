"""What the pods of each user hold, counted from the pods themselves: also those that nobody runs yet or that are on
their way out. Pure; used from one event loop."""

from collections import defaultdict

from .limits import Size
from .pods import USER

ENDED = ("Succeeded", "Failed")
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def millicores(text: str) -> int:
    return round(float(text[:-1])) if text.endswith("m") else round(float(text) * 1000)


def memory(text: str) -> int:
    digits = text.rstrip("kKMGi")
    return round(float(digits) * UNITS[text[len(digits) :]])


def pod_size(pod: dict) -> Size:
    """What a pod may use: the limits of its containers."""
    total = Size(0, 0)
    for container in pod["spec"]["containers"]:
        limits = (container.get("resources") or {}).get("limits") or {}
        total = total.plus(Size(millicores(str(limits.get("cpu", 0))), memory(str(limits.get("memory", 0)))))
    return total


def user_of(pod: dict) -> str | None:
    return (pod["metadata"].get("annotations") or {}).get(USER)


class Occupancy:
    def __init__(self, cap: Size):
        self.cap = cap
        self._pods: dict[str, dict[str, Size]] = defaultdict(dict)  # of each user, by name
        self._born: dict[str, str] = {}  # pods that were made and not seen yet: their user, by name
        self._asked: dict[str, Size] = defaultdict(lambda: Size(0, 0))  # of each user: pods being made

    def seen(self, pod: dict) -> None:
        """A pod as the API server has it now."""
        user, name = user_of(pod), pod["metadata"]["name"]
        if user is None:
            return
        self._born.pop(name, None)
        if pod.get("status", {}).get("phase") in ENDED:
            self.gone(pod)
        else:
            self._pods[user][name] = pod_size(pod)

    def gone(self, pod: dict) -> None:
        user, name = user_of(pod), pod["metadata"]["name"]
        self._born.pop(name, None)
        if user in self._pods:
            self._pods[user].pop(name, None)
            if not self._pods[user]:
                del self._pods[user]

    def has(self, user: str, name: str) -> bool:
        """Is that pod counted already, seen or only made?"""
        return name in self._pods.get(user, {})

    def use(self, user: str) -> Size:
        total = self._asked[user] if user in self._asked else Size(0, 0)
        for each in self._pods.get(user, {}).values():
            total = total.plus(each)
        return total

    def fits(self, user: str, each: Size) -> int:
        """How many more pods of that size may be made now."""
        used = self.use(user)
        counts = [(cap - held) // one for cap, held, one in zip(self.cap, used, each, strict=True) if one > 0]
        return max(0, min(counts, default=0))

    def ask(self, user: str, each: Size, count: int = 1) -> None:
        """So many pods are going to be made; each is then made() or failed()."""
        self._asked[user] = self._asked[user].plus(each, count)

    def failed(self, user: str, each: Size, count: int = 1) -> None:
        left = self._asked[user].plus(each, -count)
        if left.millicores <= 0 and left.memory <= 0:
            del self._asked[user]
        else:
            self._asked[user] = left

    def made(self, user: str, each: Size, name: str) -> None:
        """A pod that was asked for is there. Whoever watches may have seen it already, or sees it soon."""
        self.failed(user, each)
        if name not in self._pods.get(user, {}):
            self._pods[user][name] = each
            self._born[name] = user

    def unseen(self) -> list[str]:
        """Pods that were made and not seen yet. They may have ended before anybody looked."""
        return list(self._born)

    def forget(self, name: str) -> None:
        user = self._born.pop(name, None)
        if user is not None:
            self._pods[user].pop(name, None)
