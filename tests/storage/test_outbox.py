"""Messages that go out: each is sent once, whoever dies when, and receipts move it only up."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import log
from core.ids import new_id
from core.model import messaging, policy
from core.storage import attempt_results as results
from core.storage import attempts, outbox, receipts, suppressions
from core.storage.database import Database
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import RANKS, Address, Inbound, Preference, Sent, State, Status, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
SECOND = 1_000_000
ANN = Address("phone", "+4930123", "Ann")


class Shop:
    """A tenant with one conversation that waits for an answer."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.tenant = new_id("tnt")
        self.channel = new_id("chn")

    async def open(self) -> "Shop":
        arrival = Arrival(self.channel, Inbound("SM1", ANN, Text("hello?")), NOW)
        ((self.conversation),) = await write_inbound(self.db, self.tenant, [arrival])
        return self

    async def ask(self, text: str = "hi", *, send_at_us: int = 0) -> str:
        message = outbox.NewMessage(
            conversation_id=self.conversation.conversation_id,
            contact_id=self.conversation.contact_id,
            channel_id=self.channel,
            to=ANN,
            content=Text(text),
            author="usr_1",
            now_us=NOW,
            send_at_us=send_at_us,
        )
        async with self.db.tenant(self.tenant) as connection:
            return await outbox.enqueue(connection, self.tenant, message)

    async def claim(self, owner: str = "s1", at_us: int = NOW, limit: int = 10) -> list[outbox.Claimed]:
        return await outbox.claim(self.db, self.channel, owner, limit=limit, now_us=at_us)

    async def begin(self, one: outbox.Claimed, owner: str = "s1") -> int | None:
        (started,) = await attempts.begin(
            self.db, self.tenant, owner, [attempts.Start(one=one)], lambda _, facts: policy.SEND,
            channel_id=self.channel, channel="sms.x", now_us=NOW,
        )  # fmt: skip
        return started.number if started.verdict == "send" else None

    async def sent(self, one: outbox.Claimed, number: int, *ids: str) -> None:
        done = results.Done(one=one, number=number, result=Sent(ids))
        await results.sent(self.db, self.tenant, [done], channel_id=self.channel, now_us=NOW)

    async def told(self, *statuses: Status) -> int:
        moved = await receipts.write_statuses(self.db, self.tenant, self.channel, statuses, received_us=NOW)
        return len(moved)

    async def state(self, message: str) -> str:
        async with self.db.reader(self.tenant) as connection:
            return str(await connection.fetchval("select state from messages where id = $1", message))

    async def rows(self, query: str) -> list[dict[str, object]]:
        async with self.db.reader(self.tenant) as connection:
            return [dict(row) for row in await connection.fetch(query)]

    async def types(self) -> list[str]:
        return [one.type for one in await log.read_entries(self.db, self.tenant, limit=1000)][4:]


async def test_an_answer_goes_out_and_ends_the_waiting(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim()
        number = await shop.begin(one)
        assert number == 1
        await shop.sent(one, number, "SMout")
        assert await shop.state(message) == "sent"
        assert await shop.claim(at_us=NOW + 3600 * SECOND) == []
        (conversation,) = await shop.rows(
            "select waiting_since_us, first_reply_us, messages from conversations"
        )
        assert conversation == {"waiting_since_us": 0, "first_reply_us": NOW, "messages": 2}
        (attempt,) = await shop.rows("select number, outcome from attempts")
        assert attempt == {"number": 1, "outcome": "sent"}
        assert await shop.types() == ["message.queued", "conversation.updated", "message.sent"]


async def test_two_senders_never_have_the_same_message(database_url: str) -> None:
    async with await Database.open(database_url, max_size=8) as db:
        shop = await Shop(db).open()
        wanted = {await shop.ask(str(number)) for number in range(40)}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(shop.claim(f"s{number}", limit=7)) for number in range(8)]
        got = [one.message_id for task in tasks for one in task.result()]
        got += [one.message_id for one in await shop.claim("last", limit=40)]
        assert len(got) == len(set(got)) == 40 and set(got) == wanted


