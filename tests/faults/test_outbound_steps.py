"""Sending under fire: kill -9 between any two named steps, providers that lie or drop, agents who are too fast.

Nothing is lost and nothing is sent twice. Where nobody can know whether a message went out it says so, until its receipt
comes. The steps are named in `tests.faults.killed_sender`.
"""

import itertools
import multiprocessing
from collections.abc import Iterator
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from core import outbox as sending
from core import routing
from core.clock import now_us
from core.errors import Unavailable
from core.model.outcomes import HALVE_US, Counts, added
from core.model.policy import Question, decide
from core.outbox_sweep import sweep
from core.storage import attempt_results as results
from core.storage import carriers, learning, receipts, suppressions
from core.storage import outbox as store
from core.storage.channels import create_channel
from core.storage.starting import open_place
from irisx_sdk import Account, Outbound, OutcomeUnknown, Sent, Status, Text, Throttled, Tools
from tests.core.test_outbox import ANN, Office, Post, open_office
from tests.core.test_routing import SECRET, exchange, post
from tests.faults import killed_sender
from tests.faults.killed_sender import NOBODY_KNOWS, OWN_STEPS, STEPS, Ledger, Parts, sender_of


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Processes that begin at once: the modules are loaded already where they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.killed_sender"])
    yield context


def killed(processes: ForkServerContext, *args: Any) -> None:
    process = processes.Process(target=killed_sender.run, args=args)
    process.start()
    process.join(30)
    assert process.exitcode == -9, "it did not come to this step"


async def ask(office: Office, account_id: str, *, routed: bool) -> str:
    async def enqueue() -> str:
        async with office.db.tenant(office.tenant) as connection:
            channel_id = "" if routed else account_id
            place = await open_place(connection, office.tenant, ANN, channel_id=channel_id, now_us=now_us())
            message = store.NewMessage(
                conversation_id=place.conversation_id, contact_id=place.contact_id, channel_id=channel_id,
                route="sms" if routed else "", to=ANN, content=Text("hi"), now_us=now_us(),
            )  # fmt: skip
            return await store.enqueue(connection, office.tenant, message)

    return await office.bridge.run(enqueue)


async def account_with_carrier(office: Office) -> str:
    """An account, the only one of a carrier that can go anywhere."""

    async def make() -> str:
        row = await create_channel(
            office.db, office.tenant, secret=SECRET, type=Ledger.name, name="L", settings={}, hidden=()
        )
        made = await carriers.create_carrier(
            office.db, office.tenant, {"name": "L", "kind": "sms", "channel_ids": [row.id]}
        )
        async with office.db.tenant(office.tenant) as connection:
            await connection.execute(
                "insert into rate_decks (tenant_id, id, carrier_id, name, currency, valid_from_us, valid_to_us, rates,"
                " created_us) values ($1, 'rdk_1', $2, 'x', 'EUR', 0, $3, 1, 1)",
                office.tenant,
                made.id,
                2**62,
            )
            await connection.execute(
                "insert into rates values ($1, 'rdk_1', '', 0.01, 0, 1, 1, 0, $2)", office.tenant, 2**62
            )
        return row.id

    return await office.bridge.run(make)


