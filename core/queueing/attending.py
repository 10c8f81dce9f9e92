"""What callers hear while they wait: one task for each, which answers the call, greets, plays music, and says how far they are.

An attendant lives from the moment somebody waits until an agent has accepted, or they are gone. It holds nothing that would be
missed: an heir begins new ones, who play music again. Orders go to the owner of the call's switch; one that fails is tried
again, seldom, because a caller in silence is better than a switch that is asked all the time.
"""

import random
from collections.abc import Sequence
from functools import partial

import trio

from core.aio import Inbox
from core.clock import now_us
from core.cluster.lease import Lease
from core.errors import IrisxError
from core.ids import new_id
from core.logs import get_logger
from core.model.orders import Order, Outcome
from core.model.queueing import Board
from core.model.queueing_records import QueueEntry, QueueSettings
from core.queueing.rounds import staffed
from core.storage.queue_follow import Goodbye
from core.telephony.joining import HOLD_MUSIC
from core.telephony.parts import Parts

LOG = get_logger("queues")

ORDER_S = 10.0
LONGEST_SOUND_S = 30.0
"""An announcement whose end nobody tells us is over by then."""
FIRST_RETRY_S = 1.0
MAX_RETRY_S = 30.0
SETTLE_S = 0.5
FOREVER_S = 10.0 * 365 * 86_400
"""A pause that only cancelling ends."""


class Caller:
    """Somebody who waits, as their attendant knows them."""

    def __init__(self, entry: QueueEntry, settings: QueueSettings) -> None:
        self.entry = entry
        self.settings = settings
        self.scope = trio.CancelScope()
        self.answer = trio.Event()
        """Set when the call may be answered."""
        self.position = 0


class Attendants:
    """All attendants of one tenant."""

    def __init__(self, parts: Parts, lease: Lease, tenant_id: str, nursery: trio.Nursery) -> None:
        self._parts = parts
        self._lease = lease
        self._tenant_id = tenant_id
        self._nursery = nursery
        self._callers: dict[str, Caller] = {}
        self._silences: dict[str, trio.Event] = {}
        """By call: set when a sound has ended."""
        self.refused = 0
        """Orders that were not carried out."""

    def look(self, board: Board, moment_us: int) -> None:
        """Begin, guide and end attendants by what the board says."""
        taken = {one.entry_id for one in board.reservations.values() if one.state != "offered"}
        wanted = {
            one.id: one
            for one in board.entries.values()
            if one.kind == "call" and one.id not in taken and one.queue_id in board.desks
        }
        for entry_id in [one for one in self._callers if one not in wanted]:
            caller = self._callers.pop(entry_id)
            caller.scope.cancel()
        for entry_id, entry in wanted.items():
            caller_or_none = self._callers.get(entry_id)
            settings = board.desks[entry.queue_id].queue.settings
            if caller_or_none is None:
                caller_or_none = self._callers[entry_id] = Caller(entry, settings)
                self._nursery.start_soon(self._attend, caller_or_none)
            caller = caller_or_none
            caller.entry, caller.settings = entry, settings
            if entry.answered_call or _may_answer(board, entry):
                caller.answer.set()
            if settings.say_position and board.lane_of(entry_id) is not None:
                caller.position = board.position(entry_id, moment_us)

    async def hear(self, heard: Inbox[tuple[str, str]]) -> None:
        """Tell attendants that sounds have ended."""
        while True:
            for call_id, _ in await heard.take():
                if (silence := self._silences.get(call_id)) is not None:
                    silence.set()

    def say_goodbye(self, one: Goodbye) -> None:
        """End a call, after a sound if there is one."""
        self._nursery.start_soon(self._goodbye, one)

    async def _goodbye(self, one: Goodbye) -> None:
        order = partial(self._order, one.node, one.call_id)
        if one.sound and await order("call.answer"):
            await self._play(one.node, one.call_id, one.sound)
        await order("call.hangup")

    async def _attend(self, caller: Caller) -> None:
        with caller.scope:
            await caller.answer.wait()
            if not caller.entry.answered_call and not await self._insist(caller, "call.answer"):
                return
            greeting = caller.settings.greeting
            if greeting:
                await self._say(caller, [greeting])
            offered = False
            while True:
                await self._insist(caller, "call.play", path=caller.settings.music or HOLD_MUSIC)
                every = caller.settings.announce_every_s
                callback = caller.settings.callback
                pause = float(every) if every else FOREVER_S
                if callback.enabled and callback.sound and not offered:
                    pause = min(pause, max(callback.after_s, 1))
                await trio.sleep(pause)
                sounds = self._announcement(caller)
                if callback.enabled and callback.sound and not offered:
                    offered = True
                    sounds = [*sounds, callback.sound]
                if sounds:
                    await self._say(caller, sounds)

    def _announcement(self, caller: Caller) -> list[str]:
        sounds = []
        if caller.settings.say_position and 0 < caller.position <= 20:
            # (FreeSWITCH's own sounds: digits/0.wav to digits/20.wav)
            sounds.append(f"digits/{caller.position}.wav")
        if caller.settings.announce and caller.settings.announce_every_s:
            sounds.append(caller.settings.announce)
        return sounds

    async def _say(self, caller: Caller, sounds: Sequence[str]) -> None:
        """Play each to its end."""
        for path in sounds:
            await self._play(caller.entry.node, caller.entry.call_id, path, leg=caller.entry.leg)

    async def _play(self, node: str, call_id: str, path: str, **args: str) -> None:
        try:
            if not await self._order(node, call_id, "call.play", path=path, **args):
                return
            # (what played before has ended by then: its end may be told a little later than this began)
            await trio.sleep(SETTLE_S)
            silence = self._silences[call_id] = trio.Event()
            with trio.move_on_after(LONGEST_SOUND_S):
                await silence.wait()
        finally:
            self._silences.pop(call_id, None)

    async def _insist(self, caller: Caller, action: str, **args: str) -> bool:
        """Give an order until it is done; False when it makes no sense any more (the call is gone)."""
        delay = FIRST_RETRY_S
        while True:
            done = await self._order(
                caller.entry.node, caller.entry.call_id, action, leg=caller.entry.leg, **args
            )
            if done is not None:
                return done
            await trio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, MAX_RETRY_S)

    async def _order(self, node: str, call_id: str, action: str, **args: str) -> bool | None:
        """Give an order; True when it is as wanted, False when it was refused for good, None when it may be tried again."""
        if not self._lease.held:
            return None
        order = Order(
            id=new_id("ord"),
            action=action,
            node=node,
            tenant_id=self._tenant_id,
            deadline_us=now_us() + round(ORDER_S * 1e6),
            call_id=call_id,
            args=dict(args),
            actor="queues",
        )
        try:
            outcome: Outcome = await self._parts.bridge.run(self._parts.bus.ask, order)
        except IrisxError as exc:
            self.refused += 1
            LOG.info("an order for a caller was not done", order=order.id, action=action, code=exc.code)
            return None
        if outcome.status == "done" or outcome.code == "already_answered":
            return True
        self.refused += 1
        if outcome.status in ("not_found", "refused"):
            return False
        return None


def _may_answer(board: Board, entry: QueueEntry) -> bool:
    how = board.desks[entry.queue_id].queue.settings.answer
    return how == "at_once" or (how == "when_staffed" and staffed(board, entry.queue_id))
