"""Options of the server and of the idle culler, made from the form's values. Pure."""

import sys

from .settings import Settings

NEVER_SECONDS = 10 * 365 * 86400


def activity_seconds(settings: Settings) -> int:
    """How often a server reports that it is used: well below the idle time-out, or work would look like idling."""
    minutes = settings["idle"]["notebook_minutes"]
    return max(10, min(300, minutes * 60 // 4)) if minutes else 300


def culler_command(settings: Settings) -> list[str] | None:
    """The idle culler as a service of the hub; None where servers may idle and run for ever."""
    minutes, hours = settings["idle"]["notebook_minutes"], settings["idle"]["max_hours"]
    if not minutes and not hours:
        return None
    timeout = minutes * 60 if minutes else NEVER_SECONDS
    return [
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        f"--timeout={timeout}",
        f"--cull-every={max(10, min(600, timeout // 6))}",
        f"--max-age={hours * 3600}",
        "--concurrency=10",
    ]


def server_arguments(settings: Settings) -> list[str]:
    minutes = settings["idle"]["kernel_minutes"]
    if not minutes:
        return []
    return [
        f"--MappingKernelManager.cull_idle_timeout={minutes * 60}",
        f"--MappingKernelManager.cull_interval={max(10, min(300, minutes * 10))}",
        "--MappingKernelManager.cull_connected=True",
    ]


def server_environment(settings: Settings) -> dict[str, str]:
    """What every server gets beside what JupyterHub sets. GatewayCluster() works without arguments by it."""
    gateway = settings["gateway"]
    return {
        "JUPYTERHUB_ACTIVITY_INTERVAL": str(activity_seconds(settings)),
        "DASK_GATEWAY__ADDRESS": f"{gateway['proxy']}/services/dask-gateway",
        "DASK_GATEWAY__PROXY_ADDRESS": gateway["tcp"],
        "DASK_GATEWAY__PUBLIC_ADDRESS": "/services/dask-gateway/",
        "DASK_GATEWAY__AUTH__TYPE": "jupyterhub",
        "DASK_LABEXTENSION__FACTORY__MODULE": "dask_gateway",
        "DASK_LABEXTENSION__FACTORY__CLASS": "GatewayCluster",
    }
