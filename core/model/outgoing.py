"""What the figures of everything that leaves mean, in words. Pure."""

from typing import Literal, Protocol

from msgspec import Struct

Level = Literal["good", "attention", "bad"]

MESSAGE_LATE_S = 60.0
"""The oldest message that is due waits longer: somebody should look."""
ENDPOINT_FAILS_S = 900.0
"""An endpoint that fails longer than this is told of."""


class Figures(Protocol):
    """Those of `core.storage.outgoing_facts`."""

    @property
    def accounts(self) -> int: ...
    @property
    def misconfigured(self) -> int: ...
    @property
    def messages_waiting(self) -> int: ...
    @property
    def oldest_message_s(self) -> float: ...
    @property
    def endpoints(self) -> int: ...
    @property
    def failing(self) -> int: ...
    @property
    def failing_s(self) -> float: ...
    @property
    def switched_off(self) -> int: ...
    @property
    def deliveries_waiting(self) -> int: ...
    @property
    def oldest_delivery_s(self) -> float: ...


class Said(Struct, frozen=True):
    """A judgement and a sentence."""

    level: Level
    text: str


def messages(of: Figures) -> Said:
    """Accounts, and what waits to be sent through them."""
    parts = [_plural(of.accounts, "account")]
    late = of.messages_waiting > 0 and of.oldest_message_s > MESSAGE_LATE_S
    if of.misconfigured:
        parts.append(f"{of.misconfigured} misconfigured")
    if of.messages_waiting:
        parts.append(
            f"{_plural(of.messages_waiting, 'message')} due, the oldest for {span(of.oldest_message_s)}"
        )
    else:
        parts.append("nothing waits to be sent")
    return Said("attention" if late or of.misconfigured else "good", f"{', '.join(parts)}.")


def endpoints(of: Figures) -> Said:
    """Endpoints for webhooks, and what waits for them."""
    parts = [_plural(of.endpoints, "endpoint")]
    if of.failing:
        parts.append(f"{of.failing} failing, the longest for {span(of.failing_s)}")
    if of.switched_off:
        parts.append(f"{of.switched_off} switched off by failure")
    if of.deliveries_waiting:
        count = _plural(of.deliveries_waiting, "delivery", "deliveries")
        parts.append(f"{count} waiting, the oldest for {span(of.oldest_delivery_s)}")
    late = of.failing_s > ENDPOINT_FAILS_S
    return Said("attention" if late or of.switched_off else "good", f"{', '.join(parts)}.")


def needs_host(of: Figures) -> bool:
    """Whether there is anything that a channel host has to do."""
    return bool(of.accounts or of.messages_waiting or of.endpoints)


def span(seconds: float) -> str:
    """``12 s``, ``5 min``, ``3 h``, ``2 days``."""
    for size, word in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            unit = {"days": 86_400, "h": 3_600, "min": 60}[word]
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds)} s"


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