@pytest.mark.parametrize(
    ("step", "routed"), [*((step, False) for step in OWN_STEPS), *((step, True) for step in STEPS)]
)
async def test_a_message_whose_sender_is_killed_goes_out_once_or_says_that_nobody_knows(
    step: str,
    routed: bool,
    processes: ForkServerContext,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.outbox_sweep.SWEEP_S", 0.1)
    monkeypatch.setattr(sending, "IDLE_S", 0.1)
    monkeypatch.setattr(routing, "IDLE_S", 0.1)
    monkeypatch.setattr(store, "CLAIM_S", 1)
    ledger = tmp_path / "ledger"
    async with open_office(database_url) as office:
        account_id = await account_with_carrier(office)
        message = await ask(office, account_id, routed=routed)
        await trio.to_thread.run_sync(killed, processes, step, database_url, account_id, ledger)
        channel = Ledger(ledger)
        parts: Any = Parts(office.bridge, office.db, channel, "heir")
        heir = sender_of(parts, channel, account_id)
        office.nursery.start_soon(heir.run)
        office.nursery.start_soon(routing.Router(parts, lambda: {account_id: heir}).run)
        office.nursery.start_soon(sweep, office.bridge, office.db, lambda *_: False)
        await office.becomes(message, "unknown" if step in NOBODY_KNOWS else "sent")
        await trio.sleep(0.3)
        at_provider = channel.has()
        assert at_provider == ([] if step in ("begun", "calling") else [message])
        if at_provider and step in NOBODY_KNOWS:
            # The provider gives our own id back with its receipt: then everybody knows.
            told = Status(f"P-{message}", "delivered", reference=message)
            write = partial(
                receipts.write_statuses, office.db, office.tenant, account_id, [told], received_us=now_us()
            )
            await office.bridge.run(write)
            assert (await office.message(message))["state"] == "delivered"


async def test_a_provider_that_accepts_and_drops_the_connection_is_asked_once_and_its_receipt_settles_it(
    database_url: str,
) -> None:
    got: list[str] = []

    async def accept_and_drop(message: Outbound, number: int) -> None:
        got.append(message.id)
        raise OutcomeUnknown("the connection broke after the request had left")

    async with open_office(database_url) as office:
        office.start(Post(accept_and_drop))
        message = await office.ask("hi")
        await office.becomes(message, "unknown")
        await trio.sleep(0.3)
        assert got == [message]
        told = [Status("P1", "delivered", reference=message), Status("P1", "sent", reference=message)]
        write = partial(
            receipts.write_statuses, office.db, office.tenant, office.account.id, told, received_us=now_us()
        )
        await office.bridge.run(write)
        assert (await office.message(message))["state"] == "delivered"


async def test_a_receipt_that_is_written_at_the_moment_of_the_answer_is_seen_by_one_of_the_two(
    database_url: str,
) -> None:
    """Both transactions are open together; the later one waits for the earlier and sees it."""
    async with open_office(database_url) as office:
        for number in range(12):
            provider_id = f"R{number}"

            class Quick(Post):
                async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
                    return Sent((provider_id,))  # noqa: B023 - each is used within its turn

            message = await office.ask("hi")
            scope = office.start(Quick(), f"s{number}")
            told = [Status(provider_id, "delivered")]
            write = partial(
                receipts.write_statuses,
                office.db,
                office.tenant,
                office.account.id,
                told,
                received_us=now_us(),
            )
            await trio.sleep(0.004 * number)
            await office.bridge.run(write)
            await office.becomes(message, "delivered")
            scope.cancel()


async def test_a_provider_that_throttles_one_account_delays_no_other(database_url: str) -> None:
    """Retry-After stops the one that it was said to, as a whole; nothing is lost, and nothing waits for it."""
    times: list[float] = []

    async def slow(message: Outbound, number: int) -> None:
        times.append(trio.current_time())
        if len(times) < 3:
            raise Throttled("slow down", retry_after_s=1.0)

    async with open_office(database_url) as slowed, open_office(database_url) as other:
        backlog = [await slowed.ask(str(number)) for number in range(8)]
        channel = Post(slow)
        slowed.start(channel)
        other.start(Post())
        began = trio.current_time()
        await other.becomes(await other.ask("quick"), "sent")
        assert trio.current_time() - began < 3.0
        for message in backlog:
            await slowed.becomes(message, "sent")
        assert sorted(channel.got) == [str(number) for number in range(8)]
        # (what was under way together is refused together; then nobody asks for a second)
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert max(gaps) >= 0.9


async def test_a_poison_message_stops_nobody(database_url: str) -> None:
    async def choke(message: Outbound, number: int) -> None:
        if message.content == Text("poison"):
            raise RecursionError

    async with open_office(database_url) as office:
        channel = Post(choke)
        poison, good = await office.ask("poison"), [await office.ask(str(n)) for n in range(5)]
        office.start(channel)
        for message in good:
            await office.becomes(message, "sent")
        assert (await office.becomes(poison, "unknown"))["code"] == "RecursionError"
        assert channel.tries[poison] == 1


async def test_no_plugin_can_send_to_somebody_who_opted_out_or_to_somebody_else(database_url: str) -> None:
    """What a plugin makes of a message is decided about after it; whom it goes to is not a plugin's to say."""
    seen: list[Outbound] = []

    async def look(message: Outbound, number: int) -> None:
        seen.append(message)

    elsewhere = msgspec.structs.replace(ANN, value="+4930666")
    async with open_office(database_url) as office:

        async def opt_out_in_the_last_moment(channel: str, message: Outbound) -> Outbound:
            if message.content == Text("late"):
                async with office.db.tenant(office.tenant) as connection:
                    await suppressions.suppress(
                        connection, office.tenant, kind="phone", value=ANN.value, scope="sms", on=True,
                        source="STOP", now_us=now_us(),
                    )  # fmt: skip
            return msgspec.structs.replace(message, to=elsewhere, id="another", content=Text("changed"))

        sender = office.sender(Post(look))
        sender._before_send = opt_out_in_the_last_moment
        office.nursery.start_soon(sender.run)
        first = await office.ask("early")
        await office.becomes(first, "sent")
        assert [(one.id, one.to.value, one.content) for one in seen] == [(first, ANN.value, Text("changed"))]
        assert (await office.becomes(await office.ask("late"), "failed"))["code"] == "opted_out"
        assert len(seen) == 1

        async def decisions() -> list[tuple[str, str]]:
            async with office.db.reader(office.tenant) as connection:
                rows = await connection.fetch(
                    "select verdict, code from contact_decisions order by decided_us, id"
                )
            return [(row["verdict"], row["code"]) for row in rows]

        assert await office.bridge.run(decisions) == [("send", ""), ("refuse", "opted_out")]


async def test_results_are_kept_while_the_store_is_away(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has it; that we could not write so for a while makes nobody doubt it."""
    real, failures = results.sent, iter(range(3))

    async def away(*args: Any, **more: Any) -> None:
        if next(failures, None) is not None:
            raise Unavailable("the store is away")
        await real(*args, **more)

    monkeypatch.setattr(results, "sent", away)
    async with open_office(database_url) as office:
        channel = Post()
        office.start(channel)
        message = await office.ask("hi")
        await office.becomes(message, "sent")
        assert channel.tries == {message: 1}


async def test_what_is_past_its_deadline_is_not_sent(database_url: str) -> None:
    question = Question(channel="sms.x", now_us=10, deadline_us=10)
    assert (decide(question).verdict, decide(question).code) == ("refuse", "expired")
    async with exchange(database_url, a=post("a")) as ours:
        message = await ours.ask("late", deadline_us=1)
        assert (await ours.office.becomes(message, "failed"))["code"] == "expired"
        assert ours.posts["a"].tries == {}


async def test_counts_in_the_store_fade_as_the_model_s_do(database_url: str) -> None:
    async with open_office(database_url) as office:
        model, now = Counts(), now_us()
        steps = [
            (1, 1, 0.0, 0),
            (1, 0, 2.0, 5),
            (150, 90, 0.0, 1),
            (60, 60, 0.0, 1),
            (1, 1, 0.0, HALVE_US),
            (3, 1, 1.5, 9),
        ]
        for tries, wins, took_s, later in steps:
            now += later
            model = added(model, tries, wins, took_s if not wins else 0.0, now)
            lesson = learning.Lesson(
                carrier_id="car_1", digits="49", outcome="sent", tries=tries, wins=wins, took_s=took_s
            )

            async def learn(lesson: learning.Lesson = lesson, now: int = now) -> Any:
                async with office.db.tenant(office.tenant) as connection:
                    await learning.learn(connection, office.tenant, [lesson], now)
                    return await connection.fetchrow("select * from carrier_outcomes where prefix = '49'")

            row = await office.bridge.run(learn)
            assert (row["tries"], row["wins"]) == pytest.approx((model.tries, model.wins))
            assert row["failed_s"] == pytest.approx(model.failed_s) and row["since"] == model.since
