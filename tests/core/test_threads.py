"""Threads for strangers' code: every call has an answer or a deadline, and one that hangs holds up nobody else."""

import asyncio
import sys
import threading
import time

import pytest

from core.threads import AllHang, Threads

pytestmark = pytest.mark.asyncio_loop


async def test_every_call_gets_its_own_answer() -> None:
    threads = Threads(2, "t")
    answers = await asyncio.gather(*(threads.run(lambda n=n: n * 2, limit_s=5) for n in range(500)))
    assert answers == [n * 2 for n in range(500)]
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, limit_s=5)
    with pytest.raises(RuntimeError, match="SystemExit"):
        await threads.run(sys.exit, limit_s=5)
    threads.close()


async def test_a_slow_call_holds_up_no_quick_ones() -> None:
    threads = Threads(2, "t")
    slow = asyncio.create_task(threads.run(time.sleep, 0.5, limit_s=5))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert await asyncio.gather(*(threads.run(lambda: 1, limit_s=5) for _ in range(20))) == [1] * 20
    assert time.monotonic() - began < 0.4
    await slow
    quick, behind = threads.run(lambda: 7, limit_s=5), threads.run(time.sleep, 0.5, limit_s=5)
    later = asyncio.create_task(behind)
    began = time.monotonic()
    assert await quick == 7 and time.monotonic() - began < 0.4, "an answer waits for nobody else's"
    await later
    threads.close()


async def test_late_calls_are_given_up_and_refused_once_all_threads_hang() -> None:
    threads, let_go = Threads(2, "t"), threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await threads.run(let_go.wait, 10, limit_s=0.05)
    with pytest.raises(AllHang):
        await threads.run(lambda: 1, limit_s=5)
    let_go.set()
    while threads.hanging:
        await asyncio.sleep(0.01)
    assert await threads.run(lambda: 1, limit_s=5) == 1
    threads.close()


async def test_a_call_that_was_given_up_while_it_waited_is_never_made() -> None:
    threads, let_go = Threads(1, "t"), threading.Event()
    made: list[int] = []
    first = asyncio.create_task(threads.run(let_go.wait, 10, limit_s=5))
    await asyncio.sleep(0.02)
    with pytest.raises(TimeoutError):
        await threads.run(made.append, 1, limit_s=0.05)
    assert threads.hanging == 0
    let_go.set()
    await first
    assert await threads.run(lambda: 2, limit_s=5) == 2 and made == []
    threads.close()
