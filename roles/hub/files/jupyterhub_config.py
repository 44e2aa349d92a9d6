"""JupyterHub's configuration. It holds no values of a cluster: those are in hub.json, written by the provisioner in the folder
above.

On a host the hub runs as root because it starts servers under other uids, mounts homes and writes control groups. What runs
for users gives that up before its first own instruction; the service's unit takes away from the hub what it does not need.
On Kubernetes it is nobody in particular, with a role that lets it make pods and claims in its own namespace."""

import logging
import sys
from pathlib import Path

# Not resolved: in a pod all of these are links into a folder that changes with its ConfigMap.
HERE = Path(__file__).absolute().parent
sys.path.insert(0, str(HERE))

from pangeo_hub import settings as hub_settings  # noqa: E402
from pangeo_hub.accounts import Accounts  # noqa: E402
from pangeo_hub.authenticator import PangeoAuthenticator  # noqa: E402
from pangeo_hub.choices import Choices  # noqa: E402
from pangeo_hub.options import activity_seconds, culler_command  # noqa: E402
from pangeo_hub.proxy import WatchedProxy  # noqa: E402

c = get_config()  # noqa: F821
settings = hub_settings.load(HERE.parent / "hub.json")
directory, tokens = settings.directory, settings["tokens"]
kubernetes = settings.get("kubernetes")
accounts = Accounts(settings["accounts"])
members = [directory.users_group, directory.admins_group]

# --- hub and proxy: both outlive each other ---
c.JupyterHub.bind_url = settings["proxy"]["url"]
c.JupyterHub.public_url = settings.public_url
c.JupyterHub.hub_bind_url = settings["hub"]["url"]
if kubernetes:
    c.JupyterHub.hub_connect_url = settings["hub"]["connect"]
c.JupyterHub.db_url = f"sqlite:///{settings['database']}"
c.JupyterHub.upgrade_db = True
c.JupyterHub.cookie_secret = bytes.fromhex(tokens["cookie"])
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.proxy_class = WatchedProxy
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = settings["proxy"]["api"]
c.ConfigurableHTTPProxy.auth_token = tokens["proxy"]
c.JupyterHub.concurrent_spawn_limit = 64
c.JupyterHub.allow_named_servers = False
c.JupyterHub.activity_resolution = 15
# Three counts. JupyterHub's hour would say of a new cluster's first one that nobody was active; and it would log each count.
c.PeriodicMetricsCollector.active_users_update_interval = 60
logging.getLogger("JupyterHub").addFilter(lambda record: " active users in the last " not in record.getMessage())

