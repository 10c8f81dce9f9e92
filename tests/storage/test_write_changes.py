"""What happens to calls is stored once, in order, by the one who may, and read back as it was."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core import log
from core.model.records import Call, Change
from core.storage import calls, cdrs, conferences, nodes
from core.storage.batch import WRITE, Batch
from core.storage.calls import FenceLost, write_changes
from core.storage.database import Database
from core.storage.entries import NewEntry
from tests.storage.samples import SECRET, START, call, change, ended, leg, life

pytestmark = pytest.mark.asyncio_loop


async def a_node(db: Database, name: str) -> tuple[str, int]:
    """A switch and the newest token for it."""
    known = {node.name: node.id for node in await nodes.list_nodes(db)}
    node = (
        known.get(name)
        or (await nodes.create_node(db, secret=SECRET, name=name, url="esl://:x@127.0.0.1")).id
    )
    return node, await nodes.draw_fence(db, node)


async def stored(db: Database, one: Call) -> Call:
    body = await calls.get_call_json(db, one.tenant_id, one.id)
    assert body is not None
    return msgspec.json.decode(body, type=Call)


async def rows(db: Database, sql: str, *values: object) -> list[Any]:
    async with db.reader("*") as connection:
        return list(await connection.fetch(sql, *values))


async def test_a_call_is_stored_with_its_entries_and_records(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "one")
        changes = life(node=node, tenant="tnt_one", request_id="req_7")
        written = await write_changes(db, node=node, fence=fence, changes=changes)
        assert list(written) == ["tnt_one"]
        entries = written["tnt_one"]
        assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
        assert [entry.type for entry in entries] == [one.type for one in changes]
        assert [entry.body for entry in entries] == await log.read(db, "tnt_one")
        last = changes[-1].call
        assert await stored(db, last) == last
        said = msgspec.json.decode(entries[2].body)
        assert said["resource"] == last.id
        assert said["request_id"] == "req_7"
        assert msgspec.convert(said["data"].pop("call"), Call) == changes[2].call
        assert said["data"] == changes[2].data
        page = await cdrs.list_cdrs_json(db, "tnt_one")
        assert sorted(cdr["kind"] for cdr in msgspec.json.decode(page.data)) == ["call", "leg", "leg"]
        of_call = msgspec.json.decode(await cdrs.cdrs_of_call_json(db, "tnt_one", last.id))
        assert [cdr["leg"] for cdr in of_call] == [last.legs[0].uuid, last.legs[1].uuid, ""]
        assert await cdrs.get_cdr_json(db, "tnt_one", of_call[0]["id"]) is not None
        assert await cdrs.get_cdr_json(db, "tnt_main", of_call[0]["id"]) is None


async def test_writing_again_changes_nothing_and_numbers_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "again")
        changes = life(node=node, tenant="tnt_again")
        first = await write_changes(db, node=node, fence=fence, changes=changes)
        again = await write_changes(db, node=node, fence=fence, changes=changes)
        parts = [
            await write_changes(db, node=node, fence=fence, changes=changes[at : at + 2])
            for at in range(0, 5, 2)
        ]
        assert again == first
        assert [entry for part in parts for entry in part["tnt_again"]] == first["tnt_again"]
        assert await log.bounds(db, "tnt_again") == (1, 5)
        assert len(await rows(db, "select 1 from cdrs where tenant_id = 'tnt_again'")) == 3


async def test_an_older_version_never_replaces_a_newer_one(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "older")
        changes = life(node=node)
        await write_changes(db, node=node, fence=fence, changes=changes[2:])
        await write_changes(db, node=node, fence=fence, changes=changes[:2])
        assert await stored(db, changes[-1].call) == changes[-1].call
        await write_changes(db, node=node, fence=fence, changes=list(reversed(changes)))
        assert await stored(db, changes[-1].call) == changes[-1].call
        assert not await calls.open_calls(db, node)


async def test_who_lost_the_switch_writes_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "lost")
        changes = life(node=node, tenant="tnt_lost")
        await write_changes(db, node=node, fence=fence, changes=changes[:1])
        newer = await nodes.draw_fence(db, node, owner="heir")
        assert newer == fence + 1
        with pytest.raises(FenceLost):
            await write_changes(db, node=node, fence=fence, changes=changes[1:])
        with pytest.raises(FenceLost):
            await write_changes(db, node=node, fence=newer + 1, changes=changes[1:])
        with pytest.raises(FenceLost):
            await write_changes(db, node="node_none", fence=1, changes=changes[1:])
        assert await log.bounds(db, "tnt_lost") == (1, 1)
        assert await stored(db, changes[0].call) == changes[0].call
        await write_changes(db, node=node, fence=newer, changes=changes[1:])
        assert await log.bounds(db, "tnt_lost") == (1, 5)


async def test_an_heir_reads_everything_that_the_old_owner_wrote(database_url: str) -> None:
    """A token is drawn only when the writes under the old one are in: the heir then reads a store that has them."""
    async with await Database.open(database_url, max_size=4) as db:
        node, fence = await a_node(db, "heir")
        one = call(node=node, tenant="tnt_heir")
        batch = Batch(node)
        batch.add(change(one))

        async def take_over() -> list[Call]:
            await nodes.draw_fence(db, node)
            return await calls.open_calls(db, node)

        async with db.system() as connection:
            await connection.fetchrow(WRITE, node, fence, *batch.arguments())
            heir = asyncio.create_task(take_over())
            await asyncio.sleep(0.3)
            assert not heir.done()  # the write is not committed yet
        assert await heir == [one]
        with pytest.raises(FenceLost):
            await write_changes(db, node=node, fence=fence, changes=[change(one)])


async def test_an_heir_gets_live_calls_and_those_that_just_ended(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "takeover")
        now = (await rows(db, "select (extract(epoch from now()) * 1000000)::bigint as now"))[0]["now"]
        live = call(node=node, at=now - 50)
        fresh = call(node=node, at=now - 9_000_000, state="ended", ended_us=now - 1_000_000)
        old = call(node=node, at=now - 900_000_000, state="ended", ended_us=now - 600_000_000)
        await write_changes(db, node=node, fence=fence, changes=[change(one) for one in (live, fresh, old)])
        assert await calls.open_calls(db, node) == [live]
        assert await calls.calls_for_takeover(db, node, now - 60_000_000) == [fresh, live]
        assert await calls.calls_for_takeover(db, "node_other", 0) == []
        assert await calls.node_of_call(db, "tnt_main", live.id) == (node, True)
        assert await calls.node_of_call(db, "tnt_main", old.id) == (node, False)
        assert await calls.node_of_call(db, "tnt_other", old.id) is None


async def test_one_batch_may_hold_several_tenants_and_other_entries(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "mixed")
        mine, theirs = life(node=node, tenant="tnt_m1"), life(node=node, tenant="tnt_m2")
        extra = NewEntry(
            tenant_id="tnt_m1", type="node.seen", resource=node, occurred_us=START, id="evt_extra"
        )
        mixed = [one for pair in zip(mine, theirs, strict=True) for one in pair]
        written = await write_changes(db, node=node, fence=fence, changes=mixed, events_extra=[extra])
        assert [entry.seq for entry in written["tnt_m1"]] == [1, 2, 3, 4, 5, 6]
        assert [entry.seq for entry in written["tnt_m2"]] == [1, 2, 3, 4, 5]
        assert written["tnt_m1"][-1].type == "node.seen"
        assert await write_changes(db, node=node, fence=fence, changes=[]) == {}


async def test_what_was_seen_takes_the_place_of_what_was_concluded(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "inferred")
        a, b = leg(answered_us=START + 1_000_000), leg("outbound")
        one = call(a, b, node=node, tenant="tnt_inf")

        async def end(at: int, version: int, **more: object) -> None:
            gone = ended(a, at=at, **more)
            newer = replace(one, legs=(gone, b), version=version)
            told = change(newer, "call.leg_ended", at=at, data={"leg": a.uuid})
            await write_changes(db, node=node, fence=fence, changes=[told])

        async def record() -> dict[str, Any]:
            (found,) = await rows(db, "select doc::text, billsec from cdrs where subject = $1", a.uuid)
            assert msgspec.json.decode(found["doc"])["billsec"] == found["billsec"]
            return dict(msgspec.json.decode(found["doc"]))

        await end(START + 5_000_000, 2, inferred=True, billsec=0, hangup_cause="LOSE_RACE")
        assert (await record())["inferred"] is True
        assert (await record())["billsec"] == 4
        await end(START + 8_000_000, 3)
        seen = await record()
        assert (seen["inferred"], seen["billsec"], seen["hangup_cause"]) == (False, 7, "NORMAL_CLEARING")
        # Neither another conclusion nor another sight changes it any more.
        await end(START + 9_000_000, 4, inferred=True)
        await end(START + 9_500_000, 5)
        assert await record() == seen


async def test_conferences_are_kept_with_their_present_members(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "rooms")
        a = leg(state="answered", conference="sales", conference_member="1", caller="+491")
        b = leg(state="answered", conference="sales", conference_member="2", muted=True)
        one = call(a, b, node=node, tenant="tnt_rooms", conference="sales")
        names = {"conference": "sales", "instance": "uuid-1"}
        begun = [
            change(one, "conference.created", at=START + 5, data=names),
            change(one, "conference.joined", at=START + 6, data={**names, "leg": a.uuid, "member": "1"}),
        ]
        await write_changes(db, node=node, fence=fence, changes=begun)
        (listed,) = msgspec.json.decode(
            (await conferences.list_conferences_json(db, "tnt_rooms", live=True)).data
        )
        assert (listed["name"], listed["live"], listed["created_us"]) == ("sales", True, START + 5)
        assert [(m["id"], m["leg"], m["muted"]) for m in listed["members"]] == [
            ("1", a.uuid, False),
            ("2", b.uuid, True),
        ]
        found = await conferences.find_conference(db, "tnt_rooms", listed["id"])
        assert found == (node, "sales", True)
        assert await conferences.find_conference(db, "tnt_main", listed["id"]) is None
        closed = replace(one, version=2, legs=(replace(a, conference=""), replace(b, conference="")))
        over = change(closed, "conference.ended", at=START + 99, data=names)
        await write_changes(db, node=node, fence=fence, changes=[over])
        await write_changes(db, node=node, fence=fence, changes=begun)  # a repetition opens nothing again
        body = await conferences.get_conference_json(db, "tnt_rooms", listed["id"])
        assert body is not None
        said = msgspec.json.decode(body)
        assert (said["live"], said["ended_us"], said["members"]) == (False, START + 99, [])
        assert not msgspec.json.decode(
            (await conferences.list_conferences_json(db, "tnt_rooms", live=True)).data
        )
        assert await conferences.get_conference_json(db, "tnt_main", listed["id"]) is None


ANY_TEXT = st.text(st.characters() | st.sampled_from('\x00\ud800\udfff\\"u0000'), max_size=20)
ANY_NUMBER = st.integers(-(2**70), 2**70)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=9, max_size=9), numbers=st.lists(ANY_NUMBER, min_size=6, max_size=6))
async def test_nothing_that_a_caller_can_say_stops_the_log(
    database_url: str, texts: list[str], numbers: list[int]
) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "hostile")
        a = leg(
            caller=texts[0], caller_name=texts[1], destination=texts[2], hangup_cause=texts[3], trunk=texts[4],
            disposition=texts[5], state="ended", sip_status=numbers[0], hangup_q850=numbers[1],
            billsec=numbers[2], hangup_us=numbers[3],
        )  # fmt: skip
        odd = call(
            a, node=node, state="ended", request_id=texts[6], conference=texts[7], ended_us=numbers[4],
            hangup_cause=texts[3], version=3,
        )  # fmt: skip
        # The same call each time would be the same entry.
        odd = replace(odd, id=f"call_{hash((*texts, *numbers)) & 0xFFFFFFFFFFFF:x}")
        told = [
            Change(
                "call.ended", odd, numbers[5], {"leg": a.uuid, "cause": texts[3], "n": numbers[0] % 2**60}
            ),
            Change(
                "conference.joined",
                odd,
                numbers[5],
                {"conference": texts[7], "instance": texts[8], "leg": a.uuid},
            ),
        ]
        written = await write_changes(db, node=node, fence=fence, changes=told)
        for entry in written["tnt_main"]:
            said = msgspec.json.decode(entry.body)
            assert said["data"]["call"]["id"] == odd.id
            assert await log.get(db, "tnt_main", said["id"]) == entry.body
        body = await calls.get_call_json(db, "tnt_main", odd.id)
        assert body is not None
        kept = msgspec.json.decode(body, type=Call).legs[0].caller
        clean = texts[0].isprintable() and texts[0].isascii()
        assert kept == texts[0] if clean else len(kept) <= len(texts[0])
        await conferences.list_conferences_json(db, "tnt_main")


async def test_two_controllers_of_one_tenant_share_its_numbers(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        owners = [await a_node(db, f"shared{n}") for n in range(3)]

        async def work(node: str, fence: int) -> None:
            for n in range(10):
                await write_changes(
                    db, node=node, fence=fence, changes=life(node=node, tenant="tnt_shared", at=START + n)
                )

        await asyncio.gather(*(work(*owner) for owner in owners))
        found = await rows(db, "select seq from events where tenant_id = 'tnt_shared' order by seq")
        assert [row["seq"] for row in found] == list(range(1, 151))
        assert await log.bounds(db, "tnt_shared") == (1, 150)
