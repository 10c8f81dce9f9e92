"""One ownership of one switch: from the moment the lease is ours to the moment it is not.

Inside, in this order: draw a fencing token; read what the store knows of the switch's calls; write what a dead
controller of this machine left on disk; replay the seconds we overheard as a standby; then listen, command and
compare for as long as the lease lasts. Every task belongs to the nursery in `Owner.run`.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVarTuple

import msgspec
import trio

from core.calls import Ledger, Superseded
from core.clock import monotonic, now_us
from core.cluster.lease import Lease
from core.config import inside_of
from core.errors import Conflict, IrisxError, PeerError
from core.logs import get_logger
from core.model.records import Call, Change, Leg
from core.model.switchboard import Switchboard
from core.recorder import Recorder
from core.storage import calls as call_store
from core.storage import nodes as node_store
from core.telephony import consult
from core.telephony import resync as comparing
from core.telephony.agent_legs import look_after_legs
from core.telephony.agent_phone import AgentPhone, StoredNotes, open_agent_phone
from core.telephony.node_orders import turn_away
from core.telephony.order_intake import OrderIntake
from core.telephony.parts import Parts
from core.telephony.reporting import report_status, show_life
from core.telephony.resync import Report
from core.telephony.standby import Recent
from core.telephony.translate import translate
from core.telephony.turns import Turns
from core.telephony.watch import Watches
from freeswitch.errors import EslError
from freeswitch.esl import frame_of
from freeswitch.switch import Doubt, Down, Events, Notice, Switch, Up

LOG = get_logger("owner")
Ts = TypeVarTuple("Ts")

ENDED_LOOK_BACK_S = 60
RETRY_S = 0.2
YES = (True, "yes", "true", "on", "1")
"""How an operator says yes in a switch's settings, which are texts."""
RECOVERY_S = 6.0
"""How long after a fail-over legs may still come back: `sofia recover` takes 14-25 ms for each bridged call, and half
calls are hung up by then."""


