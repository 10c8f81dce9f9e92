"""Sending what waits to be sent through one account: take, decide, hand over, write down.

trio. The store is asked through the bridge, the channel is called under a deadline. Any number of processes may serve one
account; a message is with one of them at a time (`core.storage.outbox`). Messages that are under way together are begun
and written down together (`core.batches`). Routed messages come from `core.routing` by `Sender.deliver`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from core.model import policy, sending
from core.pacing import Pace
from core.storage import attempts, learning, receipts
from core.storage import outbox as store
from core.storage import sending as letters
from core.storage.attempts import Done, Route, Start, Started
from core.storage.database import Database
from core.storage.learning import Lesson
from core.storage.outbox import Claimed
from core.storage.sending import Facts, Letter
from irisx_sdk import Account, Channel, Outbound, Template, Throttled, Tools

LOG = get_logger("outbox")

AT_ONCE = 64
"""Messages of one account that are under way together; as many connections it may have (`core.channel_tools`)."""
SEND_S = 30.0
"""How long a channel may take to send; well below `core.storage.outbox.CLAIM_S`."""
IDLE_S = 1.0
"""How often an idle sender looks by itself; a new message wakes it at once."""
SWEEP_S = 5.0
KEEP_S = 50.0
"""How long we try to write down what a provider said while the store is away."""
LONG_PAUSE_S = 5.0
"""When an account has to wait longer than this, what it has taken goes back."""
FEW = 16
GATHER_S = 0.02
"""After a bite of fewer than `FEW` messages the next one is not taken sooner than this."""
AHEAD_S = 2.0
"""How far ahead of its limit an account takes messages."""

BeforeSend = Callable[[str, Outbound], Awaitable[Outbound]]
"""On the asyncio side: another message in place of one, made by plugins before anything is decided about it."""


class Toll(Struct, frozen=True):
    """Whom a message pays, and what it is expected to cost."""

    carrier_id: str = ""
    cost: float = 0.0
    digits: str = ""


Tolls = Callable[[str, str, Outbound], Awaitable[Toll]]
"""On the asyncio side: the toll of a message that a tenant sends through an account."""


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


class _Opening(Struct, frozen=True):
    """A message whose attempt is about to begin."""

    one: Claimed
    outbound: Outbound
    route: Route | None


class _Begun(Struct, frozen=True):
    started: Started
    toll: Toll


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
        self._db = db
        self._channel = channel
        self._account = account
        self._tools = tools
        self._owner = owner
        self._before_send = before_send
        self._blame = blame
        self._status_url = status_url
        self._tolls = tolls
        self._pace = pace
        self._per_second = per_second
        self._wake = trio.Event()
        self._stopping = False
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._throttles = 0
        self._beginnings: Batches[_Opening, _Begun] = Batches(bridge, self._begin)
        self._endings: Batches[Done, None] = Batches(bridge, self._keep_sent)
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
            return await self._bridge.run(self._claim, limit)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", channel=self._account.id, error=exc.code)
            return []

    async def _claim(self, limit: int) -> list[tuple[Claimed, Letter, float]]:
        """Due messages, each with the seconds until its turn comes under the account's limit."""
        rate = self._per_second
        if rate:
            limit = min(limit, max(round(rate * AHEAD_S), 1))
        claimed = await store.claim(self._db, self._account.id, self._owner, limit=limit, now_us=now_us())
        if not claimed:
            return []
        first_s = step_s = 0.0
        if rate and self._pace is not None:
            drawn = await self._pace.draw(self._account.id, rate, len(claimed), most_s=AHEAD_S)
            if drawn is None:
                await store.release(self._db, claimed, self._owner)
                return []
            first_s, step_s = drawn.first_s, drawn.each_s
        found = await letters.read_letters(
            self._db, claimed[0].tenant_id, [one.message_id for one in claimed]
        )
        return [
            (one, found[one.message_id], max(first_s + number * step_s, 0.0))
            for number, one in enumerate(claimed)
            if one.message_id in found
        ]

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
            give_up = partial(
                attempts.unknown, self._db, one, 0, code="too_late_to_repeat", reason="", now_us=now_us()
            )
            await self._bridge.run(give_up)
            return DONE
        outbound = msgspec.structs.replace(letter.outbound, status_url=self._status_url)
        if self._before_send is not None:
            # Plugins first: what they make of it is decided about like everything else. Whom it goes to stays.
            made = await self._bridge.run(self._before_send, self._channel.name, outbound)
            outbound = msgspec.structs.replace(made, id=outbound.id, to=outbound.to)
        begun = await self._beginnings.put(_Opening(one, outbound, route))
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
        lesson = self._lesson(begun.toll, "sent", monotonic() - called, wins=1)
        await self._endings.put(Done(one=one, number=started.number, result=result, lesson=lesson))
        return DONE

    async def _turn(self, one: Claimed) -> bool:
        """Wait while the account does; False when that is too long, and the message has gone back."""
        while (paused_s := self.pause_until - trio.current_time()) > 0:
            if paused_s > LONG_PAUSE_S:
                self.counts.waiting += 1
                await self._later(one, 0, "waits", "account_paused", "", now_us() + round(paused_s * 1e6))
                return False
            await trio.sleep(paused_s)
        return True

    def _recognises(self, first_us: int, in_s: float) -> bool:
        """Whether the provider will know, so many seconds from now, what it was given first at ``first_us``."""
        return sending.recognises(self._channel.capabilities, first_us, now_us() + round(in_s * 1e6))

    def _lesson(self, toll: Toll, outcome: str, took_s: float, *, wins: int = 0) -> Lesson | None:
        if not toll.carrier_id:
            return None
        cost = toll.cost if outcome == "sent" else 0.0
        return Lesson(
            carrier_id=toll.carrier_id,
            digits=toll.digits,
            outcome=outcome,
            wins=wins,
            took_s=took_s,
            cost=cost,
        )

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
            await self._bridge.run(self._opt_out, one.tenant_id, message)
        if isinstance(error, Throttled):
            await self._slow_down(error)
        elif after.blames_account:
            self.pause_until = trio.current_time() + sending.MISCONFIGURED_PAUSE_S
            if self._blame is not None:
                await self._blame(after.code, after.reason)
        lesson = self._lesson(toll, _counted(after.outcome), took_s, wins=int(after.outcome == "refused"))
        opened = False
        if toll.carrier_id and after.outcome in ("not_sent", "misconfigured"):
            opened = await self._bridge.run(self._trip, one.tenant_id, toll.carrier_id, after)
        write: Callable[[], Awaitable[None]]
        if after.step in ("again", "next"):
            self.counts.again += 1
            tried = (*one.tried, toll.carrier_id) if after.step == "next" else one.tried
            write = partial(
                attempts.again, self._db, one, number, outcome=after.outcome, code=after.code, reason=after.reason,
                due_us=moment + round(after.pause_s * 1e6), now_us=moment, tried=tried,
                doubtful=after.outcome == "unknown", lesson=lesson,
                claimed_by=self._owner if after.step == "next" else "",
            )  # fmt: skip
        elif after.step == "over":
            self.counts.over += 1
            write = partial(
                attempts.over, self._db, one, number, outcome=after.outcome, code=after.code, reason=after.reason,
                now_us=moment, lesson=lesson,
            )  # fmt: skip
        else:
            self.counts.unknown += 1
            write = partial(
                attempts.unknown, self._db, one, number, code=after.code, reason=after.reason, now_us=moment,
                lesson=lesson,
            )  # fmt: skip
        await self._bridge.run(_patiently, write)
        return Delivery("next", after, number, opened) if after.step == "next" else DONE

    async def _slow_down(self, error: Throttled) -> None:
        """The provider wants us slower: the account waits as a whole, once for all that were refused together."""
        now = trio.current_time()
        if now < self.pause_until and error.retry_after_s is None:
            return
        self._throttles += 1
        pause_s = sending.throttle_of(self._throttles, error.retry_after_s, random.uniform(0.8, 1.2))
        self.pause_until = max(self.pause_until, now + pause_s)
        if self._pace is not None and self._per_second:
            await self._bridge.run(self._pace.push, self._account.id, pause_s)

    # What crosses to the store ------------------------------------------------------------------------

    async def _begin(self, openings: Sequence[_Opening]) -> list[_Begun]:
        """The only way to the channel: each message is decided about, and marked, in one transaction."""
        of = {opening.one.message_id: opening for opening in openings}
        tenant_id, capabilities, moment = openings[0].one.tenant_id, self._channel.capabilities, now_us()

        def judge(message_id: str, facts: Facts) -> policy.Answer:
            outbound = of[message_id].outbound
            return policy.decide(
                policy.Question(
                    channel=self._channel.name,
                    now_us=moment,
                    purpose=facts.purpose,
                    confirms_opt_out=facts.confirms_opt_out,
                    suppressions=facts.suppressions,
                    consents=facts.consents,
                    quiet=facts.quiet,
                    window_s=capabilities.window_s,
                    last_inbound_us=outbound.last_inbound_us,
                    template=isinstance(outbound.content, Template),
                    deadline_us=of[message_id].one.deadline_us,
                )
            )

        tolls = [await self._toll(opening) for opening in openings]
        starts = [
            Start(
                one=opening.one,
                why=_wanted_until(opening),
                carrier_id=toll.carrier_id,
                cost=toll.cost,
                route=opening.route,
            )
            for opening, toll in zip(openings, tolls, strict=True)
        ]
        begun = await attempts.begin(
            self._db, tenant_id, self._owner, starts, judge,
            channel_id=self._account.id, channel=self._channel.name, now_us=moment,
        )  # fmt: skip
        return [_Begun(started, toll) for started, toll in zip(begun, tolls, strict=True)]

    async def _toll(self, opening: _Opening) -> Toll:
        if opening.route is not None:
            chosen = opening.route.chosen
            return Toll(chosen.carrier_id, chosen.cost, opening.route.digits)
        if self._tolls is None:
            return Toll()
        return await self._tolls(opening.one.tenant_id, self._account.id, opening.outbound)

    async def _keep_sent(self, dones: Sequence[Done]) -> list[None]:
        write = partial(
            attempts.sent,
            self._db,
            dones[0].one.tenant_id,
            dones,
            channel_id=self._account.id,
            now_us=now_us(),
        )
        await _patiently(write)
        return [None] * len(dones)

    async def _later(
        self, one: Claimed, number: int, outcome: str, code: str, reason: str, due_us: int
    ) -> None:
        write = partial(
            attempts.again, self._db, one, number, outcome=outcome, code=code, reason=reason, due_us=due_us,
            now_us=now_us(), tried=one.tried,
        )  # fmt: skip
        await self._bridge.run(write)

    async def _trip(self, tenant_id: str, carrier_id: str, after: sending.Next) -> bool:
        retry_s = sending.MISCONFIGURED_PAUSE_S if after.blames_account else None
        async with self._db.tenant(tenant_id) as connection:
            return await learning.trip(
                connection, tenant_id, carrier_id, jitter=random.uniform(0.8, 1.2), retry_after_s=retry_s,
                reason=f"{after.outcome}: {after.code}", now_us=now_us(),
            )  # fmt: skip

    async def _opt_out(self, tenant_id: str, message: Outbound) -> None:
        async with self._db.tenant(tenant_id) as connection:
            await receipts.suppress(
                connection,
                tenant_id,
                kind=message.to.kind,
                value=message.to.value,
                scope=self._channel.name.partition(".")[0],
                on=True,
                source="provider",
                now_us=now_us(),
            )


