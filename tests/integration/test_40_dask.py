"""Dask through the gateway: right answers, the cap, and dashboards for their owner only."""

import json

import pytest
from conftest import Cluster
from hubclient import HubClient, Kernel


@pytest.fixture(scope="module")
def kernel(alice: HubClient) -> Kernel:
    return alice.kernel()


def test_a_sum_on_two_workers(kernel: Kernel) -> None:
    code = """
from dask_gateway import GatewayCluster
import dask.array as da
cluster = GatewayCluster()
cluster.scale(2)
client = cluster.get_client()
client.wait_for_workers(2, timeout=120)
print(int(da.ones((4000, 4000), chunks=(1000, 1000)).sum().compute()))
"""
    reply = kernel.run(code, seconds=240)
    assert reply.text.split()[-1] == "16000000", reply.text


def test_list_and_connect(kernel: Kernel) -> None:
    code = """
from dask_gateway import Gateway
with Gateway() as gateway:
    names = [report.name for report in gateway.list_clusters()]
    again = gateway.connect(names[0])
    print(len(names), again.name == cluster.name, len(again.scheduler_info["workers"]) if hasattr(again, "scheduler_info") else "-")
    again.close(shutdown=False)
"""
    assert kernel.run(code, seconds=60).text.split()[:2] == ["1", "True"]


def test_workers_run_as_the_user_with_the_users_libraries(kernel: Kernel) -> None:
    code = """
import os, sys
import xarray
found = client.run(lambda: (os.getuid(), sys.prefix, __import__("xarray").__version__))
print(set(found.values()) == {(os.getuid(), sys.prefix, xarray.__version__)})
"""
    assert kernel.run(code, seconds=60).text.strip().endswith("True")


def test_a_worker_is_as_large_as_the_form_says(kernel: Kernel) -> None:
    code = """
import os, subprocess, sys, time
def processors(dask_worker=None):
    spin = "import time\\nend = time.monotonic() + 3\\nwhile time.monotonic() < end: pass"
    pids = [subprocess.Popen([sys.executable, "-c", spin]).pid for _ in range(2)]
    used = [os.wait4(pid, 0)[2] for pid in pids]
    return sum(usage.ru_utime + usage.ru_stime for usage in used) / 3
def memory():
    return subprocess.run([sys.executable, "-c", "bytearray(2 * 10**9)"]).returncode
before = client.run(os.getpid)
print(client.submit(processors).result(timeout=60), client.submit(memory).result(timeout=60), client.run(os.getpid) == before)
"""
    reply = kernel.run(code, seconds=150)
    assert reply.status == "ok", reply.text
    cpus, ended, alive = reply.text.split()[-3:]
    assert float(cpus) < 1.25 and ended == "-9" and alive == "True", reply.text


def test_what_a_user_may_choose_is_bounded_by_the_form(kernel: Kernel) -> None:
    code = """
from dask_gateway import Gateway
wrong = [{"worker_cores": 1.5}, {"worker_cores": 0}, {"worker_cores": float("nan")}, {"worker_memory": 64}, {"worker_memory": -1},
         {"environment": "../pangeo"}, {"scheduler_cmd": ["sh"]}]
with Gateway() as gateway:
    for options in wrong:
        try:
            gateway.submit(**options)
            print("taken", options)
        except Exception as error:
            print(type(error).__name__)
"""
    reply = kernel.run(code, seconds=60)
    assert reply.text.split() == ["ValueError"] * 7, reply.text


def test_more_than_the_cap_is_refused_with_cap_and_use(kernel: Kernel) -> None:
    code = """
try:
    cluster.scale(9)
    print("scaled")
except Exception as error:
    print(str(error).replace("\\n", " "))
"""
    said = kernel.run(code, seconds=60).text
    assert "is 3 CPUs and 4 GB; they hold 3 CPUs and 3 GB (1 cluster with 2 workers): 9 workers of" in said, said


