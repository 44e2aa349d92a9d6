"""Where the metrics of a cluster's scheduler are, and what opens them (roles/notebook/files/dask/caas_dask.py): for the
exporter of the cluster's monitoring, which knows no keys."""

import hashlib
import hmac


def metrics_secret(key: bytes) -> str:
    """The same as in caas_dask."""
    return hmac.new(key, b"metrics", hashlib.sha256).hexdigest()


def metrics_of(model) -> dict | None:
    """model: dask-gateway's record of a cluster. None as long as that does not run, or its key has not been read."""
    if model is None or not model.dashboard_address or not model.tls_key:
        return None
    return {"url": f"{model.dashboard_address}/metrics", "secret": metrics_secret(model.tls_key)}
