"""Which calls are recorded, how, and why: policies as data, and one pure decision that can be asked at any time.

Policies are looked at in their order, and the first that concerns a call decides: ``record`` or ``never``. One that
concerns a call but leaves it out by its share lets the next ones have their say, so that "all of the claims queue, and
one in five of the rest" is two policies. A share is drawn from the call's id and the policy's, never from chance: whoever
asks again, on whatever machine, gets the same answer.

What is known of a call grows while it goes on (a queue, an agent), so the decision is taken again when it does. That a
call is recorded already is not taken back by it.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Direction = Literal["inbound", "outbound"]
Moment = Literal["answered", "talking"]
Skipped = Literal["", "off", "direction", "number", "queue", "agent", "share", "not_yet"]


class Policy(Struct, frozen=True, kw_only=True):
    """One rule. An empty list means that it does not matter."""

    id: str
    name: str = ""
    action: Literal["record", "never"] = "record"
    on: bool = True
    directions: tuple[Direction, ...] = ()
    prefixes: tuple[str, ...] = ()
    """Digits that the outside number begins with; the longest do not win, any will do."""
    queues: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    share: int = 100
    """Per cent of the calls that it concerns."""
    moment: Moment = "answered"
    """From when: the answer, or the first time that two legs hear each other (no waiting music, no announcements)."""
    announcement: str = ""
    """The id of the prompt that the outside hears before it is recorded; empty: none."""
    stereo: bool = True
    pause_allowed: bool = True
    """Whether people may mask parts of it, while card numbers are spoken for one."""
    retention_days: int = 0
    """How long it is kept; 0: until somebody erases it."""
    hold: bool = False
    """Kept beyond its retention until the hold is lifted."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a call now."""

    call_id: str
    direction: str
    caller: str = ""
    destination: str = ""
    queue_id: str = ""
    agents: tuple[str, ...] = ()
    """All that were in it so far."""
    answered: bool = False
    talking: bool = False
    """Whether two legs have heard each other."""

    @property
    def outside(self) -> str:
        """The number outside, digits only: who called, or who was called."""
        number = self.caller if self.direction == "inbound" else self.destination
        return "".join(one for one in number if one.isdigit()).removeprefix("00")


class Look(Struct, frozen=True):
    """One policy in a decision, and why it did not decide (empty: it did)."""

    policy_id: str
    skipped: Skipped


class Decision(Struct, frozen=True, kw_only=True):
    """Whether a call is recorded now, and the way there."""

    record: bool
    reason: Literal["policy", "never", "not_yet", "no_policy"]
    policy_id: str = ""
    looked_at: tuple[Look, ...] = ()


def decide(policies: Iterable[Policy], facts: Facts) -> Decision:
    """The decision about a call, with every policy that was looked at on the way."""
    looked: list[Look] = []
    for policy in policies:
        skipped = _skipped(policy, facts)
        looked.append(Look(policy.id, skipped))
        if skipped == "not_yet":
            return Decision(record=False, reason="not_yet", policy_id=policy.id, looked_at=tuple(looked))
        if skipped:
            continue
        records = policy.action == "record"
        return Decision(
            record=records,
            reason="policy" if records else "never",
            policy_id=policy.id,
            looked_at=tuple(looked),
        )
    return Decision(record=False, reason="no_policy", looked_at=tuple(looked))


def _skipped(policy: Policy, facts: Facts) -> Skipped:
    if not policy.on:
        return "off"
    if policy.directions and facts.direction not in policy.directions:
        return "direction"
    if policy.prefixes and not facts.outside.startswith(policy.prefixes):
        return "number"
    if policy.queues and facts.queue_id not in policy.queues:
        return "queue"
    if policy.agents and not set(policy.agents) & set(facts.agents):
        return "agent"
    if not within_share(policy, facts.call_id):
        return "share"
    if policy.action == "record" and not (facts.talking if policy.moment == "talking" else facts.answered):
        return "not_yet"
    return ""


def within_share(policy: Policy, call_id: str) -> bool:
    """Whether this call is one of the share of calls that the policy takes."""
    if policy.share >= 100:
        return True
    drawn = hashlib.blake2b(f"{policy.id}/{call_id}".encode(), digest_size=4).digest()
    return int.from_bytes(drawn, "big") * 100 < policy.share << 32


# -- the ledger

State = Literal["expected", "recording", "stopped", "uploading", "stored", "missing", "erased"]

TRANSITIONS: dict[str, frozenset[str]] = {
    "expected": frozenset({"recording", "stopped", "missing"}),
    "recording": frozenset({"stopped", "uploading", "missing"}),
    "stopped": frozenset({"uploading", "stored", "missing"}),
    "uploading": frozenset({"stored", "missing"}),
    "stored": frozenset({"erased"}),
    # What was given up may still be found: a switch that was away comes back with its disk.
    "missing": frozenset({"recording", "stopped", "uploading", "stored", "erased"}),
    "erased": frozenset(),
}
"""Where a recording may go from where it is. ``uploading`` from ``recording``: its call ended, and the file is whole
although nobody told us that it stopped."""


def came_from(state: str) -> list[str]:
    """The states that may become ``state``."""
    return [one for one, following in TRANSITIONS.items() if state in following]
