"""Clusters that JupyterLab's Dask panel makes (DASK_LABEXTENSION__FACTORY__… names them). The panel reads its bounds off what
adapt() returns; of a GatewayCluster in an event loop that is a coroutine, of which it can neither read nor show anything."""

import asyncio
import logging
from typing import NamedTuple

import dask_gateway

log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    minimum: int
    maximum: int


class GatewayCluster(dask_gateway.GatewayCluster):
    """Tells the gateway by itself; what it refuses is in the server's log."""

    def adapt(self, minimum=None, maximum=None, active=True, **kwargs):
        self._telling = asyncio.ensure_future(super().adapt(minimum, maximum, active, **kwargs))
        self._telling.add_done_callback(_note)
        return Bounds(minimum, maximum)


def _note(told: asyncio.Future) -> None:
    if not told.cancelled() and told.exception():
        log.warning("the Dask cluster does not adapt: %s", told.exception())
