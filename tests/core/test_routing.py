"""Routed messages: each goes the best way there is, on to the next carrier after a certain failure, and never twice."""

import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
import trio

from core import outbox as sending
from core import routing
from core.boards import Boards
from core.clock import now_us
from core.model import rate_csv
from core.pacing import Pace
from core.storage import carriers, rates, receipts
from core.storage import outbox as store
from core.storage import routing as routing_store
from core.storage.channels import create_channel
from core.storage.starting import open_place
from irisx_sdk import Account, Address, NotSent, Outbound, OutcomeUnknown, Refused, Status, Text, Throttled
from tests.core.test_outbox import ANN, Behave, Office, Post, open_office

SECRET = "a secret for tests that is long enough to be one"


class NoRedis:
    """Redis that is away: limits are kept here."""

    async def eval(self, *_: Any) -> Any:
        raise OSError


class Exchange:
    """A tenant with carriers, each with an account of its own, and a router."""

    def __init__(self, office: Office, kinds: Mapping[str, Post]) -> None:
        self.office, self.posts = office, dict(kinds)
        self.senders: dict[str, sending.Sender] = {}
        self.carriers: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        channels = {post.name: post for post in self.posts.values()}
        self.boards = Boards(office.db, channels)
        parts: Any = _Parts(office, self.boards, Pace(NoRedis()))
        self.router = routing.Router(parts, lambda: self.senders)

    async def add(self, name: str, price: float, **given: Any) -> None:
        """A carrier with one account that costs ``price`` a message."""
        office, post = self.office, self.posts[name]

        async def make() -> tuple[str, str]:
            row = await create_channel(
                office.db, office.tenant, secret=SECRET, type=post.name, name=name, settings={}, hidden=()
            )
            made = await carriers.create_carrier(
                office.db, office.tenant, {"name": name, "kind": "sms", "channel_ids": [row.id], **given}
            )
            deck = rate_csv.Deck(
                [
                    rate_csv.DeckRow(
                        prefix="49", price=Decimal(str(price)), connect_fee=Decimal(0), minimum=1, increment=1,
                        valid_from_us=0, valid_to_us=2**62,
                    )
                ],
                [],
            )  # fmt: skip
            await rates.write_deck(
                office.db, office.tenant, deck, carrier_id=made.id, name="rates", currency="EUR", valid_from_us=0,
                actor="", now_us=now_us(),
            )  # fmt: skip
            return row.id, made.id

        self.accounts[name], self.carriers[name] = await office.bridge.run(make)
        account = Account(self.accounts[name], None)
        sender = office.sender(post, "router", account, tolls=self.boards.toll)
        self.senders[self.accounts[name]] = sender

    async def ask(self, text: str = "hi", **more: Any) -> str:
        office = self.office

        async def enqueue() -> str:
            async with office.db.tenant(office.tenant) as connection:
                place = await open_place(connection, office.tenant, ANN, channel_id="", now_us=now_us())
                message = store.NewMessage(
                    conversation_id=place.conversation_id, contact_id=place.contact_id, channel_id="", route="sms",
                    to=ANN, content=Text(text), now_us=now_us(), **more,
                )  # fmt: skip
                return await store.enqueue(connection, office.tenant, message)

        message_id = await office.bridge.run(enqueue)
        self.router.wake()
        return message_id

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with self.office.db.reader(self.office.tenant) as connection:
                return [dict(row) for row in await connection.fetch(query)]

        return await self.office.bridge.run(read)

    def name_of(self, carrier_id: str) -> str:
        return next(name for name, one in self.carriers.items() if one == carrier_id)


class _Parts:
    def __init__(self, office: Office, boards: Boards, pace: Pace) -> None:
        self.bridge, self.db, self.boards, self.pace, self.name = (
            office.bridge,
            office.db,
            boards,
            pace,
            "router",
        )


def post(name: str, behave: Behave | None = None) -> Post:
    made = Post(behave)
    made.name = f"sms.{name}"  # type: ignore[misc]
    return made


@asynccontextmanager
async def exchange(database_url: str, **posts: Post) -> AsyncIterator[Exchange]:
    async with open_office(database_url) as office:
        made = Exchange(office, posts)
        for number, name in enumerate(posts, start=1):
            await made.add(name, number / 100)
        await office.bridge.run(
            lambda: routing_store.put_settings(office.db, office.tenant, routing_store.Settings(explore=0.0))
        )
        office.nursery.start_soon(made.router.run)
        yield made


