"""Calls as data: who calls, what people at either end do, and how often they come. Pure.

Nothing here runs. `people` plays a script, `traffic` draws callers at a rate; both draw every random
choice from the switch's seeded generator, so a seed fixes a whole day of calls.
"""

import random
import re

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A random length in seconds: uniform from ``low`` to ``high``, or exponential around ``mean`` within them."""

    low: float
    high: float
    mean: float = 0.0

    def draw(self, rng: random.Random) -> float:
        """Return one length."""
        if self.mean:
            return min(self.high, max(self.low, rng.expovariate(1 / self.mean)))
        return self.low if self.low == self.high else rng.uniform(self.low, self.high)


def fixed(seconds: float) -> Span:
    """Return a span that is always the same."""
    return Span(seconds, seconds)


NEVER = fixed(float("inf"))


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who an inbound call is from, as SIP shows it."""

    destination: str
    number: str = "+15550100"
    name: str = ""
    profile: str = "carrier"
    """Sofia profile the INVITE arrives at."""
    context: str = ""
    """Dialplan context; empty: the profile's name."""
    ip: str = "198.51.100.7"
    port: int = 5060
    subject: str = ""
    trace: str = ""
    """Value of the header X-Carrier-Trace."""
    headers: dict[str, str] = {}
    """More SIP headers, by name, that become ``sip_h_*`` variables."""


class Digits(msgspec.Struct, frozen=True):
    """Keys pressed ``after_s`` seconds into the talk, one each 0.2 s."""

    after_s: float
    keys: str


class Hold(msgspec.Struct, frozen=True):
    """The far end puts us on hold ``after_s`` seconds into the talk, for ``for_s`` seconds."""

    after_s: float
    for_s: float


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody at the far end of a leg does."""

    ring_after: Span = fixed(0.02)
    """Called: the 180 comes after this."""
    answer_after: Span = fixed(0.3)
    """Called: picks up after this; `NEVER` rings until the caller gives up."""
    refuse: str = ""
    """Called: refuse with this cause (USER_BUSY...) instead of answering, at ``answer_after``."""
    refuse_status: int = 0
    """The SIP status of the refusal; 0: the usual one for the cause."""
    early_media: bool = False
    """Called: send a 183 with SDP instead of a 180."""
    patience: Span = NEVER
    """Calling: gives up when not answered within this."""
    talk: Span = NEVER
    """Hangs up so long after the answer."""
    pitch: int = 0
    """Of their voice, in Hz, where sound is simulated; 0: one that follows from the leg's uuid."""
    digits: tuple[Digits, ...] = ()
    holds: tuple[Hold, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """Who answers when ``pattern`` (a regular expression) is found in what is dialled: ``user@host:port``."""

    pattern: str
    person: Person

    def matches(self, target: str) -> bool:
        """Say whether this rule is for ``target``."""
        return re.search(self.pattern, target) is not None


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of inbound call in a stream of calls."""

    destinations: tuple[str, ...]
    weight: float = 1.0
    person: Person = Person(patience=Span(20, 90), talk=Span(5, 600, 90))
    profile: str = "carrier"
    context: str = ""


class Extension(msgspec.Struct, frozen=True):
    """A dialplan extension: when ``pattern`` matches the destination number, ``actions`` are executed."""

    pattern: str
    actions: tuple[tuple[str, str | None], ...]
    """Application and argument; ``$1`` stands for the first group of the pattern."""
    inline: tuple[tuple[str, str | None], ...] = ()
    """Executed while the extension is looked for, before the channel executes anything."""
    unless: str = ""
    """``name=pattern``: not for calls while that global variable matches."""


UNREACHABLE = Person(answer_after=fixed(0.0), refuse="NORMAL_TEMPORARY_FAILURE", refuse_status=503)
RULES = (
    # A closed port answers nothing; sofia makes its own 503 of it at once.
    Rule(r"@[^:@]+:1$", UNREACHABLE),
    Rule(r"^busy", Person(answer_after=fixed(0.1), refuse="USER_BUSY")),
    Rule(r"^reject", Person(answer_after=fixed(0.1), refuse="CALL_REJECTED")),
    Rule(r"^absent", Person(answer_after=fixed(0.1), refuse="UNALLOCATED_NUMBER")),
    Rule(r"^noanswer", Person(answer_after=NEVER)),
    Rule(r"^early", Person(early_media=True, answer_after=fixed(1.0))),
)
"""Numbers with a meaning, for tests and demonstrations; everybody else is `Traffic.callee`."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that come by themselves, and the people who are called."""

    per_second: float = 0.0
    """New inbound calls a second; 0 for none."""
    poisson: bool = True
    """Random arrivals; False for one at equal distances."""
    limit: int = 10_000
    """Nobody new comes while so many of these calls are up."""
    total: int = 0
    """Stop after so many calls; 0 for never."""
    visits: tuple[Visit, ...] = (Visit(destinations=("+4930550100",)),)
    callee: Person = Person(ring_after=fixed(0.02), answer_after=fixed(0.3))
    rules: tuple[Rule, ...] = RULES
