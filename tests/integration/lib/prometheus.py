"""A cluster's Prometheus, asked past its page."""

import json
import ssl
import time
import urllib.parse
import urllib.request
from typing import Any

SECONDS = 90  # two refreshes of the exporter, two scrapes and a busy machine


class Prometheus:
    """url: what "/api/v1/query" follows. context: for one that wants a client's certificate."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        self.url, self.context = url, context

    def get(self, path: str, **arguments: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, context=self.context, timeout=30) as response:
            return json.load(response)["data"]

    def value(self, query: str) -> float | None:
        """Of the first series; None if there is none."""
        found = self.get("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def wait(self, query: str, seconds: float = SECONDS) -> float:
        """Until the query finds something. A comparison in it finds nothing as long as it does not hold."""
        end = time.monotonic() + seconds
        while (value := self.value(query)) is None:
            assert time.monotonic() < end, query
            time.sleep(1)
        return value

    def wait_gone(self, query: str, seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while self.value(query) is not None:
            assert time.monotonic() < end, query
            time.sleep(1)

    def targets_up(self, jobs: set[str], seconds: float = SECONDS) -> None:
        """Waits until all of these jobs are read."""
        end = time.monotonic() + seconds
        while True:
            every = self.get("targets", state="active")["activeTargets"]
            found = [one for one in every if one["labels"]["job"] in jobs]
            if {one["labels"]["job"] for one in found if one["health"] == "up"} == jobs:
                return
            assert time.monotonic() < end, [(one["labels"]["job"], one["health"], one["lastError"]) for one in found]
            time.sleep(1)

    def rules_healthy(self, seconds: float = SECONDS) -> list[dict[str, Any]]:
        """All rules, once each has been looked at without a fault."""
        end = time.monotonic() + seconds
        while True:
            rules = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
            faulty = [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"]
            if not faulty:
                return rules
            assert time.monotonic() < end, faulty
            time.sleep(1)
