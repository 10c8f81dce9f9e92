"""Messages that name a kind of carrier instead of an account: each goes the best way that there is when its time comes.

trio. The router claims them tenant by tenant, plans (`core.boards`), and hands each to the sender of an account on this
host. Until a provider has a message it belongs to none: after a failure that was certainly the carrier's own the next
carrier is asked at once, and a message that nobody can take now goes back to wait. Never after an outcome that nobody
knows (`core.model.sending`).
"""

import random
from collections.abc import Callable, Mapping
from functools import partial

import trio
from msgspec import Struct

from core.boards import Ready, plan, wanted_of
from core.channel_account import Parts
from core.clock import now_us
from core.errors import InternalError, IrisxError, PeerError
from core.logs import get_logger
from core.model.routing import Candidate, Decision, Skipped
from core.model.sending import MAX_ATTEMPTS, Next, pause_of
from core.outbox import IDLE_S, Sender
from core.storage import attempt_results as results
from core.storage import learning
from core.storage import outbox as store
from core.storage import sending as letters
from core.storage.attempts import Route
from core.storage.outbox import Claimed
from core.storage.sending import Letter
from core.watchdog import CHARGE, Charge

LOG = get_logger("routing")

AT_ONCE = 256
"""Routed messages of all tenants that are under way together."""
EACH = 32
"""Of one tenant, that are taken at a time."""
BUSY_S = 0.2
PATIENCE_S = 0.5
"""How far ahead a carrier's limit is drawn on; later than that, another one is asked."""
MEND_S = 30.0
"""How long a message waits for a carrier whose account does not work."""
_WAITS: dict[Skipped, float] = {
    "limit": BUSY_S, "probing": 1.0, "breaker_open": 1.0, "no_account": MEND_S, "spend_cap": 60.0,
}  # fmt: skip
"""Reasons that pass by themselves, and when to look again, in seconds."""


class Counts(Struct):
    """What a router has done, for metrics."""

    planned: int = 0
    moved_on: int = 0
    waited: int = 0
    no_way: int = 0


