"""What belongs together ends up together: answers with what they answer, parts in one text, changes at their message."""

import asyncio
import itertools
from typing import Any

import pytest

from core import log
from core.ids import new_id
from core.storage import changes, pieces, suppressions
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored, write_inbound, write_overdue
from irisx_sdk import Address, Deletion, Edit, File, Inbound, Media, Piece, Preference, Reaction, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
ANN = Address("email", "ann@example.org", "Ann")
BOB = Address("email", "bob@example.org", "Bob")
TENANT = ""


@pytest.fixture(autouse=True)
def fresh_tenant() -> None:
    """Each test has a tenant of its own: they share a database."""
    global TENANT
    TENANT = new_id("tnt")


def came(name: str, *, channel: str = "chn_1", sender: Address = ANN, at: int = 1, **more: Any) -> Arrival:
    said = {"id": name, "sender": sender, "content": Text(f"hello {name}"), **more}
    return Arrival(channel, Inbound(**said), NOW + at, family="email")


async def write(db: Database, *arrivals: Arrival) -> list[Stored]:
    return await write_inbound(db, TENANT, arrivals)


async def rows(db: Database, query: str) -> list[dict[str, Any]]:
    async with db.reader(TENANT) as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def run(db: Database, query: str) -> None:
    async with db.tenant(TENANT) as connection:
        await connection.execute(query)


async def answered(db: Database, where: Stored, *ids: str) -> str:
    """We wrote back, and the provider gave it these ids; our id of it."""
    message_id = new_id("msg")
    async with db.tenant(TENANT) as connection:
        await connection.execute(
            "insert into messages (tenant_id, id, conversation_id, contact_id, channel_id, kind, direction, state, content,"
            " order_us, created_us) values ($1, $2, $3, $4, 'chn_1', 'message', 'out', 'sent', $5, $6, $6)",
            TENANT,
            message_id,
            where.conversation_id,
            where.contact_id,
            '{"type":"text","text":"re"}',
            NOW,
        )
        await connection.execute(
            "insert into message_parts (tenant_id, channel_id, provider_id, message_id, part, state)"
            " select $1, 'chn_1', id, $2, n, 'sent' from unnest($3::text[]) with ordinality p (id, n)",
            TENANT,
            message_id,
            list(ids),
        )
    return message_id


async def types(db: Database) -> list[str]:
    return [entry.type for entry in await log.read_entries(db, TENANT, limit=1000)]


async def test_our_own_id_in_an_answer_leads_back_whatever_its_subject_and_sender(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, came("m1", thread="t1"))
        ours = await answered(db, first, "p1")
        (answer,) = await write(db, came("m2", thread="another", reference=ours))
        (colleague,) = await write(db, came("m3", thread="third", sender=BOB, reference=ours))
        assert answer.conversation_id == colleague.conversation_id == first.conversation_id
        assert colleague.contact_id != first.contact_id


async def test_an_id_of_another_tenant_leads_nowhere(database_url: str) -> None:
    global TENANT
    async with await Database.open(database_url) as db:
        (theirs,) = await write(db, came("m1", thread="t1"))
        ours = await answered(db, theirs, "p1")
        TENANT = new_id("tnt")
        (answer,) = await write(
            db, came("m2", thread="t2", reference=ours, reply_to="p1", references=("m1",))
        )
        assert answer.fresh and answer.conversation_id != theirs.conversation_id


@pytest.mark.parametrize(
    "said",
    [
        {"reply_to": "m1"},
        {"reply_to": "p1"},
        {"references": ("m0", "m1", "unknown")},
        {"references": ("p2",)},
    ],
)
async def test_older_ids_lead_back_in_both_directions(database_url: str, said: dict[str, Any]) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, came("m1", thread="t1"))
        await answered(db, first, "p1", "p2")
        (answer,) = await write(db, came("m2", thread="new", **said))
        assert answer.conversation_id == first.conversation_id
        (stranger,) = await write(db, came("m3", thread="new", channel="chn_2", **said))
        assert stranger.conversation_id != first.conversation_id


async def test_an_open_thread_counts_before_older_ids_and_unknown_ids_lose_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        first, other = await write(db, came("m1", thread="t1"), came("m2", thread="t2"))
        (answer,) = await write(db, came("m3", thread="t2", reply_to="m1"))
        assert answer.conversation_id == other.conversation_id != first.conversation_id
        (lost,) = await write(db, came("m4", thread="t9", reply_to="nobody", reference="msg_nobody"))
        assert lost.fresh and lost.conversation_id not in (first.conversation_id, other.conversation_id)