async def test_the_cheapest_carrier_has_it_and_why_is_kept(database_url: str) -> None:
    async with exchange(database_url, a=post("a"), b=post("b")) as ours:
        message = await ours.ask()
        await ours.office.becomes(message, "sent")
        assert (ours.posts["a"].got, ours.posts["b"].got) == (["hi"], [])
        (decision,) = await ours.rows("select * from routing_decisions")
        assert ours.name_of(decision["carrier_id"]) == "a" and decision["message_id"] == message
        found = json.loads(decision["candidates"])
        assert [ours.name_of(one["carrier_id"]) for one in found] == ["a", "b"]
        assert found[0]["cost"] == pytest.approx(0.01) and found[0]["index"] < found[1]["index"]
        (day,) = await ours.rows("select tries, sent, spend from carrier_days")
        assert (day["tries"], day["sent"], day["spend"]) == (1, 1, Decimal("0.01"))
        (row,) = await ours.rows("select channel_id from messages where direction = 'out'")
        assert row["channel_id"] == ours.accounts["a"]


@pytest.mark.parametrize("error", [NotSent("no connection"), Throttled("slow down", retry_after_s=5)])
async def test_after_a_certain_failure_of_the_carrier_the_next_one_is_asked_at_once(
    database_url: str, error: Exception
) -> None:
    async def fail(message: Outbound, number: int) -> None:
        raise error

    async with exchange(database_url, a=post("a", fail), b=post("b")) as ours:
        message = await ours.ask()
        with trio.fail_after(5):
            await ours.office.becomes(message, "sent")
        assert ours.posts["b"].got == ["hi"] and ours.posts["a"].got == []
        attempts = await ours.rows("select carrier_id, outcome from attempts order by number")
        assert [ours.name_of(one["carrier_id"]) for one in attempts] == ["a", "b"]
        decisions = await ours.rows("select candidates from routing_decisions order by attempt")
        assert '"tried"' in decisions[1]["candidates"]


@pytest.mark.parametrize(
    ("error", "state"), [(Refused("no such number"), "failed"), (OutcomeUnknown("cut"), "unknown")]
)
async def test_after_the_receiver_s_own_failure_or_an_unknown_outcome_nobody_else_is_asked(
    database_url: str, error: Exception, state: str
) -> None:
    async def fail(message: Outbound, number: int) -> None:
        raise error

    async with exchange(database_url, a=post("a", fail), b=post("b")) as ours:
        message = await ours.ask()
        await ours.office.becomes(message, state)
        await trio.sleep(0.3)
        assert ours.posts["b"].tries == {} and ours.posts["a"].tries == {message: 1}


async def test_what_may_be_with_a_provider_that_recognises_it_stays_with_it(database_url: str) -> None:
    async def cut_once(message: Outbound, number: int) -> None:
        if number == 1:
            raise OutcomeUnknown("cut")

    knows = post("a", cut_once)
    knows.capabilities = msgspec.structs.replace(knows.capabilities, idempotent=True)  # type: ignore[misc]
    async with exchange(database_url, a=knows, b=post("b")) as ours:
        ours.office.nursery.start_soon(ours.senders[ours.accounts["a"]].run)
        message = await ours.ask()
        await ours.office.becomes(message, "sent")
        assert knows.tries == {message: 2} and ours.posts["b"].tries == {}


async def test_a_carrier_that_fails_again_and_again_is_left_alone_and_then_probed(database_url: str) -> None:
    broken = True

    async def fail(message: Outbound, number: int) -> None:
        if broken:
            raise NotSent("no connection")

    async with exchange(database_url, a=post("a", fail), b=post("b")) as ours:
        for number in range(6):
            await ours.office.becomes(await ours.ask(str(number)), "sent")
        assert len(ours.posts["a"].tries) == 5, "five failures open the breaker"
        broken = False
        await ours.office.becomes(await ours.ask("still open"), "sent")
        assert ours.posts["a"].got == []

        async def half_open() -> None:
            async with ours.office.db.tenant(ours.office.tenant) as connection:
                await connection.execute("update carrier_breakers set open_until_us = 1")

        await ours.office.bridge.run(half_open)
        await trio.sleep(1.1)  # (boards are a second old at most)
        await ours.office.becomes(await ours.ask("probe"), "sent")
        assert ours.posts["a"].got == ["probe"]
        assert await ours.rows("select * from carrier_breakers") == []
        kinds = [row["type"] for row in await ours.rows("select type from events order by seq")]
        assert "carrier.breaker_opened" in kinds and "carrier.breaker_closed" in kinds


