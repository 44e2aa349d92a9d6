"""JupyterHub's configuration. It holds no values of a cluster: those are in hub.json, written by the provisioner in the folder
above.

The hub runs as root because it starts servers under other uids, mounts homes and writes control groups. What runs for
users gives that up before its first own instruction; the service's unit takes away from the hub what it does not need."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
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
accounts = Accounts(settings["accounts"])
members = [directory.users_group, directory.admins_group]

# --- hub and proxy: both outlive each other ---
c.JupyterHub.bind_url = settings["proxy"]["url"]
c.JupyterHub.public_url = settings.public_url
c.JupyterHub.hub_bind_url = settings["hub"]["url"]
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
if settings["systemd"]:
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
c.Spawner.environment = {**settings["variables"], "JUPYTERHUB_ACTIVITY_INTERVAL": str(activity_seconds(settings))}
c.Spawner.env_keep = ["LANG", "LC_ALL"]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 120
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
