"""Orders and fresh log entries between processes, over a real Valkey."""

import asyncio

import pytest

from core.bus import LEASE, Bus
from core.clock import now_us
from core.errors import PeerTimeout, Unavailable
from core.model.entries import LogEntry
from core.model.orders import Order, Outcome

pytestmark = pytest.mark.asyncio_loop


def order(node: str = "sw1", within_s: float = 2.0) -> Order:
    return Order(
        id=f"ord_{now_us()}",
        action="call.hangup",
        node=node,
        tenant_id="tnt_main",
        deadline_us=now_us() + round(within_s * 1e6),
        args={"cause": "USER_BUSY", "count": 3, "deep": True},
    )


def entry(seq: int) -> LogEntry:
    return LogEntry(seq=seq, type="call.created", resource="call_1", body=b'{"seq":%d}' % seq)


async def test_an_order_reaches_the_owner_and_the_answer_the_asker(redis_url: str) -> None:
    asker, owner = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        answers = set()

        def obey(reply_to: str, asked: Order) -> None:
            outcome = Outcome(order_id=asked.id, status="done", result={"args": dict(asked.args)})
            answers.add(asyncio.create_task(owner.answer(reply_to, outcome)))

        await owner.listening.wait()
        await asker.listening.wait()
        await owner.serve("sw1", obey)
        outcome = await asker.ask(order())
        assert outcome.status == "done"
        assert outcome.result == {"args": {"cause": "USER_BUSY", "count": 3, "deep": True}}
    finally:
        await asker.aclose()
        await owner.aclose()


async def test_without_an_owner_nothing_was_done_and_the_asker_knows_it_at_once(redis_url: str) -> None:
    asker = await Bus.open(redis_url)
    try:
        with pytest.raises(Unavailable, match="no controller owns"):
            async with asyncio.timeout(1):
                await asker.ask(order("nobody", within_s=30))
    finally:
        await asker.aclose()


async def test_an_order_waits_for_the_heir_of_an_owner_that_has_just_died(redis_url: str) -> None:
    asker, heir = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        answers = set()

        def obey(reply_to: str, asked: Order) -> None:
            answers.add(asyncio.create_task(heir.answer(reply_to, Outcome(order_id=asked.id, status="done"))))

        await heir.listening.wait()
        await asker.listening.wait()
        await asker.redis.set(LEASE + "sw7", "ctl-dead", px=2000)
        asking = asyncio.create_task(asker.ask(order("sw7", within_s=10)))
        await asyncio.sleep(0.3)
        assert not asking.done()
        await heir.serve("sw7", obey)
        async with asyncio.timeout(1):
            assert (await asking).status == "done"
    finally:
        await asker.aclose()
        await heir.aclose()


async def test_an_order_whose_owner_died_over_it_is_answered_when_the_heir_has_the_switch(
    redis_url: str,
) -> None:
    asker, owner = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        await owner.listening.wait()
        await owner.serve("sw8", lambda reply_to, asked: None)
        await asker.redis.set(LEASE + "sw8", "ctl-dead")
        asking = asyncio.create_task(asker.ask(order("sw8", within_s=30)))
        await asyncio.sleep(0.2)
        await asker.redis.set(LEASE + "sw8", "ctl-heir")
        with pytest.raises(PeerTimeout, match="died over this command"):
            async with asyncio.timeout(2):
                await asking
    finally:
        await asker.aclose()
        await owner.aclose()


async def test_a_silent_owner_leaves_the_outcome_unknown_at_the_deadline(redis_url: str) -> None:
    asker, owner = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        await owner.listening.wait()
        await owner.serve("sw2", lambda reply_to, asked: None)
        began = asyncio.get_running_loop().time()
        with pytest.raises(PeerTimeout):
            await asker.ask(order("sw2", within_s=0.3))
        assert 0.25 < asyncio.get_running_loop().time() - began < 2.0
    finally:
        await asker.aclose()
        await owner.aclose()


async def test_fresh_entries_reach_every_follower_of_their_tenant_and_no_other(redis_url: str) -> None:
    writer, reader = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        await reader.listening.wait()
        async with (
            reader.follow("tnt_a") as first,
            reader.follow("tnt_a") as second,
            reader.follow("tnt_b") as other,
        ):
            await asyncio.sleep(0.1)
            await writer.publish("tnt_a", [entry(1), entry(2)])
            assert [one.seq for one in await first.take(2.0)] == [1, 2]
            assert [one.seq for one in await second.take(2.0)] == [1, 2]
            assert await other.take(0.1) == []
    finally:
        await writer.aclose()
        await reader.aclose()


async def test_a_follower_that_does_not_read_misses_entries_and_can_see_it(redis_url: str) -> None:
    from core.bus import Follower

    follower = Follower(size=3)
    follower.offer([entry(1), entry(2)])
    follower.offer([entry(3), entry(4)])
    follower.offer([entry(5)])
    assert [one.seq for one in await follower.take()] == [1, 2, 5]
    assert follower.missed == 2


async def test_the_bus_comes_back_by_itself_after_its_connections_were_cut(redis_url: str) -> None:
    writer, reader = await Bus.open(redis_url), await Bus.open(redis_url)
    try:
        await reader.listening.wait()
        async with reader.follow("tnt_cut") as follower:
            await asyncio.sleep(0.1)
            await writer.redis.client_kill_filter(_type="pubsub")
            while not reader.reconnects:
                await asyncio.sleep(0.01)
            await reader.listening.wait()
            for seq in range(1, 200):
                await writer.publish("tnt_cut", [entry(seq)])
                if seen := await follower.take(0.05):
                    break
            assert seen, "nothing was heard after the reconnect"
    finally:
        await writer.aclose()
        await reader.aclose()


async def test_a_bus_without_its_server_says_so(tmp_path: object) -> None:
    bus = await Bus.open("redis://127.0.0.1:1/0")
    try:
        with pytest.raises(Unavailable, match="out of reach"):
            await bus.ask(order())
        await bus.publish("tnt_a", [entry(1)])
    finally:
        await bus.aclose()
