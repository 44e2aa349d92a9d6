"""The API server and the node's kubelet hang at once: of what the exporter asks them it says that it is not there, of everything
else how it is. As k65 has left the cluster, with monitoring."""

import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import watching
from bed import Bed, Lab, eventually
from test_k65_monitoring import write_form
from watching import PAGE, WATCHER

HANGING = ("kube-apiserver", "kubelet")
ANSWERED = "hub|directory|part|certificate"  # by nobody who hangs


@pytest.fixture(scope="module")
def asked(lab: Lab, bed: Bed) -> Iterator[Callable[[str], list[Any]]]:
    """Prometheus, by the page, which is reached without those who hang; what goes through the API server is not."""
    if not lab.names("deployment", WATCHER):
        watching.load_images(bed)
        write_form(lab, "{enabled: true, grafana: install}")
        lab.apply()
    admin = lab.signed_in("admin", lab.caas.run("password", lab.name).stdout.strip())
    token = admin.api("POST", "/users/admin/tokens", data={"note": "test"}).json()
    program, given = lab.client(), {"Authorization": f"Bearer {token['token']}"}

    def ask(query: str) -> list[Any]:
        path = f"{PAGE}prometheus/api/v1/query?query={urllib.parse.quote(query)}"
        return list(program.request("GET", path, headers=given).json()["data"]["result"])

    yield ask
    admin.api("DELETE", f"/users/admin/tokens/{token['id']}")


@pytest.fixture
def hanging(bed: Bed, asked: Callable[[str], list[Any]]) -> Iterator[None]:
    eventually(lambda: not asked("caas_source_up == 0") and asked("min(caas_kubelet_up) == 1"), 90)
    try:
        for component in HANGING:
            bed.fault("freeze", component)
        yield
    finally:
        for component in HANGING:
            bed.fault("thaw", component)


def test_each_costs_its_own_figures_only(asked: Callable[[str], list[Any]], hanging: None) -> None:
    for gone in ('caas_source_up{source="kube"} == 0', "caas_kubelet_up == 0"):
        eventually(lambda gone=gone: asked(gone), 90)
    assert asked('up{job="exporter"} == 1')
    assert len(asked(f'caas_source_up{{source=~"{ANSWERED}"}} == 1')) == len(ANSWERED.split("|"))
    fresh = f'time() - caas_source_last_success_timestamp_seconds{{source=~"{ANSWERED}"}} < 60'
    assert len(asked(fresh)) == len(ANSWERED.split("|"))


def test_it_all_comes_back(lab: Lab, asked: Callable[[str], list[Any]]) -> None:
    eventually(lambda: not asked("caas_source_up == 0") and asked("min(caas_kubelet_up) == 1"), 180)
    assert "othing to do" in lab.plan(status=0).stdout