async def test_what_is_to_be_sent_later_waits(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        await shop.ask(send_at_us=NOW + 60 * SECOND)
        assert await shop.claim() == []
        assert len(await shop.claim(at_us=NOW + 60 * SECOND)) == 1


async def test_a_sender_that_dies_before_it_calls_is_replaced(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        await shop.ask()
        (first,) = await shop.claim("dead")
        assert await shop.claim("heir") == []
        later = NOW + (outbox.CLAIM_S + 1) * SECOND
        (one,) = await shop.claim("heir", at_us=later)
        assert one.attempts == 0
        assert await shop.begin(first, "dead") is None
        assert await shop.begin(one, "heir") == 1


async def test_a_sender_that_dies_while_it_calls_leaves_an_outcome_that_nobody_knows(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim("dead")
        await shop.begin(one, "dead")
        later = NOW + (outbox.CLAIM_S + 1) * SECOND
        assert await shop.claim("heir", at_us=later) == []  # never sent blindly again
        assert await outbox.stranded(db, now_us=NOW + SECOND) == []
        found = [found for found in await outbox.stranded(db, now_us=later) if found[0].message_id == message]
        ((stranded, number),) = found
        await results.unknown(db, stranded, number, code="sender_died", reason="", now_us=later)
        assert await shop.state(message) == "unknown"
        # A receipt that carries our own id proves that it went out.
        assert await shop.told(Status("SMlate", "delivered", reference=message)) == 1
        assert await shop.state(message) == "delivered"


async def test_what_a_receipt_has_told_is_not_unknown_any_more(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim("dead")
        number = await shop.begin(one, "dead")
        assert number is not None
        assert await shop.told(Status("SMout", "delivered", reference=message)) == 1
        await results.unknown(db, one, number, code="sender_died", reason="", now_us=NOW)
        assert await shop.state(message) == "delivered"
        assert await shop.claim(at_us=NOW + 3600 * SECOND) == []


async def test_what_was_certainly_not_sent_is_tried_again_and_then_given_up(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim()
        number = await shop.begin(one)
        assert number == 1
        due = NOW + 5 * SECOND
        await results.again(
            db, one, number, outcome="throttled", code="429", reason="", due_us=due, now_us=NOW
        )
        assert await shop.claim(at_us=due - 1) == []
        (one,) = await shop.claim(at_us=due)
        assert (one.attempts, await shop.begin(one)) == (1, 2)
        await results.over(db, one, 2, outcome="refused", code="21610", reason="blocked", now_us=due)
        (row,) = await shop.rows("select state, code, reason from messages where direction = 'out'")
        assert row == {"state": "failed", "code": "21610", "reason": "blocked"}
        outcomes = await shop.rows("select number, outcome from attempts order by number")
        assert outcomes == [{"number": 1, "outcome": "throttled"}, {"number": 2, "outcome": "refused"}]
        assert await shop.state(message) == "failed"


async def test_only_what_no_provider_was_called_for_can_be_taken_back(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        first, second = await shop.ask(), await shop.ask()
        one = next(one for one in await shop.claim() if one.message_id == second)
        await shop.begin(one)
        assert await outbox.cancel(db, shop.tenant, first, now_us=NOW)
        assert not await outbox.cancel(db, shop.tenant, second, now_us=NOW)
        assert (await shop.state(first), await shop.state(second)) == ("cancelled", "queued")


async def test_receipts_that_come_before_the_sending_returns_are_not_lost(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim()
        number = await shop.begin(one)
        assert number is not None
        assert await shop.told(Status("SMout", "delivered", NOW + 1)) == 0
        await shop.sent(one, number, "SMout")
        assert await shop.state(message) == "delivered"
        assert (await shop.types())[-2:] == ["message.sent", "message.delivered"]


async def test_a_message_in_parts_is_as_far_as_its_slowest_one(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim()
        number = await shop.begin(one)
        assert number is not None
        await shop.sent(one, number, "p1", "p2")
        await shop.told(Status("p1", "delivered"))
        assert await shop.state(message) == "sent"
        await shop.told(Status("p2", "delivered"))
        assert await shop.state(message) == "delivered"


STATES: list[State] = ["queued", "sent", "delivered", "read", "failed", "undelivered"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(told=st.lists(st.sampled_from(STATES), max_size=6), doubled=st.integers(1, 2))
async def test_a_receipt_never_moves_a_message_down(
    database_url: str, told: list[State], doubled: int
) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        message = await shop.ask()
        (one,) = await shop.claim()
        number = await shop.begin(one)
        assert number is not None
        await shop.sent(one, number, "SMout")
        seen = ["sent"]
        for state in itertools.chain.from_iterable([one] * doubled for one in told):
            await shop.told(Status("SMout", state))
            seen.append(await shop.state(message))
        ranks = [RANKS[state] for state in seen]  # type: ignore[index]
        assert ranks == sorted(ranks)
        assert RANKS[seen[-1]] == max(RANKS["sent"], *(RANKS[one] for one in told), 0)  # type: ignore[index]


def test_a_failed_part_fails_the_message() -> None:
    assert messaging.state_of_parts(["delivered", "failed", "sent"]) == "failed"
    assert messaging.state_of_parts([]) == "queued"


async def test_who_wants_no_messages_is_remembered_until_they_want_them_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        shop = await Shop(db).open()
        for number, allowed in enumerate((False, False, True, True, False)):
            await suppressions.write_preferences(
                db,
                shop.tenant,
                shop.channel,
                [Preference(f"e{number}", ANN, allowed)],
                scope="sms",
                received_us=NOW,
            )
        found = await shop.rows("select removed_us from suppressions order by created_us, removed_us desc")
        assert sorted(str(row["removed_us"]) for row in found) == ["0", str(NOW)]
        kinds = [kind for kind in await shop.types() if kind.startswith("suppression")]
        assert kinds == ["suppression.created", "suppression.removed", "suppression.created"]
