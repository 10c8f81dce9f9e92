"""Sending what waits to be sent through one account: take, decide, hand over, write down.

trio. The store is asked through the bridge, the channel is called under a deadline. Any number of processes may serve one
account; a message is with one of them at a time (`core.storage.outbox`). Messages that are under way together are begun
and written down together (`core.batches`). Routed messages come from `core.routing` by `Sender.deliver`.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import msgspec
import trio
from msgspec import Struct

from core.aio import Bridge
from core.batches import Batches
from core.clock import monotonic, now_us
from core.errors import IrisxError, NotFound, PeerError
from core.logs import get_logger
from core.model import sending
from core.outbox_claims import Claims
from core.outbox_ledger import Begun, Ledger, Opening, Toll, Tolls
from core.pacing import Pace
from core.storage import learning
from core.storage.attempt_results import Done
from core.storage.attempts import Route, Started
from core.storage.database import Database
from core.storage.outbox import Claimed
from core.storage.sending import Letter
from irisx_sdk import Account, Channel, Outbound, Throttled, Tools

LOG = get_logger("outbox")

AT_ONCE = 64
"""Messages of one account that are under way together; as many connections it may have (`core.channel_tools`)."""
SEND_S = 30.0
"""How long a channel may take to send; well below `core.storage.outbox.CLAIM_S`."""
IDLE_S = 1.0
"""How often an idle sender looks by itself; a new message wakes it at once."""
LONG_PAUSE_S = 5.0
"""When an account has to wait longer than this, what it has taken goes back."""
FEW = 16
GATHER_S = 0.02
"""After a bite of fewer than `FEW` messages the next one is not taken sooner than this."""

BeforeSend = Callable[[str, Outbound], Awaitable[Outbound]]
"""On the asyncio side: another message in place of one, made by plugins before anything is decided about it."""


class Counts(Struct):
    """What one sender has done, for metrics."""

    sent: int = 0
    again: int = 0
    over: int = 0
    unknown: int = 0
    waiting: int = 0


class Delivery(Struct, frozen=True):
    """What came of `Sender.deliver`. ``next``: certainly not sent, still claimed; another carrier may be asked."""

    step: Literal["done", "next"]
    after: sending.Next | None = None
    number: int = 0
    opened: bool = False
    """The carrier's breaker has just opened."""


DONE = Delivery("done")


