"""What a user may choose for a cluster, bounded by the form; Gateway().cluster_options() shows it."""

import os

from dask_gateway_server.options import Float, Options, Select

from .settings import GB, MIN_WORKER_RAM, Settings

MIN_WORKER_CPUS = 0.1


def cluster_options(settings: Settings) -> Options:
    max_cpus, max_ram = settings.worker
    scheduler_cpus, scheduler_ram = settings.scheduler
    environments = settings.environments
    names = list(environments)

    def configuration(options):
        link = environments[options.environment]
        dask = [os.path.join(link, "bin", "python"), "-m", "dask"]
        return {
            "worker_cores": options.worker_cores,
            "worker_memory": min(max_ram, round(options.worker_memory * GB)),
            "scheduler_cores": scheduler_cpus,
            "scheduler_memory": scheduler_ram,
            "scheduler_cmd": [*dask, "scheduler"],
            "worker_cmd": [*dask, "worker"],
            "idle_timeout": float(settings["idle_minutes"]) * 60,
            # What the link leads to today: later workers of the cluster have the packages of its first ones.
            "folder": os.path.realpath(link),
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
