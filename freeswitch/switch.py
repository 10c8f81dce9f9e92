"""All connections to one switch, kept alive for ever.

One connection carries events and nothing else; one answers quick ``api`` commands (``api`` blocks its connection);
a small pool starts background jobs (each costs the switch's listener a millisecond); one listens for the switch's
own confession that it lost events, and lists channels. The event link comes first: the others are dialled when
it is up, and must answer with the same Core-UUID, so that a command never reaches another switch than the events
come from.

`Switch.receive` tells everything in order. What to do on `Up` and `Doubt` is always the same: read the channels.
"""

import time
import uuid as uuids
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
import trio

from freeswitch import commands
from freeswitch.beside import beside
from freeswitch.endpoint import Connect, dial
from freeswitch.errors import CommandRefused, EslError, NotSent, OutcomeUnknown, ProtocolError
from freeswitch.esl import Event, Frame
from freeswitch.figures import SwitchSettings, SwitchStatistics, Totals
from freeswitch.inbox import Doubt, Down, Events, Notice, Notices, Up
from freeswitch.jobs import Jobs
from freeswitch.keeping import Backoff, Slot
from freeswitch.link import Endpoint, Link, open_link, refuse_errors
from freeswitch.listing import ChannelRow, read_channels
from freeswitch.loss import Heartbeat, LossWatch, lost_in_log

__all__ = [
    "ChannelRow",
    "Doubt",
    "Down",
    "Events",
    "Heartbeat",
    "Notice",
    "Switch",
    "SwitchSettings",
    "SwitchStatistics",
    "Up",
    "open_switch",
]

LOG = structlog.get_logger("switch")

LOUD_LINES = 200
"""CRIT log lines within `LOUD_S` that are not about lost events. A switch whose console has no terminal (in a
container, say) writes its prompt into the log 100,000 times a second, at a level that cannot be left out; it would
fill the log queue that it keeps for us, and end the connection."""
LOUD_S = 10.0
LOUD_PAUSE_S = 600.0
CONFESSION_EVERY_S = 2.0
"""Doubts from the log come at most this often; each makes the consumer list the channels."""


