"""Callers and conversations in queues, from the log to the offer and back: with a real Postgres, without any task.

`Rounds` is what the keeper does; here it is called by hand, so every step can be looked at.
"""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from core import log
from core.errors import Conflict
from core.ids import new_id
from core.model.queueing_numbers import service_level
from core.model.queueing_records import Callback, Closed, Overflow, Queue, QueueSettings
from core.model.records import Call, Leg
from core.queueing.rounds import Rounds
from core.storage import agents, queue_entries, queue_intervals, queue_rows, queues, reservations
from core.storage.appending import append
from core.storage.conversations import assign
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.inbound import Arrival, write_inbound
from core.storage.queue_moves import insert_rows
from core.storage.reservations import Reservation
from irisx_sdk import Address, Inbound, Text
from tests.storage.test_agents import agent, present

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
HOTLINE = "+493099999999"


class Scene:
    """A tenant with a queue that a number leads to."""

    def __init__(self, db: Database, tenant: str, queue: Queue) -> None:
        self.db, self.tenant, self.queue = db, tenant, queue
        self.rounds = Rounds(db, tenant)
        self.calls: dict[str, Call] = {}

    async def happened(self, kind: str, call: Call, **data: Any) -> None:
        self.calls[call.id] = call
        async with self.db.tenant(self.tenant) as connection:
            body = msgspec.json.encode({"call": call, "leg": call.legs[0].uuid, **data})
            await append(
                connection,
                [NewEntry(tenant_id=self.tenant, type=kind, resource=call.id, occurred_us=NOW, data=body)],
            )

    async def calls_in(self, caller: str = "+493012345678", to: str = HOTLINE) -> Call:
        uuid = new_id("leg")
        leg = Leg(uuid, "inbound", caller=caller, destination=to, parked=True, created_us=NOW)
        call = Call(
            id=new_id("call"), tenant_id=self.tenant, node="n1", caller=caller, destination=to, created_us=NOW,
            legs=(leg,), version=1,
        )  # fmt: skip
        await self.happened("call.parked", call)
        return call

    async def hangs_up(self, call: Call) -> None:
        legs = tuple(replace(leg, state="ended") for leg in call.legs)
        await self.happened("call.ended", replace(call, state="ended", legs=legs, version=9))

    async def round(self) -> list[Any]:
        return list(await self.rounds.round())

    async def entries(self) -> list[dict[str, Any]]:
        async with self.db.reader(self.tenant) as connection:
            rows = await connection.fetch("select * from queue_entries order by queued_us, id")
        return [dict(row) for row in rows]

    async def offers(self, agent_id: str) -> list[Reservation]:
        return await reservations.open_of_agent(self.db, self.tenant, agent_id)

    async def works_here(self, agent_id: str, tier: int = 1) -> str:
        await queues.put_member(self.db, self.tenant, self.queue.id, agent_id, tier=tier)
        return agent_id

    async def told(self) -> list[str]:
        return [msgspec.json.decode(one)["type"] for one in await log.read(self.db, self.tenant, limit=200)]


async def stored(connection: Any, call: Call) -> None:
    """A call's document, as its switch's owner writes it."""
    await connection.execute(
        "insert into calls (tenant_id, id, node, live, state, direction, caller, destination, hangup_cause, version,"
        " created_us, answered_us, ended_us, doc) values ($1, $2, 'n1', $3, $4, 'inbound', '', '', '', 1, 1, 1, 1, $5::json)",
        call.tenant_id,
        call.id,
        call.live,
        call.state,
        msgspec.json.encode(call).decode(),
    )


async def scene(db: Database, **settings: Any) -> Scene:
    tenant = new_id("tnt")
    queue = await queues.create_queue(db, tenant, "Support", QueueSettings(**settings))
    async with db.tenant(tenant) as connection:
        route = {"tenant_id": tenant, "id": new_id("rte"), "number": HOTLINE, "queue_id": queue.id, "created_us": 1, "updated_us": 1}  # fmt: skip
        await insert_rows(connection, "inbound_routes", [route])
    made = Scene(db, tenant, queue)
    await made.round()
    return made


