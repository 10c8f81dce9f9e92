"""What a host does beside sending: a worker that fails begins again, and pulls nobody along."""

from itertools import pairwise

import pytest
import trio
import trio.testing

from core.channel_desk import again_and_again


async def test_a_worker_that_fails_begins_again_after_growing_pauses(
    autojump_clock: trio.testing.MockClock,
) -> None:
    times: list[float] = []

    async def fails() -> None:
        times.append(trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
            raise KeyError("a bug")

    other = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again_and_again, "fails", fails)
        nursery.start_soon(again_and_again, "works", other.wait)
        await trio.sleep(300)
        other.set()
        nursery.cancel_scope.cancel()
    gaps = [after - before for before, after in pairwise(times)]
    assert 5 < len(times) < 40 and gaps[0] < 2 < max(gaps) <= 60


async def test_a_worker_that_ends_is_not_begun_again(autojump_clock: trio.testing.MockClock) -> None:
    times = 0

    async def ends() -> None:
        nonlocal times
        times += 1

    await again_and_again("ends", ends)
    assert times == 1


async def test_what_is_no_failure_is_not_held_up() -> None:
    async def cancelled() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(0.05) as scope:
        await again_and_again("cancelled", cancelled)
    assert scope.cancelled_caught

    async def ended() -> None:
        raise SystemExit(70)

    with pytest.raises(SystemExit):
        await again_and_again("ended", ended)
