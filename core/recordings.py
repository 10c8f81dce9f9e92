"""Recordings at work: the log is followed, orders to begin are given, what is missing is said, what is over is erased.

It runs in the channel host, any number of them at once, and not in the controllers: a wish for a recording is then no matter
of who owns a switch at the moment (an heir gets the order by the bus as the dead one would have), and neither the path of
calls nor a takeover waits for policies. The price is a third of a second between an answer and the first recorded sound.

trio outside, asyncio inside, one crossing a round. An order may be given again and again: the recording has its name before
it is begun, and the owner of the switch answers for one that runs already.
"""

import random
from functools import partial

import trio

from core.bus import Bus
from core.channel_account import Parts
from core.clock import monotonic, now_us
from core.errors import IrisxError, PeerError, PeerTimeout
from core.ids import new_id
from core.logs import get_logger
from core.model.orders import Order, Outcome
from core.storage import incidents, recording_ledger, recordings
from core.storage import recording_work as work
from core.storage.blobs import Blobs
from core.storage.database import Database
from core.storage.recording_work import Wish
from core.storage.recordings import Erasable

LOG = get_logger("recordings")

LOOK_S = 0.2
SWEEP_S = 30.0
REST_S = 10.0
ROUNDS = 20
"""Rounds of one tenant before the others have theirs."""
AT_ONCE = 16
"""Orders under way together."""
ORDER_US = 8_000_000
"""An order's deadline: the first sound may take four seconds."""
SURE_US = 30_000_000
"""What was done comes up again after so long, if the log has not said so by then."""
FIRST_AGAIN_US = 300_000
MOST_AGAIN_US = 5_000_000
AFTER_PROMPT_US = 200_000
"""Between the end of the announcement and the first recorded sound."""
ANNOUNCE_TRIES = 5
"""Without its announcement nothing is recorded."""
GRACE_US = 1_800_000_000
"""A file that nobody has brought, or missed, so long after its call is missing: no `irisx node` works there."""
LOOK_BACK_US = 86_400_000_000
FINAL = ("leg_ended", "no_such_leg", "call_ended", "no_such_call")
"""Answers that no later try changes; the log says the rest."""
INCIDENT = "recordings"


async def run(parts: Parts) -> None:
    """Work for ever."""
    resting: dict[str, float] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sweep, parts)
        room = trio.CapacityLimiter(AT_ONCE)
        while True:
            try:
                await parts.bridge.run(follow, parts.db, resting)
                for wish in await parts.bridge.run(
                    partial(work.claim_wishes, now_us=now_us(), limit=AT_ONCE), parts.db, parts.name
                ):
                    nursery.start_soon(_order, parts, wish, room)
            except PeerError as exc:
                LOG.info("recordings wait for the store", error=exc.code)
            await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))


async def follow(db: Database, resting: dict[str, float]) -> None:
    """What there is in every tenant's log. asyncio."""
    moment = monotonic()
    for tenant_id in [one for one, until in resting.items() if until <= moment]:
        del resting[tenant_id]
    for tenant_id in await recording_ledger.tenants_to_do(db):
        if tenant_id in resting:
            continue
        try:
            for _ in range(ROUNDS):
                if not await recording_ledger.work(db, tenant_id, now_us=now_us()):
                    break
        except IrisxError as exc:
            # Its place has not moved: the same entries come again.
            resting[tenant_id] = monotonic() + REST_S
            LOG.warning("the recordings of a tenant wait", tenant=tenant_id, error=exc.code)


async def _order(parts: Parts, wish: Wish, room: trio.CapacityLimiter) -> None:
    async with room:
        try:
            await parts.bridge.run(give_order, parts.db, parts.bus, wish, parts.name)
        except PeerError as exc:
            # The claim runs out by itself.
            LOG.info("an order to record could not be settled", recording=wish.id, error=exc.code)


