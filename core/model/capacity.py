"""How much one person can do at once, and what each piece of work takes of it. Pure.

Three components: attention (1.0 is all of it), audio (one pair of ears), slots (places on a screen). Work fits when no
component overflows. The weights are a tenant's to change; the defaults are ours.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

Class = Literal["call", "chat", "message", "mail"]
CLASSES: tuple[Class, ...] = ("call", "chat", "message", "mail")

Share = Annotated[float, Meta(ge=0, le=100)]
SLACK = 1e-9
"""Sums of tenths are no tenths: ten chats of 0.1 are one."""


class Load(Struct, frozen=True, forbid_unknown_fields=True):
    """A share of what somebody can do: what they have, what they use, or what a piece of work takes."""

    attention: Share = 0.0
    audio: Share = 0.0
    slots: Share = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.attention + other.attention, self.audio + other.audio, self.slots + other.slots)

    def fits(self, more: "Load", within: "Load") -> bool:
        """Whether ``more`` can be added to this without overflowing ``within``."""
        return (
            self.attention + more.attention <= within.attention + SLACK
            and self.audio + more.audio <= within.audio + SLACK
            and self.slots + more.slots <= within.slots + SLACK
        )


NOTHING = Load()
CAPACITY = Load(attention=1.0, audio=1.0, slots=4.0)
"""What a person has unless it is said otherwise."""


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """What each kind of work takes. A conversation takes less while the other side is to answer (``idle_``), and nothing
    when that has lasted for `asleep_after_s`: otherwise one unanswered mail would keep the telephone from ringing."""

    call: Load = Load(1.0, 1.0, 1.0)
    chat: Load = Load(0.34, 0.0, 1.0)
    idle_chat: Load = Load(0.10, 0.0, 0.5)
    message: Load = Load(0.20, 0.0, 0.5)
    idle_message: Load = Load(0.10, 0.0, 0.5)
    mail: Load = Load(0.25, 0.0, 1.0)
    idle_mail: Load = Load(0.10, 0.0, 0.5)
    asleep_after_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 600

    def of(self, kind: str, *, awaits_us: bool = True, asleep: bool = False) -> Load:
        """What work of this class takes now."""
        if kind == "call":
            return self.call
        if asleep:
            return NOTHING
        load: Load = getattr(self, kind if awaits_us else f"idle_{kind}")
        return load


class Work(Struct, frozen=True):
    """Something that somebody has: of which class, whose turn it is, and since when it is not ours (0: it is)."""

    kind: str
    awaits_us: bool = True
    quiet_since_us: int = 0


def load_of(work: Work, weights: Weights, at_us: int) -> Load:
    """What it takes at this moment."""
    asleep = (
        not work.awaits_us
        and work.quiet_since_us > 0
        and at_us - work.quiet_since_us >= weights.asleep_after_s * 1_000_000
    )
    return weights.of(work.kind, awaits_us=work.awaits_us, asleep=asleep)


def total(works: Iterable[Work], weights: Weights, at_us: int) -> Load:
    """What all of it takes together."""
    used = NOTHING
    for work in works:
        used = used + load_of(work, weights, at_us)
    return used


FAMILIES: Mapping[str, Class] = {"email": "mail", "sms": "message", "whatsapp": "message"}


def class_of_channel(channel_type: str) -> Class:
    """The class of a conversation by the type of its channel (``sms.twilio``): what is answered by mail, some time, or now."""
    return FAMILIES.get(channel_type.partition(".")[0], "chat")
