"""A gateway by hand, as it comes: only where it listens is said."""

import os

c = get_config()  # noqa: F821
api, proxy, tcp = os.environ["BENCH_GATEWAY_PORTS"].split()
c.DaskGateway.address = f"127.0.0.1:{api}"
c.Proxy.address = f"127.0.0.1:{proxy}"
c.Proxy.tcp_address = f"127.0.0.1:{tcp}"