async def test_an_answer_to_something_resolved_joins_its_successor(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, came("m1", thread="t1"))
        await run(db, "update conversations set state = 'resolved'")
        (second,) = await write(db, came("m2", thread="x", reply_to="m1"))
        (third,) = await write(db, came("m3", thread="y", reply_to="m1"))
        assert second.conversation_id == third.conversation_id != first.conversation_id


async def test_an_answer_to_a_merged_conversation_goes_where_that_went(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        first, kept = await write(db, came("m1", thread="t1"), came("m2", thread="t2"))
        await run(db, f"update conversations set merged_into = '{kept.conversation_id}' where id = '{first.conversation_id}'")  # fmt: skip
        (answer,) = await write(db, came("m3", thread="t3", reply_to="m1"))
        assert answer.conversation_id == kept.conversation_id


async def test_a_mail_and_its_answer_in_one_delivery_are_together(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        first, answer = await write(db, came("m1", thread="t1"), came("m2", thread="t2", reply_to="m1"))
        assert first.conversation_id == answer.conversation_id


# -- parts


def part(number: int, total: int = 3, *, name: str = "", group: str = "7", at: int = 1) -> Arrival:
    words = ["One ", "two ", "three "][number - 1]
    return came(
        name or f"s{number}", sender=Address("phone", "+4930123"), recipient=Address("phone", "+4930999"),
        content=Text(words), piece=Piece(group, number, total), at=at,
    )  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
async def test_parts_are_one_text_whatever_their_order(database_url: str, order: tuple[int, ...]) -> None:
    async with await Database.open(database_url) as db:
        stored = [(await write(db, part(number)))[0] for number in order]
        assert [bool(one.message_id) for one in stored] == [False, False, True]
        for number in order:
            await write(db, part(number))
        (message,) = await rows(db, "select text, code from messages")
        assert message == {"text": "One two three ", "code": ""}


async def test_parts_that_come_at_once_are_one_text(database_url: str) -> None:
    async with await Database.open(database_url, max_size=6) as db:
        async with asyncio.TaskGroup() as group:
            for number in (1, 2, 3, 1, 2, 3):
                group.create_task(write(db, part(number)))
        (message,) = await rows(db, "select text from messages")
        assert message["text"] == "One two three "


async def test_a_text_whose_rest_never_comes_is_shown_as_far_as_it_came(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, part(1), part(3))
        late = NOW + round(pieces.PATIENCE_S * 1e6)
        assert not [one for one in await pieces.overdue(db, now_us=late) if one[0] == TENANT]
        (due,) = [one for one in await pieces.overdue(db, now_us=late + 1) if one[0] == TENANT]
        (shown,) = await write_overdue(db, *due, now_us=late + 1)
        assert shown.fresh and await write_overdue(db, *due, now_us=late + 1) == []
        (message,) = await rows(db, "select text, code, reason from messages")
        assert message == {
            "text": f"One {pieces.GAP}three ",
            "code": "partial",
            "reason": "parts that never came: 2",
        }


async def test_a_name_of_a_text_may_be_used_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, part(1), part(2, name="s2"))
        await write(db, part(1, name="n1"), part(2, name="n2"), part(3, name="n3"))
        texts = [one["text"] for one in await rows(db, "select text from messages order by text")]
        assert texts == [f"One two {pieces.GAP}", "One two three "]


# -- changes


async def message_of(db: Database) -> dict[str, Any]:
    (message,) = await rows(
        db, "select text, content ->> 'text' as said, reactions::text, edited_us, deleted_us from messages"
    )
    return message


async def test_an_edit_rewrites_its_message_and_an_older_one_that_is_late_does_not(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, came("m1"))
        edits = [came(f"e{n}", content=Edit("m1", f"version {n}"), at=n) for n in (5, 9, 7)]
        for one in (*edits, edits[0]):
            await write(db, one)
        message = await message_of(db)
        assert (message["text"], message["said"], message["edited_us"]) == ("version 9", "version 9", NOW + 9)
        (conversation,) = await rows(db, "select preview, messages from conversations")
        assert conversation == {"preview": "version 9", "messages": 1}
        assert (await types(db)).count("message.edited") == 2
        (before,) = await rows(
            db, "select before ->> 'text' as said from message_changes where provider_id = 'e5'"
        )
        assert before["said"] == "hello m1"


async def test_an_edit_of_a_picture_is_about_its_caption(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, came("m1", content=Media(File("a.png", "image/png", id="f1"), "image", "old")))
        await write(db, came("e1", content=Edit("m1", "new"), at=2))
        (message,) = await rows(db, "select text, content ->> 'type' as kind from messages")
        assert message == {"text": "new", "kind": "media"}


async def test_what_was_taken_back_says_nothing_any_more_even_by_somebody_unknown(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, came("m1"))
        gone = came("d1", sender=Address("user", ""), content=Deletion("m1"), at=3)
        await write(db, gone)
        await write(db, gone, came("e1", content=Edit("m1", "back"), at=4))
        message = await message_of(db)
        assert (message["text"], message["said"], message["deleted_us"]) == ("", "", NOW + 3)
        (conversation,) = await rows(db, "select preview from conversations")
        assert conversation["preview"] == ""
        assert len(await rows(db, "select 1 from contacts")) == 1
        assert (await types(db)).count("message.deleted") == 1


async def test_a_deletion_that_overtakes_its_message_waits_for_it(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (nowhere,) = await write(db, came("d1", sender=Address("user", ""), content=Deletion("m1")))
        assert nowhere.message_id == ""
        await write(db, came("m1"))
        assert (await message_of(db))["said"] == "" and (await message_of(db))["deleted_us"]


async def test_a_deletion_that_missed_its_message_by_a_moment_is_found(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, came("m1"))
        await write(db, came("d1", content=Deletion("mx")))
        await run(
            db,
            'update message_changes set target = \'m1\', content = \'{"type":"deletion","target":"m1"}\'',
        )
        found = [one for one in await changes.find_late(db, now_us=NOW + 10_000_000) if one[0] == TENANT]
        for one in (*found, *found):
            await changes.apply_late(db, *one)
        assert len(found) == 1 and (await message_of(db))["said"] == ""
        assert (await types(db)).count("message.deleted") == 1


async def test_everybody_has_one_sign_at_a_message_the_newest(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, came("m1"), came("mb", sender=BOB, channel="chn_2"))
        for n, (who, sign, at) in enumerate([(ANN, "👍", 2), (BOB, "🎉", 3), (ANN, "❤️", 5), (ANN, "😮", 4)]):
            await write(db, came(f"r{n}", sender=who, content=Reaction("m1", sign), at=at))
        (message,) = await rows(db, "select reactions from messages where provider_id = 'm1'")
        assert '"❤️"' in message["reactions"] and '"🎉"' in message["reactions"]
        assert "👍" not in message["reactions"] and "😮" not in message["reactions"]
        await write(db, came("r9", sender=ANN, content=Reaction("m1", ""), at=9))
        (message,) = await rows(db, "select reactions from messages where provider_id = 'm1'")
        assert "❤️" not in message["reactions"] and '"🎉"' in message["reactions"]
        (conversation,) = await rows(db, "select messages from conversations where channel_id = 'chn_1'")
        assert conversation["messages"] == 1


async def test_our_own_message_can_be_reacted_to(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (first,) = await write(db, came("m1"))
        ours = await answered(db, first, "p1", "p2")
        (reacted,) = await write(db, came("r1", content=Reaction("p2", "👍"), at=2))
        assert reacted.message_id == ours


async def test_a_change_of_something_that_we_do_not_have_is_shown_by_itself(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        (stored,) = await write(db, came("e1", content=Edit("long ago", "new words")))
        assert stored.fresh and (await message_of(db))["text"] == "new words"


# -- wishes


async def scopes(db: Database) -> list[str]:
    return sorted(
        one["scope"] for one in await rows(db, "select scope from suppressions where removed_us = 0")
    )


async def prefer(db: Database, name: str, allowed: bool, purpose: str = "") -> None:
    said = [Preference(name, ANN, allowed, purpose=purpose)]
    await suppressions.write_preferences(db, TENANT, "chn_1", said, scope="whatsapp", received_us=NOW)


async def test_a_stop_of_marketing_is_about_marketing_and_start_ends_all(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await prefer(db, "1", False, "marketing")
        assert await scopes(db) == ["whatsapp/marketing"]
        await prefer(db, "2", False)
        await prefer(db, "3", True, "marketing")
        assert await scopes(db) == ["whatsapp"]
        await prefer(db, "4", False, "marketing")
        await prefer(db, "5", True)
        assert await scopes(db) == []


async def test_a_report_that_is_replayed_undoes_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await prefer(db, "1", True)
        await prefer(db, "2", False)
        await prefer(db, "1", True)
        assert await scopes(db) == ["whatsapp"]


async def test_an_opt_out_word_that_is_delivered_again_undoes_nothing(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        stop, start = came("m1", content=Text("STOP")), came("m2", content=Text("START"))
        await write(db, stop)
        await write(db, start)
        await write(db, stop)
        assert await scopes(db) == []
