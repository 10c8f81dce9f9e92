"""The keeper of the queues as a task of a controller: real Postgres, real Valkey, a switch that only writes down its orders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from core.aio import open_bridge
from core.bus import Bus
from core.bus.orders import LEASE
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.queueing_records import Callback, QueueSettings
from core.queueing.keeper import keep_queues
from core.storage import agents, reservations
from core.storage.database import Database
from core.storage.queues import create_queue
from core.telephony.parts import Parts
from tests.storage.test_agents import present
from tests.storage.test_queues import HOTLINE, Scene

PATIENCE_S = 20.0


class House:
    """A controller's parts, and the orders that its switch was given."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.orders: list[Order] = []

    async def run(self, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
        async def act() -> Any:
            return await fn(*args, **named)

        return await self.parts.bridge.run(act)

    async def serve(self) -> None:
        """Own the switch ``n1``: every order is done."""
        bus = self.parts.bus
        tasks = set()

        def on_order(reply_to: str, order: Order) -> None:
            self.orders.append(order)
            task = asyncio.ensure_future(bus.answer(reply_to, Outcome(order.id, "done", result={})))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        await bus.redis.set(LEASE + "n1", b"this")
        await bus.serve("n1", on_order)

    def asked(self, action: str) -> list[Order]:
        return [one for one in self.orders if one.action == action]


@asynccontextmanager
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    async with open_bridge() as bridge:
        db = await bridge.run(Database.open, database_url)
        bus = await bridge.run(Bus.open, redis_url)
        db.show = bus.publish
        made = House(Parts(new_id("ctl"), bridge, bus, db, Path("/nonexistent")))
        try:
            await bridge.run(made.serve)
            yield made
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(bus.aclose)
                await bridge.run(db.close)


async def settled(says: Callable[[], Any]) -> Any:
    """What ``says`` returns once it is true."""
    with trio.fail_after(PATIENCE_S):
        while not (found := await says()):
            await trio.sleep(0.01)
    return found


async def with_queue(home: House, **settings: Any) -> Scene:
    db, tenant = home.parts.db, new_id("tnt")
    queue = await home.run(create_queue, db, tenant, "Support", QueueSettings(**settings))

    async def route() -> None:
        async with db.tenant(tenant) as connection:
            await connection.execute(
                "insert into inbound_routes (tenant_id, id, number, queue_id, created_us, updated_us)"
                " values ($1, $2, $3, $4, 1, 1)", tenant, new_id("rte"), HOTLINE, queue.id,
            )  # fmt: skip

    await home.run(route)
    return Scene(db, tenant, queue)


async def test_a_parked_call_is_answered_hears_music_and_is_offered(
    database_url: str, redis_url: str
) -> None:
    async with house(database_url, redis_url) as home, trio.open_nursery() as nursery:
        here = await with_queue(home)
        nursery.start_soon(keep_queues, home.parts)
        ann = await home.run(present, here.db, here.tenant)
        await home.run(here.works_here, ann)
        await settled(lambda: home.run(_place, here))  # (calls before the first look are nobody's)
        call = await home.run(here.calls_in)
        (offer,) = await settled(lambda: home.run(here.offers, ann))
        assert offer.call_id == call.id
        music = await settled(lambda: _now(lambda: home.asked("call.play")))
        assert [one.call_id for one in (*home.asked("call.answer"), music[0])] == [call.id, call.id]
        # An agent has accepted: what the caller hears is somebody else's work now.
        await home.run(reservations.accept, here.db, here.tenant, offer.id, ann)
        await home.run(reservations.connected, here.db, here.tenant, offer.id, ann, agent_leg="x")
        await home.run(here.hangs_up, call)

        async def wrapping() -> bool:
            return [one.state for one in await home.run(here.offers, ann)] == ["wrap_up"]

        await settled(wrapping)
        nursery.cancel_scope.cancel()


async def test_a_key_ends_the_call_and_an_heir_goes_on(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as home:
        here = await with_queue(home, callback=Callback(enabled=True, after_s=0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_queues, home.parts)
            await settled(lambda: home.run(_place, here))
            call = await home.run(here.calls_in)
            await settled(lambda: _now(lambda: home.asked("call.play")))
            await home.run(here.happened, "call.dtmf", call, digits=1)
            (order,) = await settled(lambda: _now(lambda: home.asked("call.hangup")))
            assert order.call_id == call.id
            nursery.cancel_scope.cancel()
        # This controller is gone, and an agent comes while nobody decides.
        ann = await home.run(present, here.db, here.tenant)
        await home.run(here.works_here, ann)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_queues, home.parts)
            (offer,) = await settled(lambda: home.run(here.offers, ann))
            assert offer.dial == "+493012345678"
            nursery.cancel_scope.cancel()


async def test_an_agent_whose_page_is_silent_goes_offline(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as home, trio.open_nursery() as nursery:
        here = await with_queue(home)
        ann = await home.run(present, here.db, here.tenant)

        async def age() -> None:
            async with here.db.tenant(here.tenant) as connection:
                await connection.execute("update agents set seen_at = seen_at - interval '1 minute'")

        await home.run(age)
        nursery.start_soon(keep_queues, home.parts)

        async def offline() -> bool:
            found = await home.run(agents.get_agent, here.db, here.tenant, ann)
            return bool(found.state == "offline" and found.reason == "silent")

        await settled(offline)
        nursery.cancel_scope.cancel()


async def _now(says: Callable[[], Any]) -> Any:
    return says()


async def _place(here: Scene) -> bool:
    async with here.db.reader(here.tenant) as connection:
        return await connection.fetchval("select seq from queue_places") is not None