class Switch:
    """One switch. Made by `open_switch`."""

    def __init__(
        self,
        endpoint: Endpoint,
        subscriptions: Sequence[str],
        filters: Sequence[tuple[str, str]],
        guard: Callable[[], None] | None,
        record: Callable[[bytes], None] | None,
        settings: SwitchSettings,
        connect: Connect,
    ) -> None:
        self.endpoint = endpoint
        self._connect = connect
        self.core_uuid = ""
        """Of the switch that answered last; empty before the first time."""
        self.up = False
        self._settings = settings
        self._keywords = tuple(dict.fromkeys([*subscriptions, "HEARTBEAT"]))
        commands.subscribe(self._keywords)  # a wrong name is the caller's mistake, and better told now
        self._filters = tuple(filters)
        self._guard = guard
        self._record = record
        self._counts_calls = not filters and (
            "ALL" in self._keywords or {"CHANNEL_CREATE", "CHANNEL_DESTROY"} <= set(self._keywords)
        )
        self._notices = Notices(max_events=settings.max_events, max_bytes=settings.max_bytes)
        self._jobs = Jobs()
        self._loss = LossWatch(counts_calls=self._counts_calls)
        self._heartbeat: Heartbeat | None = None
        self._heartbeat_at = 0.0
        self._early: list[Event] | None = None
        self._is_up = trio.Event()
        self._told_down = False
        self._events = Slot("event")
        self._api = Slot("api")
        self._watch = Slot("log")
        self._pool = [Slot("bgapi") for _ in range(max(1, settings.bgapi_links))]
        self._turn = 0
        self._ended = Totals()
        self._restarts = self._doubts = self._lost = self._hints = 0
        self._lag_ms = 0.0
        self._confessed = False
        self._confessed_at = -CONFESSION_EVERY_S
        self._log_lines = 0
        self._log_since = 0.0
        self._log_off_until = 0.0

    # --- what the consumer uses ---------------------------------------------------------------------------

    async def receive(self) -> Notice:
        """The next of everything there is to tell, in order. Cancelling loses nothing."""
        return await self._notices.receive()

    @property
    def heartbeat(self) -> Heartbeat | None:
        """What the switch said of itself last."""
        return self._heartbeat

    async def wait_up(self) -> None:
        """Return when the event link is subscribed."""
        while not self.up:
            await self._is_up.wait()

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        """Run a quick api command and return its output.

        Raises `CommandRefused` for ``-ERR`` and ``-USAGE``, `NotSent`, `OutcomeUnknown`.
        """
        end = trio.current_time() + deadline_s
        link = await self._api.wait(min(deadline_s, self._settings.link_wait_s))
        return await link.api(line, deadline_s=max(0.0, end - trio.current_time()))

    async def sendmsg(
        self, uuid: str, headers: Mapping[str, str], *, body: bytes = b"", deadline_s: float = 5.0
    ) -> None:
        """Give a channel a message (`commands.execute`, `commands.hangup`). ``+OK`` means queued, not done."""
        end = trio.current_time() + deadline_s
        link = await self._api.wait(min(deadline_s, self._settings.link_wait_s))
        message = commands.sendmsg(uuid, headers, body)
        await link.confirm(message, deadline_s=max(0.0, end - trio.current_time()))

    async def bgapi(self, line: str, *, job_uuid: str | None = None, deadline_s: float = 60.0) -> str:
        """Run a slow api command in the switch's background and return its output.

        The answer says that the command has returned, not that its effect is complete. Raises as `api` does;
        `OutcomeUnknown` also when the job was taken and its end was not told within ``deadline_s``.
        """
        end = trio.current_time() + deadline_s
        job_uuid = job_uuid or f"irisx-{uuids.uuid4()}"
        data = commands.bgapi(line, job_uuid=job_uuid)
        with self._jobs.expect(job_uuid) as job:
            link = await self._least_busy(min(deadline_s, self._settings.link_wait_s))
            await link.confirm(data, deadline_s=max(0.0, end - trio.current_time()))
            result: str | None = None
            with trio.move_on_at(end):
                result = await job.wait()
        if result is None:
            raise OutcomeUnknown(f"the job did not end within {deadline_s:g} s")
        refuse_errors(result)
        return result

    async def channels(self, *, deadline_s: float = 30.0) -> list[ChannelRow]:
        """The switch's own list of channels. It lags behind the events; reading it needs no permission."""
        slot = self._watch if self._watch.link is not None else self._api
        link = await slot.wait(min(deadline_s, self._settings.link_wait_s))
        return read_channels(await link.api("show channels as json", deadline_s=deadline_s, guarded=False))

    def statistics(self) -> SwitchStatistics:
        totals = Totals()
        totals.add(self._ended)
        for slot in self._slots():
            if slot.link is not None:
                totals.add_link(slot.link, counts_events=slot is self._events)
        notices = self._notices
        return SwitchStatistics(
            events=totals.events,
            bytes=totals.bytes,
            malformed=totals.malformed,
            dropped=notices.dropped,
            overflows=notices.overflows,
            queued_events=notices.events,
            queued_bytes=notices.bytes,
            reconnects=self._events.losses,
            restarts=self._restarts,
            doubts=self._doubts,
            lost_by_switch=self._lost,
            sequence_hints=self._hints + self._loss.hints,
            commands=totals.commands,
            unanswered=totals.unanswered,
            jobs=len(self._jobs),
            lag_ms=round(self._lag_ms, 3),
        )

    # --- keeping the links --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep every link until cancelled. Only a bug of ours ends it otherwise."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_events)
            nursery.start_soon(self._keep, self._api, self._ready)
            for slot in self._pool:
                nursery.start_soon(self._keep, slot, self._ready_for_jobs)
            if self._settings.watch_log:
                nursery.start_soon(self._keep, self._watch, self._ready_for_log)

    async def _keep_events(self) -> None:
        backoff = Backoff(self._settings.first_retry_s, self._settings.most_retry_s)
        while True:
            reason = "closed"
            self._early = []
            try:
                async with open_link(
                    self.endpoint,
                    on_events=self._on_events,
                    record=self._record,
                    limit_s=self._settings.connect_s,
                    connect=self._connect,
                ) as link:
                    core_uuid = await self._subscribe(link)
                    backoff.reset()
                    self._go_up(link, core_uuid)
                    reason = await self._attend_events(link)
            except EslError as exc:
                reason = str(exc)
            finally:
                self._count_ended(self._events)
                self._events.withdraw()
            self._go_down(reason)
            await backoff.wait()

    async def _subscribe(self, link: Link) -> str:
        core_uuid = (await link.api("global_getvar core_uuid", guarded=False)).strip()
        if not core_uuid:
            raise ProtocolError("the switch has no Core-UUID")
        # Filters first: between a subscription and its filters everything would come.
        filters = [*self._filters, ("Event-Name", "HEARTBEAT")] if self._filters else ()
        for header, value in filters:
            await link.confirm(commands.filter_add(header, value), guarded=False)
        await link.confirm(commands.subscribe(self._keywords), guarded=False)
        return core_uuid

    def _go_up(self, link: Link, core_uuid: str) -> None:
        first, changed = not self.core_uuid, self.core_uuid not in ("", core_uuid)
        if changed:
            self._restarts += 1
            self._jobs.lose("the switch was started again")
            for slot in self._slots():
                slot.abort("the switch was started again")
        self.core_uuid = core_uuid
        self._hints += self._loss.hints
        self._loss = LossWatch(counts_calls=self._counts_calls)
        self._heartbeat_at = trio.current_time()
        self._events.offer(link)
        self.up = True
        self._told_down = False
        self._is_up.set()
        LOG.info("switch is up", switch=str(self.endpoint), core_uuid=core_uuid, changed=changed)
        self._notices.put(Up(core_uuid, changed, first))
        # Events may come before the answer to the subscription is looked at; `Up` is told before them.
        early, self._early = self._early, None
        if early:
            self._on_events(early)

    def _go_down(self, reason: str) -> None:
        self.up = False
        if self._is_up.is_set():
            self._is_up = trio.Event()
        if not self._told_down:
            self._told_down = True
            LOG.warning("switch is down", switch=str(self.endpoint), reason=reason)
            self._notices.put(Down(reason))

    async def _attend_events(self, link: Link) -> str:
        """Wait for the event link's end, and end it when the switch is silent or stuck."""
        settings = self._settings
        while True:
            with trio.move_on_after(min(1.0, settings.quiet_s)):
                return await link.wait_closed()
            now = trio.current_time()
            if now - link.received_at >= settings.quiet_s:
                try:
                    # Changes nothing on a connection without a session; an api command would fire an event.
                    await link.command("nolinger", deadline_s=settings.answer_s, guarded=False)
                except EslError:
                    # A backlog of events goes before the answer, and is an answer too.
                    if trio.current_time() - link.received_at >= settings.answer_s:
                        link.abort("the switch does not answer")
            elif self._beats_missed(now):
                link.abort("the switch sends no heartbeat any more")

    def _beats_missed(self, now: float) -> bool:
        # The interval is the switch's to configure: it is learned, and only then expected.
        interval = self._loss.interval_s
        return interval > 0 and now - self._heartbeat_at > interval * self._settings.heartbeats_missed

    async def _keep(self, slot: Slot, prepare: Callable[[Link], Awaitable[None]]) -> None:
        backoff = Backoff(self._settings.first_retry_s, self._settings.most_retry_s)
        while True:
            await self.wait_up()
            try:
                async with open_link(
                    self.endpoint,
                    guard=self._guard,
                    on_events=self._jobs.see,
                    on_log=self._on_log,
                    limit_s=self._settings.connect_s,
                    connect=self._connect,
                ) as link:
                    await self._check_core(link)
                    await prepare(link)
                    backoff.reset()
                    slot.offer(link)
                    reason = await self._attend(link)
            except EslError as exc:
                reason = str(exc)
            finally:
                self._count_ended(slot)
                slot.withdraw()
            LOG.info("link is down", switch=str(self.endpoint), link=slot.name, reason=reason)
            await backoff.wait()

    async def _check_core(self, link: Link) -> None:
        core_uuid = (await link.api("global_getvar core_uuid", guarded=False)).strip()
        if core_uuid != self.core_uuid:
            # A restart, or an address that moved to another host, that the event link has not noticed yet.
            self._events.abort("another switch answers there now")
            raise NotSent("another switch answers there now")

    async def _ready(self, link: Link) -> None:
        return None

    async def _ready_for_jobs(self, link: Link) -> None:
        await link.confirm(commands.subscribe(["BACKGROUND_JOB"]), guarded=False)

    async def _ready_for_log(self, link: Link) -> None:
        if trio.current_time() < self._log_off_until:
            return
        try:
            await link.confirm("log 2", guarded=False)  # 2 is CRIT
        except CommandRefused as exc:
            # A user without the right to read logs; the link still lists channels.
            LOG.warning("the switch's log is not readable", switch=str(self.endpoint), answer=exc.text)

    async def _attend(self, link: Link) -> str:
        while True:
            with trio.move_on_after(1.0):
                return await link.wait_closed()
            if self._confessed and trio.current_time() - self._confessed_at >= CONFESSION_EVERY_S:
                self._tell_confession()
            if link.oldest_wait_s() > self._settings.stall_s:
                link.abort(f"no answer for {self._settings.stall_s:g} s")

    async def _least_busy(self, limit_s: float) -> Link:
        links = [slot.link for slot in self._pool if slot.link is not None and not slot.link.closed]
        if not links:
            return await self._pool[0].wait(limit_s)
        # Commands that wait for their turn to be written are not pending yet, so equals take turns.
        self._turn += 1
        turn = self._turn % len(links)
        return min(links[turn:] + links[:turn], key=lambda link: link.pending)

    # --- what the links bring -----------------------------------------------------------------------------

    def _on_events(self, events: list[Event]) -> None:
        if self._early is not None:
            self._early += events  # a read or two, until the answer to the subscription is looked at
            return
        self._notices.put_events(events)
        before = self._loss.heartbeat
        for reason in self._loss.see(events, trio.current_time()):
            self._doubt(reason)
        beat = self._loss.heartbeat
        if beat is not None and beat is not before:
            self._heartbeat, self._heartbeat_at = beat, trio.current_time()
        stamp = events[-1].exact("Event-Date-Timestamp") or ""
        if stamp.isascii() and stamp.isdigit() and len(stamp) < 19:
            self._lag_ms = max(0.0, (time.time_ns() // 1000 - int(stamp)) / 1000)

    def _on_log(self, frame: Frame) -> None:
        lost = lost_in_log(frame.body)
        now = trio.current_time()
        if lost is not None:
            # There are up to 501 such lines for one slow listener: the first is a doubt, and the last is.
            self._lost += lost
            self._confessed = True
            if now - self._confessed_at >= CONFESSION_EVERY_S:
                self._tell_confession()
            return
        if now - self._log_since > LOUD_S:
            self._log_since, self._log_lines = now, 0
        self._log_lines += 1
        if self._log_lines > LOUD_LINES:
            # Dialled again without the log: the link is still good for listing channels.
            self._log_off_until = now + LOUD_PAUSE_S
            self._watch.abort("the switch's log is too loud to listen to")

    def _tell_confession(self) -> None:
        self._confessed = False
        self._confessed_at = trio.current_time()
        self._doubt("the switch says that it lost events")

    def _doubt(self, reason: str) -> None:
        self._doubts += 1
        LOG.warning("events may be missing", switch=str(self.endpoint), reason=reason)
        self._notices.put(Doubt(reason))

    def _slots(self) -> list[Slot]:
        return [self._events, self._api, self._watch, *self._pool]

    def _count_ended(self, slot: Slot) -> None:
        if slot.link is not None:
            self._ended.add_link(slot.link, counts_events=slot is self._events)
            self._ended.unanswered = 0


@asynccontextmanager
async def open_switch(
    endpoint: Endpoint,
    *,
    subscriptions: Sequence[str],
    filters: Sequence[tuple[str, str]] = (),
    guard: Callable[[], None] | None = None,
    record: Callable[[bytes], None] | None = None,
    settings: SwitchSettings | None = None,
    connect: Connect = dial,
) -> AsyncIterator[Switch]:
    """Hold a switch while the block runs; it may be down at first and come and go.

    ``subscriptions`` are event names and CUSTOM subclasses; HEARTBEAT is added. With ``filters`` (header and
    value, OR-ed) only matching events come. ``guard`` is called right before each command of ours is written;
    what it raises keeps the command back. ``record`` gets the event link's bytes, whole frames only, and must
    return at once. Raises `CommandError` for names that are no events.
    """
    switch = Switch(endpoint, subscriptions, filters, guard, record, settings or SwitchSettings(), connect)
    async with beside(switch.run):
        yield switch