async def give_order(db: Database, bus: Bus, wish: Wish, owner: str) -> None:
    """Have the switch announce or begin a recording, and note what came of it. asyncio. Raises the store's errors."""
    announces = bool(wish.announcement) and not wish.announced_us
    if announces and (not wish.announcement_ms or wish.tries > ANNOUNCE_TRIES):
        reason = "announcement_failed" if wish.announcement_ms else "no_announcement"
        LOG.warning("a call is not recorded: it was not announced", recording=wish.id, reason=reason)
        await work.give_up(db, wish.tenant_id, wish.id, reason=reason, now_us=now_us())
        return
    args: dict[str, str | int | bool | float | None] = {"leg": wish.leg}
    args |= {"prompt": wish.announcement} if announces else {"recording": wish.id, "stereo": wish.stereo}
    order = Order(
        id=new_id("ord"),
        action="call.play" if announces else "call.record_start",
        node=wish.node,
        tenant_id=wish.tenant_id,
        deadline_us=now_us() + ORDER_US,
        call_id=wish.call_id,
        args=args,
        actor="recordings",
    )
    reason = await _asked(bus, order)
    moment = now_us()
    if reason:
        again = min(FIRST_AGAIN_US << min(wish.tries, 10), MOST_AGAIN_US)
        due_us = moment + (SURE_US if reason in FINAL else round(again * random.uniform(0.5, 1.0)))
        await work.settle_wish(db, wish, owner, due_us=due_us, reason=reason)
    elif announces:
        due_us = moment + wish.announcement_ms * 1000 + AFTER_PROMPT_US
        await work.settle_wish(db, wish, owner, due_us=due_us, announced_us=moment)
    else:
        await work.settle_wish(db, wish, owner, due_us=moment + SURE_US)


async def _asked(bus: Bus, order: Order) -> str:
    """Empty when it was done, else why not."""
    try:
        outcome: Outcome = await bus.ask(order)
    except PeerTimeout as exc:
        return exc.code
    except PeerError as exc:
        return exc.code
    return "" if outcome.status == "done" else outcome.code or outcome.status


# -- what is missing, what is over


async def _sweep(parts: Parts) -> None:
    while True:
        try:
            await parts.bridge.run(sweep, parts.db)
            for one in await parts.bridge.run(partial(recordings.to_erase, now_us=now_us()), parts.db):
                await _expire(parts, one)
        except PeerError as exc:
            LOG.info("recordings wait for their store", error=exc.code)
        await trio.sleep(SWEEP_S * random.uniform(0.8, 1.2))


async def sweep(db: Database) -> None:
    """Say what is missing. asyncio."""
    moment = now_us()
    await work.nobody_looked(db, before_us=moment - GRACE_US, now_us=moment)
    await work.forget_calls(db, now_us=moment)
    missing = await work.missing_since(db, moment - LOOK_BACK_US)
    if not missing:
        await incidents.close_incident(db, INCIDENT)
        return
    summary = f"{missing} recording{'s are' if missing > 1 else ' is'} missing of calls of the last 24 hours"
    _, fresh = await incidents.open_incident(
        db, INCIDENT, severity="degraded", summary=summary, cause="recordings_missing"
    )
    if fresh:
        LOG.warning("recordings are missing", count=missing)


async def _expire(parts: Parts, one: Erasable) -> None:
    versions = await trio.to_thread.run_sync(erase_object, parts.blobs, one)
    note = partial(
        recordings.erased,
        by="retention",
        reason="its retention is over",
        versions=versions,
        checked_us=now_us(),
    )
    await parts.bridge.run(note, parts.db, one)


def erase_object(blobs: Blobs, one: Erasable) -> int:
    """Remove what the object store has of it; how many versions there were. Blocking. Raises the store's errors."""
    if not one.key:
        return 0
    from core.storage.recording_bucket import erase  # (boto3 takes half a second to import)

    return erase(blobs, one.key)
