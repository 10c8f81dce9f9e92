"""Which carrier first: price, chance of success and lost time in one number. Pure.

A message or call that fails at one carrier may go to the next. Trying carriers in the order of their index

    index = (expected price of this attempt + v · τ · (1 - p)) / p

costs least in expectation of all orders, as long as attempts are independent: swapping two neighbours changes the sum
by a factor whose sign is the difference of their indexes (product facts 5.1). ``p`` is the chance of success, ``τ`` the
seconds that a failure costs, ``v`` the worth of a second. The price of an attempt is ``p · c`` where only success is
paid (calls), which gives ``c + v · τ · (1 - p) / p``, and ``c`` where every try is (most SMS).

Before the sort carriers that cannot do it at all are taken out, each with a reason. Everything that was looked at is
in the `Decision`, which is kept with the attempt.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from core.model.outcomes import UNKNOWN, Breaker, Scores, gate
from core.model.plans import Step, ruling
from core.model.rates import Charge, RateTable

Kind = Literal["sms", "voice", "email", "chat"]
Pays = Literal["success", "submit"]
Skipped = Literal[
    "", "off", "no_account", "cannot", "not_allowed_there", "plan", "tried", "no_rate", "margin", "spend_cap",
    "limit", "breaker_open", "probing",
]  # fmt: skip
SECOND_COSTS = 0.002
"""What a second of delay is worth, in the tenant's currency, where it says nothing else."""
EXPLORE = 0.015
CALL_S = 120.0
"""Mean length of an answered call while nothing is known."""
LAST = 1_000_000
"""The rank of a last resort, behind every priority."""


class Carrier(Struct, frozen=True, kw_only=True):
    """Somebody who takes messages or calls for money, as the router sees them."""

    id: str
    kind: Kind
    on: bool = True
    pays: Pays = "submit"
    priority: int = 0
    """Higher ones are tried first, whatever the index says; the same for all: the index alone decides."""
    abilities: frozenset[str] = frozenset()
    only: tuple[str, ...] = ()
    """Prefixes that it may be used for; empty: all."""
    never: tuple[str, ...] = ()
    """Prefixes that it must not be used for."""
    spend_left: float | None = None
    """What may still be spent today; None without a cap."""
    usable: bool = True
    """It has an account that works."""
    most_files: int = 0
    """Files that it takes with one message; 0: any number."""
    most_file_bytes: int = 0
    most_total_bytes: int = 0


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be sent."""

    digits: str
    """The number, without ``+``."""
    kind: Kind = "sms"
    needs: frozenset[str] = frozenset()
    segments: int = 1
    call_s: float = CALL_S
    tried: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    """Carriers that have no room at this moment."""
    most: float | None = None
    """The highest price that leaves a margin; None: any."""
    urgent: bool = False
    """A one-time code, an alarm: nothing is tried out with it."""
    files: tuple[int, ...] = ()
    """The sizes of what goes with it, in bytes."""
    purpose: str = "service"


class Candidate(Struct, frozen=True, omit_defaults=True):
    """One carrier in a decision. Prices are estimates in the tenant's currency."""

    carrier_id: str
    p: float = 0.0
    cost: float = 0.0
    tau_s: float = 0.0
    index: float = 0.0
    prefix: str = ""
    """The prefix whose rate it is."""
    skipped: Skipped = ""
    probe: bool = False
    """Its breaker is half open: this attempt decides."""


class Decision(Struct, frozen=True):
    """All carriers: those that will be tried, in order, then those that will not."""

    order: tuple[Candidate, ...]
    skipped: tuple[Candidate, ...]
    explored: bool = False
    """The second best goes first, to learn."""


class Board(Struct, frozen=True, kw_only=True):
    """Everything that a tenant's decisions depend on, at one moment."""

    carriers: tuple[Carrier, ...]
    rates: Mapping[Kind, RateTable]
    scores: Scores
    breakers: Mapping[str, Breaker] = {}
    second_costs: float = SECOND_COSTS
    explore: float = EXPLORE
    plans: Mapping[Kind, tuple[Step, ...]] = {}
    """What holds before prices decide, by kind."""


def index_of(p: float, cost: float, tau_s: float, pays: Pays, second_costs: float) -> float:
    """The number that carriers are sorted by; infinite for one that cannot succeed."""
    if p <= 0.0:
        return float("inf")
    paid = cost * p if pays == "success" else cost
    return (paid + second_costs * tau_s * (1.0 - p)) / p


