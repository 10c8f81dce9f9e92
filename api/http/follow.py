"""One client's way through a feed: where it is, what it wants, and what to send it next. Knows no protocol.

Frames: ``hello`` first; ``event``; ``live`` for those who ask; ``heartbeat`` every 15 s with the newest number, when
everything before it was sent; ``gap`` when what the client lacks is not to be had: it lists those things again and goes on after
``resume_at``.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from api.http.feed import MOST_BEHIND, PAGE, Feed
from core import log
from core.clock import monotonic
from core.errors import IrisxError
from core.model.entries import LogEntry
from core.storage.database import Database

HEARTBEAT_S = 15.0
PIECE_BYTES = 128 * 1024
"""Entries are sent in pieces of about this size, so that one slow client holds little memory."""
STORE_RETRY_S = 1.0
LISTED_AGAIN = ["calls", "conferences", "nodes"]
"""What a client lists again after a gap: the things that the log's entries are about."""


class Codec(Protocol):
    """How frames look in one protocol."""

    kind: str

    def event(self, entry: LogEntry) -> bytes:
        """An entry of the log."""

    def frame(self, name: str, members: dict[str, Any]) -> bytes:
        """Any other frame."""


class Wanted:
    """Which entries a client wants; by type (``call.answered``, ``call.*``) and by thing (an id, ``call_*``)."""

    def __init__(self, types: Iterable[str] = (), resources: Iterable[str] = ()) -> None:
        self._types = _Words(types)
        self._resources = _Words(resources)
        self.everything = self._types.everything and self._resources.everything

    def __call__(self, entry: LogEntry) -> bool:
        return self._types.has(entry.type) and self._resources.has(entry.resource)

    def about(self, resource: str) -> bool:
        """Whether anything about this thing is wanted."""
        return self._resources.has(resource)


class _Words:
    def __init__(self, words: Iterable[str]) -> None:
        words = list(words)
        self._whole = frozenset(word for word in words if not word.endswith("*"))
        self._starts = tuple(word[:-1] for word in words if word.endswith("*"))
        self.everything = not words or "" in self._starts

    def has(self, text: str) -> bool:
        return self.everything or text in self._whole or text.startswith(self._starts)


class Follow:
    """A client's place in a feed."""

    def __init__(
        self,
        database: Database,
        feed: Feed,
        codec: Codec,
        *,
        wanted: Wanted,
        after_seq: int | None,
        note_gap: Callable[[], None],
        live: bool = False,
    ) -> None:
        """``live``: also frames of what is going on right now and is in no log (`core.presence`)."""
        self._database = database
        self._feed = feed
        self._codec = codec
        self._wanted = wanted
        self._note_gap = note_gap
        self.seq = feed.head if after_seq is None else after_seq
        """The last number that was sent, or passed over because it was not wanted."""
        self._live = live
        self._moment = feed.moments
        self._heartbeat_at = monotonic() + HEARTBEAT_S

    def hello(self) -> bytes:
        """The first frame."""
        feed = self._feed
        return self._codec.frame(
            "hello",
            {
                "head_seq": feed.head,
                "oldest_seq": feed.oldest,
                "tenant": feed.tenant_id,
                "after_seq": self.seq,
            },
        )

    async def next(self) -> bytes:
        """The next piece to send: waits for it, `HEARTBEAT_S` at most. Raises `EOFError` when the feed broke."""
        feed = self._feed
        while True:
            if feed.broken:
                raise EOFError
            if self._live and feed.moments > self._moment and (piece := self._moments()):
                return piece
            if self.seq > feed.head:
                # The client has seen numbers that are not there: another store, or an older copy of it.
                return self._gap()
            if self.seq == feed.head:
                now = monotonic()
                if now >= self._heartbeat_at:
                    self._heartbeat_at = now + HEARTBEAT_S
                    return self._codec.frame("heartbeat", {"head_seq": feed.head})
                await feed.news(self.seq, self._heartbeat_at - now)
            elif self.seq < feed.first - 1:
                if feed.head - self.seq > MOST_BEHIND or self.seq < feed.oldest - 1:
                    return self._gap()
                if piece := await self._from_store():
                    return piece
            elif piece := self._from_ring():
                return piece

    def _moments(self) -> bytes:
        """Frames of what went on since the last ones; never more than a moment behind, never repeated."""
        fresh, self._moment = self._feed.moments_after(self._moment), self._feed.moments
        wanted = [one for one in fresh if self._wanted.about(str(one.get("conversation_id", "")))]
        return b"".join(self._codec.frame("live", one) for one in wanted)

    def _gap(self) -> bytes:
        self._note_gap()
        self.seq = self._feed.head
        return self._codec.frame("gap", {"resume_at": self.seq, "resources": LISTED_AGAIN})

    def _from_ring(self) -> bytes:
        feed, codec = self._feed, self._codec
        if self._wanted.everything:
            piece, self.seq = feed.joined_after(self.seq, codec.kind, codec.event, PIECE_BYTES)
            return piece
        entries = feed.entries_after(self.seq, PAGE)
        self.seq = entries[-1].seq
        return b"".join(codec.event(entry) for entry in entries if self._wanted(entry))

    async def _from_store(self) -> bytes:
        """Entries that are older than the ring."""
        feed = self._feed
        try:
            found = await log.read_entries(
                self._database, feed.tenant_id, after_seq=self.seq, limit=PAGE, up_to=feed.first - 1
            )
        except IrisxError:
            await feed.news(feed.head, STORE_RETRY_S)
            return b""
        if not found or found[0].seq != self.seq + 1:
            return self._gap()
        self.seq = found[-1].seq
        return b"".join(self._codec.event(entry) for entry in found if self._wanted(entry))
