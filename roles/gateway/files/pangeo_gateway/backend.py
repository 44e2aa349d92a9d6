"""dask-gateway's LocalBackend with sandboxes, control groups, a cap a user, and dashboards for the owner only.

Of LocalBackend stays the state machine with its database. What differs:
- accounts come from what the hub remembers, not from the host's user list;
- certificates are the user's to read, not to write (the original takes the letters of a path for paths and so hands "/"
  to the user);
- a process is known by its control group, and by pid *and* start time, so that a pid used again after a restart of the
  gateway is never taken for it;
- the log of a scheduler or worker is in its owner's home (their space, and theirs to read).
"""

import asyncio
import os
import shutil
import subprocess
import threading

from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.backends.db_base import JobStatus
from dask_gateway_server.backends.local import LocalBackend, LocalClusterConfig
from traitlets import Float, Unicode

from . import admin
from .heartbeat import BadHeartbeat, IdleTimes, checked, idle_seconds
from .limits import Ledger, Refused, scheduler_size, size, worker_size
from .requests import CappedRequests, add_warning
from .sandbox import Limits, Sandbox
from .settings import account, load

OVERHEAD = 90 * 10**6  # nanny and resource tracker of a worker, which its own limit does not count
RETRY_SECONDS = 1.0  # until the cap is looked at again for workers that did not fit

# Opens the log inside the sandbox, as the user: a link planted in the home leads nowhere the user could not go.
LOGGED = (
    'log="$HOME/.local/share/dask-gateway/logs/$1"; name="$2"; shift 2; umask 077; '
    '{ mkdir -p "$log" && : >>"$log/$name.log"; } 2>/dev/null && exec >>"$log/$name.log" 2>&1; umask 022; exec "$@"'
)


class HostClusterConfig(LocalClusterConfig):
    """CPUs may be fractions, as in the form."""

    folder = Unicode(help="The folder that is the environment inside the sandbox, by the name of the link to it")

    worker_cores = Float(1, min=0.05, config=True)
    scheduler_cores = Float(1, min=0.05, config=True)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0: there is none of that number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def scheduler_group(cluster) -> str:
    return f"dask-{cluster.name}-scheduler"


def worker_group(worker) -> str:
    return f"dask-{worker.cluster.name}-worker-{worker.name}"


class HostLedger(Ledger):
    """Reads LocalBackend's own records."""

    def is_alive(self, cluster):
        return cluster.status < JobStatus.STOPPED

    def is_leaving(self, cluster):
        return cluster.target >= JobStatus.STOPPED

    def staying(self, cluster):
        return sum(not w.close_expected for w in cluster.active_workers())

    def processes(self, cluster):
        return sum(w.status < JobStatus.STOPPED for w in cluster.workers.values())


