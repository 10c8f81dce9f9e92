"""An API for each module of tests, with the module's own database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

from tests.api.harness import Api, Running, connected, in_a_thread, new_application

Connect = Callable[[], AbstractAsyncContextManager[Api]]

__all__ = ["AsyncIterator", "Connect"]


@pytest.fixture(scope="module")
def running(database_url: str, redis_url: str) -> Iterator[Running]:
    """A running API, shared by the module's tests."""
    with in_a_thread(new_application(database_url, redis_url)) as started:
        yield started


@pytest.fixture
def connect(running: Running, database_url: str, redis_url: str) -> Connect:
    """``async with connect() as api``: the module's API, with this test's own connections to the stores."""
    return lambda: connected(running, database_url, redis_url)
