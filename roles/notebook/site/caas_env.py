"""Runs at the start of every Python of a notebook environment (caas_env.pth): kernels, servers, schedulers, workers.

1. `pip install --user` (and plain `pip install`, which falls back to it) works and lasts: the user's own packages live
   in ~/.local/environments/<environment>, by Python version, so that environments do not mix. Kernels and Dask workers
   have them, the Jupyter server itself has not: a broken package of a user must not keep the server from starting.

2. Dask over TLS. OpenSSL keeps one queue of errors a thread, not one a connection. Since OpenSSL 3.4 closing a
   connection may leave a system error there, and Python takes it for the result of the next read or write of another,
   healthy connection of the same thread: Dask then loses its scheduler (https://github.com/python/cpython/issues/148594).
   So the queue is emptied before each operation, as OpenSSL's manual for SSL_get_error() asks for.

3. dask-gateway's client no longer waits for itself when the garbage collector closes it (_on_gateway_client).

4. When a user's memory is used up, the kernel of Linux ends what asks to go first: kernels and what they start, not the
   server with its open notebooks.

5. A Jupyter server starts a second sooner, without a check that nothing in it needs (_load_less).

6. Client("gateway://…/NAME"), which JupyterLab's Dask panel writes into a notebook, connects (_on_client).
"""

import os
import sys

SERVERS = ("jupyterhub-singleuser", "jupyter-lab", "jupyter-labhub", "jupyter-server", "jupyter-notebook")
SERVER_MODULES = ("jupyterhub.singleuser", "jupyterlab", "jupyter_server")

# Python releases that empty the queue themselves: {(major, minor): first micro}. None does yet.
FIXED_PYTHON: dict = {}
FIRST_BAD_OPENSSL = (3, 4)

_started = 0


def environment_name(prefix: str) -> str:
    """pangeo, for …/env/notebook/pangeo and for …/env/notebook/pangeo-<digest>, which the first is a link to. In images, whose
    folders are called anything, the hub says it."""
    if os.environ.get("KUBERNETES_SERVICE_HOST") and os.environ.get("CAAS_ENVIRONMENT"):
        return os.environ["CAAS_ENVIRONMENT"]
    name = os.path.basename(prefix)
    head, _, tail = name.rpartition("-")
    if head and len(tail) >= 8 and all(c in "0123456789abcdef" for c in tail):
        return head
    return name


def is_server(argv) -> bool:
    """Is this command line that of a Jupyter server?"""
    for i, word in enumerate(argv[1:6], 1):
        if os.path.basename(word) in SERVERS:
            return True
        if argv[i - 1] == "-m" and word.split(":")[0] in SERVER_MODULES:
            return True
    return False


def _user_site() -> None:
    import site

    home = os.path.expanduser("~")
    if sys.flags.no_user_site or sys.flags.isolated or not os.path.isdir(home) or os.getuid() == 0:
        return
    if is_server(getattr(sys, "orig_argv", [])):
        return
    if not os.environ.get("PYTHONUSERBASE"):
        os.environ["PYTHONUSERBASE"] = os.path.join(home, ".local", "environments", environment_name(sys.prefix))
        site.USER_BASE = site.USER_SITE = None
    site.ENABLE_USER_SITE = True
    folder = site.getusersitepackages()
    if not os.path.isdir(folder) or folder in sys.path:
        return
    before = list(sys.path)
    site.addsitedir(folder)
    added = [p for p in sys.path if p not in before]
    first = next((i for i, p in enumerate(before) if p.endswith("-packages")), len(before))
    sys.path[:] = before[:first] + added + before[first:]


def _goes_first() -> None:
    if is_server(getattr(sys, "orig_argv", [])) or os.getuid() == 0:
        return
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:  # raising one's own needs no rights; children inherit it
            if int(file.read()) < 300:
                file.seek(0)
                file.write("300")
    except (OSError, ValueError):
        pass  # no /proc, then no order either


def needs_cure(python, openssl) -> bool:
    """python, openssl: version tuples."""
    if tuple(openssl[:2]) < FIRST_BAD_OPENSSL:
        return False
    fixed = FIXED_PYTHON.get(tuple(python[:2]))
    return fixed is None or python[2] < fixed


