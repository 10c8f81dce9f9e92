"""Messages that come in: stored once, from whoever, however often and by however many at once."""

import asyncio

import pytest

from core import log
from core.ids import new_id
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored, write_inbound
from irisx_sdk import Address, Inbound, Reaction, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
ANN = Address("phone", "+4930123", "Ann")
TENANT = ""


@pytest.fixture(autouse=True)
def fresh_tenant() -> None:
    """Each test has a tenant of its own: they share a database."""
    global TENANT
    TENANT = new_id("tnt")


def arrival(number: int, *, channel: str = "chn_1", sender: Address = ANN, **more: object) -> Arrival:
    said = {"id": f"SM{number}", "sender": sender, "content": Text(f"hello {number}"), **more}
    return Arrival(channel, Inbound(**said), NOW + number)  # type: ignore[arg-type]


async def write(db: Database, *arrivals: Arrival) -> list[Stored]:
    return await write_inbound(db, TENANT, arrivals)


async def rows(db: Database, query: str) -> list[dict[str, object]]:
    async with db.reader(TENANT) as connection:
        return [dict(row) for row in await connection.fetch(query)]  # row level security leaves this tenant's


async def types(db: Database) -> list[str]:
    return [entry.type for entry in await log.read_entries(db, TENANT, limit=1000)]


async def test_a_first_message_makes_a_person_a_conversation_and_a_message(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (stored,) = await write(db, arrival(1))
        assert stored.fresh
        (contact,) = await rows(db, "select id, name from contacts")
        (conversation,) = await rows(db, "select * from conversations")
        (message,) = await rows(db, "select * from messages")
        assert (contact["id"], contact["name"]) == (stored.contact_id, "Ann")
        assert conversation["waiting_since_us"] == NOW + 1 and conversation["unread"] == 1
        assert conversation["preview"] == message["text"] == "hello 1"
        assert (message["state"], message["direction"]) == ("received", "in")
        assert await types(db) == [
            "contact.created", "conversation.created", "conversation.updated", "message.received",
        ]  # fmt: skip


async def test_the_same_delivery_changes_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, arrival(1))
        told = await types(db)
        again, too = await write(db, arrival(1), arrival(1))
        assert (again, too) == (Stored(first.message_id, first.conversation_id, first.contact_id, False),) * 2
        assert await types(db) == told
        (conversation,) = await rows(db, "select messages, unread from conversations")
        assert conversation == {"messages": 1, "unread": 1}


async def test_five_deliveries_at_once_are_one_message(database_url: str) -> None:
    async with await Database.open(database_url, max_size=5) as db:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write(db, arrival(1))) for _ in range(5)]
        stored = [task.result()[0] for task in tasks]
        assert len({one.message_id for one in stored}) == 1
        assert sorted(one.fresh for one in stored) == [False] * 4 + [True]
        for table in ("contacts", "identities", "conversations", "messages"):
            assert len(await rows(db, f"select 1 from {table}")) == 1, table
        (conversation,) = await rows(db, "select messages from conversations")
        assert conversation["messages"] == 1


async def test_many_people_at_once_from_many_processes_end_up_apart(database_url: str) -> None:
    people = [Address("phone", f"+49301{n:04d}") for n in range(20)]
    batches = [
        [arrival(100 * turn + n, sender=people[(n * 7 + turn) % 20]) for n in range(20)] for turn in range(6)
    ]
    async with await Database.open(database_url, max_size=6) as db:
        async with asyncio.TaskGroup() as group:
            for batch in batches:
                group.create_task(write(db, *batch))
        assert len(await rows(db, "select 1 from contacts")) == 20
        conversations = await rows(db, "select messages from conversations")
        assert [one["messages"] for one in conversations] == [6] * 20
        seqs = [entry.seq for entry in await log.read_entries(db, TENANT, limit=1000)]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_a_batch_tells_people_threads_and_accounts_apart(database_url: str) -> None:
    bob = Address("phone", "+4930124")
    async with await Database.open(database_url) as db:
        stored = await write(
            db,
            arrival(1),
            arrival(2, sender=bob),
            arrival(3),
            arrival(4, thread="t2"),
            arrival(5, channel="chn_2"),
        )
        conversations = [one.conversation_id for one in stored]
        assert conversations[0] == conversations[2]
        assert len(set(conversations)) == 4
        assert stored[0].contact_id == stored[4].contact_id != stored[1].contact_id


async def test_what_another_address_of_the_same_person_brings_joins_them(database_url: str) -> None:
    user = Address("user", "US.1349")
    async with await Database.open(database_url) as db:
        (first,) = await write(db, arrival(1, aliases=(user,)))
        (second,) = await write(db, arrival(2, sender=user))
        assert second.contact_id == first.contact_id
        (elsewhere,) = await write(db, arrival(3, sender=user, channel="chn_2"))
        assert elsewhere.contact_id != first.contact_id


async def test_a_sleeping_conversation_wakes_and_a_resolved_one_has_a_successor(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, arrival(1))
        async with db.tenant(TENANT) as connection:
            await connection.execute(
                "update conversations set state = 'snoozed', snoozed_until_us = 9, waiting_since_us = 0"
            )
        await write(db, arrival(2))
        (conversation,) = await rows(
            db, "select state, snoozed_until_us, waiting_since_us from conversations"
        )
        assert conversation == {"state": "open", "snoozed_until_us": 0, "waiting_since_us": NOW + 2}
        async with db.tenant(TENANT) as connection:
            await connection.execute("update conversations set state = 'resolved'")
        (third,) = await write(db, arrival(3))
        assert third.conversation_id != first.conversation_id and third.contact_id == first.contact_id


async def test_machines_and_reactions_ask_for_no_answer(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, arrival(1, automatic=True), arrival(2, content=Reaction("wamid.1", "👍")))
        (conversation,) = await rows(db, "select waiting_since_us, unread from conversations")
        assert conversation == {"waiting_since_us": 0, "unread": 2}


async def test_nothing_that_a_sender_can_say_is_refused(database_url: str) -> None:
    odd = "nul \x00, half \ud83d, whole 😀"
    async with await Database.open(database_url) as db:
        await write(
            db,
            arrival(
                1,
                content=Text(odd),
                sender=Address("email", "A\x00@X.org", odd),
                subject=odd,
                context={odd: odd},
            ),
        )
        (message,) = await rows(db, "select text, content ->> 'text' as said from messages")
        assert "whole 😀" in str(message["text"]) and message["said"] == message["text"]
        (identity,) = await rows(db, "select value from identities")
        assert identity["value"] == "a\N{REPLACEMENT CHARACTER}@x.org"


@pytest.mark.parametrize(("sent", "placed"), [(NOW - 1, NOW - 1), (0, NOW + 1), (NOW + 10**10, NOW + 1)])
async def test_a_message_stands_where_its_time_says_if_that_can_be_believed(
    database_url: str, sent: int, placed: int
) -> None:
    async with await Database.open(database_url) as db:
        await write(db, arrival(1, sent_us=sent))
        (message,) = await rows(db, "select order_us, sent_us from messages")
        assert message == {"order_us": placed, "sent_us": sent}
