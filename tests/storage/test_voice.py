"""Calls are part of the conversation: once each, growing while they last, whoever reads the log and however often."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from core import log
from core.ids import new_id
from core.model.records import Call, Change, Leg, Recording
from core.model.voice import e164, line_of
from core.storage import voice
from core.storage.appending import append
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import Address, Inbound, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
ANN = "+493012345678"
OURS = "+493099999999"


def ringing(tenant: str, **more: Any) -> Call:
    said = {
        "id": new_id("call"), "tenant_id": tenant, "node": "sw1", "caller": ANN, "destination": OURS,
        "created_us": NOW, "version": 1,
    }  # fmt: skip
    return Call(**{**said, **more})


def answered(call: Call) -> Call:
    return replace(call, state="answered", answered_us=NOW + 2_000_000, version=call.version + 1)


def ended(call: Call) -> Call:
    return replace(call, state="ended", ended_us=NOW + 67_000_000, hangup_cause="NORMAL_CLEARING", version=call.version + 1)  # fmt: skip


def recorded(call: Call) -> Call:
    leg = Leg("leg-1", "inbound", recordings=(Recording("leg-1", "/x/rec_1.wav", NOW, NOW + 9, 72, 1152),))
    return replace(call, legs=(leg,), version=call.version + 1)


async def happened(db: Database, tenant: str, *changes: tuple[str, Call]) -> None:
    async with db.tenant(tenant) as connection:
        entries = [
            NewEntry(
                tenant_id=tenant, type=kind, resource=call.id, occurred_us=NOW,
                data=msgspec.json.encode({"call": Change(kind, call, NOW).call}),
            )
            for kind, call in changes
        ]  # fmt: skip
        await append(connection, entries)


async def follow(db: Database, tenant: str) -> None:
    while await voice.work(db, tenant):
        pass


async def rows(db: Database, tenant: str, query: str) -> list[dict[str, Any]]:
    async with db.reader(tenant) as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def message(db: Database, tenant: str) -> dict[str, Any]:
    (one,) = await rows(db, tenant, "select * from messages where kind = 'call'")
    return {**one, "content": msgspec.json.decode(one["content"])}


async def test_a_call_grows_in_one_message_from_ringing_to_its_recording(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        call = ringing(tenant, caller_name="Ann")
        await happened(db, tenant, ("call.created", call))
        await follow(db, tenant)
        first = await message(db, tenant)
        assert (first["state"], first["direction"], first["call_id"]) == ("ringing", "in", call.id)
        (contact,) = await rows(db, tenant, "select c.name, i.value from contacts c join identities i on i.contact_id = c.id")  # fmt: skip
        assert contact == {"name": "Ann", "value": ANN}
        talking = answered(call)
        await happened(db, tenant, ("call.answered", talking))
        await follow(db, tenant)
        assert (await message(db, tenant))["state"] == "talking"
        taped = recorded(talking)
        await happened(db, tenant, ("call.recording_stopped", taped), ("call.ended", ended(taped)))
        await follow(db, tenant)
        last = await message(db, tenant)
        assert (last["id"], last["state"]) == (first["id"], "answered")
        assert last["content"]["duration_s"] == 65 and len(last["content"]["recordings"]) == 1
        (conversation,) = await rows(
            db, tenant, "select messages, unread, waiting_since_us, preview from conversations"
        )
        assert conversation == {
            "messages": 1,
            "unread": 0,
            "waiting_since_us": 0,
            "preview": f"Call from {ANN}, 1:05",
        }


async def test_a_call_joins_the_conversation_that_its_caller_has_open(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        said = Inbound("SM1", Address("phone", ANN), Text("call me"))
        (stored,) = await write_inbound(db, tenant, [Arrival("chn_1", said, NOW - 1)])
        await happened(db, tenant, ("call.created", ringing(tenant)))
        await follow(db, tenant)
        one = await message(db, tenant)
        assert (one["conversation_id"], one["contact_id"]) == (stored.conversation_id, stored.contact_id)
        async with db.tenant(tenant) as connection:
            await connection.execute("update conversations set state = 'resolved'")
        await happened(db, tenant, ("call.created", ringing(tenant)))
        await follow(db, tenant)
        assert len(await rows(db, tenant, "select 1 from conversations")) == 2


async def test_who_was_not_answered_waits_for_us(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        call = ringing(tenant)
        await happened(db, tenant, ("call.created", call))
        await follow(db, tenant)
        await happened(db, tenant, ("call.ended", ended(call)))
        await follow(db, tenant)
        assert (await message(db, tenant))["state"] == "missed"
        (conversation,) = await rows(db, tenant, "select messages, unread, waiting_since_us > 0 as waits from conversations")  # fmt: skip
        assert conversation == {"messages": 1, "unread": 1, "waits": True}


async def test_a_call_that_we_place_is_with_whom_it_went_to(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        call = ringing(tenant, direction="outbound", caller=OURS, destination=ANN)
        await happened(db, tenant, ("call.created", call), ("call.ended", ended(call)))
        await follow(db, tenant)
        one = await message(db, tenant)
        assert (one["state"], one["direction"]) == ("unanswered", "out")
        assert [row["value"] for row in await rows(db, tenant, "select value from identities")] == [ANN]


async def test_every_entry_is_dealt_with_once_whoever_reads(database_url: str) -> None:
    async with await Database.open(database_url, max_size=6) as db:
        tenant = new_id("tnt")
        calls = [ringing(tenant, caller=f"+4930123456{n:02d}") for n in range(12)]
        for call in calls:
            await happened(db, tenant, ("call.created", call), ("call.answered", answered(call)))
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(follow(db, tenant))
        await follow(db, tenant)
        counts = await rows(
            db, tenant, "select count(*) as n, count(distinct call_id) as calls from messages"
        )
        assert counts == [{"n": 12, "calls": 12}]
        async with db.tenant(tenant) as connection:  # (as after a restore: everything is read again)
            await connection.execute("update voice_places set seq = 0")
        before = await rows(db, tenant, "select id, version from messages order by id")
        await follow(db, tenant)
        assert await rows(db, tenant, "select id, version from messages order by id") == before
        assert await voice.work(db, tenant) is False
        (place,) = await rows(db, tenant, "select seq from voice_places")
        assert place["seq"] == (await log.bounds(db, tenant))[1]


async def test_a_log_full_of_other_things_is_passed_in_steps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "SCAN", 3)
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        for number in range(8):
            said = Inbound(f"SM{number}", Address("phone", ANN), Text("x"))
            await write_inbound(db, tenant, [Arrival("chn_1", said, NOW)])
        await happened(db, tenant, ("call.created", ringing(tenant)))
        assert tenant in await voice.tenants_to_do(db, limit=10_000)
        await follow(db, tenant)
        await follow(db, tenant)
        assert (await message(db, tenant))["state"] == "ringing"
        assert tenant not in await voice.tenants_to_do(db, limit=10_000)


@pytest.mark.parametrize(
    ("direction", "caller", "destination", "found"),
    [
        ("inbound", ANN, "1001", (ANN, "in")),
        ("inbound", "1001", ANN, (ANN, "out")),
        ("outbound", OURS, ANN, (ANN, "out")),
        ("inbound", "1001", "1002", None),
        ("inbound", "anonymous", "1002", None),
        ("inbound", "0049 30".replace(" ", "") + "12345678", "1001", (ANN, "in")),
        ("inbound", "493012345678", "1001", (ANN, "in")),
        ("inbound", "03012345678", "1001", (ANN, "in")),
    ],
)
def test_the_contact_is_the_end_that_is_a_number(
    direction: str, caller: str, destination: str, found: tuple[str, str] | None
) -> None:
    line = line_of(ringing("t", direction=direction, caller=caller, destination=destination), "DE")
    assert (line and (line.number, line.direction)) == found


@pytest.mark.parametrize(
    "said", ["", "+", "1001", "unknown", "+49", "sip:a@b", "*97", "99999999999999999999"]
)
def test_what_is_no_number_is_nobody(said: str) -> None:
    assert e164(said, "DE") == ""


@pytest.mark.parametrize("data", [b"{}", b'{"call": 7}', b'{"call": null}', b'{"call": {"id": 1}}'])
async def test_an_entry_without_a_call_keeps_no_other_from_being_read(database_url: str, data: bytes) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        async with db.tenant(tenant) as connection:
            odd = NewEntry(
                tenant_id=tenant, type="call.created", resource="call_odd", occurred_us=NOW, data=data
            )
            await append(connection, [odd])
        await happened(db, tenant, ("call.created", ringing(tenant)))
        await follow(db, tenant)
        assert (await message(db, tenant))["state"] == "ringing"
