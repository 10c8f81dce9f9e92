"""What channels bring in: together in one write, each believed alone."""

import asyncio

import pytest

from core import conversations
from core.conversations import Intake, Source
from core.errors import Unavailable
from core.ids import new_id
from core.model import optout
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored
from irisx_sdk import Address, Inbound, Location, Parsed, Preference, Status, Text

pytestmark = pytest.mark.asyncio_loop

NOW = 1_795_000_000_000_000
ANN = Address("phone", "+4930123")


def text(number: int, said: str = "hello", sender: Address = ANN) -> Parsed:
    return Parsed(messages=(Inbound(f"SM{number}", sender, Text(said)),))


def source() -> Source:
    return Source(new_id("tnt"), new_id("chn"), "sms.twilio")


class Watched(Intake):
    """Counts its writes, and fails as a test wishes."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.batches: list[int] = []
        self.poison = ""

    async def _write(self, tenant_id: str, arrivals: "list[Arrival]") -> list[Stored]:  # type: ignore[override]
        self.batches.append(len(arrivals))
        if any(one.message.id == self.poison for one in arrivals):
            raise ValueError("cannot be stored")
        return await super()._write(tenant_id, arrivals)


async def suppressed(db: Database, tenant_id: str) -> list[tuple[str, str]]:
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch("select value, scope from suppressions where removed_us = 0")
    return [(row["value"], row["scope"]) for row in rows]


async def test_what_comes_together_is_written_together(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        intake, place = Watched(db), source()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(intake.take(place, text(number), received_us=NOW)) for number in range(100)
            ]
        stored = [task.result()[0] for task in tasks]
        assert len({one.message_id for one in stored}) == 100
        assert len({one.conversation_id for one in stored}) == 1
        assert len(intake.batches) < 10 and sum(intake.batches) == 100
        assert intake.statistics() == {"waiting": 0, "refused": 0}


async def test_one_that_cannot_be_stored_fails_alone(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        intake, place = Watched(db), source()
        intake.poison = "SM7"
        answers = await asyncio.gather(
            *(intake.take(place, text(number), received_us=NOW) for number in range(20)),
            return_exceptions=True,
        )
        failed = [number for number, answer in enumerate(answers) if isinstance(answer, BaseException)]
        assert failed == [7]


async def test_too_much_at_once_is_refused_and_not_forgotten(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "WAITING", 10)
    async with await Database.open(database_url) as db:
        intake, place = Intake(db), source()
        answers = await asyncio.gather(
            *(intake.take(place, text(number), received_us=NOW) for number in range(15)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, Unavailable)]
        assert len(refused) == 5 == intake.statistics()["refused"]
        again = await intake.take(place, text(14), received_us=NOW)
        assert again[0].fresh


async def test_a_tenant_that_floods_holds_up_no_other(database_url: str) -> None:
    async with await Database.open(database_url, max_size=6) as db:
        intake, loud, quiet = Intake(db), source(), source()
        flood = [
            asyncio.create_task(intake.take(loud, text(number), received_us=NOW)) for number in range(3000)
        ]
        await asyncio.sleep(0)
        await intake.take(quiet, text(1), received_us=NOW)
        assert sum(task.done() for task in flood) < 3000
        await asyncio.gather(*flood)


@pytest.mark.parametrize("said", ["STOP", " stop. ", "Stop All", "abmelden", "Arrêt"])
async def test_who_says_stop_is_kept_and_may_come_back(database_url: str, said: str) -> None:
    async with await Database.open(database_url) as db:
        intake, place = Intake(db), source()
        await intake.take(place, text(1, said), received_us=NOW)
        assert await suppressed(db, place.tenant_id) == [(ANN.value, "sms")]
        await intake.take(place, text(2, "start"), received_us=NOW + 1)
        assert await suppressed(db, place.tenant_id) == []


@pytest.mark.parametrize("said", ["stop please", "don't stop", "", "s t o p", "end of story"])
def test_a_sentence_is_no_wish(said: str) -> None:
    assert optout.wish(Text(said)) is None
    assert optout.wish(Location(1.0, 2.0)) is None


async def test_wishes_and_receipts_are_kept_without_a_message(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        intake, place = Intake(db), source()
        parsed = Parsed(statuses=(Status("SM1", "delivered"),), preferences=(Preference("e1", ANN, False),))
        assert await intake.take(place, parsed, received_us=NOW) == []
        assert await suppressed(db, place.tenant_id) == [(ANN.value, "sms")]
        async with db.reader(place.tenant_id) as connection:
            assert await connection.fetchval("select state from receipts") == "delivered"
