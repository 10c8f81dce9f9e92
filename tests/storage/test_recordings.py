"""The ledger of recordings: what policies want is expected once, what was found is entered, what is not is missing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.records import Call, Leg, Recording
from core.storage import recording_ledger, recording_policies, recordings
from core.storage import recording_work as work
from core.storage.appending import append
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.recording_work import Brought, Wish

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
S = 1_000_000
SUM = bytes(range(32))


class Office:
    """A tenant with a log that is followed."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.tenant = new_id("tnt")
        self.node = new_id("node")

    def call(self, **more: Any) -> Call:
        """An answered call with one leg."""
        leg = Leg("leg-1", "inbound", "answered", answered_us=NOW)
        said = {
            "id": new_id("call"), "tenant_id": self.tenant, "node": self.node, "caller": "+4930123", "state": "answered",
            "destination": "+4930999", "created_us": NOW - S, "answered_us": NOW, "legs": (leg,), "version": 1,
        }  # fmt: skip
        return Call(**{**said, **more})

    async def policy(self, **given: Any) -> str:
        row = await recording_policies.create_policy(self.db, self.tenant, {"name": "All", **given})
        return row.id

    async def said(self, kind: str, data: object, *, at_us: int = NOW) -> None:
        entry = NewEntry(
            tenant_id=self.tenant, type=kind, resource="x", data=msgspec.json.encode(data), occurred_us=at_us
        )
        async with self.db.tenant(self.tenant) as connection:
            await append(connection, [entry])

    async def happened(self, kind: str, call: Call, *, at_us: int = NOW, **data: Any) -> None:
        await self.said(kind, {"call": msgspec.to_builtins(call), **data}, at_us=at_us)
        await self.follow()

    async def follow(self) -> None:
        while await recording_ledger.work(self.db, self.tenant, now_us=NOW):
            pass

    async def rows(self, query: str = "select * from recordings order by expected_us, id") -> list[Any]:
        async with self.db.reader(self.tenant) as connection:
            return [dict(row) for row in await connection.fetch(query)]

    async def one(self) -> dict[str, Any]:
        (row,) = await self.rows()
        return dict(row)

    async def told(self) -> list[str]:
        rows = await self.rows("select type from events where type like 'recording.%' order by seq")
        return [row["type"].removeprefix("recording.") for row in rows]

    async def wishes(self, owner: str = "host-1", now_us: int = NOW) -> list[Wish]:
        found = await work.claim_wishes(self.db, owner, now_us=now_us)
        return [one for one in found if one.tenant_id == self.tenant]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Office]:
    async with await Database.open(url, max_size=6) as db:
        yield Office(db)


def recorded(call: Call, recording_id: str, **more: Any) -> Call:
    """The call with a recording of this id on its first leg."""
    said = {
        "leg": "leg-1",
        "path": f"/rec/{call.tenant_id}/{recording_id}.wav",
        "started_us": NOW + S,
        **more,
    }
    leg = replace(call.legs[0], recordings=(Recording(**said),))
    return replace(call, legs=(leg, *call.legs[1:]), version=call.version + 1)


def over(call: Call) -> Call:
    legs = tuple(replace(leg, state="ended") for leg in call.legs)
    return replace(call, legs=legs, state="ended", ended_us=NOW + 60 * S, version=call.version + 1)


async def test_a_call_that_a_policy_wants_is_expected_once_and_goes_its_way(database_url: str) -> None:
    async with opened(database_url) as office:
        policy_id = await office.policy(stereo=False, retention_days=30)
        call = office.call()
        await office.happened("call.answered", call, leg="leg-1")
        row = await office.one()
        assert (row["state"], row["policy_id"], row["leg"]) == ("expected", policy_id, "leg-1")
        assert (row["stereo"], row["retention_days"], row["source"]) == (False, 30, "policy")
        await office.happened("call.bridged", call, leg="leg-1")
        assert len(await office.rows()) == 1
        begun = recorded(call, row["id"])
        await office.happened("call.recording_started", begun, leg="leg-1", path="x")
        assert (await office.one())["state"] == "recording"
        whole = recorded(call, row["id"], stopped_us=NOW + 9 * S, samples=64000, size=128044)
        await office.happened("call.recording_stopped", whole, leg="leg-1", path="x")
        await office.happened("call.ended", over(whole))
        row = await office.one()
        assert (row["state"], row["samples"], row["call_ended_us"]) == ("stopped", 64000, NOW + 60 * S)
        assert await office.told() == ["expected", "started", "stopped"]


