"""What channels bring in, on its way into the store: gathered into batches, and believed only when it is written.

asyncio. Webhooks that come together are written together: one transaction for all of a tenant's that wait, while the one
before it is under way. So a burst costs the database little, a single message waits for nobody, and every caller learns
of its own message whether it is stored.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress as ignore

import msgspec
from msgspec import Struct

from core.attachments import Filing
from core.errors import PeerError, Unavailable
from core.hooks import Hooks
from core.logs import get_logger
from core.storage import receipts, suppressions
from core.storage.attachments import files_of
from core.storage.changes import is_change
from core.storage.database import Database
from core.storage.inbound import NOWHERE, Arrival, Stored, write_inbound
from irisx_sdk import Inbound, Media, Parsed, Typing

LOG = get_logger("conversations")

BATCH = 200
"""Messages in one transaction: some 30 ms, so that nobody behind it waits long."""
WAITING = 5_000
"""Messages of one tenant that may wait for the store; more are refused, and their provider tries again."""
AT_ONCE = 1
"""Transactions of one tenant under way together: its numbers are given one after the other anyhow. With two, the second one
waits for the first with its batch in hand, and what comes meanwhile waits for both (p99 148 ms instead of 52 at 500/s)."""
FILING_AT_ONCE = 2
"""Messages whose files are being put into the object store: so many mails are in memory at once, and no more."""


class Source(Struct, frozen=True):
    """The account that something came through."""

    tenant_id: str
    channel_id: str
    channel: str
    """The channel's name: ``sms.twilio``."""

    @property
    def family(self) -> str:
        """What an opt-out holds for: all accounts of this kind of channel."""
        return self.channel.partition(".")[0]


class Intake:
    """Takes what channels bring. One for a process."""

    def __init__(self, db: Database, filing: Filing | None = None, hooks: Hooks | None = None) -> None:
        """``filing`` keeps files; without it messages are stored as if they had none. ``hooks`` are the plugins'."""
        self._db = db
        self._filing = filing
        self._hooks = hooks
        self._filing_room = asyncio.Semaphore(FILING_AT_ONCE)
        self._lines: dict[str, _Line] = {}
        self.refused = 0

    async def take(self, source: Source, parsed: Parsed, *, received_us: int) -> list[Stored]:
        """Store everything in ``parsed``; where its messages are, in their order.

        Returns when all is written: only then may the provider hear yes. Raises `Unavailable` when too much waits, and
        what the store raises; writing the same again is safe.
        """
        stored: list[Stored] = []
        if parsed.messages:
            stored = await self._store(source, parsed.messages, received_us)
        if parsed.preferences:
            await suppressions.write_preferences(
                self._db,
                source.tenant_id,
                source.channel_id,
                parsed.preferences,
                scope=source.family,
                received_us=received_us,
            )
        if parsed.statuses:
            moved = await receipts.write_statuses(
                self._db, source.tenant_id, source.channel_id, parsed.statuses, received_us=received_us
            )
            if self._hooks is not None:
                for message_id, status in moved:
                    self._hooks.after_delivery(source.channel, message_id, status)
        return stored

    def statistics(self) -> dict[str, int]:
        """Messages that wait for the store, and those that were refused."""
        return {"waiting": sum(line.waiting for line in self._lines.values()), "refused": self.refused}

    def _line(self, tenant_id: str) -> "_Line":
        line = self._lines.get(tenant_id)
        if line is None:
            line = self._lines[tenant_id] = _Line(self, tenant_id)
        return line

    async def _store(self, source: Source, messages: Sequence[Inbound], received_us: int) -> list[Stored]:
        # That somebody is writing is over before anybody could read of it.
        kept = [n for n, message in enumerate(messages) if not isinstance(message.content, Typing)]
        places = [NOWHERE] * len(messages)
        if kept:
            arrivals = [await self._arrival(source, messages[n], received_us) for n in kept]
            for n, place in zip(kept, await self._line(source.tenant_id).put(arrivals), strict=True):
                places[n] = place
        return places

    async def _arrival(self, source: Source, message: Inbound, received_us: int) -> Arrival:
        """The message with what is done before it is written: its files are kept, plugins are asked."""
        arrival = Arrival(source.channel_id, message, received_us, family=source.family)
        if self._filing is not None and (files := files_of(message)):
            if any(file.content is not None for file in files):
                async with self._filing_room:
                    rows = await asyncio.to_thread(self._filing.file, source.tenant_id, arrival)
            else:
                rows = self._filing.file(source.tenant_id, arrival)
            arrival = msgspec.structs.replace(arrival, files=tuple(rows), message=_without_bytes(message))
        if self._hooks is not None and not is_change(message):
            attributes, queue = await self._hooks.arrived(source.channel, arrival.message)
            if attributes or queue:
                arrival = msgspec.structs.replace(arrival, attributes=attributes, queue=queue)
        return arrival

    async def _write(self, tenant_id: str, arrivals: Sequence[Arrival]) -> list[Stored]:
        return await write_inbound(self._db, tenant_id, arrivals)


def _without_bytes(message: Inbound) -> Inbound:
    """The same without what is in its files: they are kept, and memory is for others."""
    files = tuple(msgspec.structs.replace(file, content=None) for file in message.files)
    content = message.content
    if isinstance(content, Media) and content.file.content is not None:
        content = msgspec.structs.replace(content, file=msgspec.structs.replace(content.file, content=None))
    return msgspec.structs.replace(message, content=content, files=files)


_Waiting = tuple[list[Arrival], "asyncio.Future[list[Stored]]"]


class _Line:
    """The messages of one tenant that wait for the store."""

    def __init__(self, intake: Intake, tenant_id: str) -> None:
        self._intake = intake
        self._tenant_id = tenant_id
        self._queue: deque[_Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self.waiting = 0

    async def put(self, arrivals: list[Arrival]) -> list[Stored]:
        if self.waiting + len(arrivals) > WAITING:
            self._intake.refused += len(arrivals)
            raise Unavailable("too many messages wait to be stored", code="busy")
        answer: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()
        self._queue.append((arrivals, answer))
        self.waiting += len(arrivals)
        if len(self._writers) < AT_ONCE:
            task = asyncio.create_task(self._work())
            self._writers.add(task)
            task.add_done_callback(self._writers.discard)
        return await answer

    async def _work(self) -> None:
        while self._queue:
            taken: list[_Waiting] = []
            size = 0
            while self._queue and (not taken or size + len(self._queue[0][0]) <= BATCH):
                taken.append(self._queue.popleft())
                size += len(taken[-1][0])
            try:
                await self._store(taken)
            finally:
                self.waiting -= size

    async def _store(self, taken: list[_Waiting]) -> None:
        try:
            stored = await self._intake._write(
                self._tenant_id, [one for arrivals, _ in taken for one in arrivals]
            )
        except PeerError as exc:
            for _, answer in taken:
                _fail(answer, exc)
            return
        except Exception as exc:  # noqa: BLE001 - whatever one message causes is that message's answer
            if len(taken) == 1:
                _fail(taken[0][1], exc)
                return
            # One that cannot be stored must not take the others with it.
            LOG.warning("a batch of messages was refused; each is written alone", error=type(exc).__name__)
            for one in taken:
                await self._store([one])
            return
        at = 0
        for arrivals, answer in taken:
            if not answer.done():
                answer.set_result(stored[at : at + len(arrivals)])
            at += len(arrivals)


def _fail(answer: "asyncio.Future[list[Stored]]", error: Exception) -> None:
    with ignore(asyncio.InvalidStateError):
        answer.set_exception(error)