async def test_a_caller_waits_is_offered_talks_and_is_written_down(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db, wrap_up_s=600)
        ann = await here.works_here(await present(db, here.tenant))
        call = await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        assert (offer.state, offer.call_id, offer.leg, offer.queue_name) == (
            "offered", call.id, call.legs[0].uuid, "Support",
        )  # fmt: skip
        await reservations.accept(db, here.tenant, offer.id, ann)
        await reservations.connected(db, here.tenant, offer.id, ann, agent_leg="agent-leg")
        await here.round()
        (entry,) = await here.entries()
        assert (entry["state"], entry["outcome"], entry["offers"]) == ("served", "answered", 1)
        await here.hangs_up(call)
        await here.round()
        (wrap,) = await here.offers(ann)
        assert wrap.state == "wrap_up" and wrap.wrap_until_us > wrap.ended_us
        other = await here.calls_in()
        await here.round()
        assert len(await here.offers(ann)) == 1  # not while they write
        await reservations.extend(db, here.tenant, wrap.id, ann, seconds=60)
        done = await reservations.finish(db, here.tenant, wrap.id, ann, disposition="sale", notes="two")
        assert (done.state, done.disposition, done.notes) == ("done", "sale", "two")
        await here.round()
        (second,) = await here.offers(ann)
        assert second.call_id == other.id
        (interval,) = await queue_intervals.read(db, here.tenant, from_us=0, to_us=2**62)
        counted = interval.counted
        assert (counted.offered, counted.answered, counted.handled) == (2, 1, 1)
        assert service_level(counted, 20) == (1, 1)
        assert "queue.entered" in await here.told() and "queue.left" in await here.told()


