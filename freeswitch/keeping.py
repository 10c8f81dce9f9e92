"""Keeping connections alive: how long to wait before the next try, and where others find a link that is up."""

import random

import trio

from freeswitch.errors import NotSent
from freeswitch.link import Link


class Backoff:
    """Waits that double from ``first_s`` to ``most_s``, each with jitter.

    The switch's listen backlog is 5: controllers that all come back at the same moment would turn each other
    away again and again.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def reset(self) -> None:
        self._next_s = self._first_s

    async def wait(self) -> None:
        delay = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._most_s)
        await trio.sleep(delay)


class Slot:
    """The place of one link of a kind: empty while it is being made again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.link: Link | None = None
        self._filled = trio.Event()
        self.losses = 0
        """How many times a link was here and was lost."""

    def offer(self, link: Link) -> None:
        self.link = link
        self._filled.set()

    def withdraw(self) -> None:
        if self.link is not None:
            self.losses += 1
            self.link = None
            self._filled = trio.Event()

    def abort(self, reason: str) -> None:
        """End the link that is here, if any; its keeper makes a new one."""
        if self.link is not None:
            self.link.abort(reason)

    async def wait(self, limit_s: float) -> Link:
        """The link, waiting for one up to ``limit_s``. Raises `NotSent` when there is none until then."""
        if self.link is None:
            with trio.move_on_after(limit_s):
                await self._filled.wait()
        # Between the event and our turn the link may have gone again.
        if self.link is None or self.link.closed:
            raise NotSent(f"no {self.name} link to the switch")
        return self.link