def decide(board: Board, wanted: Wanted, now_us: int, chance: float) -> Decision:
    """The order in which to try. ``chance`` is a random number from 0 to 1: it decides whether to explore."""
    digits, kind, segments = wanted.digits, wanted.kind, wanted.segments
    table = board.rates.get(kind)
    charges: Mapping[str, Charge] = {} if table is None else table.find(digits, now_us)
    known, breakers = board.scores.of(digits), board.breakers
    needs, tried, busy, most, second_costs = (
        wanted.needs, wanted.tried, wanted.busy, wanted.most, board.second_costs,
    )  # fmt: skip
    voice = kind == "voice"
    steps = board.plans.get(kind)
    said = ruling(steps, digits, wanted.purpose) if steps else None
    order: list[tuple[int, float, Candidate]] = []
    skipped: list[Candidate] = []
    probe: Candidate | None = None
    for carrier in board.carriers:
        if carrier.kind != kind:
            continue
        carrier_id = carrier.id
        charge = charges.get(carrier_id)
        breaker = breakers.get(carrier_id)
        door = "closed" if breaker is None else gate(breaker, now_us)
        why: Skipped = ""
        if not carrier.on:
            why = "off"
        elif not carrier.usable:
            why = "no_account"
        elif carrier_id in tried:
            why = "tried"
        elif needs and not (
            needs <= carrier.abilities and (not wanted.files or takes(carrier, wanted.files))
        ):
            why = "cannot"
        elif (carrier.only and not digits.startswith(carrier.only)) or (
            carrier.never and digits.startswith(carrier.never)
        ):
            why = "not_allowed_there"
        elif said is not None and said.bars(carrier_id):
            why = "plan"
        elif charge is None:
            why = "no_rate"
        elif door == "open":
            why = "breaker_open"
        elif door == "probing":
            why = "probing"
        elif carrier_id in busy:
            why = "limit"
        if charge is None:
            skipped.append(Candidate(carrier_id, skipped=why))
            continue
        p, tau_s = known.get(carrier_id, UNKNOWN)
        if voice:
            cost = charge.of_call(wanted.call_s)
        elif charge.increment == 1 and segments >= charge.minimum:
            # (nearly all of them: a call of a method would take as long as the rest of this turn)
            cost = charge.connect_fee + charge.per_unit * segments
        else:
            cost = charge.of_segments(segments)
        if not why:
            if most is not None and cost > most:
                why = "margin"
            elif carrier.spend_left is not None and cost > carrier.spend_left:
                why = "spend_cap"
        if why:
            skipped.append(Candidate(carrier_id, p, cost, tau_s, 0.0, charge.prefix, why))
            continue
        paid = cost * p if carrier.pays == "success" else cost
        index = (paid + second_costs * tau_s * (1.0 - p)) / p if p > 0.0 else float("inf")
        if door == "half_open":
            found = Candidate(carrier_id, p, cost, tau_s, index, charge.prefix, "", True)
            if probe is None and not wanted.urgent:
                probe = found
            else:
                # It is the last resort of what is urgent.
                order.append((LAST, index, found))
            continue
        rank = -carrier.priority
        if said is not None and carrier_id in said.first:
            rank = said.first[carrier_id] - LAST
        order.append((rank, index, Candidate(carrier_id, p, cost, tau_s, index, charge.prefix)))
    order.sort(key=_rank)
    chosen = [one[2] for one in order]
    explored = False
    if probe is not None:
        # The others stand behind it, should it fail.
        chosen.insert(0, probe)
    elif not wanted.urgent and chance < board.explore and len(order) > 1 and order[0][0] == order[1][0]:
        chosen[0], chosen[1] = chosen[1], chosen[0]
        explored = True
    return Decision(tuple(chosen), tuple(skipped), explored)


def takes(carrier: Carrier, files: tuple[int, ...]) -> bool:
    """Whether these files, in bytes, go with one message of this carrier."""
    return (
        (not carrier.most_files or len(files) <= carrier.most_files)
        and (not carrier.most_file_bytes or max(files) <= carrier.most_file_bytes)
        and (not carrier.most_total_bytes or sum(files) <= carrier.most_total_bytes)
    )


def _rank(one: tuple[int, float, Candidate]) -> tuple[int, float, str]:
    return one[0], one[1], one[2].carrier_id


# Failures ----------------------------------------------------------------------------------------------

FailureClass = Literal["callee", "no_such_number", "carrier", "rang", "unknown"]
Then = Literal["stop", "stop_and_mark", "next", "next_once"]

THEN: dict[FailureClass, Then] = {
    "callee": "stop",
    "no_such_number": "stop_and_mark",
    "carrier": "next",
    "rang": "stop",
    "unknown": "next_once",
}
"""What follows a failed attempt of a call (product facts 5.1, the last table)."""

_SIP: dict[int, FailureClass] = {
    **dict.fromkeys((480, 486, 487, 600, 603, 607, 608), "callee"),
    **dict.fromkeys((404, 410, 484, 604), "no_such_number"),
    **dict.fromkeys((402, 403, 407, 408, 488, 500, 502, 503, 504), "carrier"),
}
_Q850: dict[int, FailureClass] = {
    **dict.fromkeys((17, 21), "callee"),
    **dict.fromkeys((1, 22, 28), "no_such_number"),
    **dict.fromkeys((34, 38, 41, 42, 44), "carrier"),
}


def class_of_call(*, sip: int = 0, q850: int = 0, rang: bool = False) -> FailureClass:
    """Whose failure a call's end is: by its SIP status, else its Q.850 cause; after it rang nobody is dialled again."""
    if rang:
        return "rang"
    return _SIP.get(sip) or _Q850.get(q850) or "unknown"


_MESSAGES: dict[str, FailureClass] = {
    "refused": "callee",
    "throttled": "carrier",
    "not_sent": "carrier",
    "misconfigured": "carrier",
}


def class_of_message(outcome: str) -> FailureClass:
    """Whose failure it is, by the outcome of an attempt (`core.model.sending.Next`)."""
    return _MESSAGES.get(outcome, "unknown")
