"""A sender and a router in a process of their own that kill themselves (kill -9) at a step that a test names.

The provider is a file outside: what it has, it has. The steps, in the order in which a message passes them:

``claimed``   the message is taken, and nothing of it is read
``read``      it is read
``planned``   (routed) the carrier is chosen
``begun``     the attempt and its decision are written: from here on the provider may have it
``calling``   the channel is about to give it away
``accepted``  the provider has it, and has not answered
``answered``  the provider has answered, and we have written nothing
``writing``   what it answered is written, and not committed
``sent``      that is committed
"""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import trio

from core import outbox as sending
from core import routing
from core.aio import Bridge, open_bridge
from core.boards import Boards
from core.clock import now_us
from core.pacing import Pace
from core.storage import attempt_results as results
from core.storage import attempts, receipts
from core.storage import outbox as store
from core.storage import sending as letters
from core.storage.database import Database
from irisx_sdk import Account, Capabilities, Channel, Outbound, Sent, Tools

STEPS = ("claimed", "read", "planned", "begun", "calling", "accepted", "answered", "writing", "sent")
OWN_STEPS = tuple(step for step in STEPS if step != "planned")
"""Of a message that names its account: nothing is planned."""
NOBODY_KNOWS = ("begun", "calling", "accepted", "answered", "writing")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(act: Callable[..., Awaitable[Any]]) -> Any:
    async def acted(*args: Any, **more: Any) -> Any:
        result = await act(*args, **more)
        if result or result is None:
            die()
        return result

    return acted


async def instead(*_args: Any, **_more: Any) -> Any:
    die()


class Ledger(Channel):
    """A provider that writes what it has into a file: that outlives whoever called it."""

    name: ClassVar[str] = "sms.ledger"
    title: ClassVar[str] = "Ledger"
    address = "phone"
    capabilities: ClassVar[Capabilities] = Capabilities(sends=frozenset({"text"}), receipts="delivered")
    step = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        if self.step == "calling":
            die()
        with self._path.open("a") as file:
            file.write(f"{message.id}\n")
        if self.step == "accepted":
            die()
        return Sent((f"P-{message.id}",))

    def has(self) -> list[str]:
        return self._path.read_text().split() if self._path.exists() else []


def break_at(step: str, channel: Ledger) -> None:
    """Arrange the death."""
    channel.step = step
    if step == "claimed":
        store.claim = after(store.claim)
        store.claim_routed = after(store.claim_routed)
    elif step == "read":
        letters.read_letters = after(letters.read_letters)
    elif step == "planned":
        vars(routing)["plan"] = lambda *_: die()
    elif step == "begun":
        attempts.begin = after(attempts.begin)
    elif step == "answered":
        results.sent = instead
    elif step == "writing":
        receipts.adopt = instead
    elif step == "sent":
        results.sent = after(results.sent)


class Away:
    """Redis that is away."""

    async def eval(self, *_: Any) -> Any:
        raise OSError


class Parts:
    """What a router is made of, without a whole host."""

    def __init__(self, bridge: Bridge, db: Database, channel: Channel, name: str) -> None:
        self.bridge, self.db, self.name = bridge, db, name
        self.boards = Boards(db, {channel.name: channel})
        self.pace = Pace(Away())


def sender_of(parts: Parts, channel: Channel, account_id: str) -> sending.Sender:
    async def nothing() -> bytes:
        return b""

    async def no_file(_: str) -> bytes:
        return b""

    async def keep(_: bytes) -> None:
        return None

    tools = Tools(httpx.AsyncClient(), no_file, now_us, nothing, keep)
    account = Account(account_id, None)
    return sending.Sender(
        parts.bridge, parts.db, channel, account, tools, owner=parts.name, tolls=parts.boards.toll
    )


def run(step: str, database_url: str, account_id: str, ledger: Path) -> None:
    """Send what waits until dead."""
    store.CLAIM_S = 1
    channel = Ledger(ledger)
    break_at(step, channel)

    async def main() -> None:
        async with open_bridge() as bridge:
            db = await bridge.run(Database.open, database_url)
            parts: Any = Parts(bridge, db, channel, "dead")
            sender = sender_of(parts, channel, account_id)
            with trio.move_on_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(sender.run)
                    nursery.start_soon(routing.Router(parts, lambda: {account_id: sender}).run)

    trio.run(main)
