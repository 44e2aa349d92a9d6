"""What a user may choose for a cluster, bounded by the form; Gateway().cluster_options() shows it."""

import math
import os
from collections.abc import Callable
from typing import Any

from dask_gateway_server.options import Float as StockFloat
from dask_gateway_server.options import Options, Select

from .settings import GB, MIN_WORKER_RAM, Settings

MIN_WORKER_CPUS = 0.1


class Float(StockFloat):
    """The stock one takes what is no number (JSON brings NaN), which is neither below nor above any bound."""

    def validate(self, x):
        if isinstance(x, float) and math.isnan(x):
            raise ValueError(f"{self.field} must be a number, got {x}")
        return super().validate(x)


def bounded_options(settings: Settings, names: list[str], more: Callable[[Any, Any], dict[str, Any]]) -> Options:
    """names: of the environments, the default first. more: what else a cluster is made of, from the options and the
    user."""
    max_cpus, max_ram = settings.worker
    scheduler_cpus, scheduler_ram = settings.scheduler

    def configuration(options, user):
        return {
            "worker_cores": options.worker_cores,
            "worker_memory": min(max_ram, round(options.worker_memory * GB)),
            "scheduler_cores": scheduler_cpus,
            "scheduler_memory": scheduler_ram,
            "idle_timeout": float(settings["idle_minutes"]) * 60,
            **more(options, user),
        }

    return Options(
        Float("worker_cores", max_cpus, min=min(MIN_WORKER_CPUS, max_cpus), max=max_cpus, label="CPUs of a worker"),
        Float(
            "worker_memory",
            max_ram / GB,
            min=min(MIN_WORKER_RAM, max_ram) / GB,
            max=max_ram / GB,
            label="Memory of a worker (GB)",
        ),
        Select("environment", names, default=names[0], label="Environment"),
        handler=configuration,
    )


def cluster_options(settings: Settings) -> Options:
    """On a host: an environment is a folder."""
    environments = settings.environments

    def more(options, user):
        link = environments[options.environment]
        dask = [os.path.join(link, "bin", "python"), "-m", "dask"]
        return {
            "scheduler_cmd": [*dask, "scheduler"],
            "worker_cmd": [*dask, "worker"],
            # What the link leads to today: later workers of the cluster have the packages of its first ones.
            "folder": os.path.realpath(link),
        }

    return bounded_options(settings, list(environments), more)
