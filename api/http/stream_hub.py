"""All live streams of a process: how many, whose, and ending them when somebody's rights or the process end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from api.http.feed import Feeds
from api.http.metrics import Metrics
from core.access.actors import Actor
from core.access.service import Access
from core.bus import Bus
from core.errors import IrisxError, NotAllowed, NotAuthenticated, Unavailable
from core.storage.database import Database

MOST_STREAMS = 5000
"""Streams of one process; more are asked to try another one."""
LOOK_AGAIN_S = 120.0
"""How often a stream's rights are read again when nothing was announced."""


class Ending:
    """Set when a stream has to end; ``why`` tells the client."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.event = asyncio.Event()
        self.code = 1012
        self.why = ""
        self.changed = asyncio.Event()
        """Set when something about the actor was revoked: look again."""

    def end(self, code: int, why: str) -> None:
        if not self.event.is_set():
            self.code, self.why = code, why
            self.event.set()


class StreamHub:
    """Opens and ends streams."""

    def __init__(self, database: Database, bus: Bus, access: Access, metrics: Metrics) -> None:
        self.feeds = Feeds(database, bus)
        self.database = database
        self.metrics = metrics
        self._access = access
        self._open: set[Ending] = set()
        self._unwatch = access.remembered.watch(self._revoked)

    @contextmanager
    def admitted(self, actor: Actor) -> Iterator[Ending]:
        """A place for a stream. Raises `Unavailable` when there is none."""
        if len(self._open) >= MOST_STREAMS:
            raise Unavailable("this server has as many streams as it can hold", code="too_many_streams")
        ending = Ending(actor)
        self._open.add(ending)
        self.metrics.streams += 1
        try:
            yield ending
        finally:
            self._open.discard(ending)
            self.metrics.streams -= 1

    async def watch_rights(self, ending: Ending) -> None:
        """End the stream when its actor may not read events any more."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await ending.changed.wait()
            except TimeoutError:
                pass
            ending.changed.clear()
            try:
                actor = await self._access.current(ending.actor)
                if not actor.may("events:read"):
                    raise NotAllowed("the permission events:read was taken away")
            except (NotAuthenticated, NotAllowed) as exc:
                ending.end(4401, exc.code)
                return
            except IrisxError:
                continue  # the store is away; the next look tells

    def _revoked(self, whom: str) -> None:
        for ending in self._open:
            if whom in (ending.actor.id, ending.actor.session_id, ending.actor.tenant_id):
                ending.changed.set()

    def drain(self) -> None:
        """Send everybody away: they come back to another process, at the number they were at."""
        for ending in list(self._open):
            ending.end(1012, "restarting")

    async def aclose(self) -> None:
        self._unwatch()
        self.drain()
        await self.feeds.aclose()