class Sender:
    """Serves the outbox of one account while `run` runs."""

    def __init__(
        self,
        bridge: Bridge,
        db: Database,
        channel: Channel,
        account: Account,
        tools: Tools,
        *,
        owner: str,
        before_send: BeforeSend | None = None,
        blame: Callable[[str, str], Awaitable[None]] | None = None,
        status_url: str = "",
        tolls: Tolls | None = None,
        pace: Pace | None = None,
        per_second: float = 0.0,
    ) -> None:
        self._bridge = bridge
        self._channel = channel
        self._account = account
        self._tools = tools
        self._before_send = before_send
        self._blame = blame
        self._status_url = status_url
        self._claims = Claims(db, account.id, owner=owner, pace=pace, per_second=per_second)
        self._ledger = Ledger(db, channel, account.id, owner=owner, tolls=tolls)
        self._wake = trio.Event()
        self._stopping = False
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._throttles = 0
        self._beginnings: Batches[Opening, Begun] = Batches(bridge, self._ledger.begin)
        self._endings: Batches[Done, None] = Batches(bridge, self._ledger.keep_sent)
        self.account_id = account.id
        self.channel_name = channel.name
        self.counts = Counts()
        self.pause_until = 0.0
        """The account as a whole waits until this moment (`trio.current_time`): its provider said so."""

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way has ended."""
        self._stopping = True
        self._wake.set()

    def take_place(self, message_id: str) -> bool:
        """A place for one more message, if this account can take it now; `leave_place` gives it back."""
        if self._stopping or trio.current_time() < self.pause_until:
            return False
        try:
            self._room.acquire_on_behalf_of_nowait(message_id)
        except trio.WouldBlock:
            return False
        return True

    def leave_place(self, message_id: str) -> None:
        """That message needs its place no more."""
        self._room.release_on_behalf_of(message_id)
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop` or until cancelled; what is under way when cancelled is left for `store.stranded`."""
        async with trio.open_nursery() as nursery:
            while not self._stopping:
                self._wake = trio.Event()
                free = AT_ONCE - self._room.borrowed_tokens
                taken = await self._take(free) if free and trio.current_time() >= self.pause_until else []
                for one, letter, turn_s in taken:
                    # (a place is taken here, so that no more are claimed than are worked on)
                    await self._room.acquire_on_behalf_of(one.message_id)
                    nursery.start_soon(self._deliver, one, letter, turn_s)
                if taken and len(taken) < FEW:
                    # (under load: what ends meanwhile makes room for a larger bite)
                    await trio.sleep(GATHER_S)
                if not taken and not self._stopping:
                    paused_s = self.pause_until - trio.current_time()
                    with trio.move_on_after(min(max(paused_s, 0.02), IDLE_S) if paused_s > 0 else IDLE_S):
                        await self._wake.wait()
        # (routed messages are under way in tasks of the router's)
        while self._room.borrowed_tokens:
            self._wake = trio.Event()
            await self._wake.wait()

    async def _take(self, limit: int) -> list[tuple[Claimed, Letter, float]]:
        try:
            return await self._bridge.run(self._claims.take, limit)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", channel=self._account.id, error=exc.code)
            return []

    async def _deliver(self, one: Claimed, letter: Letter, turn_s: float) -> None:
        try:
            if turn_s > 0:
                await trio.sleep(turn_s)
            await self.deliver(one, letter)
        except NotFound:
            LOG.info("a message was taken back", message=one.message_id)
        except IrisxError as exc:
            # The store failed: the claim runs out, and what was begun is found as stranded.
            LOG.warning("a message waits for the store", message=one.message_id, error=exc.code)
        finally:
            self.leave_place(one.message_id)

    async def deliver(self, one: Claimed, letter: Letter, route: Route | None = None) -> Delivery:
        """One message, from the last look to what came of it. Raises the store's errors."""
        if not await self._turn(one):
            return DONE
        if one.doubtful and not self._recognises(one.first_us, SEND_S):
            self.counts.unknown += 1
            await self._bridge.run(self._ledger.give_up, one, "too_late_to_repeat")
            return DONE
        outbound = msgspec.structs.replace(letter.outbound, status_url=self._status_url)
        if self._before_send is not None:
            # Plugins first: what they make of it is decided about like everything else. Whom it goes to stays.
            made = await self._bridge.run(self._before_send, self._channel.name, outbound)
            outbound = msgspec.structs.replace(made, id=outbound.id, to=outbound.to)
        begun = await self._beginnings.put(Opening(one, outbound, route))
        started = begun.started
        if started.verdict != "send":
            self.counts.waiting += started.verdict == "wait"
            self.counts.over += started.verdict == "refuse"
            return DONE
        called = monotonic()
        try:
            with trio.fail_after(SEND_S):
                result = await self._channel.send(self._account, outbound, self._tools)
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything; what it means is decided in one place
            return await self._failed(one, started, begun.toll, outbound, exc, monotonic() - called)
        self.counts.sent += 1
        self._throttles = 0
        lesson = begun.toll.lesson("sent", monotonic() - called, wins=1)
        await self._endings.put(Done(one=one, number=started.number, result=result, lesson=lesson))
        return DONE

    async def _turn(self, one: Claimed) -> bool:
        """Wait while the account does; False when that is too long, and the message has gone back."""
        while (paused_s := self.pause_until - trio.current_time()) > 0:
            if paused_s > LONG_PAUSE_S:
                self.counts.waiting += 1
                due_us = now_us() + round(paused_s * 1e6)
                await self._bridge.run(self._ledger.put_off, one, "account_paused", due_us)
                return False
            await trio.sleep(paused_s)
        return True

    def _recognises(self, first_us: int, in_s: float) -> bool:
        """Whether the provider will know, so many seconds from now, what it was given first at ``first_us``."""
        return sending.recognises(self._channel.capabilities, first_us, now_us() + round(in_s * 1e6))

    async def _failed(
        self, one: Claimed, started: Started, toll: Toll, message: Outbound, error: Exception, took_s: float
    ) -> Delivery:
        number, moment = started.number, now_us()
        longest_s = sending.pause_of(number, 1.2)
        after = sending.after(
            error,
            attempts=number,
            idempotent=self._recognises(started.first_us, longest_s + SEND_S),
            left_s=(one.deadline_us - moment) / 1e6,
            jitter=random.uniform(0.8, 1.2),
            routed=bool(one.route) and not one.doubtful,
        )
        LOG.info(
            "a message was not sent",
            message=one.message_id,
            channel=self._account.id,
            step=after.step,
            outcome=after.outcome,
            code=after.code,
            attempt=number,
        )
        if after.opted_out:
            await self._bridge.run(self._ledger.opt_out, one.tenant_id, message)
        if isinstance(error, Throttled):
            await self._slow_down(error)
        elif after.blames_account:
            self.pause_until = trio.current_time() + sending.MISCONFIGURED_PAUSE_S
            if self._blame is not None:
                await self._blame(after.code, after.reason)
        lesson = toll.lesson(_counted(after.outcome), took_s, wins=int(after.outcome == "refused"))
        opened = False
        if toll.carrier_id and after.outcome in ("not_sent", "misconfigured"):
            opened = await self._bridge.run(self._ledger.trip, one.tenant_id, toll.carrier_id, after)
        if after.step in ("again", "next"):
            self.counts.again += 1
        elif after.step == "over":
            self.counts.over += 1
        else:
            self.counts.unknown += 1
        keep = self._ledger.keep_failed
        await self._bridge.run(partial(keep, one, number, after, lesson, past=toll.carrier_id, now_us=moment))
        return Delivery("next", after, number, opened) if after.step == "next" else DONE

    async def _slow_down(self, error: Throttled) -> None:
        """The provider wants us slower: the account waits as a whole, once for all that were refused together."""
        now = trio.current_time()
        if now < self.pause_until and error.retry_after_s is None:
            return
        self._throttles += 1
        pause_s = sending.throttle_of(self._throttles, error.retry_after_s, random.uniform(0.8, 1.2))
        self.pause_until = max(self.pause_until, now + pause_s)
        if self._claims.limited:
            await self._bridge.run(self._claims.slower, pause_s)


def _counted(outcome: str) -> str:
    """An outcome's name in a carrier's numbers."""
    return outcome if outcome in learning.COUNTED else "failed"