def _wanted_until(opening: _Opening) -> Mapping[str, object]:
    """Kept with a routed attempt: until when another carrier may have it, should this one not deliver it."""
    until_us = opening.one.deadline_us
    return {"until_us": until_us} if opening.route is not None and until_us < store.FOR_EVER_US else {}


def _counted(outcome: str) -> str:
    """An outcome's name in a carrier's numbers."""
    return outcome if outcome in learning.COUNTED else "failed"


async def _patiently(write: Callable[[], Awaitable[None]]) -> None:
    """Write down what a provider said: it is known now and never again, so a store that is away is waited for.

    asyncio. Raises the store's error after `KEEP_S`: then the message is found as stranded.
    """
    until, pause_s = monotonic() + KEEP_S, 0.05
    while True:
        try:
            return await write()
        except PeerError:
            if monotonic() + pause_s > until:
                raise
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
        pause_s = min(pause_s * 2, 2.0)


async def sweep(bridge: Bridge, db: Database, recognises: Callable[[str, int], bool]) -> None:
    """Look after messages whose sender died while it called a provider, for ever. trio.

    ``recognises`` says of an account and the moment when it was called first whether its provider would know a
    repetition now: then the message is tried again, through the same account.
    """

    async def once() -> int:
        found = await store.stranded(db, now_us=now_us())
        for one, number in found:
            if recognises(one.channel_id, one.first_us):
                await attempts.again(
                    db, one, number, outcome="unknown", code="sender_died", reason="", due_us=now_us(),
                    now_us=now_us(), tried=one.tried, doubtful=True,
                )  # fmt: skip
            else:
                await attempts.unknown(db, one, number, code="sender_died", reason="", now_us=now_us())
        return len(found)

    while True:
        try:
            if count := await bridge.run(once):
                LOG.warning("messages of a sender that died", count=count)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", error=exc.code)
        await trio.sleep(SWEEP_S * random.uniform(0.8, 1.2))