async def test_who_hangs_up_is_abandoned_and_the_offer_is_withdrawn(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        ann = await here.works_here(await present(db, here.tenant))
        call = await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        await here.hangs_up(call)
        await here.round()
        gone = await reservations.get_reservation(db, here.tenant, offer.id)
        assert (gone.state, gone.reason) == ("withdrawn", "caller_gone")
        (entry,) = await here.entries()
        assert (entry["state"], entry["outcome"]) == ("left", "abandoned")
        (interval,) = await queue_intervals.read(db, here.tenant, from_us=0, to_us=2**62)
        assert (interval.counted.abandoned, sum(interval.counted.abandoned_hist)) == (1, 1)
        assert (await agents.get_agent(db, here.tenant, ann)).state == "ready"


async def test_a_missed_offer_pauses_its_agent_and_goes_to_another(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        ann = await here.works_here(await present(db, here.tenant))
        await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        bo = await here.works_here(await present(db, here.tenant))
        async with db.tenant(here.tenant) as connection:
            await connection.execute("update reservations set expires_us = 1")
        here.rounds.forget()
        await here.round()
        assert (await reservations.get_reservation(db, here.tenant, offer.id)).state == "missed"
        paused = await agents.get_agent(db, here.tenant, ann)
        assert (paused.state, paused.reason) == ("not_ready", "missed")
        assert len(await here.offers(bo)) == 1


async def test_who_declines_is_not_asked_at_once_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        ann = await here.works_here(await present(db, here.tenant))
        await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        await reservations.decline(db, here.tenant, offer.id, ann, reason="busy")
        await here.round()
        assert await here.offers(ann) == []
        (entry,) = await here.entries()
        assert entry["state"] == "waiting"
        bo = await here.works_here(await present(db, here.tenant))
        await here.round()
        assert len(await here.offers(bo)) == 1


async def test_two_keepers_give_nobody_too_much_and_lose_nobody(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        people = [await here.works_here(await present(db, here.tenant)) for _ in range(2)]
        other = Rounds(db, here.tenant)
        await here.round()
        await other.round()
        for _ in range(3):
            await here.calls_in()
        # The other one decides from what was true before the first one's offers.
        stale = await other._up_to_date()
        await here.round()
        assert stale.board.entries == {}
        for entry in await here.entries():
            if entry["state"] == "waiting":
                stale.board.put_entry(
                    queue_rows.entry_of({name: entry[name] for name in queue_rows.ENTRY.split(", ")})
                )
        assert await other._offers(stale)
        await other.round()
        assert [len(await here.offers(one)) for one in people] == [1, 1]
        assert sorted(one["state"] for one in await here.entries()) == ["offered", "offered", "waiting"]


async def test_the_heir_of_a_keeper_goes_on_with_what_is_stored(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        ann = await here.works_here(await present(db, here.tenant))
        call = await here.calls_in()
        await here.round()
        await here.calls_in()
        here.rounds = Rounds(db, here.tenant)  # the one before is dead
        await here.round()
        assert [one["state"] for one in await here.entries()] == ["offered", "waiting"]
        await here.hangs_up(call)
        await here.round()
        assert [one["state"] for one in await here.entries()] == ["left", "offered"]
        assert len(await here.offers(ann)) == 1


async def test_a_call_that_parks_again_is_not_queued_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        call = await here.calls_in()
        await here.round()
        await here.happened("call.parked", call)
        await here.calls_in(to="+49301111")  # leads nowhere
        await here.round()
        assert len(await here.entries()) == 1


async def test_a_key_turns_waiting_into_a_callback_that_keeps_its_place(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db, callback=Callback(enabled=True, after_s=0, tries=2, retry_s=60))
        call = await here.calls_in()
        await here.round()
        await here.happened("call.dtmf", call, digits=1)
        (goodbye,) = await here.round()
        assert goodbye.call_id == call.id
        await here.hangs_up(call)
        await here.round()
        waited, ghost = await here.entries()
        assert (waited["outcome"], ghost["kind"], ghost["state"]) == ("callback", "callback", "waiting")
        assert ghost["entered_us"] == waited["entered_us"]
        ann = await here.works_here(await present(db, here.tenant))
        await here.round()
        (offer,) = await here.offers(ann)
        assert (offer.dial, offer.call_id) == ("+493012345678", "")
        await reservations.accept(db, here.tenant, offer.id, ann)
        await reservations.failed(db, here.tenant, offer.id, ann, reason="busy")
        await here.round()
        _, later = await here.entries()
        assert later["state"] == "waiting" and later["due_us"] > later["queued_us"]
        assert await here.offers(ann) == []


async def test_overflow_full_and_closed_queues_send_people_on_or_away(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        second = await queues.create_queue(db, here.tenant, "Second", QueueSettings(most=1))
        of = QueueSettings(overflow=Overflow(queue_id=second.id, nobody_there=True), most=0)
        await queues.update_queue(db, here.tenant, here.queue.id, settings=of)
        await here.calls_in()
        await here.calls_in()
        (goodbye,) = await here.round()
        one, two = await here.entries()
        assert (one["queue_id"], one["state"]) == (second.id, "waiting")
        assert (two["queue_id"], two["outcome"]) == (second.id, "full")
        assert goodbye.call_id == two["call_id"]
        async with db.tenant(here.tenant) as connection:
            closed = {"tenant_id": here.tenant, "kind": "schedule", "id": "sch_1", "name": "never", "created_us": 1,
                      "updated_us": 1, "doc": {"timezone": "UTC", "weekly": [], "exceptions": []}}  # fmt: skip
            await insert_rows(connection, "content", [closed])
        of = QueueSettings(schedule_id="sch_1", closed=Closed(do="hangup", sound="closed.wav"))
        await queues.update_queue(db, here.tenant, second.id, settings=of)
        await here.calls_in()
        goodbyes = await here.round()
        assert {one.sound for one in goodbyes} == {"closed.wav"}
        assert [one["outcome"] for one in await here.entries()] == ["closed", "full", "closed"]


async def test_somebody_who_has_waited_long_enough_goes_on_and_keeps_their_rank(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        second = await queues.create_queue(db, here.tenant, "Second", QueueSettings())
        await here.calls_in()
        await here.round()
        (before,) = await here.entries()
        async with db.tenant(here.tenant) as connection:
            await connection.execute("update queue_entries set queued_us = queued_us - 60000000")
        of = QueueSettings(overflow=Overflow(queue_id=second.id, after_s=30))
        await queues.update_queue(db, here.tenant, here.queue.id, settings=of)
        await here.round()
        (after,) = await here.entries()
        assert (after["queue_id"], after["entered_us"]) == (second.id, before["entered_us"])


async def test_an_unanswered_conversation_is_offered_and_assigned_to_who_accepts(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db, conversations="all")
        # (no telephone: that is enough for what is written)
        ann = await agent(db, here.tenant, state="ready", user_id="usr_ann")
        await here.works_here(ann)
        said = Inbound("SM1", Address("phone", "+493012345678", "Kim"), Text("hello"))
        (stored,) = await write_inbound(db, here.tenant, [Arrival("chn_1", said, NOW)])
        await here.round()
        (offer,) = await here.offers(ann)
        assert (offer.kind, offer.conversation_id, offer.state) == (
            "conversation",
            stored.conversation_id,
            "offered",
        )
        taken = await reservations.accept(db, here.tenant, offer.id, ann)
        assert taken.state == "connected"
        async with db.reader(here.tenant) as connection:
            assert await connection.fetchval("select assignee from conversations") == "usr_ann"
        await here.round()
        assert [one.state for one in await here.offers(ann)] == ["connected"]
        await assign(db, here.tenant, stored.conversation_id, "", actor="usr_bo")
        await here.round()
        assert [one.state for one in await here.offers(ann)] == ["offered"]


async def test_a_parked_caller_is_put_into_a_queue_by_hand_and_taken_out_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        call = await here.calls_in(to="+49301111")
        await here.round()
        assert await here.entries() == []
        async with db.tenant(here.tenant) as connection:
            await stored(connection, call)
        entry = await queue_entries.add_call(db, here.tenant, here.queue.id, call.id, priority=2)
        assert (entry.leg, entry.priority, entry.state) == (call.legs[0].uuid, 2.0, "waiting")
        with pytest.raises(Conflict) as twice:
            await queue_entries.add_call(db, here.tenant, here.queue.id, call.id)
        assert twice.value.code == "already_there"
        ann = await here.works_here(await present(db, here.tenant))
        await here.round()
        (offer,) = await here.offers(ann)
        await queue_entries.remove(db, here.tenant, here.queue.id, entry.id)
        assert (await reservations.get_reservation(db, here.tenant, offer.id)).state == "withdrawn"
        with pytest.raises(Conflict) as gone:
            await queue_entries.remove(db, here.tenant, here.queue.id, entry.id)
        assert gone.value.code == "not_waiting"
        talking = replace(call, legs=(*call.legs, Leg("other", "outbound", state="answered")))
        async with db.tenant(here.tenant) as connection:
            await connection.execute("update calls set doc = $1::json", msgspec.json.encode(talking).decode())
        with pytest.raises(Conflict) as busy:
            await queue_entries.add_call(db, here.tenant, here.queue.id, call.id)
        assert busy.value.code == "not_parked"


async def test_whoever_served_them_last_is_asked_first(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db, wrap_up_s=0, sticky_s=60)
        ann = await here.works_here(await present(db, here.tenant))
        call = await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        await reservations.accept(db, here.tenant, offer.id, ann)
        await reservations.connected(db, here.tenant, offer.id, ann, agent_leg="agent-leg")
        await here.hangs_up(call)
        bo = await here.works_here(await present(db, here.tenant))
        await here.round()
        assert await here.offers(ann) == []  # no wrap-up here
        await here.calls_in()
        await here.round()
        assert (len(await here.offers(ann)), len(await here.offers(bo))) == (1, 0)


async def test_what_rings_at_an_agent_who_is_gone_rings_at_another_at_once(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db)
        ann = await here.works_here(await present(db, here.tenant))
        await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        bo = await here.works_here(await present(db, here.tenant))
        await here.round()
        assert await here.offers(bo) == []
        assert await agents.offline(db, here.tenant, ann, session="s1")
        await here.round()
        gone = await reservations.get_reservation(db, here.tenant, offer.id)
        assert (gone.state, gone.reason) == ("withdrawn", "agent_gone")
        assert len(await here.offers(bo)) == 1


async def test_nobody_is_busy_for_ever_with_what_came_to_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        here = await scene(db, wrap_up_s=0)
        ann = await here.works_here(await present(db, here.tenant))
        call = await here.calls_in()
        await here.round()
        (offer,) = await here.offers(ann)
        await reservations.accept(db, here.tenant, offer.id, ann)
        # Whoever was to join the legs dies over it.
        async with db.tenant(here.tenant) as connection:
            await connection.execute("update reservations set accepted_us = accepted_us - 61000000")
        here.rounds.forget()
        await here.round()
        assert (await reservations.get_reservation(db, here.tenant, offer.id)).reason == "timeout"
        # A talk that is told of after its end.
        bo = await here.works_here(await present(db, here.tenant))
        await here.round()
        (second,) = await here.offers(bo)
        await reservations.accept(db, here.tenant, second.id, bo)
        await reservations.connected(db, here.tenant, second.id, bo, agent_leg="x")
        over = replace(call, state="ended", version=9)
        async with db.tenant(here.tenant) as connection:
            await connection.execute(
                "update reservations set accepted_us = 1, connected_us = 1 where id = $1", second.id
            )
            await stored(connection, over)
        here.rounds.forget()
        await here.round()
        await here.rounds.reconcile()
        assert (await reservations.get_reservation(db, here.tenant, second.id)).state == "done"