async def test_whoever_reads_the_log_however_often_a_wish_is_one(database_url: str) -> None:
    async with opened(database_url) as office:
        await office.policy()
        calls = [office.call() for _ in range(20)]
        for call in calls:
            await office.said("call.answered", {"call": msgspec.to_builtins(call)})

        async def read() -> None:
            for _ in range(10):
                await recording_ledger.work(office.db, office.tenant, now_us=NOW)

        await asyncio.gather(*(read() for _ in range(4)))
        rows = await office.rows()
        assert sorted(row["call_id"] for row in rows) == sorted(call.id for call in calls)
        assert (await office.told()) == ["expected"] * 20
        # From the beginning, as somebody who restored the places would: the ids follow from the calls.
        async with office.db.system() as connection:
            await connection.execute("update recording_places set seq = 0")
        await office.follow()
        assert len(await office.rows()) == 20


async def test_an_order_is_given_by_one_and_by_another_when_that_one_dies(database_url: str) -> None:
    async with opened(database_url) as office:
        await office.policy()
        call = office.call()
        await office.happened("call.answered", call)
        (wish,) = await office.wishes("host-1")
        assert (wish.call_id, wish.leg, wish.node, wish.tries) == (call.id, "leg-1", office.node, 1)
        assert await office.wishes("host-2") == []
        async with office.db.system() as connection:
            await connection.execute("update recordings set claimed_until = now() - interval '1 second'")
        (again,) = await office.wishes("host-2")
        assert (again.id, again.tries) == (wish.id, 2)
        # The dead one comes back: it is not its any more.
        await work.settle_wish(office.db, wish, "host-1", due_us=NOW + 999 * S)
        await work.settle_wish(office.db, again, "host-2", due_us=NOW + S, reason="no_owner")
        assert await office.wishes("host-1") == []
        (late,) = await office.wishes("host-1", NOW + 2 * S)
        assert late.id == wish.id


async def test_what_never_began_is_missing_when_its_call_is_over(database_url: str) -> None:
    async with opened(database_url) as office:
        await office.policy()
        call = office.call()
        await office.happened("call.answered", call)
        (wish,) = await office.wishes()
        await work.settle_wish(office.db, wish, "host-1", due_us=NOW, reason="switch_refused")
        await office.happened("call.ended", over(call))
        row = await office.one()
        assert (row["state"], row["reason"]) == ("missing", "switch_refused")
        assert await office.told() == ["expected", "missing"]
        assert await office.wishes(now_us=NOW + 999 * S) == []


async def test_a_recording_that_nobody_of_ours_began_is_entered(database_url: str) -> None:
    async with opened(database_url) as office:
        call = office.call()
        by_order = recorded(call, "rec_0asked")
        await office.happened("call.recording_started", by_order)
        own = replace(by_order.legs[0], recordings=(*by_order.legs[0].recordings, Recording("leg-1", "/rec/x/own.wav", NOW + 2 * S)))  # fmt: skip
        both = replace(by_order, legs=(own,))
        await office.happened("call.recording_started", both)
        await office.happened("call.recording_started", both)
        assert sorted((row["source"], row["state"]) for row in await office.rows()) == [
            ("order", "recording"),
            ("switch", "recording"),
        ]
        assert "rec_0asked" in {row["id"] for row in await office.rows()}


