"""Sharing readings: who waits, who reads, and what happens when a reading fails."""

import asyncio

import pytest

from api.http.share import Same, Together
from core.errors import Unavailable

pytestmark = pytest.mark.asyncio_loop


class Store:
    """Reads slowly, and remembers what was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.fails = False

    async def read(self, tenant_id: str, keys: list[str]) -> dict[str, str]:
        self.batches.append(keys)
        await asyncio.sleep(0.01)
        if self.fails:
            raise Unavailable("gone")
        return {key: f"{tenant_id}/{key}" for key in keys if key != "missing"}


async def test_alone_a_reader_reads_at_once() -> None:
    store = Store()
    together = Together(store.read)
    assert await together.get("t", "a") == "t/a"
    assert await together.get("t", "missing") is None
    assert store.batches == [["a"], ["missing"]]


async def test_those_who_come_meanwhile_share_the_next_reading() -> None:
    store = Store()
    together = Together(store.read)
    found = await asyncio.gather(*(together.get("t", key) for key in ("a", "b", "c", "b", "missing")))
    assert found == ["t/a", "t/b", "t/c", "t/b", None]
    assert store.batches == [["a"], ["b", "c", "missing"]]


async def test_tenants_are_read_apart() -> None:
    store = Store()
    together = Together(store.read)
    one, two = await asyncio.gather(together.get("one", "a"), together.get("two", "a"))
    assert (one, two) == ("one/a", "two/a")
    assert store.batches == [["a"], ["a"]]


async def test_a_failure_reaches_everybody_and_nobody_is_stuck() -> None:
    store = Store()
    together = Together(store.read)
    store.fails = True
    found = await asyncio.gather(*(together.get("t", "a") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 3
    store.fails = False
    assert await together.get("t", "a") == "t/a"


async def test_a_cancelled_reader_does_not_stop_the_others() -> None:
    store = Store()
    together = Together(store.read)
    first = asyncio.create_task(together.get("t", "a"))
    waiting = [asyncio.create_task(together.get("t", "b")) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == ["t/b", "t/b"]
    assert await together.get("t", "c") == "t/c"


async def test_equal_questions_share_and_each_answer_is_younger_than_its_question() -> None:
    same: Same[str, int] = Same()
    clock = 0

    async def read() -> int:
        nonlocal clock
        clock += 1
        began = clock
        await asyncio.sleep(0.01)
        return began

    first = asyncio.create_task(same.get("k", read))
    await asyncio.sleep(0)
    late = [asyncio.create_task(same.get("k", read)) for _ in range(5)]
    assert await first == 1
    assert set(await asyncio.gather(*late)) == {2}, "not from the reading that had begun before they asked"
    assert same.readings == 2


async def test_a_failed_shared_reading_fails_for_all_who_shared_it() -> None:
    same: Same[str, int] = Same()

    async def fail() -> int:
        await asyncio.sleep(0.005)
        raise Unavailable("gone")

    found = await asyncio.gather(*(same.get("k", fail) for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 4