# --- pages ---
c.JupyterHub.template_paths = [str(HERE / "pages")]
c.JupyterHub.logo_file = str(HERE / "pages" / "logo.svg")
c.JupyterHub.template_vars = {
    "cluster": settings.cluster,
    "users_group": directory.users_group,
    "admins": settings.admins,
    "idle_minutes": settings["idle"]["notebook_minutes"],
}
c.JupyterHub.tornado_settings = {
    # TLS ends before the hub, which therefore cannot see that cookies may be marked.
    "cookie_options": {"secure": True, "samesite": "Lax"},
    # A start that takes longer than this shows its progress instead of a page that does not load.
    "slow_spawn_timeout": 0,
    "headers": {
        "Content-Security-Policy": "; ".join(
            [
                "default-src 'self'",
                "script-src 'self' 'unsafe-inline'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data:",
                "font-src 'self' data:",
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ]
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    },
}

# --- who may come in ---
c.JupyterHub.authenticator_class = PangeoAuthenticator
c.PangeoAuthenticator.settings = settings
c.PangeoAuthenticator.accounts = accounts
c.PangeoAuthenticator.auth_refresh_age = int(settings["sweep_seconds"])
c.PangeoAuthenticator.refresh_pre_spawn = True

# --- servers ---
if kubernetes:
    from pangeo_hub.kube import HOME, PangeoKubeSpawner, quantity

    c.JupyterHub.spawner_class = PangeoKubeSpawner
    c.KubeSpawner.namespace = kubernetes["namespace"]
    # All addresses of the pod, of IPv6 as well; the stock class has those of IPv4 alone.
    c.KubeSpawner.ip = ""
    c.KubeSpawner.common_labels = kubernetes["labels"]
    c.KubeSpawner.extra_labels = {"hub.jupyter.org/network-access-hub": "true"}
    c.KubeSpawner.extra_annotations = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    # The home: made at the first start, grown by the provisioner, and never removed with its user.
    c.KubeSpawner.storage_pvc_ensure = True
    c.KubeSpawner.delete_pvc = False
    c.KubeSpawner.remember_pvc_name = False
    c.KubeSpawner.pvc_name_template = "claim-{user_server}"
    c.KubeSpawner.storage_capacity = quantity(settings["notebook"]["storage"])
    c.KubeSpawner.storage_class = kubernetes["storage_class"]
    c.KubeSpawner.storage_access_modes = ["ReadWriteOnce"]
    home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    c.KubeSpawner.volumes = [home, *kubernetes["volumes"]]
    c.KubeSpawner.volume_mounts = [{"name": "home", "mountPath": HOME}, *kubernetes["volume_mounts"]]
    # A pod that may do nothing: what the Pod Security level "restricted" asks for.
    c.KubeSpawner.uid = 1000
    c.KubeSpawner.fs_gid = 100
    c.KubeSpawner.pod_security_context = {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    c.KubeSpawner.container_security_context = {"capabilities": {"drop": ["ALL"]}}
    c.KubeSpawner.allow_privilege_escalation = False
    c.KubeSpawner.automount_service_account_token = False
    # One that was ended for its memory is not started again behind its owner's back.
    c.KubeSpawner.extra_pod_config = {"restartPolicy": "Never", "enableServiceLinks": False}
    c.KubeSpawner.working_dir = HOME
    c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
    c.KubeSpawner.image_pull_policy = "IfNotPresent"
    c.KubeSpawner.image_pull_secrets = [secret["name"] for secret in kubernetes["pull_secrets"]]
    c.KubeSpawner.node_selector = kubernetes["node_selector"]
    preferred = kubernetes["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    c.KubeSpawner.node_affinity_preferred = preferred
elif settings["systemd"]:
    from pangeo_hub.systemd import PangeoSystemdSpawner

    c.JupyterHub.spawner_class = PangeoSystemdSpawner
    # "_", which no cluster's name holds: "jupyter-hub" here would be the hub's own unit in a cluster of a longer name.
    c.SystemdSpawner.unit_name_template = f"caas-{settings.cluster}-jupyter_{{USERNAME}}"
    # The slice of caas-sandbox ("-" would mean "child of"): all that is in it ends with the cluster.
    c.SystemdSpawner.slice = f"caas-{settings.cluster.replace('-', '_')}.slice"
else:
    from pangeo_hub.spawner import SandboxSpawner

    c.JupyterHub.spawner_class = SandboxSpawner
c.PangeoSpawner.settings = settings
c.PangeoSpawner.accounts = accounts
c.PangeoSpawner.choices = Choices(settings)
c.Spawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": str(activity_seconds(settings))}
if not kubernetes:  # there the spawner puts them in
    c.Spawner.environment.update(settings["variables"])
c.Spawner.env_keep = [] if kubernetes else ["LANG", "LC_ALL"]
c.Spawner.default_url = "/lab"
# An image that is new to a machine, or a machine that is new to the cluster, takes minutes.
c.Spawner.start_timeout = 600 if kubernetes else 120
c.Spawner.http_timeout = 30
c.Spawner.poll_interval = 10
# Failing starts of users must never end the hub, which is what this limit is for elsewhere.
c.Spawner.consecutive_failure_limit = 0
c.Spawner.server_token_scopes = [
    "users:activity!user",
    "access:servers!server",
    "access:services!service=dask-gateway",
]

# --- services and what they may do ---
c.JupyterHub.services = [
    {"name": "caas", "api_token": tokens["caas"]},
    {"name": "prometheus", "api_token": tokens["prometheus"]},
    {
        "name": "dask-gateway",
        "url": settings["gateway"]["proxy"],
        "api_token": tokens["gateway"],
        "display": False,  # it is for programs: the menu of the hub's pages does not show it
    },
]
c.JupyterHub.load_roles = [
    # In this order: the first makes the groups, and JupyterHub 5.5 fails on a group that only the role admin names.
    {"name": "dask", "groups": members, "scopes": ["access:services!service=dask-gateway"]},
    {"name": "admin", "users": [], "groups": [directory.admins_group]},
    {
        "name": "caas",
        "services": ["caas"],
        "scopes": ["admin:users", "admin:servers", "tokens", "list:groups", "read:hub", "proxy", "read:metrics"],
    },
    {
        "name": "metrics",
        "services": ["prometheus"],
        "scopes": ["read:metrics", "list:users", "read:users:activity", "read:servers", "list:groups", "read:hub"],
    },
]
monitoring = settings.get("monitoring")
if monitoring:  # for admins: their role has the scope access:services, and nobody else's has
    c.JupyterHub.services.append(
        {"name": "monitoring", "url": monitoring["url"], "api_token": monitoring["token"], "oauth_no_confirm": True}
    )
grafana = settings.get("grafana")
# Elsewhere, or behind the proxy, where it has a url. For the same people, and for users where they see their own.
if grafana:
    c.JupyterHub.custom_scopes = {"custom:figures:all": {"description": "See everybody's figures in Grafana"}}
    c.JupyterHub.services.append(
        {
            "name": "grafana",
            "api_token": grafana["secret"],
            "oauth_client_id": "service-grafana",
            "oauth_client_allowed_scopes": ["custom:figures:all"],
            "oauth_redirect_uri": grafana["redirect"],
            "oauth_no_confirm": True,
            "display": "url" in grafana,
        }
        | ({"url": grafana["url"]} if "url" in grafana else {})
    )
    c.JupyterHub.load_roles.append(
        {"name": "figures", "groups": [directory.admins_group], "scopes": ["custom:figures:all"]}
    )
    if grafana.get("users"):
        c.JupyterHub.load_roles.append(
            {"name": "grafana", "groups": members, "scopes": ["access:services!service=grafana"]}
        )
culler = culler_command(settings)
if culler:
    c.JupyterHub.services.append({"name": "idle-culler", "command": culler})
    c.JupyterHub.load_roles.append(
        {
            "name": "idle-culler",
            "services": ["idle-culler"],
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        }
    )
