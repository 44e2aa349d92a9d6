"""What every Python of a notebook environment runs at its start."""

import ctypes
import os
import subprocess
import sys
import types
import venv
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[3] / "roles" / "notebook" / "site"
sys.path.insert(0, str(SITE))

import caas_env  # noqa: E402


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("/d/env/notebook/pangeo", "pangeo"),
        ("/d/env/notebook/pangeo-0123456789abcdef", "pangeo"),
        ("/d/env/notebook/deep-learning", "deep-learning"),
        ("/d/env/notebook/deep-learning-0123456789abcdef", "deep-learning"),
        ("/d/env/notebook/my-deadbee", "my-deadbee"),
    ],
)
def test_environment_name(prefix, name):
    assert caas_env.environment_name(prefix) == name


@pytest.mark.parametrize(
    ("line", "server"),
    [
        (["python", "-m", "jupyterhub.singleuser", "--port=1"], True),
        (["/e/bin/python", "/e/bin/jupyterhub-singleuser"], True),
        (["/e/bin/python", "-s", "/e/bin/jupyter-lab"], True),
        (["python", "-m", "ipykernel_launcher", "-f", "x"], False),
        (["python", "-m", "dask", "worker"], False),
        (["python", "plot.py", "jupyterlab"], False),
        (["python"], False),
        ([], False),
    ],
)
def test_is_server(line, server):
    assert caas_env.is_server(line) is server


@pytest.mark.parametrize(
    ("python", "openssl", "needed"),
    [
        ((3, 11, 2), (3, 0, 0, 22, 0), False),
        ((3, 13, 5), (3, 0, 0, 15, 0), False),
        ((3, 13, 5), (3, 4, 0, 0, 0), True),
        ((3, 13, 5), (3, 5, 0, 7, 0), True),
        ((3, 12, 9), (4, 0, 0, 0, 0), True),
    ],
)
def test_needs_cure(python, openssl, needed):
    assert caas_env.needs_cure(python, openssl) is needed


def test_a_python_with_the_fix_needs_no_cure(monkeypatch):
    monkeypatch.setattr(caas_env, "FIXED_PYTHON", {(3, 14): 9})
    assert caas_env.needs_cure((3, 14, 8), (3, 5)) is True
    assert caas_env.needs_cure((3, 14, 9), (3, 5)) is False


