"""What the form says holds, and users are apart."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Cluster
from hubclient import HubClient, Kernel


@pytest.fixture(scope="module")
def kernel(alice: HubClient) -> Kernel:
    return alice.kernel()


@pytest.fixture(scope="module")
def others(dora: HubClient) -> Kernel:
    return dora.kernel()


def test_cpu(kernel: Kernel) -> None:
    code = """
import os, time
def spin():
    end = time.monotonic() + 4
    while time.monotonic() < end: pass
    os._exit(0)
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0: spin()
    pids.append(pid)
used = 0
for pid in pids:
    _, _, usage = os.wait4(pid, 0)
    used += usage.ru_utime + usage.ru_stime
print(used / 4)
"""
    # of two that want a core each; Python warns of fork() beside threads
    assert float(kernel.run(code).text.split()[-1]) < 1.25


def test_memory_kills_the_kernel_and_not_the_server(alice: HubClient) -> None:
    greedy = alice.kernel()
    reply = greedy.run("blocks = []\nfor _ in range(60): blocks.append(bytearray(b'x' * 50_000_000))", seconds=120)
    assert reply.status == "dead"
    assert alice.request("GET", "/user/alice/api/status").status == 200


def test_processes_are_bounded_and_the_server_lives(alice: HubClient) -> None:
    code = """
import threading
threading.stack_size(65536)
end = threading.Event()
count = 0
try:
    for _ in range(20000):
        threading.Thread(target=end.wait, daemon=True).start()
        count += 1
except RuntimeError:
    pass
end.set()
print(count)
"""
    assert 100 < int(alice.kernel().run(code, seconds=120).text) < 4000
    assert alice.request("GET", "/user/alice/api/status").status == 200


def test_home_is_as_large_as_the_form_says(kernel: Kernel) -> None:
    code = """
import os
size = 0
try:
    with open(os.path.expanduser("~/fill"), "wb") as file:
        while True:
            file.write(b"x" * 1_000_000); file.flush(); size += 1_000_000
except OSError as error:
    print(error.errno, size)
os.remove(os.path.expanduser("~/fill"))
"""
    reply = kernel.run(code, seconds=120)
    assert reply.status == "ok", reply
    number, size = reply.text.split()
    assert number == "28"
    assert 400_000_000 < int(size) <= 510_000_000


def test_own_uid_no_rights_own_name(kernel: Kernel) -> None:
    code = """
import getpass, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid() >= 200000, getpass.getuser(), os.path.expanduser("~"), status["CapEff"].strip(), status["NoNewPrivs"].strip())
"""
    assert kernel.run(code).text.split() == ["True", "alice", "/home/alice", "0" * 16, "1"]


def test_nobody_elses_home_or_processes(kernel: Kernel, others: Kernel) -> None:
    secret = others.run("open('/home/dora/secret', 'w').write('mine'); import os; os.chmod('/home/dora/secret', 0o666)")
    assert secret.status == "ok"
    code = """
import os
names = set()
for pid in os.listdir("/proc"):
    if pid.isdigit():
        try: names.add(open(f"/proc/{pid}/cmdline").read().replace("\\0", " "))
        except OSError: pass
print(os.listdir("/home"), any("dora" in name or "jupyterhub -f" in name or "ns-slapd" in name for name in names))
"""
    assert kernel.run(code).text.strip() == "['alice'] False"


def test_nothing_of_the_cluster_is_to_be_seen(cluster: Cluster, kernel: Kernel) -> None:
    code = f"""
import os
found = []
for folder in ("hub", "ca", "homes", "gateway", "directory", "proxy", "service"):
    try: found.append((folder, os.listdir("{cluster.folder}/" + folder)))
    except OSError: pass
print(found)
"""
    assert kernel.run(code).text.strip() == "[]"


def test_set_uid_programs_gain_nothing(cluster: Cluster, kernel: Kernel) -> None:
    program = Path(f"/usr/bin/{cluster.name}-set-uid-of-a-test")  # users see /usr as the machine has it
    shutil.copyfile("/usr/bin/id", program)
    try:
        program.chmod(0o4755)
        ask = [str(program), "-u"]
        outside = subprocess.run(ask, user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
        assert outside.stdout == "0\n"  # elsewhere it makes everybody root
        code = (
            f"import os, subprocess; print(os.getuid(), subprocess.run({ask}, capture_output=True, text=True).stdout)"
        )
        mine, became = kernel.run(code).text.split()
        assert became == mine != "0"
    finally:
        program.unlink()


def test_pip_install_user_stays_in_the_home(kernel: Kernel) -> None:
    code = "import site; site_dir = site.getusersitepackages(); print(site_dir.startswith('/home/alice/'), site.ENABLE_USER_SITE)"
    assert kernel.run(code).text.split() == ["True", "True"]


def test_a_profile_is_another_size(cluster: Cluster) -> None:
    carol = cluster.signed_in("carol")
    page = carol.request("GET", "/hub/spawn").text
    assert "Small" in page
    carol.spawn({"profile": "Small"})
    kernel = carol.kernel()
    code = "import os; print(os.environ.get('MEM_LIMIT'), os.environ.get('CPU_LIMIT'))"
    assert kernel.run(code).text.split() == ["1000000000", "0.5"]
    carol.stop()


def test_the_uid_on_the_host_is_the_directorys(cluster: Cluster, alice: HubClient) -> None:
    (uid,) = cluster.in_directory("alice", "uidNumber")
    assert int(uid) >= 200000
    assert os.stat(cluster.folder / "homes" / "mounts" / "alice").st_uid == int(uid)
    assert json.loads((cluster.folder / "hub" / "users.json").read_text())["alice"]["uid"] == int(uid)
    assert any("singleuser" in line for line in cluster.processes("alice"))  # those of that uid, as the host sees them
    assert alice.kernel().run("import os; print(os.getuid())").text.strip() == uid


def test_libraries_of_the_geosciences_are_there(kernel: Kernel) -> None:
    code = "import xarray, dask, distributed, zarr, netCDF4, h5netcdf, fsspec, s3fs, intake, matplotlib, hvplot, cartopy, rioxarray, ipywidgets, pooch, dask_labextension, nbgitpuller, jupyter_resource_usage; print('all')"
    assert kernel.run(code, seconds=120).text.strip().endswith("all")


def test_a_bomb_of_processes_ends_the_kernel_at_most(alice: HubClient) -> None:
    code = """
import os, signal
pids = []
try:
    for _ in range(5000):
        pid = os.fork()
        if pid == 0:
            signal.pause(); os._exit(0)
        pids.append(pid)
finally:
    for pid in pids:
        os.kill(pid, 9); os.waitpid(pid, 0)
"""
    assert alice.kernel().run(code, seconds=180).status in ("error", "dead")
    assert alice.request("GET", "/user/alice/api/status").status == 200
