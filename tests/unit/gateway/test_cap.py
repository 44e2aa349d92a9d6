"""What one user holds over all clusters: cap 6 CPUs and 11 GB, workers 1 CPU and 2 GB, a scheduler 1 CPU and 1 GB."""

import asyncio

import pytest
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User
from pangeo_gateway import backend as backend_module
from pangeo_gateway import requests as requests_module
from pangeo_gateway.limits import Size


def test_scale_up_to_the_cap_and_no_further(gateway):
    async def scenario(g):
        cluster = await g.new("alice")
        with pytest.raises(PublicException) as refused:
            await g.scale(cluster, 6)  # with the scheduler 7 CPUs, 13 GB
        text = str(refused.value)
        assert "cap" in text and "6 CPUs and 11 GB" in text and "1 CPU and 1 GB" in text and "at most 5" in text
        assert "\n" not in text  # it becomes an HTTP reason
        assert await g.scale(cluster, 5) == {"op": "scale", "count": 5}
        await g.beat(cluster, 5)
        await g.until(lambda: g.workers(cluster) == 5)

    gateway(scenario)


def test_all_clusters_count_and_only_ones_own(gateway):
    async def scenario(g):
        first, second = await g.new("alice"), await g.new("alice")
        await g.scale(first, 3)
        await g.beat(first, 3)
        with pytest.raises(PublicException, match="at most 1 in this cluster"):
            await g.scale(second, 2)
        await g.scale(second, 1)
        await g.beat(second, 1)
        with pytest.raises(PublicException, match="the scheduler of a new cluster needs"):
            await g.backend.start_cluster(User("alice"), {})
        others = await g.new("bob")
        await g.scale(others, 5)

    gateway(scenario)


def test_two_requests_at_once_do_not_get_the_same_room(gateway):
    async def scenario(g):
        clusters = [await g.new("alice"), await g.new("alice")]
        answers = await asyncio.gather(*(g.scale(c, 3) for c in clusters), return_exceptions=True)
        refused = [a for a in answers if isinstance(a, PublicException)]
        assert len(refused) == 1  # neither has sent a heartbeat yet

    gateway(scenario)


def test_many_new_clusters_at_once(gateway):
    async def scenario(g):
        many = (g.backend.start_cluster(User("alice"), {}) for _ in range(20))
        answers = await asyncio.gather(*many, return_exceptions=True)
        assert sum(isinstance(a, str) for a in answers) == 6
        assert all(isinstance(a, str | PublicException) for a in answers)

    gateway(scenario)


def test_a_scheduler_that_lies_gets_no_more(gateway):
    """It is the user's own process and may say anything in its heartbeat."""

    async def scenario(g):
        first, second = await g.new("alice"), await g.new("alice")
        await asyncio.gather(g.beat(first, 1000), g.beat(second, 1000))
        await g.until(lambda: g.workers(first) + g.workers(second) == 4)
        for _ in range(3):
            await g.beat(first, 1000)
            await g.beat(second, 1000)
            await asyncio.sleep(0.02)
        assert g.workers(first) + g.workers(second) == 4
        assert g.backend.ledger.real(g.backend.clusters_of("alice")).within(g.backend.ledger.cap)

    gateway(scenario)


def test_room_of_workers_on_their_way_out_is_promised_but_not_used_twice(gateway, monkeypatch):
    monkeypatch.setattr(backend_module, "RETRY_SECONDS", 0.02)

    async def scenario(g):
        ended = set()
        g.backend._check_status = lambda worker: worker.name not in ended
        first, second = await g.new("alice"), await g.new("alice")
        await g.scale(first, 4)
        await g.beat(first, 4)
        await g.until(lambda: g.workers(first) == 4)
        await g.beat(first, 4)
        leaving = list(first.active_workers())
        await g.scale(first, 0)
        await g.beat(first, 0, closing=leaving)
        await g.scale(second, 4)  # granted: the others are told to go
        await g.beat(second, 4)
        await asyncio.sleep(0.1)
        assert g.workers(second) == 0  # but they have not gone
        ended.add(leaving[0].name)
        await g.until(lambda: g.workers(second) == 1)
        assert g.workers(first) == 3
        ended.update(w.name for w in leaving)
        await g.until(lambda: g.workers(second) == 4)
        assert g.workers(first) == 0

    gateway(scenario)


def test_adapt_is_bounded_and_says_so(gateway):
    async def scenario(g):
        cluster = await g.new("alice")
        mine = g.backend.clusters_of("alice")
        bounded = g.backend._bounded({"op": "adapt", "minimum": 1, "maximum": 50, "active": True}, cluster, mine)
        assert (bounded["minimum"], bounded["maximum"]) == (1, 5)
        said = requests_module.warning.get()
        assert "cap" in said and "adapt(maximum=5)" in said
        requests_module.warning.set(None)
        open_ended = g.backend._bounded({"op": "adapt", "minimum": None, "maximum": None}, cluster, mine)
        assert open_ended["maximum"] == 5 and requests_module.warning.get() is None
        with pytest.raises(Exception, match="cap"):
            g.backend._bounded({"op": "adapt", "minimum": 9, "maximum": 50}, cluster, mine)
        for nonsense in (-1, "3", 1.5, True):
            with pytest.raises(PublicException, match="whole numbers"):
                g.backend._bounded({"op": "adapt", "minimum": nonsense, "maximum": None}, cluster, mine)

    gateway(scenario)


def test_a_stopped_cluster_frees_its_room(gateway):
    async def scenario(g):
        clusters = [await g.new("alice") for _ in range(6)]
        with pytest.raises(PublicException):
            await g.new("alice")
        await g.backend.stop_cluster(clusters[0].name)
        await asyncio.wait_for(clusters[0].shutdown, 5)
        await g.new("alice")

    gateway(scenario)


def test_a_scheduler_that_cannot_be_told_gives_the_room_back(gateway):
    async def scenario(g):
        first, second = await g.new("alice"), await g.new("alice")
        g.backend.scheduler_api_retries = 1
        with pytest.raises(PublicException, match="not running"):  # nobody listens at its address
            await g.backend.forward_message_to_scheduler(first.to_model(), {"op": "scale", "count": 3})
        await asyncio.wait_for(first.shutdown, 5)
        await g.scale(second, 5)

    gateway(scenario)


def test_nobody_without_an_account(gateway):
    async def scenario(g):
        for name in ("mallory", "service:caas", "../alice", ""):
            with pytest.raises(PublicException, match="no account"):
                await g.backend.start_cluster(User(name), {})

    gateway(scenario)


def test_fractions_add_up():
    assert str(Size(100, 500_000_000)) == "0.1 CPUs and 0.5 GB"
    assert Size(0, 0).plus(Size(100, 1), 10) == Size(1000, 10)
