"""What a sender does in the store: deciding about messages and marking them, and writing down what came of them.

asyncio, behind the bridge; `core.outbox` is the trio half. Nothing goes to a channel but by `Ledger.begin`. What a provider
said is known once and never again, so it is written down patiently: a store that is away is waited for.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct

from core.clock import monotonic, now_us
from core.errors import PeerError
from core.model import policy, sending
from core.storage import attempt_results as results
from core.storage import attempts, learning, suppressions
from core.storage import outbox as store
from core.storage.attempt_results import Done
from core.storage.attempts import Route, Start, Started
from core.storage.database import Database
from core.storage.learning import Lesson
from core.storage.outbox import Claimed
from core.storage.sending import Facts
from irisx_sdk import Channel, Outbound, Template

KEEP_S = 50.0
"""How long we try to write down what a provider said while the store is away."""


class Toll(Struct, frozen=True):
    """Whom a message pays, and what it is expected to cost."""

    carrier_id: str = ""
    cost: float = 0.0
    digits: str = ""

    def lesson(self, outcome: str, took_s: float, *, wins: int = 0) -> Lesson | None:
        """What is learned of whom it paid; None where nobody was."""
        if not self.carrier_id:
            return None
        return Lesson(
            carrier_id=self.carrier_id,
            digits=self.digits,
            outcome=outcome,
            wins=wins,
            took_s=took_s,
            cost=self.cost if outcome == "sent" else 0.0,
        )


Tolls = Callable[[str, str, Outbound], Awaitable[Toll]]
"""On the asyncio side: the toll of a message that a tenant sends through an account."""


class Opening(Struct, frozen=True):
    """A message whose attempt is about to begin."""

    one: Claimed
    outbound: Outbound
    route: Route | None


class Begun(Struct, frozen=True):
    """What became of an `Opening`."""

    started: Started
    toll: Toll


class Ledger:
    """The books of one account."""

    def __init__(
        self, db: Database, channel: Channel, account_id: str, *, owner: str, tolls: Tolls | None = None
    ) -> None:
        self._db = db
        self._channel = channel
        self._owner = owner
        self.account_id = account_id
        self.tolls = tolls

    async def begin(self, openings: Sequence[Opening]) -> list[Begun]:
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
                one=opening.one, why=_wanted_until(opening), carrier_id=toll.carrier_id, cost=toll.cost,
                route=opening.route,
            )
            for opening, toll in zip(openings, tolls, strict=True)
        ]  # fmt: skip
        begun = await attempts.begin(
            self._db, tenant_id, self._owner, starts, judge,
            channel_id=self.account_id, channel=self._channel.name, now_us=moment,
        )  # fmt: skip
        return [Begun(started, toll) for started, toll in zip(begun, tolls, strict=True)]

    async def keep_sent(self, dones: Sequence[Done]) -> list[None]:
        """The provider has them."""
        write = partial(
            results.sent,
            self._db,
            dones[0].one.tenant_id,
            dones,
            channel_id=self.account_id,
            now_us=now_us(),
        )
        await patiently(write)
        return [None] * len(dones)

    async def keep_failed(
        self, one: Claimed, number: int, after: sending.Next, lesson: Lesson | None, *, past: str, now_us: int
    ) -> None:
        """It was not sent, or nobody knows; ``past``: the carrier that certainly does not have it."""
        write: Callable[[], Awaitable[None]]
        if after.step in ("again", "next"):
            tried = (*one.tried, past) if after.step == "next" else one.tried
            write = partial(
                results.again, self._db, one, number, outcome=after.outcome, code=after.code, reason=after.reason,
                due_us=now_us + round(after.pause_s * 1e6), now_us=now_us, tried=tried,
                doubtful=after.outcome == "unknown", lesson=lesson,
                claimed_by=self._owner if after.step == "next" else "",
            )  # fmt: skip
        elif after.step == "over":
            write = partial(
                results.over, self._db, one, number, outcome=after.outcome, code=after.code, reason=after.reason,
                now_us=now_us, lesson=lesson,
            )  # fmt: skip
        else:
            write = partial(
                results.unknown, self._db, one, number, code=after.code, reason=after.reason, now_us=now_us,
                lesson=lesson,
            )  # fmt: skip
        await patiently(write)

    async def put_off(self, one: Claimed, code: str, due_us: int) -> None:
        """It has to wait, and no attempt was begun."""
        await results.again(
            self._db, one, 0, outcome="waits", code=code, reason="", due_us=due_us, now_us=now_us(), tried=one.tried
        )  # fmt: skip

    async def give_up(self, one: Claimed, code: str) -> None:
        """Its provider may have it, and would not recognise it any more."""
        await results.unknown(self._db, one, 0, code=code, reason="", now_us=now_us())

    async def trip(self, tenant_id: str, carrier_id: str, after: sending.Next) -> bool:
        """A failure of the carrier's own is counted; True when its breaker has just opened."""
        retry_s = sending.MISCONFIGURED_PAUSE_S if after.blames_account else None
        async with self._db.tenant(tenant_id) as connection:
            return await learning.trip(
                connection, tenant_id, carrier_id, jitter=random.uniform(0.8, 1.2), retry_after_s=retry_s,
                reason=f"{after.outcome}: {after.code}", now_us=now_us(),
            )  # fmt: skip

    async def opt_out(self, tenant_id: str, message: Outbound) -> None:
        """The provider says that its receiver wants none."""
        async with self._db.tenant(tenant_id) as connection:
            await suppressions.suppress(
                connection,
                tenant_id,
                kind=message.to.kind,
                value=message.to.value,
                scope=self._channel.name.partition(".")[0],
                on=True,
                source="provider",
                now_us=now_us(),
            )

    async def _toll(self, opening: Opening) -> Toll:
        if opening.route is not None:
            chosen = opening.route.chosen
            return Toll(chosen.carrier_id, chosen.cost, opening.route.digits)
        if self.tolls is None:
            return Toll()
        return await self.tolls(opening.one.tenant_id, self.account_id, opening.outbound)


def _wanted_until(opening: Opening) -> Mapping[str, object]:
    """Kept with a routed attempt: until when another carrier may have it, should this one not deliver it."""
    until_us = opening.one.deadline_us
    return {"until_us": until_us} if opening.route is not None and until_us < store.FOR_EVER_US else {}


async def patiently(write: Callable[[], Awaitable[None]]) -> None:
    """Write down what a provider said. Raises the store's error after `KEEP_S`: then the message is found as stranded."""
    until, pause_s = monotonic() + KEEP_S, 0.05
    while True:
        try:
            return await write()
        except PeerError:
            if monotonic() + pause_s > until:
                raise
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
        pause_s = min(pause_s * 2, 2.0)
