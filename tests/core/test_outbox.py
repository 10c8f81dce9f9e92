"""Sending: what waits goes out once, whatever channels, providers and senders do meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import trio

from core import outbox as sending
from core.aio import Bridge, open_bridge
from core.clock import now_us
from core.ids import new_id
from core.outbox_sweep import sweep
from core.pacing import Pace
from core.storage import outbox as store
from core.storage import suppressions
from core.storage.database import Database
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import (
    Account,
    Address,
    Capabilities,
    Channel,
    Inbound,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Refused,
    Sent,
    Text,
    Throttled,
    Tools,
)

ANN = Address("phone", "+4930123")
Behave = Callable[[Outbound, int], Awaitable[None]]


class Post(Channel):
    """A provider that keeps what it got, and behaves as a test wishes."""

    name = "sms.post"
    title = "Post"
    address = "phone"
    capabilities = Capabilities(sends=frozenset({"text"}))

    def __init__(self, behave: Behave | None = None) -> None:
        self.got: list[str] = []
        self.tries: dict[str, int] = {}
        self._behave = behave

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        assert isinstance(message.content, Text)
        self.tries[message.id] = number = self.tries.get(message.id, 0) + 1
        if self._behave is not None:
            await self._behave(message, number)
        self.got.append(message.content.text)
        return Sent((f"P{message.id}",))


class Office:
    """A tenant with a conversation, a channel, and senders."""

    def __init__(self, bridge: Bridge, db: Database, nursery: trio.Nursery) -> None:
        self.bridge, self.db, self.nursery = bridge, db, nursery
        self.tenant, self.account = new_id("tnt"), Account(new_id("chn"), None)

    async def open(self) -> None:
        arrival = Arrival(self.account.id, Inbound("in1", ANN, Text("hello?")), now_us())
        (self.place,) = await self.bridge.run(write_inbound, self.db, self.tenant, [arrival])

    async def ask(self, text: str) -> str:
        message = store.NewMessage(
            conversation_id=self.place.conversation_id,
            contact_id=self.place.contact_id,
            channel_id=self.account.id,
            to=ANN,
            content=Text(text),
            now_us=now_us(),
        )

        async def enqueue() -> str:
            async with self.db.tenant(self.tenant) as connection:
                return await store.enqueue(connection, self.tenant, message)

        return await self.bridge.run(enqueue)

    def sender(
        self, channel: Channel, name: str = "s1", account: Account | None = None, **more: Any
    ) -> sending.Sender:
        async def nothing() -> bytes:
            return b""

        async def no_file(_: str) -> bytes:
            return b""

        async def keep(_: bytes) -> None:
            return None

        tools = Tools(httpx.AsyncClient(), no_file, now_us, nothing, keep)
        return sending.Sender(
            self.bridge, self.db, channel, account or self.account, tools, owner=name, **more
        )

    def start(self, channel: Channel, name: str = "s1") -> trio.CancelScope:
        scope = trio.CancelScope()
        sender = self.sender(channel, name)

        async def run() -> None:
            with scope:
                await sender.run()

        self.nursery.start_soon(run)
        return scope

    async def message(self, message_id: str) -> dict[str, object]:
        async def read() -> dict[str, object]:
            async with self.db.reader(self.tenant) as connection:
                row = await connection.fetchrow(
                    "select state, code, reason from messages where id = $1", message_id
                )
            return dict(row)

        return await self.bridge.run(read)

    async def becomes(self, message_id: str, state: str) -> dict[str, object]:
        with trio.fail_after(10):
            while (found := await self.message(message_id))["state"] != state:
                await trio.sleep(0.02)
        return found


@asynccontextmanager
async def open_office(database_url: str) -> AsyncIterator[Office]:
    async with open_bridge() as bridge:
        db = await bridge.run(Database.open, database_url)
        try:
            async with trio.open_nursery() as nursery:
                office = Office(bridge, db, nursery)
                await office.open()
                yield office
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(db.close)


async def test_what_waits_goes_out(database_url: str) -> None:
    async with open_office(database_url) as office:
        channel = Post()
        message = await office.ask("hi")
        office.start(channel)
        await office.becomes(message, "sent")
        assert channel.got == ["hi"]


async def test_a_provider_is_told_where_to_report(database_url: str) -> None:
    told: list[str] = []

    async def look(message: Outbound, number: int) -> None:
        told.append(message.status_url)

    async with open_office(database_url) as office:
        sender = office.sender(Post(look))
        sender._status_url = "https://desk.example/v1/channels/chn_1/inbound"
        office.nursery.start_soon(sender.run)
        await office.becomes(await office.ask("hi"), "sent")
    assert told == ["https://desk.example/v1/channels/chn_1/inbound"]


async def test_many_senders_send_everything_once_although_the_provider_slows_them(database_url: str) -> None:
    async def now_and_then(message: Outbound, number: int) -> None:
        if number == 1 and hash(message.id) % 7 == 0:
            raise Throttled("slow down", retry_after_s=0.05)
        if number == 1 and hash(message.id) % 5 == 0:
            raise NotSent("no connection")

    async with open_office(database_url) as office:
        channel = Post(now_and_then)
        messages = [await office.ask(str(number)) for number in range(60)]
        for name in ("s1", "s2", "s3"):
            office.start(channel, name)
        for message in messages:
            await office.becomes(message, "sent")
        assert sorted(channel.got, key=int) == [str(number) for number in range(60)]


async def test_who_opted_out_a_moment_ago_gets_nothing(database_url: str) -> None:
    async with open_office(database_url) as office:
        message = await office.ask("hi")

        async def stop() -> None:
            async with office.db.tenant(office.tenant) as connection:
                await suppressions.suppress(
                    connection, office.tenant, kind="phone", value=ANN.value, scope="sms", on=True,
                    source="STOP", now_us=now_us(),
                )  # fmt: skip

        await office.bridge.run(stop)
        channel = Post()
        office.start(channel)
        assert (await office.becomes(message, "failed"))["code"] == "opted_out"
        assert channel.got == []


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("no such number", code="21211"), "failed"),
        (OutcomeUnknown("cut while it answered"), "unknown"),
        (RuntimeError("a bug of the plugin"), "unknown"),
    ],
)
async def test_what_a_channel_says_is_believed_and_nothing_is_sent_twice(
    database_url: str, error: Exception, state: str
) -> None:
    async def fail(message: Outbound, number: int) -> None:
        raise error

    async with open_office(database_url) as office:
        channel = Post(fail)
        message = await office.ask("hi")
        office.start(channel)
        await office.becomes(message, state)
        await trio.sleep(0.3)
        assert channel.tries == {message: 1}


async def test_a_channel_that_hangs_holds_up_nobody_else(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_S", 0.5)

    async def hang(message: Outbound, number: int) -> None:
        if message.content == Text("first"):
            await trio.sleep_forever()

    async with open_office(database_url) as office:
        channel = Post(hang)
        first, second = await office.ask("first"), await office.ask("second")
        office.start(channel)
        await office.becomes(second, "sent")
        assert (await office.message(first))["state"] == "queued"
        await office.becomes(first, "unknown")


async def test_a_receiver_that_the_provider_calls_opted_out_is_kept(database_url: str) -> None:
    async def stopped(message: Outbound, number: int) -> None:
        raise Refused("they said STOP", code="21610", opted_out=True)

    async with open_office(database_url) as office:
        channel = Post(stopped)
        office.start(channel)
        await office.becomes(await office.ask("one"), "failed")
        assert (await office.becomes(await office.ask("two"), "failed"))["code"] == "opted_out"
        assert list(channel.tries.values()) == [1]


async def test_an_account_that_its_provider_does_not_know_waits_for_a_person(database_url: str) -> None:
    blamed: list[str] = []

    async def unknown(message: Outbound, number: int) -> None:
        raise Misconfigured("the token is not valid", code="20003")

    async def blame(code: str, reason: str) -> None:
        blamed.append(code)

    async with open_office(database_url) as office:
        channel = Post(unknown)
        sender = office.sender(channel)
        sender._blame = blame
        message = await office.ask("hi")
        office.nursery.start_soon(sender.run)
        with trio.fail_after(5):
            while not blamed:
                await trio.sleep(0.02)
        assert blamed == ["20003"] and sender.pause_until > trio.current_time() + 30
        assert (await office.message(message))["state"] == "queued"


async def test_a_sender_that_is_killed_while_it_calls_leaves_a_question_and_no_second_message(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.outbox_sweep.SWEEP_S", 0.1)
    monkeypatch.setattr(store, "CLAIM_S", 1)
    calling = trio.Event()

    async def accept_and_never_answer(message: Outbound, number: int) -> None:
        calling.set()
        await trio.sleep_forever()

    async with open_office(database_url) as office:
        message = await office.ask("hi")
        dead = office.start(Post(accept_and_never_answer), "dead")
        await calling.wait()
        dead.cancel()
        heir = Post()
        office.start(heir, "heir")
        office.nursery.start_soon(sweep, office.bridge, office.db, lambda _, first_us: False)
        assert (await office.becomes(message, "unknown"))["code"] == "sender_died"
        assert heir.got == []


async def test_a_provider_that_recognises_repetitions_is_asked_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_once(message: Outbound, number: int) -> None:
        if number == 1:
            raise OutcomeUnknown("cut")

    async with open_office(database_url) as office:
        channel = Post(cut_once)
        channel.capabilities = msgspec.structs.replace(Post.capabilities, idempotent=True)  # type: ignore[misc]
        message = await office.ask("hi")
        office.start(channel)
        await office.becomes(message, "sent")
        assert channel.tries == {message: 2}


async def test_an_account_is_given_no_more_a_second_than_its_limit(database_url: str) -> None:
    class Away:
        async def eval(self, *_: object) -> object:
            raise OSError

    times: list[float] = []

    async def note(message: Outbound, number: int) -> None:
        times.append(trio.current_time())

    async with open_office(database_url) as office:
        messages = [await office.ask(str(number)) for number in range(16)]
        sender = office.sender(Post(note))
        # (without Redis a process takes half of the limit: ten a second, of which the first ten may go at once)
        sender._claims.pace, sender._claims.per_second = Pace(Away()), 20.0
        began = trio.current_time()
        office.nursery.start_soon(sender.run)
        for message in messages:
            await office.becomes(message, "sent")
    assert times[15] - began >= 0.4 and len(times) == 16
