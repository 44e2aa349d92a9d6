"""dask-gateway's informers, looking at one namespace only, so that the rights in it are enough, and calm when the API
server is away: the original asks again at once, for as long as it takes."""

import asyncio

from dask_gateway_server.backends.kubernetes import backend, controller
from dask_gateway_server.backends.kubernetes.utils import Informer

RETRY_SECONDS = 1.0

NAMESPACED = {
    "list_cluster_custom_object": "list_namespaced_custom_object",
    "list_pod_for_all_namespaces": "list_namespaced_pod",
    "list_endpoints_for_all_namespaces": "list_namespaced_endpoints",
}


class Patient:
    """A client whose calls wait a moment before they fail."""

    def __init__(self, client):
        self._client = client
        self.api_client = client.api_client

    def __getattr__(self, name):
        inner = getattr(self._client, name)

        async def call(*args, **kwargs):
            try:
                return await inner(*args, **kwargs)
            except Exception:
                await asyncio.sleep(RETRY_SECONDS)
                raise

        return call


class NamespacedInformer(Informer):
    """parent: the API or the controller, whose settings name the namespace."""

    def __init__(self, *, parent, client, method, method_kwargs, **kwargs):
        super().__init__(
            parent=parent,
            client=Patient(client),
            method=NAMESPACED[method],
            method_kwargs={**method_kwargs, "namespace": parent.settings["namespace"]},
            **kwargs,
        )


def use() -> None:
    """Both modules make their informers inside long methods of their own."""
    backend.Informer = controller.Informer = NamespacedInformer
