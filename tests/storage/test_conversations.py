"""Conversations as people work with them: lists, changes one after the other, and whose they are."""

import asyncio
import json

import pytest

from core import log
from core.errors import Conflict, IrisxError, NotFound
from core.ids import new_id
from core.storage import conversations
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored, write_inbound
from irisx_sdk import Address, Inbound, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000


class Inbox:
    """A tenant with ``people`` who wrote one message each, and two agents."""

    def __init__(self, db: Database) -> None:
        self.db, self.tenant = db, new_id("tnt")
        self.agents = (new_id("usr"), new_id("usr"))

    async def open(self, people: int = 1) -> list[Stored]:
        async with self.db.system() as connection:
            await connection.execute("insert into tenants (id, name) values ($1, $1)", self.tenant)
            for agent in self.agents:
                await connection.execute(
                    "insert into users (tenant_id, id, email, name, password_hash) values ($1, $2, $2, 'A', '')",
                    self.tenant,
                    agent,
                )
        return await write_inbound(
            self.db,
            self.tenant,
            [
                Arrival(
                    "chn_1", Inbound(f"SM{n}", Address("phone", f"+4930{n:04d}"), Text(f"hello {n}")), NOW + n
                )
                for n in range(people)
            ],
        )

    async def change(self, place: Stored, **changes: object) -> dict[str, object]:
        body = await conversations.change(self.db, self.tenant, place.conversation_id, changes, actor="usr_1")
        return dict(json.loads(body))


async def test_a_list_goes_on_where_it_ended_whatever_comes_in_between(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        inbox = Inbox(db)
        await inbox.open(people=7)
        seen: list[str] = []
        after = None
        while True:
            page = await conversations.list_conversations(db, inbox.tenant, (), limit=3, after=after)
            seen += [one["preview"] for one in json.loads(page.data)]
            if not page.has_more:
                break
            after = page.last
            arrival = Arrival(
                "chn_1", Inbound(f"new{len(seen)}", Address("phone", "+49309"), Text("new")), NOW + 100
            )
            await write_inbound(db, inbox.tenant, [arrival])
        assert seen == [f"hello {n}" for n in reversed(range(7))]


async def test_a_conversation_shows_its_messages_and_nobody_elses(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        inbox = Inbox(db)
        first, _ = await inbox.open(people=2)
        page = await conversations.list_messages(
            db, inbox.tenant, conversation_id=first.conversation_id, limit=10, after=None
        )
        (message,) = json.loads(page.data)
        assert (
            message["content"] == {"type": "text", "text": "hello 0"}
            and message["sender"]["value"] == "+49300000"
        )
        other = Inbox(db)
        await other.open(people=0)
        for wish in (
            conversations.get_conversation(db, other.tenant, first.conversation_id),
            conversations.get_message(db, other.tenant, first.message_id),
            conversations.list_messages(
                db, other.tenant, conversation_id=first.conversation_id, limit=1, after=None
            ),
            conversations.attempts_of(db, other.tenant, first.message_id),
            conversations.change(db, other.tenant, first.conversation_id, {"state": "resolved"}, actor=""),
            conversations.assign(db, other.tenant, first.conversation_id, other.agents[0], actor=""),
        ):
            with pytest.raises(NotFound):
                await wish


async def test_a_change_is_told_with_who_made_it_and_refuses_an_old_view(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        inbox = Inbox(db)
        (place,) = await inbox.open()
        changed = await inbox.change(place, state="resolved", labels=["billing"], resolved_us=NOW)
        assert (changed["state"], changed["labels"]) == ("resolved", ["billing"])
        last = (await log.read_entries(db, inbox.tenant, limit=100))[-1]
        said = json.loads(last.body)["data"]
        assert said["actor"] == "usr_1" and said["conversation"]["state"] == "resolved"
        with pytest.raises(Conflict, match="changed since"):
            await conversations.change(
                db, inbox.tenant, place.conversation_id, {"priority": 1}, actor="", version=1
            )
        with pytest.raises(Conflict, match="is resolved"):
            await conversations.change(
                db, inbox.tenant, place.conversation_id, {"state": "snoozed"}, actor="", from_states=("open",)
            )


async def test_of_two_agents_who_take_it_at_once_one_has_it(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        inbox = Inbox(db)
        (place,) = await inbox.open()
        answers = await asyncio.gather(
            *(
                conversations.assign(
                    db, inbox.tenant, place.conversation_id, agent, actor=agent, unless_assigned=True
                )
                for agent in inbox.agents
            ),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, IrisxError)]
        assert [answer.code for answer in refused] == ["already_assigned"]
        with pytest.raises(NotFound, match="no user"):
            await conversations.assign(db, inbox.tenant, place.conversation_id, "usr_none", actor="")
        body = await conversations.assign(db, inbox.tenant, place.conversation_id, "", actor=inbox.agents[0])
        assert json.loads(body)["assignee"] == ""


async def test_what_was_snoozed_comes_back_by_itself_once(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        inbox = Inbox(db)
        early, late = await inbox.open(people=2)
        await inbox.change(early, state="snoozed", snoozed_until_us=1)
        await inbox.change(late, state="snoozed", snoozed_until_us=2**62)
        woken = await asyncio.gather(*(conversations.wake_snoozed(db) for _ in range(4)))
        assert sum(woken) >= 1
        states = {
            place.conversation_id: json.loads(
                await conversations.get_conversation(db, inbox.tenant, place.conversation_id)
            )["state"]
            for place in (early, late)
        }
        assert states == {early.conversation_id: "open", late.conversation_id: "snoozed"}
        entries = await log.read_entries(db, inbox.tenant, limit=100, resource=early.conversation_id)
        assert [one.type for one in entries[-2:]] == ["conversation.updated"] * 2
