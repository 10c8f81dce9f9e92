"""What channels bring in, on its way into the store: gathered into batches, and believed only when it is written.

asyncio. Webhooks that come together are written together: one transaction for all of a tenant's that wait, while the one
before it is under way. So a burst costs the database little, a single message waits for nobody, and every caller learns
of its own message whether it is stored.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress as ignore

from msgspec import Struct

from core.errors import PeerError, Unavailable
from core.logs import get_logger
from core.model import optout
from core.storage import receipts
from core.storage.database import Database
from core.storage.inbound import Arrival, Stored, write_inbound
from irisx_sdk import Parsed, Preference

LOG = get_logger("conversations")

BATCH = 200
"""Messages in one transaction: some 30 ms, so that nobody behind it waits long."""
WAITING = 5_000
"""Messages of one tenant that may wait for the store; more are refused, and their provider tries again."""
AT_ONCE = 2
"""Transactions of one tenant under way together: its numbers are given one after the other anyhow."""


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

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lines: dict[str, _Line] = {}
        self.refused = 0

    async def take(self, source: Source, parsed: Parsed, *, received_us: int) -> list[Stored]:
        """Store everything in ``parsed``; where its messages are, in their order.

        Returns when all is written: only then may the provider hear yes. Raises `Unavailable` when too much waits, and
        what the store raises; writing the same again is safe.
        """
        stored: list[Stored] = []
        if parsed.messages:
            arrivals = [Arrival(source.channel_id, message, received_us) for message in parsed.messages]
            stored = await self._line(source.tenant_id).put(arrivals)
        wishes = [*parsed.preferences, *self._wishes(parsed, received_us)]
        if wishes:
            await receipts.write_preferences(
                self._db, source.tenant_id, wishes, scope=source.family, received_us=received_us
            )
        if parsed.statuses:
            await receipts.write_statuses(
                self._db, source.tenant_id, source.channel_id, parsed.statuses, received_us=received_us
            )
        return stored

    def statistics(self) -> dict[str, int]:
        """Messages that wait for the store, and those that were refused."""
        return {"waiting": sum(line.waiting for line in self._lines.values()), "refused": self.refused}

    def _line(self, tenant_id: str) -> "_Line":
        line = self._lines.get(tenant_id)
        if line is None:
            line = self._lines[tenant_id] = _Line(self, tenant_id)
        return line

    @staticmethod
    def _wishes(parsed: Parsed, received_us: int) -> list[Preference]:
        """Opt-out words. Also where the provider looks for them itself: it may be told not to."""
        found = []
        for message in parsed.messages:
            wish = optout.wish(message.content)
            if wish is not None and not message.automatic:
                found.append(Preference(message.id, message.sender, wish == "start", received_us))
        return found

    async def _write(self, tenant_id: str, arrivals: Sequence[Arrival]) -> list[Stored]:
        return await write_inbound(self._db, tenant_id, arrivals)


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