class Router:
    """Serves the routed messages of all tenants while `run` runs. ``senders`` are the accounts that this host serves."""

    def __init__(self, parts: Parts, senders: Callable[[], Mapping[str, Sender]]) -> None:
        if parts.boards is None or parts.pace is None:
            raise InternalError("a router needs boards and a pace")
        self._bridge = parts.bridge
        self._db = parts.db
        self._boards = parts.boards
        self._pace = parts.pace
        self._owner = parts.name
        self._senders = senders
        self._wake = trio.Event()
        self._stopping = False
        self._under_way = 0
        self.counts = Counts()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way has ended."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop` or until cancelled; what is under way when cancelled is left for `store.stranded`."""
        async with trio.open_nursery() as nursery:
            while not self._stopping:
                self._wake = trio.Event()
                free = AT_ONCE - self._under_way
                taken = await self._take(free) if free > 0 else []
                for one, letter in taken:
                    self._under_way += 1
                    nursery.start_soon(self._send, one, letter)
                if not taken:
                    with trio.move_on_after(IDLE_S):
                        await self._wake.wait()

    async def _take(self, limit: int) -> list[tuple[Claimed, Letter]]:
        try:
            return await self._bridge.run(self._claim, limit)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", error=exc.code)
            return []

    async def _claim(self, limit: int) -> list[tuple[Claimed, Letter]]:
        claimed = await store.claim_routed(self._db, self._owner, limit=limit, each=EACH, now_us=now_us())
        found: dict[str, Letter] = {}
        for tenant_id in sorted({one.tenant_id for one in claimed}):
            ids = [one.message_id for one in claimed if one.tenant_id == tenant_id]
            found |= await letters.read_letters(self._db, tenant_id, ids)
        return [(one, found[one.message_id]) for one in claimed if one.message_id in found]

    async def _send(self, one: Claimed, letter: Letter) -> None:
        try:
            await self._try_all(one, letter)
        except IrisxError as exc:
            LOG.warning("a message waits for the store", message=one.message_id, error=exc.code)
        finally:
            self._under_way -= 1
            self._wake.set()

    async def _try_all(self, one: Claimed, letter: Letter) -> None:
        """Ask one carrier after the other until one has it, or none can."""
        tried, last, attempt = set(one.tried), None, one.attempts
        busy: set[str] = set()
        while True:
            ready = await self._bridge.run(self._boards.get, one.tenant_id)
            wanted = wanted_of(
                letter.outbound,
                one.route,
                purpose=letter.purpose,
                tried=frozenset(tried.union(one.lost)),
                busy=frozenset(busy),
            )
            decision = plan(ready, wanted)
            self.counts.planned += 1
            if not decision.order:
                await self._no_way(one, decision, last, attempt)
                return
            chosen = decision.order[0]
            sender = await self._place(one, ready, chosen)
            if sender is None:
                busy.add(chosen.carrier_id)
                continue
            route = Route(
                decision=decision,
                chosen=chosen,
                kind=one.route,
                digits=wanted.digits,
                segments=wanted.segments,
            )
            CHARGE.set(Charge(one.tenant_id, sender.account_id, sender.channel_name))
            try:
                came = await sender.deliver(one, letter, route)
            finally:
                sender.leave_place(one.message_id)
            if came.step == "done":
                return
            self.counts.moved_on += 1
            if came.opened:
                self._boards.forget(one.tenant_id)
            last, attempt = came.after, came.number
            tried.add(chosen.carrier_id)
            one = _after(one, tried, attempt)

    async def _place(self, one: Claimed, ready: Ready, chosen: Candidate) -> Sender | None:
        """A sender of this carrier that has room for the message now."""
        senders, accounts = self._senders(), list(ready.accounts.get(chosen.carrier_id, ()))
        random.shuffle(accounts)
        sender = next(
            (found for name in accounts if (found := senders.get(name)) and found.take_place(one.message_id)),
            None,
        )
        if sender is None:
            return None
        try:
            allowed = await self._bridge.run(self._allowed, one.tenant_id, ready, chosen)
        except BaseException:
            sender.leave_place(one.message_id)
            raise
        if not allowed:
            sender.leave_place(one.message_id)
            return None
        return sender

    async def _allowed(self, tenant_id: str, ready: Ready, chosen: Candidate) -> bool:
        """Whether the carrier's own limit has room, and, where its breaker is half open, this is the probe."""
        rate = ready.per_second.get(chosen.carrier_id)
        if rate and await self._pace.draw(chosen.carrier_id, rate, most_s=PATIENCE_S) is None:
            return False
        if chosen.probe:
            async with self._db.tenant(tenant_id) as connection:
                return await learning.take_probe(connection, tenant_id, chosen.carrier_id, now_us())
        return True

    async def _no_way(self, one: Claimed, decision: Decision, last: Next | None, attempt: int) -> None:
        """Nobody can take it now: wait for what passes, begin anew with those that failed, or give it up."""
        moment = now_us()
        reasons = {each.skipped for each in decision.skipped}
        pauses = [_WAITS[why] for why in reasons if why in _WAITS]
        left_s = (one.deadline_us - moment) / 1e6
        pause_s = 0.0
        if one.tried and "tried" in reasons and attempt < MAX_ATTEMPTS:
            # (all of them failed: the next round is as patient as a second try of one account)
            pause_s = pause_of(max(attempt, 1), random.uniform(0.8, 1.2))
        if pauses:
            pause_s = min(pauses) * random.uniform(0.8, 1.2) if not pause_s else min(pause_s, min(pauses))
        if pause_s and left_s > pause_s:
            self.counts.waited += 1
            again = partial(
                results.again, self._db, one, 0, outcome="waits", code="no_carrier", reason="",
                due_us=moment + round(pause_s * 1e6), now_us=moment,
                tried=() if "tried" in reasons and not pauses else one.tried,
            )  # fmt: skip
            await self._bridge.run(again)
            return
        self.counts.no_way += 1
        said = ", ".join(sorted(reasons)) or "there is none"
        over = partial(
            results.over, self._db, one, 0,
            outcome="expired" if pause_s else "no_carrier", lost=bool(one.lost),
            code=last.code if last is not None and last.code else "expired" if pause_s else "no_carrier",
            reason=last.reason if last is not None and last.reason else f"no carrier can take it: {said}",
            now_us=moment, nobody=results.Nobody(decision, one.route),
        )  # fmt: skip
        LOG.info("no carrier can take a message", message=one.message_id, reasons=sorted(reasons))
        await self._bridge.run(over)


def _after(one: Claimed, tried: set[str], attempt: int) -> Claimed:
    return Claimed(
        tenant_id=one.tenant_id,
        message_id=one.message_id,
        channel_id="",
        attempts=attempt,
        deadline_us=one.deadline_us,
        route=one.route,
        tried=tuple(sorted(tried)),
        lost=one.lost,
    )
