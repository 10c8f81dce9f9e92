"""The bridge between trio and asyncio: results, errors and cancellation cross it whole."""

import asyncio

import pytest
import trio

from core.aio import Inbox, open_bridge


async def test_a_result_and_an_error_come_back_as_they_are() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0.001)
        return number * 2

    async def fail() -> None:
        raise LookupError("nothing here")

    with trio.fail_after(10):
        async with open_bridge() as bridge:
            assert await bridge.run(double, 21) == 42
            with pytest.raises(LookupError, match="nothing here"):
                await bridge.run(fail)


async def test_many_operations_run_side_by_side() -> None:
    async def nap(number: int) -> int:
        await asyncio.sleep(0.2)
        return number

    results: list[int] = []
    with trio.fail_after(10):
        async with open_bridge() as bridge, trio.open_nursery() as nursery:

            async def one(number: int) -> None:
                results.append(await bridge.run(nap, number))

            began = trio.current_time()
            for number in range(50):
                nursery.start_soon(one, number)
    assert sorted(results) == list(range(50))
    assert trio.current_time() - began < 5


async def test_a_cancelled_caller_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            ended.append("cleaned up")
            raise

    with trio.fail_after(10):
        async with open_bridge() as bridge:
            with trio.move_on_after(0.1) as scope:
                await bridge.run(slow)
            assert scope.cancelled_caught
            assert ended == ["cleaned up"]


async def test_a_result_that_beats_its_cancellation_is_delivered() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
        return "done all the same"

    with trio.fail_after(10):
        async with open_bridge() as bridge:
            with trio.move_on_after(0.05):
                assert await bridge.run(stubborn) == "done all the same"


async def test_leaving_the_bridge_ends_what_still_runs_in_asyncio() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    async def start() -> None:
        start.task = asyncio.create_task(background())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    with trio.fail_after(10):
        async with open_bridge() as bridge:
            await bridge.run(start)
    assert ended == ["ended"]


async def test_an_inbox_wakes_its_reader_and_refuses_when_full() -> None:
    with trio.fail_after(10):
        async with open_bridge() as bridge:
            inbox: Inbox[int] = Inbox(3)

            async def offer(*numbers: int) -> list[bool]:
                return [inbox.offer(number) for number in numbers]

            async with trio.open_nursery() as nursery:
                taken: list[int] = []

                async def read() -> None:
                    while len(taken) < 3:
                        taken.extend(await inbox.take())

                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                assert await bridge.run(offer, 1, 2, 3) == [True, True, True]
            assert taken == [1, 2, 3]
            assert await bridge.run(offer, 4, 5, 6, 7) == [True, True, True, False]
            assert inbox.refused == 1 and await inbox.take() == [4, 5, 6]
