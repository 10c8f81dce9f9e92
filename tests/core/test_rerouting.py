"""A routed message that its carrier took and did not deliver: once more by another carrier, where that can do no harm."""

from functools import partial
from typing import Any

import msgspec
import pytest

from core.clock import now_us
from core.storage import receipts
from core.storage import routing as routing_store
from core.storage.outbox import FOR_EVER_US
from irisx_sdk import Account, Outbound, Sent, Status, Tools
from tests.core.test_outbox import Post
from tests.core.test_routing import Exchange, exchange, post


class InTwoParts(Post):
    """A provider that takes a message in two parts."""

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        sent = await super().send(account, message, tools)
        return Sent((*sent.ids, f"Q{message.id}"))


async def reports(ours: Exchange, name: str, *told: Status) -> None:
    """The provider of this carrier says so."""
    office = ours.office
    write = partial(
        receipts.write_statuses, office.db, office.tenant, ours.accounts[name], told, received_us=now_us()
    )
    await office.bridge.run(write)


def lost(message: str, *, own: bool = True, **more: Any) -> Status:
    return Status(
        f"P{message}", "undelivered", code="30001", reason="the queue was full", own_fault=own, **more
    )


async def attempts(ours: Exchange, message: str) -> list[tuple[str, str]]:
    rows = await ours.rows("select message_id, carrier_id, outcome from attempts order by number")
    return [(ours.name_of(row["carrier_id"]), row["outcome"]) for row in rows if row["message_id"] == message]


async def row_of(ours: Exchange, message: str) -> dict[str, Any]:
    rows = await ours.rows("select id, state, code, reason, channel_id, segments from messages")
    return next(row for row in rows if row["id"] == message)


async def test_what_the_carrier_lost_by_its_own_fault_goes_by_the_next_one_once(database_url: str) -> None:
    async with exchange(database_url, a=post("a"), b=post("b"), c=post("c")) as ours:
        message = await ours.ask("once more")
        await ours.office.becomes(message, "sent")
        await reports(ours, "a", lost(message))
        ours.router.wake()
        await ours.office.becomes(message, "sent")
        assert await attempts(ours, message) == [("a", "undelivered"), ("b", "sent")]
        assert ours.posts["b"].got == ["once more"]
        assert (await row_of(ours, message))["channel_id"] == ours.accounts["b"]
        # What b loses is lost: twice is not once.
        await reports(ours, "b", lost(message))
        await ours.office.becomes(message, "undelivered")
        assert not ours.posts["c"].got and len(ours.posts["a"].got) == 1
        days = await ours.rows("select carrier_id, sent, undelivered from carrier_days")
        assert {ours.name_of(one["carrier_id"]): one["undelivered"] for one in days} == {"a": 1, "b": 1}
        told = await ours.rows("select type from events where resource = '" + message + "' order by seq")
        assert [one["type"] for one in told] == [
            "message.queued", "message.sent", "message.rerouted", "message.sent", "message.undelivered",
        ]  # fmt: skip


async def test_what_arrives_after_all_is_believed_and_a_second_report_of_the_loss_moves_nothing(
    database_url: str,
) -> None:
    async with exchange(database_url, a=post("a"), b=post("b")) as ours:
        message = await ours.ask()
        await ours.office.becomes(message, "sent")
        await reports(ours, "a", lost(message))
        await ours.office.becomes(message, "sent")
        await reports(ours, "a", Status(f"P{message}", "failed", code="again", own_fault=True))
        assert (await row_of(ours, message))["state"] == "sent"
        await reports(ours, "a", Status(f"P{message}", "delivered"))
        assert (await row_of(ours, message))["state"] == "delivered"
        assert len(ours.posts["a"].got) == len(ours.posts["b"].got) == 1


@pytest.mark.parametrize("why", ["the receiver", "a named account", "the tenant", "its deadline", "in part"])
async def test_it_stays_lost_where_another_try_could_do_harm(database_url: str, why: str) -> None:
    first = InTwoParts() if why == "in part" else Post()
    first.name = "sms.a"  # type: ignore[misc]
    async with exchange(database_url, a=first, b=post("b")) as ours:
        office = ours.office
        if why == "the tenant":
            off = routing_store.Settings(explore=0.0, second_try=False)
            await office.bridge.run(lambda: routing_store.put_settings(office.db, office.tenant, off))
        soon = now_us() + 60_000_000
        message = await ours.ask(deadline_us=soon if why == "its deadline" else 0)
        await office.becomes(message, "sent")
        if why == "its deadline":
            await office.bridge.run(lambda: shorten(ours, message, now_us() - 1))
        if why == "a named account":
            await office.bridge.run(lambda: forget_route(ours, message))
        if why == "in part":
            await reports(ours, "a", Status(f"Q{message}", "delivered"))
        await reports(ours, "a", lost(message, own=why != "the receiver"))
        assert (await row_of(ours, message))["state"] == "undelivered"
        assert not ours.posts["b"].got and not await ours.rows("select from outbox")


async def shorten(ours: Exchange, message: str, until_us: int) -> None:
    async with ours.office.db.tenant(ours.office.tenant) as connection:
        kept = await connection.fetchval("select decision::text from attempts where message_id = $1", message)
        assert 0 < msgspec.json.decode(kept)["until_us"] < FOR_EVER_US
        said = msgspec.json.encode({**msgspec.json.decode(kept), "until_us": until_us}).decode()
        await connection.execute(
            "update attempts set decision = $2::json where message_id = $1", message, said
        )


async def forget_route(ours: Exchange, message: str) -> None:
    """As if it had been sent through an account that was named: there is no decision of the router then."""
    async with ours.office.db.tenant(ours.office.tenant) as connection:
        await connection.execute("delete from routing_decisions where message_id = $1", message)


async def test_without_another_carrier_the_report_of_the_first_is_what_became_of_it(
    database_url: str,
) -> None:
    async with exchange(database_url, a=post("a")) as ours:
        message = await ours.ask()
        await ours.office.becomes(message, "sent")
        await reports(ours, "a", lost(message))
        await ours.office.becomes(message, "undelivered")
        row = await row_of(ours, message)
        assert (row["code"], row["reason"]) == ("30001", "the queue was full")
        assert len(ours.posts["a"].got) == 1


async def test_a_report_that_came_before_the_answer_to_the_sending_is_acted_upon(database_url: str) -> None:
    async def early(message: Outbound, _: int) -> None:
        await reports(ours, "a", lost(message.id))

    async with exchange(database_url, a=post("a", early), b=post("b")) as ours:
        message = await ours.ask()
        await ours.office.becomes(message, "sent")
        assert await attempts(ours, message) == [("a", "undelivered"), ("b", "sent")]
