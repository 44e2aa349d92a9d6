"""dask-gateway's configuration; its values come from gateway.json in the folder above, which the provisioner writes."""

import base64
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from pangeo_gateway.options import cluster_options  # noqa: E402
from pangeo_gateway.settings import load  # noqa: E402

os.umask(0o077)  # the database is nobody else's to read

settings = load(os.environ.get("CAAS_GATEWAY_JSON", os.path.join(os.path.dirname(HERE), "gateway.json")))

c = get_config()  # noqa: F821

c.DaskGateway.address = settings["address"]
c.DaskGateway.backend_class = "pangeo_gateway.backend.HostBackend"
c.DaskGateway.authenticator_class = "pangeo_gateway.auth.HubAuthenticator"
c.Application.log_format = "[%(levelname)1.1s %(asctime)s.%(msecs).03d] %(message)s"
c.Application.log_datefmt = "%Y-%m-%d %H:%M:%S"

c.JupyterHubAuthenticator.jupyterhub_api_url = settings["hub_api"]
c.JupyterHubAuthenticator.jupyterhub_api_token = settings["hub_token"]
c.JupyterHubAuthenticator.jupyterhub_service_name = settings["service"]
c.HubAuthenticator.cache_max_age = 5  # seconds for which a revoked user is still let in

# The proxy is a process of its own, so that a restart of the gateway cuts no client from its scheduler.
c.Proxy.externally_managed = True
c.Proxy.address = settings["proxy_address"]
c.Proxy.tcp_address = settings["tcp_address"]
c.Proxy.prefix = settings["prefix"]
c.Proxy.gateway_url = "http://" + settings["address"]
c.Proxy.api_token = settings["proxy_token"]

c.HostBackend.settings_path = settings.path
c.HostBackend.clusters_directory = settings["clusters"]
c.HostBackend.api_url = "http://" + settings["address"] + "/api"
c.HostBackend.inherited_environment = []
c.HostBackend.cluster_options = cluster_options(settings)

# Clusters outlive the gateway; what it knows of them does too. The keys in the database are encrypted.
c.HostBackend.db_url = "sqlite:///" + settings["database"]
c.HostBackend.db_encrypt_keys = [base64.urlsafe_b64encode(bytes.fromhex(settings["db_key"])).decode()]
c.HostBackend.stop_clusters_on_shutdown = False
# A scheduler or worker is there after 2 seconds; on a host that is busy it may take far longer.
c.HostBackend.cluster_start_timeout = 180
c.HostBackend.worker_start_timeout = 180
c.HostBackend.cluster_status_period = 5
c.HostBackend.worker_status_period = 10
c.HostBackend.cluster_heartbeat_period = 10
c.HostBackend.cluster_heartbeat_timeout = 60
