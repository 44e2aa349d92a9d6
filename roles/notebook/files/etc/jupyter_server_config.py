"""Settings of every user's Jupyter server; found through JUPYTER_CONFIG_PATH, so they win over the user's own files.

The figures come from settings.json beside the folder of this code.
"""

import contextlib
import json
import os
import site
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CODE = os.path.dirname(HERE)
with open(os.path.join(os.path.dirname(CODE), "settings.json"), encoding="utf-8") as f:
    settings = json.load(f)

c = get_config()  # noqa: F821

# What the kernels and terminals inherit.
sys.path.insert(0, os.path.join(CODE, "python"))
import caas_env  # noqa: E402

environment = caas_env.environment_name(sys.prefix)
home = os.path.expanduser("~")
os.environ.setdefault("PYTHONUSERBASE", os.path.join(home, ".local", "environments", environment))
site.USER_BASE = site.USER_SITE = None
with contextlib.suppress(OSError):  # there before the first kernel looks, so that it finds what is installed later
    os.makedirs(site.getusersitepackages(), exist_ok=True)
os.environ["PATH"] = os.pathsep.join(
    [
        os.path.join(sys.prefix, "bin"),
        os.path.join(os.environ["PYTHONUSERBASE"], "bin"),
        os.path.join(home, ".local", "bin"),
        os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ]
)
os.environ.setdefault("SHELL", "/bin/bash")
# A new Dask cluster has the same packages as the notebook it is made from.
os.environ.setdefault("DASK_GATEWAY__CLUSTER__OPTIONS__ENVIRONMENT", environment)
# The gateway is on this host, whatever proxy the user's programs need for the world outside.
os.environ.setdefault("DASK_GATEWAY__HTTP_CLIENT__PROXY", "False")

c.ServerApp.terminals_enabled = True
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-l"]}
c.ServerApp.jpserver_extensions = {"pangeo_notebook": True, "jupyter_server_proxy": True}
c.ServerApp.root_dir = home
c.ServerApp.allow_remote_access = True  # the proxy names another host; the hub's cookie is what protects it

c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"  # the environment is the administrator's

seconds = int(settings["kernel_minutes"]) * 60
c.MappingKernelManager.cull_idle_timeout = seconds
c.MappingKernelManager.cull_interval = max(10, min(300, seconds // 4)) if seconds else 300
c.MappingKernelManager.cull_connected = True
c.MappingKernelManager.cull_busy = False
c.TerminalManager.cull_inactive_timeout = seconds
c.TerminalManager.cull_interval = c.MappingKernelManager.cull_interval

# The limits that the control group really has: the hub says them in MEM_LIMIT and CPU_LIMIT.
c.ResourceUseDisplay.track_cpu_percent = True
c.ResourceUseDisplay.mem_warning_threshold = 0.1
c.ResourceUseDisplay.cpu_warning_threshold = 0  # it compares per cent with cores
c.ResourceUseDisplay.enable_prometheus_metrics = True
if os.environ.get("MEM_LIMIT"):
    c.ResourceUseDisplay.mem_limit = int(float(os.environ["MEM_LIMIT"]))
if os.environ.get("CPU_LIMIT"):
    c.ResourceUseDisplay.cpu_limit = float(os.environ["CPU_LIMIT"])
