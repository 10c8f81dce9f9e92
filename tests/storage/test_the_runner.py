"""The tests' own runner: each async test runs, on the loop that it asked for, and can fail."""

import asyncio
import time

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

examples: list[int] = []


async def test_async_tests_run_on_trio() -> None:
    assert trio.lowlevel.in_trio_run()


@pytest.mark.asyncio_loop
async def test_or_on_uvloop_where_they_ask_for_asyncio() -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")


async def test_virtual_time_costs_none(autojump_clock: trio.testing.MockClock) -> None:
    began = time.monotonic()
    await trio.sleep(86_400)
    assert trio.current_time() >= 86_400
    assert time.monotonic() - began < 5


async def test_a_nursery_is_there_and_ends_with_the_test(nursery: trio.Nursery) -> None:
    nursery.start_soon(trio.sleep_forever)
    await trio.lowlevel.checkpoint()


@given(st.integers(0, 5))
async def test_properties_may_be_async(number: int) -> None:
    await trio.lowlevel.checkpoint()
    examples.append(number)


@pytest.mark.asyncio_loop
@given(st.integers(0, 5))
async def test_on_asyncio_too(number: int) -> None:
    await asyncio.sleep(0)
    examples.append(number)


def test_every_example_was_run() -> None:
    assert len(examples) >= 6


@pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
async def test_a_failing_async_test_fails() -> None:
    await trio.lowlevel.checkpoint()
    raise ZeroDivisionError


def test_the_services_are_real(database_url: str, redis_url: str) -> None:
    assert database_url.startswith("postgresql://irisx@/test_")
    assert redis_url.startswith("unix://")


@pytest.mark.asyncio_loop
async def test_the_bus_reaches_a_valkey_on_a_socket(redis_url: str) -> None:
    from core.bus import Bus

    bus = await Bus.open(redis_url)
    try:
        assert await bus.redis.ping()
        async with asyncio.timeout(5):
            await bus.listening.wait()
    finally:
        await bus.aclose()
