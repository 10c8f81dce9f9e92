"""Processes die in the middle of traffic, and the books are right in the end.

Each test runs real processes and real traffic: a simulated switch whose callers come, talk and go, with a listener of
our own beside it that hears what truly happened.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stack import Child, Stack, owned, owner_of, owner_pid, present, rows, wait_until
from tests.faults.truth import Books, Ends

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

RATE = 30
TOTAL = 240
"""Eight seconds of traffic; calls last two."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    # A Postgres that keeps what it has confirmed: some of these tests kill it.
    with Stack(tmp_path / "s", durable=True) as running:
        yield running
        while EARS:
            EARS.pop().close()


EARS: list[Ends] = []


def begin(stack: Stack, *, controllers: int = 1, talk: float = 2) -> tuple[Ends, list[Child]]:
    """A switch with an owner, an ear on it, and then traffic."""
    port = stack.switch("sim1", heartbeat=2)
    started = [stack.controller(f"controller-{number}") for number in range(controllers)]
    wait_until(owned(stack), "a controller owns the switch")
    ear = Ends(port)
    EARS.append(ear)
    stack.traffic("sim1", rate=RATE, total=TOTAL, talk=talk)
    return ear, started


def settled(stack: Stack, ear: Ends, *, total: int = TOTAL, within_s: float = 60) -> Books:
    """Wait until all traffic is over and its records are written."""
    wait_until(lambda: len(ear.ended) >= total, "all calls ended on the switch", within_s)
    url = stack.env["DATABASE_URL"]

    def written() -> bool:
        (legs,), (live,) = rows(
            url,
            "select count(*) as n from cdrs where kind = 'leg'",
            "select count(*) as n from calls where live",
        )
        return bool(legs["n"] >= total and live["n"] == 0)

    try:
        wait_until(written, "all records written", within_s)
    except TimeoutError:
        pass  # `Books.check` says what is missing
    return Books(url)


def middle_of(ear: Ends, part: float = 0.4, total: int = TOTAL) -> None:
    wait_until(lambda: len(ear.ended) >= total * part, "the middle of the traffic", 60)


def test_traffic_without_faults_is_recorded_exactly(stack: Stack) -> None:
    ear, _ = begin(stack)
    books = settled(stack, ear)
    books.check(ear)
    assert len(books.legs) == len(books.calls) == TOTAL


def test_the_kill_of_the_owning_controller_loses_and_doubles_nothing(stack: Stack) -> None:
    ear, controllers = begin(stack, controllers=2)
    for part in (0.3, 0.7):
        middle_of(ear, part)
        owner = owner_of(stack, controllers)
        wait_until(lambda: {one.pid for one in controllers} <= present(stack), "the other one stands by", 20)
        time.sleep(1.0)  # it has dialled by then
        owner.kill()
        controllers.remove(owner)
        took = wait_until(lambda owner=owner: owner_pid(stack) not in (0, owner.pid), "an heir owns it", 10)
        assert took < 3.0
        controllers.append(stack.controller(f"controller-{owner.pid}"))
    books = settled(stack, ear)
    books.check(ear)


def test_a_frozen_controller_is_replaced_and_does_no_harm_when_it_wakes(stack: Stack) -> None:
    ear, controllers = begin(stack, controllers=2)
    middle_of(ear)
    frozen = owner_of(stack, controllers)
    frozen.pause()
    wait_until(lambda: owner_pid(stack) != frozen.pid, "an heir owns the switch", 10)
    time.sleep(1)
    frozen.go_on()
    books = settled(stack, ear)
    books.check(ear)


def test_the_kill_of_postgres_loses_and_doubles_nothing(stack: Stack) -> None:
    ear, _ = begin(stack)
    middle_of(ear)
    os.kill(stack.postgres.pid, signal.SIGKILL)
    wait_until(lambda: not stack.postgres.running, "Postgres is dead", 10)
    stack.postgres.stop()
    time.sleep(3)
    stack.postgres.start()
    settled(stack, ear).check(ear)


def test_the_kill_of_the_controller_while_postgres_is_away_loses_nothing_it_had_heard(stack: Stack) -> None:
    ear, (controller,) = begin(stack)
    middle_of(ear, 0.3)
    os.kill(stack.postgres.pid, signal.SIGKILL)
    wait_until(lambda: not stack.postgres.running, "Postgres is dead", 10)
    stack.postgres.stop()
    wait_until(lambda: len(ear.ended) >= TOTAL, "all calls ended on the switch", 60)
    time.sleep(1)
    controller.kill()
    stack.postgres.start()
    stack.controller("controller-2")
    settled(stack, ear).check(ear)


def test_the_kill_of_valkey_stops_no_record(stack: Stack) -> None:
    ear, _ = begin(stack)
    middle_of(ear, 0.3)
    os.kill(stack.valkey.pid, signal.SIGKILL)
    wait_until(lambda: not stack.valkey.running, "Valkey is dead", 10)
    stack.valkey.stop()
    time.sleep(3)
    stack.valkey.start()
    settled(stack, ear).check(ear)


def test_a_flushed_valkey_changes_no_owner_and_no_record(stack: Stack) -> None:
    import redis

    ear, controllers = begin(stack, controllers=2)
    middle_of(ear, 0.2)
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        for _ in range(5):
            client.flushall()
            time.sleep(0.3)
    assert owner_of(stack, controllers)
    settled(stack, ear).check(ear)


def test_a_switch_that_dies_takes_its_calls_with_it_and_each_is_closed_once(stack: Stack) -> None:
    ear, _ = begin(stack, talk=60)
    url = stack.env["DATABASE_URL"]
    wait_until(
        lambda: rows(url, "select count(*) as n from calls where live")[0][0]["n"] >= TOTAL / 2, "live calls"
    )
    child, port = stack.switches["sim1"]
    child.kill()
    stack.switch("sim1", port=port, register=False, heartbeat=2)
    wait_until(
        lambda: not rows(url, "select 1 from calls where live limit 1")[0], "the dead calls are closed", 60
    )
    books = Books(url)
    books.check(ear, may_be_inferred=True)
    assert len(books.legs) >= TOTAL / 2
    assert all(row["inferred"] and row["hangup_cause"] == "NODE_DEATH" for row in books.legs)
