"""What a tenant's routing decisions depend on, kept ready: compiled rates, chances, breakers, limits.

asyncio. A board is a snapshot at most `FRESH_S` old; what was learned since is read on top of it, the rates only when a deck
has changed, and they are compiled in a thread. `plan` is a decision for one message; nothing is sent by it.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Literal, cast

from msgspec import Struct

from core.clock import monotonic, now_us
from core.model.outcomes import Counts, Scores
from core.model.plans import Step
from core.model.rates import Currencies, Rate, RateTable
from core.model.routing import Board, Carrier, Decision, Kind, Pays, Wanted, decide
from core.outbox_ledger import Toll
from core.storage import rates as rate_store
from core.storage import routing as store
from core.storage.carriers import CarrierRow
from core.storage.database import Database
from irisx_sdk import Channel, Outbound, Text, segments

FRESH_S = 1.0
MOST_TENANTS = 200
"""Boards that are kept; the one that was not asked for longest goes first."""
KINDS: tuple[Kind, ...] = ("sms", "voice", "email", "chat")


class Ready(Struct, frozen=True):
    """A board with what a sender has to know besides."""

    board: Board
    accounts: Mapping[str, tuple[str, ...]]
    """The accounts of each carrier that work, by carrier."""
    carrier_of: Mapping[str, str]
    """By account."""
    per_second: Mapping[str, float]
    """Limits of carriers that have one."""
    currency: str


class _Kept:
    """What is remembered of a tenant."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.ready: Ready | None = None
        self.until = 0.0
        self.mark = ""
        self.rates: list[tuple[str, Rate]] = []
        self.tables: dict[Kind, RateTable] = {}
        self.tabled: tuple[str, store.Settings] | None = None
        self.counts: dict[tuple[str, str], Counts] = {}
        self.counted_us = 0


class Boards:
    """The boards of a process."""

    def __init__(self, db: Database, channels: Mapping[str, Channel]) -> None:
        self._db = db
        self._channels = channels
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, tenant_id: str, *, fresh: bool = False) -> Ready:
        """A tenant's board. Raises the store's errors."""
        kept = self._kept.setdefault(tenant_id, _Kept())
        self._kept.move_to_end(tenant_id)
        while len(self._kept) > MOST_TENANTS:
            self._kept.popitem(last=False)
        if kept.ready is not None and monotonic() < kept.until and not fresh:
            return kept.ready
        async with kept.lock:
            if kept.ready is None or monotonic() >= kept.until or fresh:
                kept.ready = await self._read(tenant_id, kept)
                kept.until = monotonic() + FRESH_S * random.uniform(0.8, 1.0)
            return kept.ready

    def forget(self, tenant_id: str) -> None:
        """Something has changed that the next decision must know. From any thread."""
        if (kept := self._kept.get(tenant_id)) is not None:
            kept.until = 0.0

    async def toll(self, tenant_id: str, channel_id: str, outbound: Outbound) -> Toll:
        """Whom a message through this account pays, and what: `core.outbox_ledger.Tolls`."""
        ready = await self.get(tenant_id)
        carrier_id = ready.carrier_of.get(channel_id, "")
        if not carrier_id:
            return Toll()
        kind = next(one.kind for one in ready.board.carriers if one.id == carrier_id)
        digits = digits_of(outbound)
        table = ready.board.rates.get(kind)
        charge = table.find(digits, now_us()).get(carrier_id) if table is not None else None
        return Toll(carrier_id, charge.of_segments(segments_of(outbound)) if charge else 0.0, digits)

    async def _read(self, tenant_id: str, kept: _Kept) -> Ready:
        moment = now_us()
        facts = await store.read_facts(self._db, tenant_id, moment)
        if not facts.carriers:
            # (most tenants: one look is all)
            return Ready(
                Board(carriers=(), rates={}, scores=Scores({}, moment)), {}, {}, {}, facts.settings.currency
            )
        mark = await rate_store.mark_of(self._db, tenant_id)
        carriers = f"{mark} {sorted((one.id, one.kind) for one in facts.carriers)}"
        if carriers != kept.mark:
            kept.rates = await rate_store.read_rates(self._db, tenant_id)
            kept.mark = carriers
        if kept.tabled != (carriers, facts.settings):
            kept.tables = await asyncio.to_thread(_compiled, kept.rates, facts.settings)
            kept.tabled = (carriers, facts.settings)
        changed, kept.counted_us = await store.read_counts(self._db, tenant_id, kept.counted_us)
        kept.counts |= changed
        accounts = {
            one.id: tuple(
                name
                for name in one.channel_ids
                if name in facts.working and facts.working[name] in self._channels
            )
            for one in facts.carriers
        }
        board = Board(
            carriers=tuple(self._carrier(one, facts, accounts[one.id]) for one in facts.carriers),
            rates=kept.tables,
            scores=Scores(kept.counts, moment),
            breakers=facts.breakers,
            second_costs=facts.settings.second_costs,
            explore=facts.settings.explore,
            plans=cast(Mapping[Kind, tuple[Step, ...]], facts.plans),
        )
        return Ready(
            board,
            accounts,
            {name: one.id for one in facts.carriers for name in one.channel_ids},
            {one.id: one.limits.per_second for one in facts.carriers if one.limits.per_second},
            facts.settings.currency,
        )

    def _carrier(self, row: CarrierRow, facts: store.Facts, accounts: tuple[str, ...]) -> Carrier:
        cap = row.limits.spend_per_day
        # What all of its accounts can do: any of them may be taken.
        abilities = [self._channels[facts.working[name]].capabilities for name in accounts]
        can = [frozenset[str](one.sends) for one in abilities]
        return Carrier(
            id=row.id,
            kind=cast(Kind, row.kind),
            on=row.state == "on",
            pays=cast(Pays, row.pays),
            priority=row.priority,
            abilities=frozenset(row.abilities).union(frozenset.intersection(*can) if can else frozenset()),
            only=row.limits.only,
            never=row.limits.never,
            spend_left=float(cap) - facts.spent.get(row.id, 0.0) if cap else None,
            usable=bool(accounts),
            most_files=_least(one.max_files for one in abilities),
            most_file_bytes=_least(one.max_file_bytes for one in abilities),
            most_total_bytes=_least(one.max_total_bytes for one in abilities),
        )