class HostBackend(CappedRequests, LocalBackend):
    cluster_config_class = HostClusterConfig
    settings_path = Unicode(help="gateway.json", config=True)

    # Setting up

    async def setup(self, app):
        self.settings = load(self.settings_path)
        self.sandbox = Sandbox(self.settings)
        self.ledger = HostLedger(size(*self.settings.maximum))
        self.idle = IdleTimes()
        self._waiting_for_room = set()
        os.makedirs(self.clusters_directory, exist_ok=True)
        os.chmod(self.clusters_directory, 0o711)  # users pass through to their own; nobody lists it
        app.middlewares.append(add_warning)
        app.add_routes(admin.routes(self, self.settings["admin_token"]))
        await super().setup(app)

    async def do_setup(self):
        """Ends what a gateway left behind that was killed between starting a process and writing it down."""
        known = {c.name for c in self.db.name_to_cluster.values() if c.status < JobStatus.STOPPED}
        for group in await self.sandbox.groups("dask-"):
            if group.split("-")[1] not in known:
                self.log.warning("Ending %s, which belongs to no cluster", group)
                await self.sandbox.stop(group)
        for name in os.listdir(self.clusters_directory):
            if name not in known:
                self.cleanup_working_directory(os.path.join(self.clusters_directory, name))

    def clusters_of(self, username):
        return list(self.db.username_to_clusters.get(username, {}).values())

    # For the provisioner (admin.py)

    def list_alive(self):
        return [c for c in self.db.name_to_cluster.values() if self.ledger.is_alive(c)]

    def describe(self, cluster):
        return {
            "status": cluster.model_status.name.lower(),
            "workers": len(cluster.active_workers()),
            "workers_running": sum(w.status == JobStatus.RUNNING for w in cluster.active_workers()),
            "started": cluster.start_time / 1000,
        }

    async def ended(self, clusters, seconds):
        """Waits until they have ended, but no longer than that."""
        waits = [asyncio.ensure_future(c.shutdown) for c in clusters]
        if waits:
            await asyncio.wait(waits, timeout=seconds)

    # The cap of a user

    async def start_cluster(self, user, cluster_options):
        if account(self.settings["accounts"], user.name) is None:
            raise PublicException(f"{user.name} has no account here: sign in to the hub once, then try again")
        options, config = await self.process_cluster_options(user, cluster_options)
        # From here to the new entry nothing waits, so no second request comes between check and entry.
        try:
            self.ledger.check_new(self.clusters_of(user.name), config)
        except Refused as e:
            raise PublicException(str(e)) from None
        cluster = self.db.create_cluster(user.name, options, config.to_dict())
        self.log.info("Created cluster %s for user %s", cluster.name, user.name)
        self.queue.put(cluster)
        return cluster.name

    def held(self, model):
        return self.db.get_cluster(model.name)

    async def on_cluster_heartbeat(self, cluster_name, msg):
        cluster = self.db.get_cluster(cluster_name)
        if cluster is None:
            return
        idle = idle_seconds(msg)
        try:
            msg = checked(msg)
        except BadHeartbeat as e:
            self.log.warning("Cluster %s of %s sent a bad heartbeat: %s", cluster_name, cluster.username, e)
            raise PublicException(f"bad heartbeat: {e}") from None
        self.idle.heard(cluster_name, idle)
        wanted = msg["count"]
        msg["count"] = self.ledger.settle(self.clusters_of(cluster.username), cluster, wanted)
        if msg["count"] < wanted and msg["count"] != cluster.count:
            self.log.info(
                "Cluster %s of %s wants %d workers, %d fit", cluster_name, cluster.username, wanted, msg["count"]
            )
        await super().on_cluster_heartbeat(cluster_name, msg)

    async def _check_cluster_scale(self, cluster):
        if cluster.worker_start_failure_count >= self.worker_start_failure_limit:
            await super()._check_cluster_scale(cluster)
            return
        missing = cluster.count - len(cluster.active_workers())
        fit = min(missing, self.ledger.may_start(self.clusters_of(cluster.username), cluster))
        for _ in range(fit):
            worker = self.db.create_worker(cluster)
            self.log.info("Created worker %s for cluster %s", worker.name, cluster.name)
            self.queue.put(worker)
        if missing > max(0, fit):
            self._note_ended(self.clusters_of(cluster.username))
        if missing > max(0, fit) and cluster.name not in self._waiting_for_room:
            self._waiting_for_room.add(cluster.name)
            self.task_pool.spawn(self._look_again(cluster))

    def _note_ended(self, clusters):
        """Workers that were to close and have: their room is free now, not only with the next heartbeat."""
        for worker in (w for c in clusters for w in c.active_workers()):
            if worker.close_expected and worker.status == JobStatus.RUNNING and not self._check_status(worker):
                self.db.update_worker(worker, target=JobStatus.STOPPED)
                self.queue.put(worker)

    async def _look_again(self, cluster):
        """Room comes when other workers have ended, of which this cluster hears nothing."""
        await asyncio.sleep(RETRY_SECONDS)
        self._waiting_for_room.discard(cluster.name)
        self.queue.put(cluster)

    # Routes: schedulers are reached through the proxy, dashboards are not

    async def _check_cluster_proxied(self, cluster):
        if not cluster.added_to_proxies:
            await self.proxy.add_route(kind="SNI", sni=cluster.name, target=cluster.scheduler_address)
            cluster.added_to_proxies = True

    # Processes

    def setup_working_directory(self, cluster):
        """The folder with the cluster's certificate and key, which the user may read."""
        ids = self._account(cluster)
        workdir = os.path.join(self.clusters_directory, cluster.name)
        certs = self.get_certs_directory(workdir)
        shutil.rmtree(workdir, ignore_errors=True)
        os.makedirs(certs, 0o700)
        for path, data in zip(self._get_tls_paths(workdir), (cluster.tls_cert, cluster.tls_key), strict=True):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400), "wb") as f:
                f.write(data)
            os.chown(path, ids.uid, ids.gid)
        for folder in (certs, workdir):
            os.chown(folder, ids.uid, ids.gid)
            os.chmod(folder, 0o500)
        return workdir

    def _account(self, cluster):
        ids = account(self.settings["accounts"], cluster.username)
        if ids is None:
            raise RuntimeError(f"no account is remembered for {cluster.username}")
        return ids

    def get_env(self, cluster):
        env = super().get_env(cluster)
        user = cluster.username
        folder = os.path.dirname(os.path.dirname(cluster.config.scheduler_cmd[0]))
        env.update(
            {
                "HOME": f"/home/{user}",
                "USER": user,
                "LOGNAME": user,
                "SHELL": "/bin/bash",
                "LANG": "C.UTF-8",
                "PATH": f"{folder}/bin:/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": self.settings["dask_code"],
                "PYTHONUNBUFFERED": "1",
                # what does not fit into memory goes to the home: the user's own space, and on disk
                "DASK_TEMPORARY_DIRECTORY": f"/home/{user}/.cache/dask",
                "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "1000",
                "DASK_DISTRIBUTED__WORKER__DAEMON": "True",
                "MALLOC_TRIM_THRESHOLD_": "65536",
            }
        )
        return env

    def get_scheduler_command(self, cluster):
        return [*super().get_scheduler_command(cluster), "--preload", "caas_dask"]

    def get_worker_command(self, cluster, worker_name, scheduler_address=None):
        command = super().get_worker_command(cluster, worker_name, scheduler_address)
        return [*command, "--host", self.default_host, "--no-dashboard", "--preload", "caas_dask"]

    def worker_nthreads_memory_limit_args(self, cluster):
        config = cluster.config
        return str(config.worker_threads), str(max(config.worker_memory // 2, config.worker_memory - OVERHEAD))

    async def start_process(self, cluster, cmd, env, name):
        """Starts scheduler or worker; `name` names its group and its log. Returns {"pid", "started"}."""
        scheduler = name == "scheduler"
        group = f"dask-{cluster.name}-{name}"
        limits = Limits(*(scheduler_size if scheduler else worker_size)(cluster.config))
        workdir = os.path.join(self.clusters_directory, cluster.name)
        environment = f"{cluster.config.folder}:{os.path.dirname(os.path.dirname(cmd[0]))}"
        logged = ["/bin/sh", "-c", LOGGED, "dask", cluster.name, name, *cmd]
        command = self.sandbox.run_command(
            group, cluster.username, self._account(cluster), limits, [workdir], [environment], logged
        )
        # Not by asyncio: it kills what still runs when it forgets about it, which a gateway that is stopped must not.
        process = await asyncio.to_thread(
            subprocess.Popen, command, start_new_session=True, env=env, stdin=subprocess.DEVNULL
        )
        threading.Thread(target=process.wait, daemon=True).start()
        return {"pid": process.pid, "started": start_time(process.pid)}

    async def do_start_cluster(self, cluster):
        state = {"workdir": os.path.join(self.clusters_directory, cluster.name)}
        yield state
        await self.sandbox.mount(cluster.username, self._account(cluster))
        self.setup_working_directory(cluster)
        process = await self.start_process(
            cluster, self.get_scheduler_command(cluster), self.get_scheduler_env(cluster), "scheduler"
        )
        yield {**state, **process}

    async def do_stop_cluster(self, cluster):
        self.ledger.drop(cluster)
        self.idle.forget(cluster.name)
        await self.sandbox.stop(scheduler_group(cluster))
        workdir = cluster.state.get("workdir")
        if workdir:
            self.cleanup_working_directory(workdir)

    async def do_start_worker(self, worker):
        cluster = worker.cluster
        command = self.get_worker_command(cluster, worker.name)
        yield await self.start_process(cluster, command, self.get_worker_env(cluster), f"worker-{worker.name}")

    async def do_stop_worker(self, worker):
        await self.sandbox.stop(worker_group(worker))

    def _check_status(self, o):
        pid = o.state.get("pid")
        return pid is not None and start_time(pid) == o.state.get("started")
