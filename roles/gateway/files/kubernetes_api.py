"""Configuration of dask-gateway's API on Kubernetes; its values come from gateway.json, which the provisioner writes."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pangeo_gateway.pods import cluster_options  # noqa: E402
from pangeo_gateway.settings import load  # noqa: E402

settings = load(os.environ["CAAS_GATEWAY_JSON"])

c = get_config()  # noqa: F821

c.DaskGateway.address = ":8000"
c.DaskGateway.backend_class = "pangeo_gateway.kubernetes.KubernetesBackend"
c.DaskGateway.authenticator_class = "pangeo_gateway.auth.HubAuthenticator"
c.Application.log_format = "[%(levelname)1.1s %(asctime)s.%(msecs).03d] %(message)s"
c.Application.log_datefmt = "%Y-%m-%d %H:%M:%S"

c.JupyterHubAuthenticator.jupyterhub_api_url = settings["hub_api"]
c.JupyterHubAuthenticator.jupyterhub_api_token = settings["hub_token"]
c.JupyterHubAuthenticator.jupyterhub_service_name = settings["service"]
c.HubAuthenticator.cache_max_age = 5  # seconds for which a revoked user is still let in

c.KubernetesBackend.settings_path = settings.path
c.KubernetesBackend.gateway_instance = settings["instance"]
c.KubernetesBackend.api_url = settings["api"] + "/api"
c.KubernetesBackend.common_labels = settings["labels"]
c.KubeClusterConfig.namespace = settings["namespace"]
c.KubernetesBackend.cluster_options = cluster_options(settings)