class Owner:
    """What a controller does with a switch that it owns. `orders` and `actions` see this."""

    def __init__(
        self, parts: Parts, node: node_store.Node, switch: Switch, lease: Lease, recorder: Recorder
    ) -> None:
        self.parts = parts
        self.node = node
        self.switch = switch
        self.lease = lease
        self.recorder = recorder
        self.state = node.state
        self.phone: AgentPhone | None = None
        self._calling: set[str] = set()
        """Agents' legs on their way."""
        self.board = Switchboard(node.id, node.default_tenant)
        self.watches = Watches()
        self.turns = Turns()
        self.ledger = Ledger(node.id, self._write, parts.state_dir / "spool", parts.name)
        self._nursery: trio.Nursery | None = None
        self.orders = OrderIntake(parts, node.id, lease)
        self._resyncing = trio.Lock()
        self._resync_wanted = trio.Event()
        self._resync_reason = ""
        self._resync_at = -math.inf
        self._resync_scope = trio.CancelScope()
        """Around the comparison that runs now."""
        self._resumed = False
        """Whether the transfers that a predecessor left are being looked after again."""
        self.resyncs = 0
        self.overheard = 0

    # What actions use --------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, object]:
        return self._described.settings

    @property
    def dial_template(self) -> str:
        return self._described.dial_template

    @property
    def _described(self) -> node_store.Node:
        """The switch as its operator describes it now; `node` is how it was when we took it."""
        return self.parts.nodes.get(self.node.id, self.node)

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        return await self.switch.api(line, deadline_s=deadline_s)

    async def bgapi(self, line: str, *, deadline_s: float = 60.0) -> str:
        return await self.switch.bgapi(line, deadline_s=deadline_s)

    def leg(self, uuid: str) -> Leg | None:
        """A live leg as it is now."""
        call = self.board.call_of(uuid)
        if call is None:
            return None
        return next((leg for leg in call.legs if leg.uuid == uuid and leg.state != "ended"), None)

    def latest(self, call_id: str) -> Call | None:
        """The call as it is now; None when it has ended (the store knows it then)."""
        return self.board.calls.get(call_id)

    def note(self, leg: str, *, muted: bool | None = None, held: bool | None = None) -> None:
        """Record what we did and FreeSWITCH sends no event for."""
        self._take(self.board.mark(leg, muted=muted, held=held, at_us=now_us()))

    def tell(self, kind: str, call_id: str, **data: str) -> None:
        """Add a fact about a live call that is not a change of its record."""
        call = self.board.calls.get(call_id)
        if call is not None:
            self._take([Change(type=kind, call=call, occurred_us=now_us(), data=dict(data))])

    @contextmanager
    def calling(self, leg: str) -> Iterator[None]:
        self._calling.add(leg)
        try:
            yield
        finally:
            self._calling.discard(leg)

    def background(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run something that outlives the order, as long as we own the switch."""

        async def guarded() -> None:
            try:
                await fn(*args)
            except (EslError, IrisxError) as exc:
                LOG.warning("a later step failed", node=self.node.id, step=fn.__name__, error=str(exc))

        if self._nursery is not None:
            self._nursery.start_soon(guarded)

    def refuse_new_calls(self) -> None:
        if self.state != "active":
            raise Conflict(f"the switch is {self.state}: it takes no new calls", code="draining")

    async def set_state(self, state: str) -> None:
        self.state = state
        await self.parts.bridge.run(node_store.set_state, self.parts.db, self.node.id, state)

    async def _note_reach(self, up: bool, reason: str) -> None:
        note = partial(node_store.note_reach, up=up, reason=reason)
        await self.parts.bridge.run(note, self.parts.db, self.node.id)

    async def resync(self, reason: str) -> Report:
        """Compare with the switch's own list; see `core.telephony.resync`."""
        async with self._resyncing:
            report = await comparing.resync(self.switch, self.board, self._take, self.recorder)
        self.resyncs += 1
        LOG.info("resynced", node=self.node.id, reason=reason, **msgspec.to_builtins(report))
        return report

    # The life of an ownership -------------------------------------------------------------------------

    async def run(self, recent: Recent) -> None:
        """Own the switch until the lease is lost. ``recent`` is what we overheard while standing by."""
        try:
            async with self._phone_to_agents(), trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._until_lost, nursery.cancel_scope)
                await self._take_over(recent)
                nursery.start_soon(self._write_until_superseded, nursery.cancel_scope)
                nursery.start_soon(self._resync_when_wanted)
                nursery.start_soon(self.orders.run, self, nursery)
                nursery.start_soon(report_status, self)
                nursery.start_soon(show_life, self)
                self._want_resync("taken over")
                if self.switch.up:
                    # The owner before us may have died while the switch was out of its reach.
                    self.background(self._note_reach, True, "")
                while True:
                    self._on_notice(await self.switch.receive())
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(2.0):
                await self.parts.bridge.run(self.parts.bus.unserve, self.node.id)
                if self.lease.token:
                    await self.ledger.flush()
                await self.ledger.aclose()

    @asynccontextmanager
    async def _phone_to_agents(self) -> AsyncIterator[None]:
        inside = inside_of(self._described.url)
        if inside is None:
            yield
            return
        async with open_agent_phone(StoredNotes(self.parts, self.node.id), inside) as self.phone:
            yield

    async def _until_lost(self, scope: trio.CancelScope) -> None:
        await self.lease.keep()
        scope.cancel()

    async def _write_until_superseded(self, scope: trio.CancelScope) -> None:
        try:
            await self.ledger.run()
        except Superseded:
            LOG.warning("another controller wrote for this switch", node=self.node.id)
            scope.cancel()

    async def _take_over(self, recent: Recent) -> None:
        began = monotonic()
        # By the switch's clock, which is the one that calls ended by.
        since_us = (recent.since_us() or now_us()) - ENDED_LOOK_BACK_S * 1_000_000
        while True:
            try:
                self.lease.token = await self._draw_fence()
                await self.ledger.adopt()
                known = await self.parts.bridge.run(
                    call_store.calls_for_takeover, self.parts.db, self.node.id, since_us
                )
                # Read after the token was drawn: the owner before us may have been told to drain a moment ago.
                now = await self.parts.bridge.run(node_store.get_node, self.parts.db, self.node.id)
                self.state = now.state
                if self.phone is not None:
                    await self.phone.adopt()
                break
            except PeerError as exc:
                LOG.warning("cannot take over yet", node=self.node.id, error=exc.code)
                await trio.sleep(RETRY_S)
        self.board.restore(known)
        self.recorder.mark("connected", core_uuid=self.switch.core_uuid, taken_over=True)
        for events in recent.take():
            self.overheard += len(events)
            self._on_notice(Events(events))
        LOG.info(
            "owning a switch",
            node=self.node.id,
            fence=self.lease.token,
            calls=len(self.board.calls),
            overheard=self.overheard,
            took_ms=round((monotonic() - began) * 1000),
        )

    async def _draw_fence(self) -> int:
        return await self.parts.bridge.run(
            partial(node_store.draw_fence, owner=self.parts.name), self.parts.db, self.node.id
        )

    def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, Events):
            self.recorder.write(b"".join([frame_of(event) for event in notice.events]))
            board, take = self.board, self._take
            advance = board.advance
            for event in notice.events:
                fact = translate(event, board)
                if fact is not None and (changes := advance(fact)):
                    take(changes)
        elif isinstance(notice, Up):
            self.recorder.mark("connected", core_uuid=notice.core_uuid)
            self.background(self._note_reach, True, "")
            if notice.changed:
                # A standby that recovers calls answers with its own Core-UUID too.
                recovering = self.settings.get("recovers_calls") in YES
                LOG.warning("the switch was restarted", node=self.node.id, recovering=recovering)
                self.recorder.mark("restarted", recovering=recovering)
                self._take(self.board.node_restarted(now_us(), recovering=recovering))
                if recovering:
                    self._resync_at = trio.current_time() + RECOVERY_S
            self._resync_scope.cancel()
            self._want_resync("connected")
        elif isinstance(notice, Down):
            LOG.warning("the switch is out of reach", node=self.node.id, reason=notice.reason)
            self.recorder.mark("lost")
            self.background(self._note_reach, False, notice.reason)
            self._take(self.board.node_lost(now_us()))
        elif isinstance(notice, Doubt):
            self._want_resync(notice.reason)

    def _take(self, changes: list[Change]) -> None:
        if changes:
            self.ledger.add(changes)
            self.watches.tell(changes)

    def _want_resync(self, reason: str) -> None:
        self._resync_reason = reason
        self._resync_wanted.set()

    async def _resync_when_wanted(self) -> None:
        while True:
            await self._resync_wanted.wait()
            self._resync_wanted = trio.Event()
            # Over a connection that was lost it would go on waiting, and keep the next one from beginning.
            with trio.CancelScope() as self._resync_scope:
                await self._resync_now()

    async def _resync_now(self) -> None:
        try:
            # First of all: a switch that was restarted takes every call until it is told not to.
            if self.state != "active":
                await turn_away(self)
            await trio.sleep_until(self._resync_at)
            await self.resync(self._resync_reason)
            if not self._resumed:
                self._resumed = True
                consult.resume(self)
                self.background(look_after_legs, self, self._calling)
        except (EslError, PeerError, Conflict) as exc:
            LOG.warning("resync failed; again soon", node=self.node.id, error=str(exc))
            await trio.sleep(RETRY_S)
            if self.switch.up:  # otherwise the next `Up` asks again
                self._resync_wanted.set()

    async def _write(self, changes: Sequence[Change]) -> None:
        """One transaction, and then everybody who follows sees it: one crossing for both."""
        try:
            await self._store(changes)
        except call_store.FenceLost:
            if not self.lease.held:
                raise Superseded from None
            # A controller that lost the race for the lease drew a token after us: ours is drawn again.
            self.lease.token = await self._draw_fence()
            await self._store(changes)

    async def _store(self, changes: Sequence[Change]) -> None:
        write = partial(call_store.write_changes, node=self.node.id, fence=self.lease.token, changes=changes)
        await self.parts.bridge.run(write, self.parts.db)
