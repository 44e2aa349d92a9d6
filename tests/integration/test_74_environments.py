"""A second environment of the form: chosen at start, the same for notebooks and Dask workers, and the built-in one as before."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dask_cluster
import pytest
from conftest import Cluster
from hubclient import HubClient, HubError

LOCK = Path(__file__).parent / "environments" / "small.txt"
FORM = "environments:\n  - {{name: small, description: Little more than JupyterLab, lock: {lock}}}\n"
WHAT = """
import importlib.util, sys
def what(dask_worker=None):
    found = [name for name in ("iniconfig", "xarray", "dask_gateway") if importlib.util.find_spec(name)]
    return sys.prefix, found, importlib.util.find_spec("distributed").origin
"""
DASK = (
    dask_cluster.START
    + """
import json
print(json.dumps([what(), *client.run(what).values(), client.run_on_scheduler(what), client.submit(sum, [40, 2]).result()]))
cluster.shutdown()
"""
)


def built_in(cluster: Cluster) -> tuple[str, int]:
    """Which version the built-in environment is, and when it was made."""
    link = cluster.folder / "env" / "notebook" / "pangeo"
    return os.readlink(link), link.stat().st_mtime_ns


def wait_for_server(client: HubClient) -> None:
    end = time.monotonic() + 60
    while not (server := client.api("GET", f"/users/{client.user}").json()["servers"].get("")) or not server["ready"]:
        assert time.monotonic() < end, server
        time.sleep(0.2)


@pytest.fixture(scope="module")
def before(cluster: Cluster, alice: HubClient) -> tuple[tuple[str, int], str]:
    return built_in(cluster), alice.api("GET", "/users/alice").json()["servers"][""]["started"]


@pytest.fixture(scope="module")
def chosen(cluster: Cluster, before: object) -> Iterator[HubClient]:
    """Carol's server in the second environment."""
    form = cluster.form.read_text()
    lock = cluster.form.with_name("small.txt")
    lock.write_bytes(LOCK.read_bytes())
    cluster.form.write_text(form + FORM.format(lock=lock.name))
    try:
        plan = json.loads(cluster.caas.run("plan", str(cluster.form), "--json", status=2).stdout)
        made = {step["id"]: step["action"] for step in plan["steps"] if step["kind"] == "host.venv"}
        assert made == {"notebook/environment/small": "create"}
        cluster.apply()
        client = cluster.signed_in("carol")
        client.spawn({"environment": "small"})
        yield client
    finally:
        cluster.form.write_text(form)
        cluster.apply()
        lock.unlink()


def test_notebook_scheduler_and_worker_are_the_same(cluster: Cluster, chosen: HubClient) -> None:
    kernel = chosen.kernel()
    assert kernel.run(WHAT).status == "ok"
    reply = kernel.run(DASK, seconds=240)
    assert reply.status == "ok", reply.text
    notebook, worker, scheduler, answer = json.loads(reply.text.strip().splitlines()[-1])
    assert answer == 42
    assert notebook == worker == scheduler
    prefix, found, _ = notebook
    assert os.path.basename(prefix).startswith("small") and os.path.dirname(prefix) == str(
        cluster.folder / "env" / "notebook"
    )
    assert found == ["iniconfig", "dask_gateway"]  # what only the lock has, and nothing that only the built-in one has
    kernel.close()


def test_the_built_in_one_is_as_it_was(
    cluster: Cluster, before: tuple[tuple[str, int], str], chosen: HubClient, alice: HubClient
) -> None:
    assert (built_in(cluster), alice.api("GET", "/users/alice").json()["servers"][""]["started"]) == before
    kernel = alice.kernel()
    said = kernel.run(WHAT + "print(*what()[:2])").text
    assert "/pangeo" in said and "xarray" in said and "iniconfig" not in said
    kernel.close()


def test_it_is_on_offer_and_another_name_is_refused(chosen: HubClient) -> None:
    chosen.stop()
    page = chosen.request("GET", "/hub/spawn").text
    assert "Little more than JupyterLab" in page and "The Pangeo libraries" in page
    with pytest.raises(HubError, match="There is no environment 'smal'. There are: pangeo, small"):
        chosen.spawn({"environment": "smal"})


def test_once_it_is_gone_who_had_it_starts_in_the_built_in_one(cluster: Cluster, chosen: HubClient) -> None:
    """Also where nothing is left to choose, so that no page asks anew."""
    chosen.spawn({"environment": "small"})
    chosen.stop()
    form = cluster.form.read_text()
    cluster.form.write_text(form[: form.index("profiles:")])
    cluster.apply()
    assert not (cluster.folder / "env" / "notebook" / "small").exists()
    chosen.request("GET", "/hub/spawn")  # as a browser: what was chosen last counts
    wait_for_server(chosen)
    chosen.enter()
    assert "/pangeo" in chosen.kernel().run("import sys; print(sys.prefix)").text
    chosen.stop()
