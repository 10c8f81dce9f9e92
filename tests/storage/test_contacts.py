"""People outside: found by what is known of them, one address one person, merged by people and parted again."""

import asyncio
import json
from typing import Any

import pytest

from core import log
from core.errors import Conflict, NotFound, RequestError
from core.storage import (
    contact_import,
    contact_merges,
    contact_search,
    contacts,
    conversation_merges,
    identities,
)
from core.storage.conversations import change, get_conversation, list_messages
from core.storage.database import Database
from core.storage.identities import NewIdentity
from core.storage.inbound import Arrival, Stored, write_inbound
from core.storage.versions import ChangedMeanwhile
from irisx_sdk import Address, Inbound, Text
from tests.storage.test_conversations import NOW, Inbox

pytestmark = pytest.mark.asyncio_loop


class Book:
    """A tenant's contacts."""

    def __init__(self, db: Database) -> None:
        self.db, self.tenant, self.said = db, Inbox(db).tenant, 0

    async def add(self, name: str = "", *identities: NewIdentity, **members: Any) -> str:
        body = await contacts.create_contact(
            self.db, self.tenant, {"name": name, **members}, identities, actor="usr_1"
        )
        return str(json.loads(body)["id"])

    async def get(self, contact_id: str) -> dict[str, Any]:
        return dict(json.loads(await contacts.get_contact(self.db, self.tenant, contact_id)))

    async def find(self, text: str) -> list[str]:
        page = await contact_search.search(self.db, self.tenant, text, limit=10, after=None)
        return [one["name"] for one in json.loads(page.data)]

    async def writes(self, number: str, channel: str = "chn_1", text: str = "hello") -> Stored:
        self.said += 1
        said = Inbound(f"SM{self.said}", Address("phone", number), Text(f"{text} {self.said}"))
        (stored,) = await write_inbound(self.db, self.tenant, [Arrival(channel, said, NOW + self.said)])
        return stored

    async def merge(self, kept: str, gone: str, *, even_if_verified: bool = False) -> str:
        merge_id, _ = await contact_merges.merge(
            self.db, self.tenant, kept, gone, even_if_verified=even_if_verified, actor="usr_1"
        )
        return merge_id

    async def texts(self, contact_id: str) -> list[str]:
        page = await contact_search.timeline(
            self.db, self.tenant, contact_id, calls=True, limit=50, after=None
        )
        return [one["message"]["text"] for one in json.loads(page.data)]


def phone(value: str, **more: Any) -> NewIdentity:
    return NewIdentity("phone", value, **more)