async def test_what_no_carrier_can_take_says_why(database_url: str) -> None:
    async with exchange(database_url, a=post("a")) as ours:
        await ours.office.bridge.run(
            lambda: carriers.update_carrier(
                ours.office.db, ours.office.tenant, ours.carriers["a"], {"state": "off"}
            )
        )
        message = await ours.ask()
        found = await ours.office.becomes(message, "failed")
        assert (found["code"], found["reason"]) == ("no_carrier", "no carrier can take it: off")
        (decision,) = await ours.rows("select attempt, candidates from routing_decisions")
        assert decision["attempt"] == 0 and '"off"' in decision["candidates"]


async def test_many_routed_messages_are_each_sent_once_although_carriers_fail(database_url: str) -> None:
    chance = random.Random(3)

    async def sometimes(message: Outbound, number: int) -> None:
        await trio.sleep(chance.random() / 100)
        if chance.random() < 0.2:
            raise NotSent("no connection")

    async with exchange(
        database_url, a=post("a", sometimes), b=post("b", sometimes), c=post("c", sometimes)
    ) as ours:
        messages = [await ours.ask(str(number)) for number in range(40)]
        for message in messages:
            await ours.office.becomes(message, "sent")
        got = [text for one in ours.posts.values() for text in one.got]
        assert sorted(got, key=int) == [str(number) for number in range(40)]


async def test_somebody_unknown_becomes_a_contact_and_writes_back_into_the_same_conversation(
    database_url: str,
) -> None:
    async with exchange(database_url, a=post("a")) as ours:
        office = ours.office

        async def place() -> Any:
            async with office.db.tenant(office.tenant) as connection:
                to = Address("phone", "+4930999", "Bob")
                return await open_place(connection, office.tenant, to, channel_id="", now_us=now_us())

        first, second = await office.bridge.run(place), await office.bridge.run(place)
        assert first == second
        message = await ours.ask()
        await office.becomes(message, "sent")
        (row,) = await ours.rows(
            f"select channel_id from conversations where id = (select conversation_id from messages where id = '{message}')"
        )
        assert row["channel_id"] == ours.accounts["a"], "an answer finds the conversation that we began"


async def test_what_a_receipt_says_did_not_arrive_was_no_success(database_url: str) -> None:
    async with exchange(database_url, a=post("a")) as ours:
        messages = [await ours.ask(str(number)) for number in range(3)]
        for message in messages:
            await ours.office.becomes(message, "sent")
        told = [Status(f"P{messages[0]}", "undelivered"), Status(f"P{messages[1]}", "delivered")]
        write = partial(
            receipts.write_statuses, ours.office.db, ours.office.tenant, ours.accounts["a"], told,
            received_us=now_us(),
        )  # fmt: skip
        for _ in range(2):  # (the second delivery of it teaches nothing)
            await ours.office.bridge.run(write)
        (counts,) = await ours.rows("select tries, wins from carrier_outcomes where prefix = '493'")
        assert (counts["tries"], counts["wins"]) == (3, 2)
        (day,) = await ours.rows("select sent, delivered, undelivered from carrier_days")
        assert (day["sent"], day["delivered"], day["undelivered"]) == (3, 1, 1)


async def test_a_carrier_that_has_spent_its_day_is_passed_over(database_url: str) -> None:
    async with exchange(database_url, a=post("a"), b=post("b")) as ours:
        limits = carriers.Limits(spend_per_day="0.015")
        await ours.office.bridge.run(
            lambda: carriers.update_carrier(
                ours.office.db, ours.office.tenant, ours.carriers["a"], {"limits": limits}
            )
        )
        for text in ("one", "two"):
            ours.boards.forget(ours.office.tenant)
            await ours.office.becomes(await ours.ask(text), "sent")
        assert (ours.posts["a"].got, ours.posts["b"].got) == (["one"], ["two"])
        decisions = await ours.rows("select candidates from routing_decisions order by decided_us, id")
        assert '"spend_cap"' in decisions[1]["candidates"]


async def test_a_tenant_s_flood_leaves_room_for_another_tenant(database_url: str) -> None:
    async with exchange(database_url, a=post("a")) as flooding, exchange(database_url, a=post("a")) as quiet:
        flooding.router.stop()
        quiet.router.stop()
        await trio.sleep(0.1)
        for number in range(20):
            await flooding.ask(str(number))
        alone = await quiet.ask("alone")

        async def claim() -> list[store.Claimed]:
            return await store.claim_routed(quiet.office.db, "x", limit=100, each=5, now_us=now_us())

        claimed = await quiet.office.bridge.run(claim)
        mine = [one for one in claimed if one.tenant_id == quiet.office.tenant]
        theirs = [one for one in claimed if one.tenant_id == flooding.office.tenant]
        assert [one.message_id for one in mine] == [alone] and len(theirs) == 5