def cure(ssl) -> bool:
    """Makes the operations of ssl.SSLSocket and ssl.SSLObject empty OpenSSL's queue first. False: could not."""
    import _ssl
    import ctypes
    import functools

    try:
        # The library that _ssl itself is linked with, whichever that is: looked up through _ssl's own dependencies.
        clear = ctypes.PyDLL(getattr(_ssl, "__file__", None)).ERR_clear_error
    except (OSError, AttributeError):
        return False
    clear.argtypes, clear.restype = (), None

    def wrap(cls, name):
        inner = getattr(cls, name, None)
        if inner is None or getattr(inner, "_caas_cure", False):
            return

        @functools.wraps(inner)
        def outer(self, *args, **kwargs):
            clear()
            return inner(self, *args, **kwargs)

        outer._caas_cure = True
        setattr(cls, name, outer)

    for name in ("recv", "recv_into", "read", "send", "write", "do_handshake", "unwrap"):
        wrap(ssl.SSLSocket, name)
    for name in ("read", "write", "do_handshake", "unwrap"):
        wrap(ssl.SSLObject, name)
    return True


def _on_ssl(module) -> None:
    if needs_cure(sys.version_info, module.OPENSSL_VERSION_INFO):
        cure(module)


def _on_gateway_client(module) -> None:
    """Gateway and GatewayCluster close themselves in __del__ and wait for their event loop to do it. Called by the
    garbage collector on that loop's own thread they wait forever; a refused GatewayCluster(), which leaves a cycle of
    references, makes that likely."""

    def wrap(cls):
        inner = cls.__del__

        def __del__(self):
            import asyncio
            import threading

            try:
                mine = self.loop.asyncio_loop is asyncio.get_running_loop()
            except (RuntimeError, AttributeError):  # no loop runs here; or half made
                mine = False
            if mine:
                threading.Thread(target=inner, args=(self,), daemon=True).start()
                return
            try:
                inner(self)
            except RuntimeError:
                pass  # its loop has ended: nothing is open any more

        cls.__del__ = __del__

    wrap(module.Gateway)
    wrap(module.GatewayCluster)


def _on_client(module) -> None:
    """A cluster's certificate is what a client has to show; the gateway gives it to the cluster's owner."""
    import functools

    inner = module.Client.__init__

    @functools.wraps(inner)
    def __init__(self, address=None, *args, **kwargs):
        if address is None:
            import dask

            configured = dask.config.get("scheduler-address", None)
            address = configured if str(configured).startswith("gateway://") else None
        if isinstance(address, str) and address.startswith("gateway://") and not kwargs.get("security"):
            from dask_gateway import Gateway

            with Gateway() as gateway:
                kwargs["security"] = gateway.get_cluster(address.rsplit("/", 1)[1]).security
        inner(self, address, *args, **kwargs)

    module.Client.__init__ = __init__


HOOKS = {"ssl": _on_ssl, "dask_gateway.client": _on_gateway_client, "distributed.client": _on_client}


class _Finder:
    """Runs a hook when its module is imported: loading OpenSSL at every start of Python would cost 10 ms."""

    def __init__(self):
        self._waiting = dict(HOOKS)

    def find_spec(self, name, path=None, target=None):
        hook = self._waiting.pop(name, None)
        if hook is None:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            hook(module)

        spec.loader.exec_module = exec_module
        return spec


def _load_less() -> None:
    """jsonschema takes rfc3987_syntax if it is there, which compiles a grammar each time; without it, IRIs pass unchecked."""
    if is_server(getattr(sys, "orig_argv", [])):
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # reads as "not installed"


def start(late: bool = False) -> None:
    """Called twice: site.py reads the .pth files of a virtual environment before and after switching user sites off.
    late: by sitecustomize, once and after all that."""
    global _started
    _started += 1
    if _started == 1:
        sys.meta_path.insert(0, _Finder())
        _load_less()
    if _started == 2 or (late and _started == 1):
        _user_site()
        _goes_first()