def test_the_cap_holds_over_all_clusters(kernel: Kernel) -> None:
    code = """
try:
    second = GatewayCluster()
    second.scale(2)
    print("scaled")
except Exception as error:
    print(str(error).replace("\\n", " "))
finally:
    try: second.shutdown()
    except NameError: pass
"""
    said = kernel.run(code, seconds=90).text
    assert "scaled" not in said and "cap" in said.lower(), said


def test_dashboard_for_its_owner_only(cluster: Cluster, kernel: Kernel, alice: HubClient, dora: HubClient) -> None:
    link = kernel.run("print(cluster.dashboard_link)").text.strip()
    path = link[len(cluster.url) :] if link.startswith("http") else link
    assert path.startswith("/user/alice/"), link
    page = alice.request("GET", path)
    assert page.status == 200 and ("Bokeh" in page.text or "Dask" in page.text), (page.status, page.text[:500])
    assert dora.request("GET", path, follow=False).status in (302, 403, 404)
    assert cluster.client().request("GET", path, follow=False).status in (302, 403)
    name = kernel.run("print(cluster.name)").text.strip()
    through_gateway = cluster.client().request("GET", f"/services/dask-gateway/clusters/{name}/status", follow=False)
    assert through_gateway.status != 200


def test_nobody_else_reaches_a_scheduler_or_worker_port(kernel: Kernel, dora: HubClient) -> None:
    mine = kernel.run("print(client.scheduler_info()['services'])").text
    assert "dashboard" not in mine or "None" in mine or "{}" in mine, mine
    probe = """
import re, socket, urllib.request
ports = set()
for line in open("/proc/net/tcp").readlines()[1:]:
    part = line.split()
    if part[3] == "0A": ports.add(int(part[1].split(":")[1], 16))
open_to_me = []
for port in ports:
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/info/main/workers.html", timeout=2)
        if b"dask" in answer.read().lower(): open_to_me.append(port)
    except Exception: pass
print(open_to_me)
"""
    assert dora.kernel().run(probe, seconds=120).text.strip() == "[]"


def test_adapt(kernel: Kernel) -> None:
    code = """
import warnings
try:
    cluster.adapt(minimum=9)
except Exception as error:
    print("The cap" in str(error))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    cluster.adapt(minimum=1, maximum=50)
print(any("becomes adapt(maximum=2)" in str(one.message) for one in said))
cluster.adapt(minimum=1, maximum=2)
print(client.submit(lambda x: x + 1, 41).result(timeout=60))
"""
    assert kernel.run(code, seconds=90).text.split()[-3:] == ["True", "True", "42"]


def test_closing_ends_the_processes(cluster: Cluster, kernel: Kernel) -> None:
    assert kernel.run("client.close(); cluster.shutdown(); print('closed')", seconds=60).text.strip().endswith("closed")
    code = """
from dask_gateway import Gateway
import time
with Gateway() as gateway:
    for _ in range(50):
        if not gateway.list_clusters(): break
        time.sleep(0.2)
    print(len(gateway.list_clusters()))
"""
    assert kernel.run(code, seconds=60).text.split()[-1] == "0"


def test_the_welcome_notebook_runs_from_top_to_bottom(alice: HubClient, kernel: Kernel) -> None:
    answer = alice.request("GET", "/user/alice/api/contents/welcome.ipynb")
    assert answer.status == 200
    fresh = alice.kernel()
    for cell in json.loads(answer.text)["content"]["cells"]:
        if cell["cell_type"] == "code":
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            reply = fresh.run(source, seconds=240)
            assert reply.status == "ok", (source, reply.text)
    fresh.close()


def test_the_health_test_is_well(cluster: Cluster) -> None:
    said = cluster.caas.run("test", cluster.name, seconds=600).stdout
    assert "ok" in said and "FAIL" not in said.upper()
    assert cluster.left_of_tests() == []
