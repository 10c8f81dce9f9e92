"""Orders to record: given until the log says so, announced first where that is wanted, given up only with the call."""

import asyncio
from typing import Any

import msgspec
import pytest

from core import recordings as worker
from core.clock import now_us
from core.errors import PeerTimeout, Unavailable
from core.model.orders import Order, Outcome
from core.storage import incidents, media
from core.storage import recording_work as work
from core.storage.database import Database
from tests.storage.test_recordings import Office, opened, over, recorded

pytestmark = pytest.mark.asyncio_loop


class Line:
    """A bus with an owner at its other end who answers as the test says."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.orders: list[Order] = []

    async def ask(self, order: Order) -> Outcome:
        self.orders.append(order)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status = "done" if not answer else "refused"
        return Outcome(order_id=order.id, status=status, code=answer)


async def wanted(office: Office, **policy: Any) -> Any:
    """A call that a policy wants recorded."""
    await office.policy(**policy)
    call = office.call()
    await office.happened("call.answered", call)
    return call


async def give(office: Office, line: Any, *, after_s: float = 0) -> int:
    """Give the orders that are due then; how many."""
    found = await office.wishes("host-1", now_us() + round(after_s * 1e6))
    for wish in found:
        await worker.give_order(office.db, line, wish, "host-1")
    return len(found)


async def test_an_order_that_failed_is_given_again_under_the_same_name(database_url: str) -> None:
    line: Any = Line(Unavailable("nobody", code="no_owner"), PeerTimeout("late"), "in_doubt", "")
    async with opened(database_url) as office:
        call = await wanted(office, stereo=False)
        recording_id = (await office.one())["id"]
        for after_s in (0, 10, 20, 30):
            assert await give(office, line, after_s=after_s) == 1
        assert {order.args["recording"] for order in line.orders} == {recording_id}
        assert len({order.id for order in line.orders}) == 4
        first = line.orders[0]
        assert (first.action, first.call_id, first.node) == ("call.record_start", call.id, office.node)
        assert (first.args["leg"], first.args["stereo"]) == ("leg-1", False)
        # It was done. Should the log never say so it is asked for again, and not before.
        assert await give(office, line, after_s=10) == 0
        assert (await office.one())["state"] == "expected"
        await office.happened("call.recording_started", recorded(call, recording_id))
        assert await give(office, line, after_s=9999) == 0


async def test_a_leg_that_has_ended_is_not_asked_for_at_once_again(database_url: str) -> None:
    line: Any = Line("leg_ended")
    async with opened(database_url) as office:
        call = await wanted(office)
        assert await give(office, line) == 1
        assert await give(office, line, after_s=10) == 0
        await office.happened("call.ended", over(call))
        row = await office.one()
        assert (row["state"], row["reason"]) == ("missing", "leg_ended")


async def prompt(office: Office, duration_ms: int = 1500) -> str:
    given = {"id": "med_1", "name": "Consent", "language": "", "size": 1, "sha256": bytes(32), "key": "k",
             "duration_ms": duration_ms, "channels": 1, "rate": 8000}  # fmt: skip
    return (await media.add(office.db, office.tenant, given)).id


async def test_what_has_to_be_announced_is_announced_and_then_recorded(database_url: str) -> None:
    line: Any = Line("no_such_file", "", "")
    async with opened(database_url) as office:
        await wanted(office, announcement=await prompt(office))
        assert await give(office, line) == 1
        assert await give(office, line, after_s=10) == 1
        # Not before it has been heard to its end.
        assert await give(office, line, after_s=1.0) == 0
        assert await give(office, line, after_s=1.9) == 1
        assert [order.action for order in line.orders] == ["call.play", "call.play", "call.record_start"]
        assert line.orders[0].args["prompt"] == "med_1"


async def test_without_its_announcement_nothing_is_recorded(database_url: str) -> None:
    line: Any = Line(*["no_such_file"] * 5)
    async with opened(database_url) as office:
        await wanted(office, announcement=await prompt(office))
        for n in range(6):
            assert await give(office, line, after_s=10 * n) == 1
        assert len(line.orders) == 5
        row = await office.one()
        assert (row["state"], row["reason"]) == ("missing", "announcement_failed")


async def test_what_is_missing_is_an_incident_until_it_is_a_day_old(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        office = Office(db)
        call = recorded(office.call(), "rec_0lost", stopped_us=now_us())
        ended = msgspec.structs.replace(over(call), ended_us=now_us() - worker.GRACE_US - 5_000_000)
        await office.happened("call.ended", ended)
        await worker.sweep(db)
        assert (await office.one())["reason"] == "nobody_looked"

        async def open_now() -> list[str]:
            said = msgspec.json.decode(await incidents.list_incidents_json(db, only_open=True))
            return [one["summary"] for one in said if one["component"] == worker.INCIDENT]

        (summary,) = await open_now()
        assert "missing" in summary
        async with db.system() as connection:
            await connection.execute("update recordings set call_ended_us = 1 where state = 'missing'")
        await worker.sweep(db)
        assert await open_now() == []


async def test_any_number_of_hosts_give_each_order_once(database_url: str) -> None:
    line: Any = Line(*[""] * 30)
    async with opened(database_url) as office:
        await office.policy()
        for _ in range(30):
            await office.happened("call.answered", office.call())

        async def host(name: str) -> None:
            for _ in range(4):
                for wish in await work.claim_wishes(office.db, name, now_us=now_us(), limit=8):
                    if wish.tenant_id == office.tenant:
                        await worker.give_order(office.db, line, wish, name)

        await asyncio.gather(*(host(f"host-{n}") for n in range(4)))
        assert len(line.orders) == 30
        assert len({order.args["recording"] for order in line.orders}) == 30