async def test_a_queue_and_an_agent_are_known_later_and_decide_then(database_url: str) -> None:
    async with opened(database_url) as office:
        await office.policy(queues=["que_1"], position=1)
        by_agent = await office.policy(agents=["agt_7"], position=2)
        first, second = office.call(), office.call()
        async with office.db.tenant(office.tenant) as connection:
            for call in (first, second):
                await connection.execute(
                    "insert into calls (tenant_id, id, node, live, state, direction, caller, destination, hangup_cause,"
                    " created_us, answered_us, ended_us, version, doc) values ($1, $2, $3, true, 'answered', 'inbound', '',"
                    " '', '', 1, 1, 0, 1, $4)",
                    office.tenant,
                    call.id,
                    office.node,
                    msgspec.json.encode(call).decode(),
                )
        for call in (first, second):
            await office.happened("call.answered", call)
        assert await office.rows() == []
        await office.said("queue.entered", {"id": "qen_1", "call_id": first.id, "queue_id": "que_1"})
        await office.said(
            "reservation.connected",
            {"reservation": {"id": "rsv_1", "call_id": second.id, "queue_id": "", "agent_id": "agt_7"}},
        )
        await office.said("queue.entered", {"entry": {"id": "qen_2", "call_id": None, "queue_id": "que_1"}})
        await office.follow()
        found = {row["call_id"]: (row["queue_id"], row["agent_id"]) for row in await office.rows()}
        assert found == {first.id: ("que_1", ""), second.id: ("", "agt_7")}
        assert {row["policy_id"] for row in await office.rows()} > {by_agent}


async def test_a_leg_that_was_sent_elsewhere_is_recorded_again(database_url: str) -> None:
    """The switch ends a recording when its leg is transferred; the policy still wants the call."""
    async with opened(database_url) as office:
        await office.policy()
        call = office.call()
        await office.happened("call.answered", call)
        first = (await office.one())["id"]
        cut = recorded(call, first, stopped_us=NOW + 5 * S)
        await office.happened("call.recording_stopped", cut)
        assert len(await office.rows()) == 1
        await office.happened("call.transferred", cut, leg="leg-1", mode="blind")
        states = {row["id"]: row["state"] for row in await office.rows()}
        assert states.pop(first) == "stopped" and list(states.values()) == ["expected"]


async def test_what_was_masked_is_known(database_url: str) -> None:
    async with opened(database_url) as office:
        call = recorded(office.call(), "rec_0m")
        await office.happened("call.recording_started", call)
        await office.happened("call.recording_paused", call, at_us=NOW + 3 * S, recording="rec_0m")
        await office.happened("call.recording_resumed", call, at_us=NOW + 5 * S, recording="rec_0m")
        await office.happened("call.recording_paused", call, at_us=NOW + 8 * S, recording="rec_0m")
        masked = msgspec.json.decode((await office.one())["masked"])
        assert masked == [[NOW + 3 * S, NOW + 5 * S], [NOW + 8 * S, 0]]


async def test_two_calls_that_become_one_take_their_recordings_along(database_url: str) -> None:
    async with opened(database_url) as office:
        younger = recorded(office.call(), "rec_0y")
        await office.happened("call.recording_started", younger)
        gone = replace(younger, legs=(), merged_into="call_older", state="ended")
        await office.happened("call.merged", gone, into="call_older")
        assert (await office.one())["call_id"] == "call_older"


async def stored(office: Office, *, retention_days: int = 0, hold: bool = False) -> str:
    await office.policy(retention_days=retention_days, hold=hold)
    call = office.call()
    await office.happened("call.answered", call)
    recording_id = str((await office.one())["id"])
    whole = recorded(call, recording_id, stopped_us=NOW + 5 * S)
    await office.happened("call.recording_stopped", whole)
    path = f"/rec/{office.tenant}/{recording_id}.wav"
    known = (await work.known_files(office.db, [path], node=office.node))[path]
    assert await work.uploading(office.db, known, now_us=NOW)
    found = Brought(
        key="recordings/x", size=10, sha256=SUM, duration_ms=5000, channels=2, samples=4, peaks=b"ab"
    )
    assert await work.brought(office.db, known, found, now_us=NOW + 6 * S)
    assert await work.brought(office.db, known, found, now_us=NOW + 7 * S)
    other = replace(found, sha256=bytes(32))
    assert not await work.brought(office.db, known, other, now_us=NOW + 7 * S)
    return recording_id