async def test_people_are_found_by_names_addresses_and_the_ends_of_numbers(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        await book.add("Ann Lee", phone("+49 30 1234567"), company="Blue Whale Ltd")
        await book.add("Ánna Ö", NewIdentity("email", "Anna@Example.ORG"))
        await book.add("Bob", NewIdentity("user", "U0123", scope="chn_1", name="bobby"))
        for text, found in (
            ("ann", ["Ánna Ö", "Ann Lee"]),
            ("LEE", ["Ann Lee"]),
            ("ann whale", ["Ann Lee"]),
            ("lee bob", []),
            ("án", ["Ánna Ö"]),
            ("anna@ex", ["Ánna Ö"]),
            ("example.org", ["Ánna Ö"]),
            ("4567", ["Ann Lee"]),
            ("+49 (30) 123", ["Ann Lee"]),
            ("493012", ["Ann Lee"]),
            ("u0123", ["Bob"]),
            ("bobb", ["Bob"]),
            ("%", []),
            ("", []),
        ):
            assert await book.find(text) == found, text
        assert await Book(db).find("ann") == [], "of another tenant"


async def test_searches_use_their_indexes_under_row_level_security(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        async with db.tenant(book.tenant) as connection:
            await connection.execute(
                "insert into contacts (tenant_id, id, name, created_us, updated_us)"
                " select $1, 'ctc_' || n, 'name' || n, n, n from generate_series(1, 3000) n",
                book.tenant,
            )
            await connection.execute(
                "insert into messages (tenant_id, id, conversation_id, contact_id, kind, direction, state, content, text,"
                " order_us, created_us) select $1, 'msg_' || n, 'conv_1', 'ctc_1', 'message', 'in', 'received', '{}',"
                " 'common word' || n, n, n from generate_series(1, 3000) n",
                book.tenant,
            )
        async with db.reader("*") as connection:
            # (what waits to be sorted into the index makes it dear; autovacuum does this in time)
            await connection.execute("vacuum (analyze) contact_words")
            await connection.execute("vacuum (analyze) messages")
        async with db.reader(book.tenant) as connection:
            people = await connection.fetch(
                "explain select contact_id from contact_words where tenant_id = $1 and (word >= $2 and word < $3)",
                book.tenant,
                "name77",
                "name77\U0010ffff",
            )
            words = await connection.fetch(
                "explain select id from messages where tenant_id = $1 and words @@ websearch_to_tsquery('simple', $2)",
                book.tenant,
                "word77",
            )
        assert "(word >= 'name77'" in "\n".join(row[0] for row in people)
        assert "on messages_words" in "\n".join(row[0] for row in words), "its function is leakproof here"
        assert await book.find("name2999") == ["name2999"]


async def test_an_address_is_one_persons_in_one_form(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        ann = await book.add("Ann", phone("+49 30 / 123 45 67"), NewIdentity("email", "Ann@Example.org"))
        assert [one["value"] for one in (await book.get(ann))["identities"]] == [
            "+49301234567",
            "ann@example.org",
        ]
        bob = await book.add("Bob")
        for taken in (phone("+49301234567"), NewIdentity("email", "ANN@example.org")):
            with pytest.raises(Conflict, match=ann):
                await identities.add_identity(db, book.tenant, bob, taken, actor="usr_1")
        for bad in (
            phone("030 1234567"),
            phone("+49"),
            phone("x"),
            NewIdentity("email", "ann"),
            NewIdentity("user", ""),
        ):
            with pytest.raises(RequestError):
                await identities.add_identity(db, book.tenant, bob, bad, actor="usr_1")
        (number, _) = (await book.get(ann))["identities"]
        await identities.remove_identity(db, book.tenant, ann, number["id"], actor="usr_1")
        await identities.add_identity(db, book.tenant, bob, phone("+49301234567"), actor="usr_1")
        assert (await book.writes("+49301234567")).contact_id == bob
        assert await book.find("4567") == ["Bob"]


async def test_of_two_who_give_one_address_to_two_people_one_is_told_who_has_it(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        book = Book(db)
        answers = await asyncio.gather(
            *(book.add(f"P{n}", phone("+49309999999")) for n in range(4)), return_exceptions=True
        )
        kept = [one for one in answers if isinstance(one, str)]
        assert len(kept) == 1
        assert all(kept[0] in str(one) for one in answers if isinstance(one, BaseException))


async def test_a_change_is_refused_to_who_has_not_seen_the_last_one(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        ann = await book.add("Ann", attributes={"tier": "gold"})
        await contacts.update_contact(db, book.tenant, ann, {"company": "Whale"}, version=1, actor="usr_1")
        with pytest.raises(ChangedMeanwhile):
            await contacts.update_contact(db, book.tenant, ann, {"name": "X"}, version=1, actor="usr_1")
        now = await book.get(ann)
        assert (now["name"], now["company"], now["attributes"], now["version"]) == (
            "Ann",
            "Whale",
            {"tier": "gold"},
            2,
        )
        assert await book.find("whale") == ["Ann"]


async def test_a_contact_is_deleted_when_nothing_is_open_and_its_addresses_are_free(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        said = await book.writes("+4930555000")
        with pytest.raises(Conflict, match="1 conversations"):
            await contacts.delete_contact(db, book.tenant, said.contact_id, version=None, actor="usr_1")
        await change(db, book.tenant, said.conversation_id, {"state": "resolved"}, actor="usr_1")
        await contacts.delete_contact(db, book.tenant, said.contact_id, version=None, actor="usr_1")
        with pytest.raises(NotFound):
            await contacts.get_contact(db, book.tenant, said.contact_id)
        assert await book.find("5000") == []
        assert (await book.writes("+4930555000")).contact_id != said.contact_id


async def test_merging_moves_everything_and_undoing_gives_it_back(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        home, work = await book.writes("+4930111111"), await book.writes("+4930222222", "chn_2")
        await contacts.add_note(db, book.tenant, work.contact_id, "likes tea", author="usr_1")
        merge_id = await book.merge(home.contact_id, work.contact_id)
        assert await book.texts(home.contact_id) == ["hello 2", "hello 1"]
        assert (await book.get(work.contact_id))["merged_into"] == home.contact_id
        later = await book.writes("+4930222222", "chn_2")
        assert later.contact_id == home.contact_id and later.conversation_id == work.conversation_id
        with pytest.raises(Conflict, match="merged into"):
            await contacts.add_note(db, book.tenant, work.contact_id, "?", author="usr_1")
        await contact_merges.undo(db, book.tenant, merge_id, actor="usr_1")
        assert await book.texts(home.contact_id) == ["hello 1"]
        assert await book.texts(work.contact_id) == ["hello 3", "hello 2"]
        notes = await contacts.list_notes(db, book.tenant, work.contact_id, limit=5, after=None)
        assert [one["text"] for one in json.loads(notes.data)] == ["likes tea"]
        assert (await book.writes("+4930222222", "chn_2")).contact_id == work.contact_id
        with pytest.raises(Conflict, match="undone before"):
            await contact_merges.undo(db, book.tenant, merge_id, actor="usr_1")
        kinds = [one.type for one in await log.read_entries(db, book.tenant, limit=100)]
        assert kinds.count("contact.merged") == kinds.count("contact.unmerged") == 1


async def test_two_that_are_open_in_one_thread_become_one_and_part_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        one, other = await book.writes("+4930111111"), await book.writes("+4930222222")
        merge_id = await book.merge(one.contact_id, other.contact_id)
        later = await book.writes("+4930222222")
        assert later.conversation_id == one.conversation_id
        conversation = json.loads(await get_conversation(db, book.tenant, one.conversation_id))
        assert (conversation["messages"], conversation["unread"], conversation["preview"]) == (
            3,
            3,
            "hello 3",
        )
        await contact_merges.undo(db, book.tenant, merge_id, actor="usr_1")
        back = json.loads(await get_conversation(db, book.tenant, other.conversation_id))
        assert (back["contact_id"], back["messages"], back["state"]) == (other.contact_id, 1, "open")
        assert (await book.writes("+4930222222")).conversation_id == other.conversation_id


async def test_differing_proven_addresses_are_merged_only_by_who_insists(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        ann = await book.add("Ann", phone("+4930111111", verified=True))
        bob = await book.add("Bob", phone("+4930222222", verified=True))
        with pytest.raises(Conflict, match="even_if_verified"):
            await book.merge(ann, bob)
        assert await book.merge(ann, bob, even_if_verified=True)
        with pytest.raises(RequestError):
            await book.merge(ann, ann)
        with pytest.raises(NotFound):
            await book.merge(ann, "ctc_none")


async def test_two_people_who_merge_the_same_two_both_ways_do_not_block_each_other(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        book = Book(db)
        await asyncio.gather(*(book.find("x") for _ in range(4)))  # (so that all connections are there)
        for _ in range(6):
            ann, bob = await book.add("Ann"), await book.add("Bob")
            answers = await asyncio.gather(book.merge(ann, bob), book.merge(bob, ann), return_exceptions=True)
            assert sorted(type(one).__name__ for one in answers) == ["Conflict", "str"]


async def test_conversations_are_merged_split_and_restored(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        first = await book.writes("+4930111111")
        await book.writes("+4930111111")
        second = await book.writes("+4930111111", "chn_2")
        kept, gone = first.conversation_id, second.conversation_id
        await conversation_merges.merge(db, book.tenant, kept, gone, actor="usr_1")
        assert (await book.writes("+4930111111", "chn_2")).conversation_id == kept, (
            "what follows lands in the kept one"
        )
        page = await list_messages(db, book.tenant, conversation_id=kept, limit=9, after=None)
        assert len(json.loads(page.data)) == 4
        with pytest.raises(Conflict, match="merged into"):
            await conversation_merges.merge(db, book.tenant, kept, gone, actor="usr_1")
        (merge,) = json.loads(await conversation_merges.merges_of(db, book.tenant, kept))
        await conversation_merges.split(
            db, book.tenant, kept, merge_id=merge["id"], messages=[], actor="usr_1"
        )
        back = json.loads(await get_conversation(db, book.tenant, gone))
        assert (back["merged_into"], back["messages"]) == (None, 1)
        body = await conversation_merges.split(
            db, book.tenant, kept, messages=[first.message_id], actor="usr_1"
        )
        apart = json.loads(body)
        assert (apart["messages"], apart["preview"]) == (1, "hello 1")
        stranger = await book.writes("+4930999999")
        with pytest.raises(Conflict, match="two people"):
            await conversation_merges.merge(db, book.tenant, kept, stranger.conversation_id, actor="usr_1")
        with pytest.raises(NotFound, match="not all"):
            await conversation_merges.split(
                db, book.tenant, kept, messages=[stranger.message_id], actor="usr_1"
            )


TABLE = """name;phone;email;attribute.tier
Ann;+49 30 1234567;;gold
Bob;030 7654321;bob@example.org;
;;;
;not a number;;
Twin;+49301234567;;
;;;silver
Much;;x@example.org;a;b
"""


async def test_a_table_becomes_contacts_and_bad_rows_come_back_with_reasons(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        book = Book(db)
        done = await contact_import.import_contacts(db, book.tenant, TABLE, region="DE", actor="usr_1")
        assert done.created == 2
        assert [(one.row, one.code) for one in done.rejected] == [
            (5, "bad_phone"), (6, "identity_taken"), (7, "missing"), (8, "bad_table"),
        ]  # fmt: skip
        assert await book.find("7654321") == ["Bob"]
        again = "name,phone,company\nAnnabel,+49301234567,Whale\n"
        refused = await contact_import.import_contacts(db, book.tenant, again, actor="usr_1")
        assert refused.created == 0 and "belongs to ctc_" in refused.rejected[0].reason
        filled = await contact_import.import_contacts(db, book.tenant, again, update=True, actor="usr_1")
        assert (filled.created, filled.updated, filled.rejected) == (0, 1, [])
        assert await book.find("ann whale") == ["Ann"], "what is there stays, what lacked is filled in"
        for bad in ("nonsense\nx", "name,name\na,b", ""):
            with pytest.raises(RequestError):
                await contact_import.import_contacts(db, book.tenant, bad, actor="usr_1")
