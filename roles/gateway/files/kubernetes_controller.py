"""Configuration of dask-gateway's controller on Kubernetes; its values come from controller.json."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pangeo_gateway.settings import load  # noqa: E402

settings = load(os.environ["CAAS_CONTROLLER_JSON"])

c = get_config()  # noqa: F821

c.Application.log_format = "[%(levelname)1.1s %(asctime)s.%(msecs).03d] %(message)s"
c.Application.log_datefmt = "%Y-%m-%d %H:%M:%S"
c.KubernetesController.settings_path = settings.path
c.KubernetesController.address = ":8000"
c.KubernetesController.api_url = settings["api"] + "/api"
c.KubernetesController.gateway_instance = settings["instance"]
c.KubernetesController.common_labels = settings["labels"]
c.KubernetesController.proxy_prefix = settings["prefix"]
# An ended cluster is remembered so long; its pods are gone before it counts as ended.
c.KubernetesController.completed_cluster_max_age = 3600
c.KubernetesController.completed_cluster_cleanup_period = 300
c.KubernetesController.backoff_max_delay = 30
# Requests a second, and at once: a cluster of hundreds of workers has to be gone within seconds.
c.KubernetesController.k8s_api_rate_limit = 100
c.KubernetesController.k8s_api_rate_limit_burst = 400
