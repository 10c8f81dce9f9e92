"""Waiting for what a command should bring about.

A reply of the switch says that a command was taken, not what came of it (``uuid_hold`` answers ``+OK`` for a call
that does not exist). So an order that acts opens a `Watch` first, sends its command, and waits for the change that
proves it. Watches see changes right after the switchboard made them, before they are stored.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import trio

from core.errors import PeerTimeout
from core.model.records import Change


class Watch:
    """The changes about some calls or legs since the watch was opened."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._read = 0
        self._wake = trio.Event()
        self._failed: Exception | None = None

    def see(self, change: Change) -> None:
        self._changes.append(change)
        self._wake.set()

    def give_up(self, why: Exception) -> None:
        """What is waited for will not come: `until` raises ``why``."""
        self._failed = why
        self._wake.set()

    async def until(self, wanted: Callable[[Change], bool], *, within_s: float, what: str) -> Change:
        """The first change for which ``wanted`` holds. Raises `PeerTimeout` after ``within_s`` seconds, or what
        `give_up` was told."""
        with trio.move_on_after(within_s):
            while True:
                while self._read < len(self._changes):
                    change = self._changes[self._read]
                    self._read += 1
                    if wanted(change):
                        return change
                if self._failed is not None:
                    raise self._failed
                self._wake = trio.Event()
                await self._wake.wait()
        raise PeerTimeout(f"the switch took the command, but {what} was not seen within {within_s:g} s")


class Watches:
    """Who waits for what, by call id and leg uuid."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Watch]] = {}

    @contextmanager
    def on(self, *keys: str) -> Iterator[Watch]:
        """Watch everything about these calls and legs while the block runs."""
        watch = Watch()
        for key in keys:
            self._by_key.setdefault(key, []).append(watch)
        try:
            yield watch
        finally:
            for key in keys:
                watching = self._by_key[key]
                watching.remove(watch)
                if not watching:
                    del self._by_key[key]

    def tell(self, changes: Iterable[Change]) -> None:
        """Show changes to whoever waits for them. Cheap when nobody does."""
        if not self._by_key:
            return
        for change in changes:
            told: list[Watch] = []
            keys = {change.call.id, str(change.data.get("leg")), str(change.data.get("other_leg"))}
            for key in keys:
                for watch in self._by_key.get(key, ()):
                    if watch not in told:
                        told.append(watch)
                        watch.see(change)
