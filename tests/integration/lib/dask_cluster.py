"""A Dask cluster with one worker, as a user starts it in a notebook."""

import contextlib
from collections.abc import Iterator

from hubclient import HubClient, Kernel

# Leaves `cluster` and `client` behind, and prints nothing.
START = """
from dask_gateway import Gateway, GatewayCluster
cluster = GatewayCluster()
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
"""
COMPUTE = START + "print(client.submit(lambda: 7).result(timeout=60))\n"
STOP_ALL = """
from dask_gateway import Gateway
gateway = Gateway()
for one in gateway.list_clusters():
    gateway.stop_cluster(one.name)
"""
# Of the only one there is; `client` stays.
SCALE = """
from dask_gateway import Gateway
gateway = Gateway()
(one,) = gateway.list_clusters()
gateway.scale_cluster(one.name, COUNT)
client = gateway.connect(one.name).get_client()
"""


def scale(kernel: Kernel, count: int) -> None:
    """Asks for so many workers, and waits for none of them."""
    reply = kernel.run(SCALE.replace("COUNT", str(count)), seconds=120)
    assert reply.status == "ok", reply


@contextlib.contextmanager
def at_work(user: HubClient) -> Iterator[None]:
    """One that has computed; all of the user's are ended after it."""
    kernel = user.kernel()
    assert kernel.run(COMPUTE, seconds=240).text.strip().endswith("7")
    yield
    last = user.kernel()  # the first has not been listened to for long
    assert last.run(STOP_ALL, seconds=60).status == "ok"
    last.close()
