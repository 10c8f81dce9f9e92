"""What a round of one tenant is. asyncio; nothing here knows the bus, the lease or what callers hear.

1. what the log says of calls and conversations is stored as entries and endings (`core.storage.queue_follow`);
2. the board is brought up to the end of the log;
3. what is decided is stored, and told to the board by the log again;
4. what time does is done when it is due.
"""

from collections.abc import Sequence

from core.clock import monotonic
from core.logs import get_logger
from core.model.queueing import Board
from core.model.queueing_records import QueueEntry
from core.model.reservations import Reservation
from core.storage import queue_board, queue_follow, queue_tend
from core.storage.database import Database
from core.storage.queue_follow import Goodbye
from core.storage.queue_offers import offer_many

LOG = get_logger("queues")

MOST_OFFERS = 200
"""In one transaction."""
PASSES = 50
"""Of one round: then others have theirs."""
GIVE_UP_US = queue_tend.ACCEPTED_S * 1_000_000
FRESH_S = 600.0
"""How old a board may be that only followed the log; reading it anew also sets the clocks right."""


class Rounds:
    """The board of one tenant and what is done with it."""

    def __init__(self, db: Database, tenant_id: str) -> None:
        self._db = db
        self._tenant_id = tenant_id
        self._loaded: queue_board.Loaded | None = None
        self._ahead_us = 0
        self._read_at = 0.0
        self.offered = 0
        """Offers that were stored."""

    @property
    def board(self) -> Board | None:
        return None if self._loaded is None else self._loaded.board

    def now_us(self) -> int:
        """The database's clock, as seen when the board was read."""
        return round(monotonic() * 1e6) + self._ahead_us

    def forget(self) -> None:
        """Read everything anew next time."""
        self._loaded = None

    def due(self) -> bool:
        """Whether there is anything to do that the log does not tell of: time has come for something."""
        if self._loaded is None:
            return True
        board, now = self._loaded.board, self.now_us()
        return (
            0 < board.due_us() <= now
            or any(_is_over(one, now) for one in board.reservations.values())
            or any(goes_to(board, one, now) or is_sent_away(board, one) for one in waiting(board))
        )

    async def round(self) -> Sequence[Goodbye]:
        """Everything that there is to do now; the calls that are to be ended. Raises the store's errors."""
        goodbyes: list[Goodbye] = []
        for _ in range(PASSES):
            read = await queue_follow.work(self._db, self._tenant_id)
            goodbyes += read.goodbyes
            loaded = await self._up_to_date()
            if not await self._offers(loaded) and not read.more and not await self._time(loaded, goodbyes):
                break
        return goodbyes

    async def _up_to_date(self) -> queue_board.Loaded:
        if self._loaded is None or monotonic() - self._read_at > FRESH_S:
            self._loaded = await self._read()
        loaded = self._loaded
        while True:
            told, loaded.seq, more = await queue_board.entries_after(self._db, self._tenant_id, loaded.seq)
            if queue_board.apply(loaded.board, told):
                loaded = self._loaded = await self._read()
            elif not more:
                return loaded

    async def _read(self) -> queue_board.Loaded:
        loaded = await queue_board.load(self._db, self._tenant_id)
        self._ahead_us = loaded.moment_us - round(monotonic() * 1e6)
        self._read_at = monotonic()
        return loaded

    async def _offers(self, loaded: queue_board.Loaded) -> bool:
        """Decide and store; whether anything was decided."""
        wanted = loaded.board.decide(self.now_us(), MOST_OFFERS)
        if not wanted:
            return False
        try:
            done = await offer_many(self._db, self._tenant_id, wanted, loaded.queues)
        except BaseException:
            self._loaded = None  # whether they are stored is not known
            raise
        self.offered += len(done)
        for one in wanted:
            if one.entry_id not in done:
                loaded.board.not_done(one)
        return True

    async def reconcile(self) -> None:
        """Compare talks with calls, now and then. Raises the store's errors."""
        if self._loaded is not None and any(
            one.state in ("accepted", "connected") and one.call_id
            for one in self._loaded.board.reservations.values()
        ):
            await queue_tend.reconcile(self._db, self._tenant_id)

    async def _time(self, loaded: queue_board.Loaded, goodbyes: list[Goodbye]) -> bool:
        """What is due by now; whether anything was."""
        board, now, done = loaded.board, self.now_us(), 0
        reservations = board.reservations.values()
        if any(one.state == "offered" and one.expires_us <= now for one in reservations):
            done += await queue_tend.expire(self._db, self._tenant_id)
        if any(one.state == "accepted" and one.accepted_us <= now - GIVE_UP_US for one in reservations):
            done += await queue_tend.give_up(self._db, self._tenant_id)
        if any(one.state == "wrap_up" and 0 < one.wrap_until_us <= now for one in reservations):
            done += await queue_tend.end_wrap_ups(self._db, self._tenant_id)
        if moves := [(one.id, to) for one in waiting(board) if (to := goes_to(board, one, now))]:
            done += await queue_tend.move_on(self._db, self._tenant_id, moves)
        closed = [one.id for one in waiting(board) if is_sent_away(board, one)]
        if closed:
            gone = await queue_tend.send_away(self._db, self._tenant_id, closed, "closed")
            for one in gone:
                if one.call_id:
                    sound = board.desks[one.queue_id].queue.settings.closed.sound
                    goodbyes.append(Goodbye(one.node, one.call_id, one.tenant_id, sound))
            done += len(gone)
        return done > 0


def _is_over(one: Reservation, now_us: int) -> bool:
    """An offer that has run out, or a wrap-up."""
    if one.state == "offered":
        return one.expires_us <= now_us
    if one.state == "accepted":
        return one.accepted_us <= now_us - GIVE_UP_US
    return one.state == "wrap_up" and 0 < one.wrap_until_us <= now_us


def waiting(board: Board) -> list[QueueEntry]:
    """Who is offered to nobody just now."""
    return [one for one in board.entries.values() if one.state == "waiting" and one.queue_id in board.desks]


def goes_to(board: Board, entry: QueueEntry, now_us: int) -> str:
    """The queue in which somebody goes on to wait by now; empty for who stays."""
    desk = board.desks[entry.queue_id]
    of = desk.queue.settings
    if not desk.open and of.closed.do == "overflow":
        return of.closed.queue_id
    to = of.overflow.queue_id
    if not to or to not in board.desks:
        return ""
    if of.overflow.after_s and now_us - entry.queued_us >= of.overflow.after_s * 1_000_000:
        return to
    if of.overflow.nobody_there and not staffed(board, entry.queue_id):
        return to
    return ""


def is_sent_away(board: Board, entry: QueueEntry) -> bool:
    """Whether the queue has closed over somebody, and does not let them wait. (Who wants to be called back may wait.)"""
    desk = board.desks[entry.queue_id]
    return not desk.open and desk.queue.settings.closed.do == "hangup" and entry.kind == "call"


def staffed(board: Board, queue_id: str) -> bool:
    """Whether an agent of the queue is signed in."""
    return any(
        (seat := board.seats.get(one)) is not None and seat.agent.state != "offline"
        for one in board.desks[queue_id].agents
    )
