"""For the tests of a channel: its fake in a thread, and the tools a platform would lend."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from irisx_sdk.channel import Account, Tools
from irisx_sdk.fake import Fake
from irisx_sdk.fake_server import serving

F = TypeVar("F", bound=Fake)

START_S = 30.0
STOP_S = 15.0
DEADLINE_S = 10.0
"""What a request of `tools` may take."""


@contextlib.contextmanager
def running(fake: F, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[F]:
    """The fake on a free port, in a thread with a loop of its own: for tests of either loop, or of none.

    Raises what the start raised (`OSError` for a taken port).
    """
    up = threading.Event()
    failed: list[BaseException] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def live() -> None:
        over = asyncio.Event()
        async with serving(fake, host=host, port=port):
            stop.append((asyncio.get_running_loop(), over))
            up.set()
            await over.wait()

    def thread() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failed.append(error)
        finally:
            up.set()

    runner = threading.Thread(target=thread, name=f"fake {type(fake).__name__}", daemon=True)
    runner.start()
    if not up.wait(START_S):
        raise TimeoutError("the fake did not start")
    if failed:
        raise failed[0]
    try:
        yield fake
    finally:
        loop, over = stop[0]
        with contextlib.suppress(RuntimeError):  # a loop that ended by itself says so below
            loop.call_soon_threadsafe(over.set)
        runner.join(STOP_S)
    if failed:
        raise failed[0]


def account(fake: Fake, **changes: Any) -> Account:
    """The fake's account; ``changes`` replace settings."""
    return Account("acc_test", msgspec.structs.replace(fake.settings, **changes))


@contextlib.asynccontextmanager
async def tools(files: Mapping[str, bytes] | None = None, **client: Any) -> AsyncIterator[Tools]:
    """What the platform lends: a client with deadlines, outbound ``files`` by id, a place to keep something.

    ``client`` is for `httpx.AsyncClient`.
    """
    kept = [b""]
    outbound = dict(files or {})

    async def read_file(name: str) -> bytes:
        return outbound[name]

    async def load() -> bytes:
        return kept[0]

    async def save(value: bytes) -> None:
        kept[0] = value

    async def file_url(name: str) -> str:
        return f"https://files.example.test/{name}"

    client = {"timeout": DEADLINE_S, "trust_env": False, "follow_redirects": False} | client
    async with httpx.AsyncClient(**client) as http:
        yield Tools(http, read_file, lambda: time.time_ns() // 1000, load, save, file_url)
