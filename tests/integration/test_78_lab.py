"""What JupyterLab has beside notebooks: the Dask panel, notebooks pulled from a repository, and how much is used."""

import time
from typing import Any

import pytest
from conftest import Cluster
from hubclient import Answer, HubClient

# What the panel writes into a notebook.
CODE = """
from dask.distributed import Client

client = Client("{scheduler_address}")
print(client.submit(sum, [40, 2]).result(timeout=30))
client.close()
"""
PULL = """
import os, subprocess
os.makedirs("/tmp/course", exist_ok=True)
def git(*words):
    subprocess.run(["git", "-C", "/tmp/course", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], check=True, capture_output=True)
git("init", "-q", "-b", "main")
open("/tmp/course/lesson.txt", "w").write("first")
git("add", "lesson.txt")
git("commit", "-q", "-m", "first")
print("made")
"""


class Lab:
    """Asks a user's server as the scripts of JupyterLab do."""

    def __init__(self, client: HubClient) -> None:
        client.enter()
        self.client, self.path = client, f"/user/{client.user}"

    def ask(self, method: str, path: str, data: Any = None, seconds: float = 60) -> Answer:
        headers = {
            "X-XSRFToken": self.client.cookie("_xsrf", f"{self.path}/"),
            "Referer": f"{self.client.base}{self.path}/lab",
            "Sec-Fetch-Mode": "same-origin",
            "Sec-Fetch-Site": "same-origin",
        }
        path = path if path.startswith("/") else f"{self.path}/{path}"
        return self.client.request(method, path, data=data, headers=headers, seconds=seconds)


@pytest.fixture(scope="module")
def lab(alice: HubClient) -> Lab:
    return Lab(alice)


def workers(lab: Lab, path: str, count: int) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (model := lab.ask("GET", path).json())["workers"] != count:
        assert time.monotonic() < end, model
        time.sleep(0.3)
    return model


def test_a_cluster_of_the_dask_panel(lab: Lab) -> None:
    made = lab.ask("PUT", "dask/clusters")
    assert made.status == 200, made.text
    path = f"dask/clusters/{made.json()['id']}"
    assert lab.ask("PATCH", path, {"workers": 1}).status == 200
    model = workers(lab, path, 1)
    assert model["cores"] == 1
    # the panel's own plots, by the address that it makes of the link
    link = model["dashboard_link"].removeprefix(lab.client.base).removesuffix("/status")
    plots = lab.ask("GET", f"{link}/individual-plots.json")
    assert plots.status == 200 and any("task-stream" in plot for plot in plots.json().values()), plots.text
    kernel = lab.client.kernel()
    reply = kernel.run(CODE.format(**model), seconds=60)
    assert reply.text.strip() == "42", reply.text
    kernel.close()
    adapted = lab.ask("PATCH", path, {"adapt": {"minimum": 0, "maximum": 1}})
    assert adapted.status == 200, adapted.text
    assert adapted.json()["adapt"] == {"minimum": 0, "maximum": 1}
    assert [one["id"] for one in lab.ask("GET", "dask/clusters").json()] == [model["id"]]
    workers(lab, path, 0)  # nothing to do, so none is wanted
    assert lab.ask("PATCH", path, {"adapt": {"minimum": 1, "maximum": 1}}).status == 200
    workers(lab, path, 1)
    assert lab.ask("DELETE", path).status == 204
    assert lab.ask("GET", "dask/clusters").json() == []


def test_notebooks_are_pulled_from_a_repository(lab: Lab) -> None:
    kernel = lab.client.kernel()
    assert kernel.run(PULL).text.strip() == "made"
    pulled = lab.ask("GET", "git-pull/api?repo=/tmp/course&targetpath=course&branch=main")
    assert pulled.status == 200 and '"finished"' in pulled.text, pulled.text
    assert kernel.run("print(open('/home/alice/course/lesson.txt').read())").text.strip() == "first"
    kernel.close()


def test_the_meter_shows_the_forms_limits(cluster: Cluster, lab: Lab) -> None:
    shown = lab.ask("GET", "api/metrics/v1").json()
    assert shown["limits"]["memory"]["rss"] == 1_500_000_000
    assert 50_000_000 < shown["rss"] < 1_500_000_000
    assert shown["limits"]["cpu"]["cpu"] == 1