async def test_what_is_stored_says_so_once_and_stays_what_it_is(database_url: str) -> None:
    async with opened(database_url) as office:
        recording_id = await stored(office)
        assert await office.told() == ["expected", "started", "stopped", "stored"]
        row = await office.one()
        assert (row["state"], row["stored_us"], row["sha256"]) == ("stored", NOW + 6 * S, SUM)
        assert not await work.give_up(office.db, office.tenant, recording_id, reason="x", now_us=NOW)
        await office.happened("call.ended", over(office.call()))
        assert (await office.one())["state"] == "stored"


async def test_plays_are_counted_and_named(database_url: str) -> None:
    async with opened(database_url) as office:
        recording_id = await stored(office)
        for way, actor in (
            ("session", "usr_1"),
            ("session", "usr_1"),
            ("address", "usr_1"),
            ("session", "usr_2"),
        ):
            await recordings.note_play(office.db, office.tenant, recording_id, actor=actor, way=way, size=5)
        page = await recordings.list_plays_json(office.db, office.tenant, recording_id)
        plays = [
            (one["actor"], one["way"], one["requests"], one["bytes"])
            for one in msgspec.json.decode(page.data)
        ]
        assert sorted(plays) == [
            ("usr_1", "address", 1, 5),
            ("usr_1", "session", 2, 10),
            ("usr_2", "session", 1, 5),
        ]
        assert (await office.one())["plays"] == 3
        assert (await office.told()).count("played") == 3


async def test_a_held_recording_is_not_erased_and_its_retention_waits(database_url: str) -> None:
    async with opened(database_url) as office:
        recording_id = await stored(office, retention_days=1, hold=True)
        late = NOW + 3 * 86_400 * S
        mine = [one for one in await recordings.to_erase(office.db, now_us=late) if one.id == recording_id]
        assert mine == []
        with pytest.raises(Conflict):
            await recordings.erasable(office.db, office.tenant, recording_id)
        await recordings.hold(office.db, office.tenant, recording_id, on=False)
        (due,) = [one for one in await recordings.to_erase(office.db, now_us=late) if one.id == recording_id]
        await recordings.erased(office.db, due, by="retention", reason="over", versions=1, checked_us=late)
        row = await office.one()
        proof = msgspec.json.decode(row["erased"])
        assert (row["state"], row["peaks"], proof["by"], proof["sha256"]) == (
            "erased",
            None,
            "retention",
            SUM.hex(),
        )
        with pytest.raises(Conflict):
            await recordings.stored(office.db, office.tenant, recording_id)
        with pytest.raises(NotFound):
            await recordings.stored(office.db, "tnt_other", recording_id)


async def test_a_file_that_nobody_brings_is_missing_and_may_be_found_after_all(database_url: str) -> None:
    async with opened(database_url) as office:
        call = recorded(office.call(), "rec_0lost", stopped_us=NOW + 5 * S)
        await office.happened("call.ended", over(call))
        assert await work.nobody_looked(office.db, before_us=NOW + 99 * S, now_us=NOW) >= 1
        row = await office.one()
        assert (row["state"], row["reason"]) == ("missing", "nobody_looked")
        known = (await work.known_files(office.db, [row["path"]], node=office.node))[row["path"]]
        assert await work.uploading(office.db, known, now_us=NOW)
        found = Brought(key="k", size=10, sha256=SUM, samples=4)
        assert await work.brought(office.db, known, found, now_us=NOW)
        assert (await office.one())["state"] == "stored"


async def test_an_entry_that_cannot_be_read_keeps_nobody_waiting(database_url: str) -> None:
    async with opened(database_url) as office:
        await office.policy()
        await office.said("call.answered", {"call": {"id": 7}})
        await office.said("queue.entered", {"call_id": ["?"]})
        await office.happened("call.answered", office.call())
        assert len(await office.rows()) == 1
