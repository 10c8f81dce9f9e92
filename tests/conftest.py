"""How tests run here: async tests on trio, or on asyncio where a module asks for it; real Postgres and Valkey.

``async def test_…`` runs on trio. With ``pytestmark = pytest.mark.asyncio_loop`` (or the mark on one test) it runs
on asyncio with uvloop. Two arguments are made by the runner itself, for trio only:

``autojump_clock``  time is virtual and jumps whenever every task sleeps.
``nursery``         a nursery around the test, cancelled when the test ends.

`make test` runs two workers (pytest-xdist), a file at a time: each has a Postgres and a Valkey of its own, and a file's
tests stay together. Long files come first, so that both end at the same time.

A test in real time may take `LIMIT_S`, a test in virtual time as long as it likes of that (pytest-timeout still
holds). The fixtures of databases are in ``tests/services.py``.
"""

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import hypothesis
import pytest
import trio
import trio.testing
import uvloop

from tests.services import (
    admin_url,
    database_template,
    database_url,
    empty_database_url,
    postgres,
    redis_url,
    valkey,
)

__all__ = [
    "admin_url",
    "database_template",
    "database_url",
    "empty_database_url",
    "postgres",
    "redis_url",
    "valkey",
]

LIMIT_S = 60.0

# Examples of hypothesis: the same ones each time, so that a change is judged by what it changes. With IRISX_EXAMPLES there are so
# many of them, and others each time: for nights, and for whoever suspects something.
_EXAMPLES = os.environ.get("IRISX_EXAMPLES", "")
hypothesis.settings.register_profile("usual", max_examples=50, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=int(_EXAMPLES or 0) or 100)
hypothesis.settings.load_profile("thorough" if _EXAMPLES else "usual")
LONGEST_FIRST = ("web", "api", "telephony", "up", "faults", "cli", "storage", "simulator")
"""Folders in the order in which two workers take them. The browsers compute while the API's tests and the orders mostly
wait; what kills whole processes comes when the browsers are done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path.parent.name))


def _turn(folder: str) -> int:
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(autouse=True, scope="module")
def loggers_stay_as_they_were() -> Iterator[None]:
    """What a server or a process of ours sets on loggers ends with the file that ran it: the next one is no other for it."""
    before = {logger: _log_state(logger) for logger in _loggers()}
    yield
    for logger in _loggers():
        logger.setLevel(before[logger][0] if logger in before else logging.NOTSET)
        _, logger.propagate, logger.disabled, kept = before.get(logger, (0, True, False, []))
        for handler in logger.handlers[:]:
            # (pytest's own come and go with each test)
            if handler not in kept and not type(handler).__module__.startswith("_pytest"):
                logger.removeHandler(handler)


def _loggers() -> list[logging.Logger]:
    named = [one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    return [logging.getLogger(), *named]


def _log_state(logger: logging.Logger) -> tuple[int, bool, bool, list[logging.Handler]]:
    return logger.level, logger.propagate, logger.disabled, logger.handlers[:]


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """Virtual time for this test."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def nursery() -> None:
    """A nursery around the test: the runner opens it, because only it is inside trio."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    example = test.hypothesis.inner_test if hasattr(test, "hypothesis") else test
    if not inspect.iscoroutinefunction(example):
        return None
    # (the names of a function's own parameters: fixtures that only others asked for are not passed)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    on_asyncio = pyfuncitem.get_closest_marker("asyncio_loop") is not None
    run = _on_asyncio if on_asyncio else _on_trio
    if example is test:
        run(test, arguments)
        return True
    # Hypothesis calls the inner test once per example: each gets a run of its own.
    test.hypothesis.inner_test = lambda **given: run(example, given)
    try:
        test(**arguments)
    finally:
        test.hypothesis.inner_test = example
    return True


def _on_asyncio(test: Callable[..., Awaitable[None]], arguments: dict[str, Any]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test(**arguments)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())


def _on_trio(test: Callable[..., Awaitable[None]], arguments: dict[str, Any]) -> None:
    clock = arguments.get("autojump_clock")

    async def limited() -> None:
        with trio.CancelScope() if clock is not None else trio.fail_after(LIMIT_S):
            if "nursery" not in arguments:
                await test(**arguments)
                return
            async with trio.open_nursery() as around:
                await test(**{**arguments, "nursery": around})
                around.cancel_scope.cancel()

    trio.run(limited, clock=clock)
