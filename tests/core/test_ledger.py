"""Facts reach the store in order, each once, whatever the store does."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from core.calls import Ledger, Superseded
from core.errors import Unavailable
from core.model.records import Call, Change


def change(number: int) -> Change:
    call = Call(id=f"call_{number}", tenant_id="tnt_main", node="sw1", version=1)
    return Change(type="call.created", call=call, occurred_us=number)


class Store:
    """A store that can be away, and that may take a batch and lose the answer."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.away = False
        self.loses_answers = False
        self.batches = 0

    async def write(self, changes: Sequence[Change]) -> None:
        await trio.sleep(0.01)
        self.batches += 1
        if self.away:
            raise Unavailable("gone")
        numbers = [change.occurred_us for change in changes]
        self.taken += [number for number in numbers if number not in self.taken]
        if self.loses_answers and random.random() < 0.5:
            raise Unavailable("the answer was lost")


async def test_facts_arrive_in_order_and_load_makes_batches_larger(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store = Store()
    ledger = Ledger("sw1", store.write, tmp_path, "ctl")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            for number in range(1000):
                ledger.add([change(number)])
            await ledger.wait_written()
            nursery.cancel_scope.cancel()
    assert store.taken == list(range(1000))
    assert store.batches <= 4


async def test_an_outage_puts_facts_on_disk_at_once_and_then_writes_them_before_newer_ones(
    tmp_path: Path,
) -> None:
    store = Store()
    ledger = Ledger("sw1", store.write, tmp_path, "ctl")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            ledger.add(map(change, range(10)))
            await ledger.wait_written()
            store.away = True
            ledger.add(map(change, range(10, 20)))
            while ledger.spooled < 10:
                await trio.sleep(0.01)
            assert ledger.away and ledger.waiting == 0
            ledger.add(map(change, range(20, 30)))
            await trio.sleep(0.2)
            store.away = False
            ledger.add(map(change, range(30, 40)))
            await ledger.wait_written()
            nursery.cancel_scope.cancel()
    assert store.taken == list(range(40))
    assert not ledger.away


async def test_a_lost_answer_neither_loses_nor_reorders(tmp_path: Path) -> None:
    store = Store()
    store.loses_answers = True
    ledger = Ledger("sw1", store.write, tmp_path, "ctl")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            for number in range(200):
                ledger.add([change(number)])
                await trio.sleep(0.001)
            await ledger.wait_written()
            nursery.cancel_scope.cancel()
    assert store.taken == list(range(200))


async def test_a_stop_during_an_outage_leaves_everything_to_the_next_controller(tmp_path: Path) -> None:
    store = Store()
    store.away = True
    first = Ledger("sw1", store.write, tmp_path, "one")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            first.add(map(change, range(25)))
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        await first.flush()
        await first.aclose()
        store.away = False
        heir = Ledger("sw1", store.write, tmp_path, "two")
        assert await heir.adopt() == 25
    assert store.taken == list(range(25))
    assert list(tmp_path.iterdir()) == []


async def test_a_superseded_writer_stops(tmp_path: Path) -> None:
    async def refuse(changes: Sequence[Change]) -> None:
        raise Superseded

    ledger = Ledger("sw1", refuse, tmp_path, "ctl")
    ledger.add([change(1)])
    with trio.fail_after(5), pytest.raises(Superseded):
        await ledger.run()


async def test_memory_is_bounded_when_the_disk_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.calls.MEMORY", 50)
    store = Store()
    store.away = True
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    ledger = Ledger("sw1", store.write, folder, "ctl")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            ledger.add(map(change, range(80)))
            await trio.sleep(0.3)
            assert ledger.waiting == 50 and ledger.lost == 30
            store.away = False
            await ledger.wait_written()
            nursery.cancel_scope.cancel()
    assert store.taken == list(range(50))
