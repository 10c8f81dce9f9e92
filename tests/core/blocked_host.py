"""A channel host in a process of its own with a channel whose code blocks (or waits, as its account says).

With a number it is told to stop after so many seconds, and ends in good order if nothing stopped it before.
"""

import sys
import time
from typing import Any, ClassVar

import msgspec
import trio

from core import channel_host, watchdog
from core.config import Settings
from irisx_sdk import Account, Capabilities, Channel, Deliver, Tools


class Stone(Channel):
    name: ClassVar[str] = "stone"
    title: ClassVar[str] = "Stone"
    address: ClassVar[Any] = "user"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset({"text"}), listens=True, webhook=False
    )

    class Settings(msgspec.Struct):
        mood: str = "waits"

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        if account.settings.mood == "blocks":
            time.sleep(30)
        await trio.sleep_forever()


async def main(seconds: float) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel_host.serve, Settings.from_env(), {"stone": Stone()}, stop)
        await trio.sleep(seconds)
        stop.set()


if __name__ == "__main__":
    watchdog.LIMIT_S = 1.0
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
