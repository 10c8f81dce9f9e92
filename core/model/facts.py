"""What a switch tells us, in our own words: the inputs of the call model.

A fact is a small frozen value. Every fact about a leg carries the `Channel` as its event showed it, so a leg that
we meet late (we joined a running switch, or its first events were lost) is known from the first fact on, and a
fact that never came is read off the next one.

``at_us`` is the switch's own time in microseconds since the epoch. ``seq`` is the switch's number of the event: it
is stamped when an event is made, so it tells which of two facts is newer even when they arrive the other way
round; 0 when there is none. Translation from FreeSWITCH's words happens in `core.telephony.translate`.
"""

from msgspec import Struct

__all__ = ["LEG_FACTS", "Channel", "Fact", "LegFact"]


class Channel(Struct, frozen=True):
    """A channel as one event, or one line of a listing, shows it. Times are 0 where they never came."""

    uuid: str
    direction: str = ""
    channel_name: str = ""
    caller: str = ""
    caller_name: str = ""
    destination: str = ""
    state: str = ""
    """``ringing``, ``early``, ``answered`` or ``hangup``; a listing also says ``held`` and ``unheld``. A switch says
    ``ringing`` of every channel that is not answered yet, so that word alone proves nothing."""
    created_us: int = 0
    progress_us: int = 0
    progress_media_us: int = 0
    answered_us: int = 0
    bridged_us: int = 0
    hangup_us: int = 0
    hangup_cause: str = ""
    other_leg: str = ""
    call_uuid: str = ""
    """The first leg of its call, in the switch's opinion."""
    codec: str = ""
    transfer: str = ""
    """The id of the latest transfer, empty when it was never transferred."""
    transfer_mode: str = ""
    """``blind`` or ``attended``."""
    transfer_to: str = ""
    detailed: bool = False
    """True when what follows could be seen. An event without it does not name the tenant, so it never begins a
    call."""
    tenant: str = ""
    request_id: str = ""
    join: str = ""
    """The id of a call that this leg was made for (``irisx_call``)."""
    bond: str = ""
    """The leg that it is, or is about to be, bridged to."""
    loopback: str = ""
    """The other half of a loopback pair."""
    recovered: bool = False
    sip_call_id: str = ""
    trunk: str = ""
    agent: str = ""
    """The agent whose browser this leg leads to, and the number that they dialled, if they did."""
    dialled: str = ""


class Fact(Struct, frozen=True):
    """Anything a switch tells."""

    at_us: int
    seq: int


class LegFact(Fact, frozen=True):
    """Anything about one leg."""

    channel: Channel


class LegSeen(LegFact, frozen=True):
    """It exists and looks like this; nothing else happened."""


class LegDescribed(LegFact, frozen=True):
    """It exists, and this is all about it: what a switch answers when it is asked for a channel."""

    held: bool | None = None
    """Whether its own far end holds; None where the switch shows neither that nor that a hold has ended."""
    bridged_to: str = ""
    parked: bool = False
    conference: str = ""
    instance: str = ""
    member: str = ""


class LegCreated(LegFact, frozen=True):
    """It begins, here (or begins here again: ``channel.recovered``)."""


class LegProgressed(LegFact, frozen=True):
    """The far end rings, or (``media``) sends sound before the answer."""

    media: bool = False


class LegAnswered(LegFact, frozen=True):
    """It was answered."""


class LegBridged(LegFact, frozen=True):
    """``a`` and ``b`` hear each other from now on."""

    a: str = ""
    b: str = ""


class LegUnbridged(LegFact, frozen=True):
    """``a`` and ``b`` hear each other no more. Both are empty when the switch did not name the pair."""

    a: str = ""
    b: str = ""


class LegHeld(LegFact, frozen=True):
    """It was put on hold."""


class LegResumed(LegFact, frozen=True):
    """Its hold is over."""


class LegParked(LegFact, frozen=True):
    """It waits for orders."""


class LegUnparked(LegFact, frozen=True):
    """It waits for orders no more."""


class LegHungUp(LegFact, frozen=True):
    """It is being hung up; what the switch has to say about it comes with `LegEnded`."""


class LegEnded(LegFact, frozen=True):
    """It is over, and these are the switch's own numbers about it."""

    billsec: int | None = None
    """None when the switch did not say."""
    duration: int | None = None
    q850: int = 0
    sip_status: int = 0
    sip_disposition: str = ""
    disposition: str = ""


class LegDestroyed(LegEnded, frozen=True):
    """It is gone from the switch. Repeats `LegEnded`, for whoever missed that."""


class LegRenamed(LegFact, frozen=True):
    """It was ``old`` until now."""

    old: str = ""


class LegReplaced(Fact, frozen=True):
    """A loopback leg steps aside: ``stays`` goes on in place of ``leaves``."""

    leaves: str
    peer: str
    stays: str


class RecordingStarted(LegFact, frozen=True):
    """Its sound is written to ``path`` from now on."""

    path: str = ""


class RecordingStopped(LegFact, frozen=True):
    """The file at ``path`` is whole."""

    path: str = ""
    samples: int = 0
    size: int = 0
    cause: str = ""


class DigitPressed(LegFact, frozen=True):
    """A key was pressed. Which one stays on the switch."""


class PlaybackStarted(LegFact, frozen=True):
    """Something is played to it. ``path`` is empty unless it is a plain file or tone."""

    path: str = ""


class PlaybackStopped(LegFact, frozen=True):
    """And that ended."""

    path: str = ""


class ConferenceFact(LegFact, frozen=True):
    """Anything about a member of a conference. ``instance`` is the switch's id of this one meeting."""

    conference: str = ""
    instance: str = ""
    member: str = ""


class ConferenceJoined(ConferenceFact, frozen=True):
    """It became a member."""


class ConferenceLeft(ConferenceFact, frozen=True):
    """It is a member no more."""


class ConferenceMuted(ConferenceFact, frozen=True):
    """The conference does not hear it, or (``muted`` false) hears it again."""

    muted: bool = True


class ConferenceEnded(Fact, frozen=True):
    """The meeting is over."""

    conference: str
    instance: str


class ConferenceRecordingStarted(Fact, frozen=True):
    """The sound of a whole conference is written to ``path``."""

    conference: str
    instance: str
    path: str


class ConferenceRecordingStopped(Fact, frozen=True):
    """And that file is whole."""

    conference: str
    instance: str
    path: str
    samples: int = 0
    size: int = 0


def _leaves(kind: type[Fact]) -> list[type[Fact]]:
    below = kind.__subclasses__()
    return [kind, *(leaf for one in below for leaf in _leaves(one))]


LEG_FACTS: tuple[type[Fact], ...] = tuple(_leaves(LegFact))
"""Every kind of fact that is about one leg."""