def _least(limits: Iterable[int]) -> int:
    """The narrowest of some limits, of which 0 is none."""
    return min((one for one in limits if one), default=0)


def _compiled(rates: list[tuple[str, Rate]], settings: store.Settings) -> dict[Kind, RateTable]:
    currencies = Currencies(settings.currency, settings.exchange)
    tables: dict[Kind, RateTable] = {}
    for kind in KINDS:
        unit: Literal["second", "segment"] = "second" if kind == "voice" else "segment"
        tables[kind] = RateTable([rate for name, rate in rates if name == kind], currencies, unit)
    return tables


def digits_of(outbound: Outbound) -> str:
    """The receiver's number without ``+``; empty for one that has none."""
    return outbound.to.value.removeprefix("+") if outbound.to.kind == "phone" else ""


def segments_of(outbound: Outbound) -> int:
    """What is billed of a text message, exactly."""
    content = outbound.content
    return segments.count(content.text).segments if isinstance(content, Text) else 1


def needs_of(outbound: Outbound) -> frozenset[str]:
    """What a carrier's accounts must be able to do."""
    kind = str(type(outbound.content).__struct_config__.tag)
    return frozenset({kind, "media"} if outbound.files else {kind})


def wanted_of(
    outbound: Outbound, kind: str, *, purpose: str, tried: frozenset[str], busy: frozenset[str] = frozenset()
) -> Wanted:
    """A message as the router sees it."""
    return Wanted(
        digits=digits_of(outbound),
        kind=cast(Kind, kind),
        needs=needs_of(outbound),
        segments=segments_of(outbound),
        tried=tried,
        busy=busy,
        urgent=purpose == "transactional",
        files=tuple(one.size for one in outbound.files),
        purpose=purpose,
    )


def plan(ready: Ready, wanted: Wanted) -> Decision:
    """The carriers for one message, in the order in which they are to be asked."""
    return decide(ready.board, wanted, now_us(), random.random())