def test_the_cure_empties_the_queue_of_the_library_that_python_uses():
    import _ssl

    library = ctypes.PyDLL(_ssl.__file__)
    library.ERR_peek_error.restype = ctypes.c_ulong

    class Socket:
        def recv(self, size):
            return library.ERR_peek_error()

        send = do_handshake = recv

    def leave_an_error():
        library.ERR_new()
        library.ERR_set_error(2, 32, None)  # a system library's EPIPE
        assert library.ERR_peek_error() != 0

    module = types.SimpleNamespace(SSLSocket=Socket, SSLObject=type("Object", (), {}))
    leave_an_error()
    assert Socket().recv(1) != 0
    assert caas_env.cure(module) is True
    for operation in (Socket().recv, Socket().send, Socket().do_handshake):
        leave_an_error()
        assert operation(1) == 0
    once = Socket.recv
    caas_env.cure(module)
    assert Socket.recv is once  # not wrapped again


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment as host.venv makes it: the files in it, user packages allowed."""
    folder = tmp_path_factory.mktemp("env") / "climate"
    venv.create(folder, with_pip=False)
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    for file in SITE.iterdir():
        if file.is_file():
            (packages / file.name).write_text(file.read_text())
    config = folder / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = user"))
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    return folder


def run(environment, home, *words, **variables):
    """As somebody who is not root: root has no packages of its own in an environment."""
    options = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    done = subprocess.run(
        [str(environment / "bin" / "python"), *words],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        **options,
    )
    return done.stdout.strip()


@pytest.fixture
def home(tmp_path):
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = tmp_path / ".local" / "environments" / "climate" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "mine.py").write_text("x = 'mine'\n")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    return tmp_path


def test_user_packages_are_found(environment, home):
    assert run(environment, home, "-c", "import mine; print(mine.x)") == "mine"
    said = run(environment, home, "-c", "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())")
    assert said.startswith(f"True {home}/.local/environments/climate/lib/")


def test_packages_of_the_host_are_not(environment, home):
    path = run(environment, home, "-c", "import sys; print(sys.path)")
    assert "dist-packages" not in path


def test_who_wants_no_user_packages_has_none(environment, home):
    probe = "import importlib.util as u; print(u.find_spec('mine'))"
    assert run(environment, home, "-s", "-c", probe) == "None"
    assert run(environment, home, "-c", probe, PYTHONNOUSERSITE="1") == "None"


def test_a_jupyter_server_does_not_see_them(environment, home, tmp_path):
    program = tmp_path / "jupyterhub-singleuser"
    program.write_text("import importlib.util as u; print(u.find_spec('mine'))\n")
    assert run(environment, home, str(program)) == "None"


def test_only_servers_leave_out_what_is_slow_to_load(environment, home, tmp_path):
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    (packages / "rfc3987_syntax.py").touch()
    program = tmp_path / "jupyterhub-singleuser"
    program.write_text(
        "try:\n    import rfc3987_syntax\n    print('there')\nexcept ImportError:\n    print('not there')\n"
    )
    assert run(environment, home, str(program)) == "not there"
    assert run(environment, home, "-c", program.read_text()) == "there"


def test_ssl_is_not_loaded_before_it_is_wanted(environment, home):
    assert (
        run(environment, home, "-c", "import sys; print('ssl' in sys.modules, '_ssl' in sys.modules)") == "False False"
    )
    assert run(environment, home, "-c", "import ssl; print(ssl.SSLSocket.recv.__name__)") == "recv"


def test_a_gateway_client_collected_on_its_own_loop_does_not_wait_for_itself():
    import asyncio
    import threading

    closed = []

    class Gateway:
        def __init__(self, loop):
            self.loop = types.SimpleNamespace(asyncio_loop=loop)

        def __del__(self):  # as dask-gateway does it
            async def close():
                closed.append(threading.current_thread().name)

            asyncio.run_coroutine_threadsafe(close(), self.loop.asyncio_loop).result(5)

    module = types.SimpleNamespace(Gateway=Gateway, GatewayCluster=type("Cluster", (Gateway,), {}))
    module.GatewayCluster.__del__ = Gateway.__del__
    caas_env._on_gateway_client(module)

    async def main():
        gateway = module.Gateway(asyncio.get_running_loop())
        del gateway  # __del__ runs here, on the loop's own thread
        for _ in range(100):
            if closed:
                return
            await asyncio.sleep(0.02)

    asyncio.run(main())
    assert closed == [threading.main_thread().name]


@pytest.mark.parametrize(
    ("address", "configured", "given", "connected"),
    [
        ("gateway://127.0.0.1:902/0123", None, {}, ("gateway://127.0.0.1:902/0123", {"security": "of 0123"})),
        (None, "gateway://127.0.0.1:902/0123", {}, ("gateway://127.0.0.1:902/0123", {"security": "of 0123"})),
        ("gateway://h:1/0123", None, {"security": "mine"}, ("gateway://h:1/0123", {"security": "mine"})),
        ("tls://127.0.0.1:1", "gateway://127.0.0.1:902/0123", {}, ("tls://127.0.0.1:1", {})),
        (None, "tcp://127.0.0.1:1", {}, (None, {})),
        (None, None, {"n_workers": 2}, (None, {"n_workers": 2})),
    ],
)
def test_a_client_of_a_gateways_address_has_its_certificate(monkeypatch, address, configured, given, connected):
    class Client:
        def __init__(self, address=None, **kwargs):
            self.asked = address, kwargs

    class Gateway:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def get_cluster(self, name):
            return types.SimpleNamespace(security=f"of {name}")

    config = types.SimpleNamespace(get=lambda key, default: configured or default)
    monkeypatch.setitem(sys.modules, "dask", types.SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "dask_gateway", types.SimpleNamespace(Gateway=Gateway))
    caas_env._on_client(types.SimpleNamespace(Client=Client))
    assert Client(address, **given).asked == connected
