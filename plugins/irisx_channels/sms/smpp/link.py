"""A session that is held: the tasks around one `Session` on one socket; trio.

The reader never waits for anything but the socket. What comes goes into a queue of `QUEUE` messages; a message that
finds it full is answered "queue full", which the centre takes as "later" (counted in ``turned_away``). They are stored
in batches, in order, and answered when they are stored, not before.

Messages to send wait for room in the window, one after the other, for `WAIT_S` at most, and not more than `WAITING` of
them: the next one is told `Throttled` at once.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import trio

from irisx_channels.sms import reading
from irisx_channels.sms.smpp import arriving, coding, receipts, sending, translate, words
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.receipts import Ids
from irisx_channels.sms.smpp.session import Answered, Bound, Delivered, Event, Lost, Session
from irisx_sdk import Deliver, NotSent, Parsed, Throttled, Tools

QUEUE = 200
BATCH = 50
WAIT_S = 10.0
WAITING = 1000
SETTLE_S = 2.0
"""How soon after an answer we ask for something, to learn that the answer was read."""
LEAVE_S = 2.0
WRITE_S = 2.0


class Link:
    """Everything of one held session."""

    def __init__(
        self, settings: translate.Settings, stream: trio.abc.Stream, tools: Tools, deliver: Deliver
    ) -> None:
        self.settings = settings
        self.token = trio.lowlevel.current_trio_token()
        self.session = Session(
            translate.bind(settings),
            now=trio.current_time(),
            window=settings.window,
            enquire_s=settings.enquire_s,
            response_s=settings.response_s,
        )
        self.system_id = ""
        self.turned_away = 0
        self._stream = stream
        self._tools = tools
        self._deliver = deliver
        self._reference = tools.now_us() // 1_000_000
        self._into, self._outof = trio.open_memory_channel[Delivered](QUEUE)
        self._answers: dict[int, tuple[trio.Event, list[Answered]]] = {}
        self._unsettled: deque[tuple[int, list[str]]] = deque()
        self._turn = trio.StrictFIFOLock()
        self._waiting = 0
        self._changed = trio.Event()
        self._write = trio.Event()
        self._write.set()  # the bind is there already
        self._over = trio.Event()
        self._arrivals = arriving.Arrivals(b"", 0)
        self._ids = Ids(settings.ids)
        self._failure: Exception | None = None

    @property
    def bound(self) -> bool:
        """Whether messages can be sent now."""
        return self.session.bound and not self.session.leaving

    # Sending --------------------------------------------------------------------------------------------------------

    def next_reference(self) -> int:
        """A number that the parts of one message share."""
        self._reference += 1
        return self._reference

    async def send(self, parts: Sequence[Short]) -> tuple[str, ...]:
        """Hand over a message. Raises the SDK's errors, each only when it is certain."""
        return await sending.in_parts(parts, self._submit)

    async def _submit(self, short: Short) -> Answered:
        await self._room()
        answered = trio.Event()
        got: list[Answered] = []
        sequence = self.session.submit(short, trio.current_time())
        self._answers[sequence] = (answered, got)
        self._write.set()
        try:
            # (the session answers for the centre when that takes too long, or has gone)
            await answered.wait()
        finally:
            self._answers.pop(sequence, None)
        (what,) = got
        if what.status == words.OK and what.id:
            return Answered(what.sequence, what.status, self._ids.given(what.id))
        return what

    async def _room(self) -> None:
        """Until the window has room. From its end to the submission nothing else runs."""
        if self._waiting >= WAITING:
            raise Throttled("SMPP: too many messages are waiting for this centre")
        self._waiting += 1
        try:
            with trio.move_on_after(WAIT_S):
                async with self._turn:
                    while self.bound:
                        wait_s = self.session.wait_s(trio.current_time())
                        if wait_s == 0:
                            return
                        with trio.move_on_after(math.inf if wait_s is None else wait_s):
                            await self._changed.wait()
        finally:
            self._waiting -= 1
        if not self.bound:
            raise NotSent("SMPP: the session has ended")
        wish = self.session.wait_s(trio.current_time())
        raise Throttled("SMPP: the centre does not keep up", retry_after_s=wish)

    # Holding --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the session is lost (raises the SDK's error that says why) or this is cancelled (unbinds first)."""
        self._arrivals = arriving.Arrivals(await self._tools.load(), self._tools.now_us())
        self._ids = Ids(self.settings.ids, learned=receipts.known(self._arrivals.bases))
        try:
            async with trio.open_nursery() as nursery:
                for task in (self._read, self._writes, self._ticks, self._store):
                    nursery.start_soon(self._guarded, task)
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(LEAVE_S, shield=True):
                await self._leave()
            self._happened(self.session.broken("the session was given up"))
        if self._failure is not None:
            raise self._failure
        if self.session.lost is not None:
            raise sending.not_bound(self.session.lost)

    async def _guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        """What the platform's own tools raise ends the session, and is raised as it is, not in a group."""
        try:
            await task()
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._failure = self._failure or error
            self._over.set()

    async def _read(self) -> None:
        while self.session.lost is None:
            try:
                data = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._happened(self.session.broken("the connection broke"))
                return
            self._happened(self.session.receive(bytes(data), trio.current_time()))

    async def _writes(self) -> None:
        while True:
            await self._write.wait()
            self._write = trio.Event()
            if octets := self.session.take():
                # Taken bytes count as sent, so they are sent, also when this is cancelled: whole, and within a limit.
                try:
                    with trio.move_on_after(WRITE_S, shield=True) as limit:
                        await self._stream.send_all(octets)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._happened(self.session.broken("the connection broke"))
                    return
                if limit.cancelled_caught:
                    self._happened(self.session.broken("the centre reads nothing"))
                    return

    async def _ticks(self) -> None:
        while True:
            soon = self.session.next_tick()
            if self._unsettled:
                soon = min(soon, trio.current_time() + SETTLE_S)
            await trio.sleep(max(0.05, min(soon - trio.current_time(), 5.0)))
            if self._unsettled:
                self.session.enquire(trio.current_time())
            self._happened(self.session.tick(trio.current_time()))
            if late := self._arrivals.overdue(self._tools.now_us()):
                await self._hand_over_kept(late)

    def _happened(self, events: list[Event]) -> None:
        """Everything that follows from what the session says; waits for nothing."""
        for event in events:
            if isinstance(event, Bound):
                self.system_id = event.system_id
            elif isinstance(event, Answered):
                waiting = self._answers.get(event.sequence)
                if waiting is not None:
                    waiting[1].append(event)
                    waiting[0].set()
            elif isinstance(event, Delivered):
                try:
                    self._into.send_nowait(event)
                except trio.WouldBlock:
                    self.turned_away += 1
                    self.session.answer(event, words.QUEUE_FULL)
            elif isinstance(event, Lost):
                self._over.set()
        while self._unsettled and self._unsettled[0][0] < self.session.heard:
            self._arrivals.settle(self._unsettled.popleft()[1])
        self._changed.set()
        self._changed = trio.Event()
        self._write.set()

    async def _leave(self) -> None:
        """Say goodbye, and take the answers that are still on their way."""
        self.session.leave(trio.current_time())
        self._changed.set()
        while self.session.lost is None:
            try:
                if octets := self.session.take():
                    await self._stream.send_all(octets)
                data = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                return
            self._happened(self.session.receive(bytes(data), trio.current_time()))
        if octets := self.session.take():
            await self._stream.send_all(octets)

    # Storing --------------------------------------------------------------------------------------------------------

    async def _store(self) -> None:
        if before := self._arrivals.pending():
            await self._hand_over_kept(before)
        while True:
            batch = [await self._outof.receive()]
            while len(batch) < BATCH:
                try:
                    batch.append(self._outof.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._store_batch(batch)

    async def _store_batch(self, batch: list[Delivered]) -> None:
        now_us = self._tools.now_us()
        found: list[Parsed] = []
        arrived: list[arriving.Arrived] = []
        names: list[str] = []
        for delivered in batch:
            short = delivered.short
            came = coding.read(short, self.settings.alphabet)
            receipt = receipts.read(short, came.text)
            if receipt is not None:
                found.append(Parsed(statuses=(receipts.status(receipt, self._ids.meant(receipt.id)),)))
                continue
            more, whole = self._arrivals.take(delivered.body, translate.ends(short), came, now_us)
            names += more
            arrived += whole
        self._arrivals.bases = self._ids.learned
        if names:
            # The names before the messages: whatever happens from here on, a repetition has the same name.
            await self._tools.save(self._arrivals.dump())
        try:
            await self._hand_over(found, arrived)
        except Exception:
            for delivered in batch:
                self.session.answer(delivered, words.TRY_AGAIN)
            self._write.set()
            raise
        for delivered in batch:
            self.session.answer(delivered)
        if names:
            self._unsettled.append((self.session.sequence, names))
        self._write.set()

    async def _hand_over_kept(self, kept: list[arriving.Arrived]) -> None:
        """What the centre was answered long ago: it is ours to keep until it is stored."""
        await self._hand_over([], kept)
        self._arrivals.settle([one.id for one in kept])
        await self._tools.save(self._arrivals.dump())

    async def _hand_over(self, found: list[Parsed], arrived: list[arriving.Arrived]) -> None:
        found += [translate.message(one, self._tools.now_us()) for one in arrived]
        if found:
            await self._deliver(reading.together(found))
