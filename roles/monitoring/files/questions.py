"""Whether a question is about one person alone: every selector in it has the matcher user="NAME"."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import promql
from tornado import web

# The longest of our dashboards has half of that, and what takes long to read is longer.
QUESTION_BYTES = 1024
# The same to every reader of PromQL: where a text ends must not be a matter of how escapes, comments and quotes are read.
PLAIN = re.compile(r"[\t\n\r !-\"$-\[\]-_a-~]*")  # ASCII without # \ and `
# Whose figures they are is nobody's: the names of clusters, and how much everybody may have.
OF_NOBODY = {"caas_exporter_build_info", "caas_dask_max_cores", "caas_dask_max_memory_bytes"}
# What may be asked, and with what else. Whatever else comes with it is left out.
QUESTIONS = {
    re.compile(r"api/v1/query"): ("query", ("time",)),
    re.compile(r"api/v1/query_range"): ("query", ("start", "end", "step")),
    re.compile(r"api/v1/(series|labels|label/[A-Za-z0-9_]+/values)"): ("match[]", ("start", "end", "limit")),
}
MOST_SELECTORS = 10
# Of the eight questions that Prometheus answers at once, and of them one person's. Rules of alerts wait in the same line.
AT_ONCE, OF_ONE, WAITING = 4, 2, 50
SECONDS = 10


class NotOwn(web.HTTPError):
    """The answer is no, in words for whoever looks at a panel."""

    def __init__(self, words: str) -> None:
        super().__init__(403)
        self.words = words


async def own(path: str, given: dict[str, list[bytes]], name: str, prometheus: Any) -> list[tuple[str, str]]:
    """What Prometheus is asked in this person's name: nothing of it is as it came but what was looked at."""
    known = next((of for pattern, of in QUESTIONS.items() if pattern.fullmatch(path)), None)
    if not known:
        raise NotOwn("This is for the cluster's administrators.")
    asking, others = known
    texts = [text.decode(errors="replace") for text in given.get(asking, [])]
    if not texts or len(texts) > (1 if asking == "query" else MOST_SELECTORS):
        raise NotOwn(f"A question has one {asking}, and needs it.")
    for text in texts:
        await look_at(text, name, prometheus)
    asked = [(asking, text) for text in texts]
    for other in others:
        values = [value.decode(errors="replace") for value in given.get(other, [])]
        if len(values) > 1:
            raise NotOwn(f"A question has one {other}.")
        asked += [(other, value) for value in values]
    return asked + ([("timeout", f"{SECONDS}s")] if asking == "query" else [])


async def look_at(text: str, name: str, prometheus: Any) -> None:
    if len(text) > QUESTION_BYTES or not PLAIN.fullmatch(text):
        raise NotOwn(f"A question has at most {QUESTION_BYTES} characters of ASCII, and none of them is # or \\ or `.")
    try:
        found = await promql.selectors(text, prometheus)
    except ValueError as error:
        raise NotOwn(f"The question cannot be read: {error}") from error
    if not all(is_own(selector, name) for selector in found):
        raise NotOwn(f'You can ask for your own figures: with user="{name}" in every selector.')


def is_own(selector: promql.Selector, name: str) -> bool:
    of_nobody = any(label == "__name__" and how == "=" and value in OF_NOBODY for label, how, value in selector)
    return of_nobody or ("user", "=", name) in selector


class Turns:
    """Whose turn it is: people's questions wait for each other, not Prometheus' own for theirs."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        self._of: dict[str, asyncio.Semaphore] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        if self._waiting[name] >= WAITING:
            raise web.HTTPError(429)
        self._waiting[name] += 1
        try:
            async with self._of.setdefault(name, asyncio.Semaphore(OF_ONE)), self._all:
                yield
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name], self._of[name]
