"""One owner at a time, and an owner that knows in time that it is none any more. Over a real Valkey."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from core.aio import Bridge, open_bridge
from core.bus import Bus
from core.clock import monotonic
from core.cluster import lease as leases
from core.cluster.lease import Lease, LeaseLost


@asynccontextmanager
async def cluster(url: str) -> AsyncIterator[tuple[Bridge, Bus]]:
    async with open_bridge() as bridge:
        bus = await bridge.run(Bus.open, url)
        try:
            yield bridge, bus
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(bus.aclose)


def owned(lease: Lease, token: int = 1) -> Lease:
    lease.token = token
    return lease


async def test_a_free_switch_is_taken_at_once_and_a_taken_one_only_when_its_time_is_over(
    redis_url: str,
) -> None:
    node = uuid.uuid4().hex
    async with cluster(redis_url) as (bridge, bus):
        first = owned(Lease(bridge, bus, node, "one"))
        heir = Lease(bridge, bus, node, "two")
        assert await first.try_take() == 0.0 and first.held
        left = await heir.try_take()
        assert left is not None and 1.0 < left <= leases.TTL_S
        began = monotonic()
        with trio.fail_after(5):
            await heir.wait_taken()
        assert leases.TTL_S - 0.3 < monotonic() - began < leases.TTL_S + 0.3
        assert not first.held
        with pytest.raises(LeaseLost):
            first.check()


async def test_an_heir_that_has_overheard_the_switch_comes_before_one_that_has_just_begun(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.05)
    async with cluster(redis_url) as (bridge, bus):
        for _ in range(8):
            node, order = uuid.uuid4().hex, list[str]()
            await Lease(bridge, bus, node, "dead", ttl_s=0.3).try_take()
            cold, warm = (Lease(bridge, bus, node, name, ttl_s=0.3) for name in ("cold", "warm"))

            async def take(lease: Lease, is_warm: bool, taken: list[str] = order) -> None:
                await lease.wait_taken(lambda: is_warm)
                taken.append(lease.owner)

            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(take, cold, False)
                    nursery.start_soon(take, warm, True)
            assert order == ["warm", "cold"]


async def test_the_old_owner_stops_before_the_heir_may_start(redis_url: str) -> None:
    node = uuid.uuid4().hex
    async with cluster(redis_url) as (bridge, bus):
        first = owned(Lease(bridge, bus, node, "one"))
        heir = Lease(bridge, bus, node, "two")
        await first.try_take()
        stopped: list[float] = []
        started: list[float] = []

        async def watch_old() -> None:
            while first.held:
                await trio.sleep(0.001)
            stopped.append(monotonic())

        async def take() -> None:
            await heir.wait_taken()
            started.append(monotonic())

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_old)
                nursery.start_soon(take)
        assert stopped[0] < started[0]


async def test_a_renewed_lease_stays_and_a_released_one_is_taken_in_milliseconds(redis_url: str) -> None:
    node = uuid.uuid4().hex
    async with cluster(redis_url) as (bridge, bus):
        first = owned(Lease(bridge, bus, node, "one"))
        await first.try_take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.keep)
            await trio.sleep(leases.TTL_S * 1.5)
            assert first.held
            nursery.cancel_scope.cancel()
        await first.release()
        assert not first.held
        began = monotonic()
        await Lease(bridge, bus, node, "two").wait_taken()
        assert monotonic() - began < 0.2


async def test_an_owner_whose_lease_was_taken_by_another_gives_up(redis_url: str) -> None:
    node = uuid.uuid4().hex
    async with cluster(redis_url) as (bridge, bus):
        first = owned(Lease(bridge, bus, node, "one"))
        await first.try_take()

        async def usurp() -> None:
            await bus.redis.set(f"irisx:lease:{node}", "two", px=5000)

        await bridge.run(usurp)
        with trio.fail_after(3):
            await first.keep()
        assert first.token == 0 and not first.held


async def test_a_flushed_store_costs_the_owner_nothing(redis_url: str) -> None:
    node = uuid.uuid4().hex
    async with cluster(redis_url) as (bridge, bus):
        first = owned(Lease(bridge, bus, node, "one"), token=7)
        await first.try_take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.keep)
            for _ in range(5):

                async def forget() -> None:
                    await bus.redis.delete(f"irisx:lease:{node}")

                await bridge.run(forget)
                await trio.sleep(0.35)
                assert first.held and first.token == 7
            nursery.cancel_scope.cancel()


async def test_without_the_store_commanding_ends_with_the_deadline_and_watching_goes_on() -> None:
    async with cluster("redis://127.0.0.1:1/0") as (bridge, bus):
        lease = owned(Lease(bridge, bus, "sw", "one"))
        lease.deadline = monotonic() + 0.3
        with trio.move_on_after(1.5) as scope:
            await lease.keep()
        assert scope.cancelled_caught, "keep() ends only when somebody else is the owner"
        assert lease.unanswered > 0 and lease.token == 1
        with pytest.raises(LeaseLost):
            lease.check()
