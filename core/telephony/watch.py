"""Waiting for what a command should bring about.

A reply of the switch says that a command was taken, not what came of it (``uuid_hold`` answers ``+OK`` for a call
that does not exist). So an order that acts opens a `Watch` first, sends its command, and waits for the change that
proves it. Watches see changes right after the switchboard made them, before they are stored.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import trio

from core.errors import Conflict, PeerTimeout
from core.model.records import Change


class OutOfReach(PeerTimeout):
    """The switch went out of reach while something was awaited: it may have happened, and we will not see it."""


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
        """What is waited for will not come: `until` raises ``why``, after the changes that came before."""
        self._failed = why
        self._wake.set()

    async def next(self) -> Change:
        """The next change, however long that takes. Raises what `give_up` was told."""
        while self._read == len(self._changes):
            if self._failed is not None:
                raise self._failed
            self._wake = trio.Event()
            await self._wake.wait()
        self._read += 1
        return self._changes[self._read - 1]

    async def until(
        self, wanted: Callable[[Change], bool], *, within_s: float, what: str, alive: Iterable[str] = ()
    ) -> Change:
        """The first change for which ``wanted`` holds.

        Raises `Conflict` (``leg_ended``) as soon as one of the legs ``alive`` has ended, `OutOfReach` when the
        switch goes away meanwhile, `PeerTimeout` after ``within_s`` seconds, or what `give_up` was told.
        """
        needed = frozenset(alive)
        with trio.move_on_after(within_s):
            while True:
                change = await self.next()
                if wanted(change):
                    return change
                if change.type == "call.in_doubt":
                    raise OutOfReach(f"the switch went out of reach before {what} was seen")
                if any(leg.uuid in needed and leg.state == "ended" for leg in change.call.legs):
                    raise Conflict(f"the leg ended before {what}", code="leg_ended")
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
            keys = [change.call.id, str(change.data.get("leg")), str(change.data.get("other_leg"))]
            if change.type == "call.in_doubt":
                # It names no leg, and is about all of them.
                keys += [leg.uuid for leg in change.call.legs]
            told: list[Watch] = []
            for key in keys:
                for watch in self._by_key.get(key, ()):
                    if watch not in told:
                        told.append(watch)
                        watch.see(change)
