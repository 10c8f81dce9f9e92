"""The rules of a call's life, as data: the states of a leg, and how a call's state follows from its legs.

Rule 1: a leg's state only moves along `LEG_TRANSITIONS`. The switch is always right: what the table does not know
is a surprise that is counted, never an error, and leaves the state as it is.

Rule 2: a call has no state of its own. It is what `call_state` reads off its legs.

Rule 3: bridge, hold, park, playback and conference come and go, so they are no states but properties of a leg, and
the switch's event numbers decide which of two facts is the newer (`MARKS`).
"""

from collections.abc import Iterable

from core.model.records import Leg

NEW, RINGING, EARLY, ANSWERED, ENDED = "new", "ringing", "early", "answered", "ended"
BRIDGED, HELD = "bridged", "held"

RANG, MEDIA, ANSWER, END = "rang", "media", "answer", "end"
"""What can happen to a leg."""

LEG_TRANSITIONS: dict[str, dict[str, str]] = {
    NEW: {RANG: RINGING, MEDIA: EARLY, ANSWER: ANSWERED, END: ENDED},
    # A switch may tell of ringing and of early sound any number of times, and in any order.
    RINGING: {RANG: RINGING, MEDIA: EARLY, ANSWER: ANSWERED, END: ENDED},
    EARLY: {RANG: EARLY, MEDIA: EARLY, ANSWER: ANSWERED, END: ENDED},
    ANSWERED: {ANSWER: ANSWERED, END: ENDED},
    # It ends twice: once with the switch's numbers, once when the channel is destroyed.
    ENDED: {END: ENDED},
}

MARKS = ("bridge", "hold", "park", "digit", "playback", "conference")
"""The places in `Leg.marks`."""
MARK_BRIDGE, MARK_HOLD, MARK_PARK, MARK_DIGIT, MARK_PLAYBACK, MARK_CONFERENCE = range(len(MARKS))

CAUSE_MISSED = "MISSED_END"
"""Our own cause for a leg that ended while nobody listened."""
CAUSE_NODE_DEATH = "NODE_DEATH"
"""Our own cause for a leg that went down with its switch."""


def after(state: str, signal: str) -> str | None:
    """The state of a leg after ``signal``, None when that is not supposed to happen."""
    return LEG_TRANSITIONS[state].get(signal)


def call_state(legs: Iterable[Leg]) -> str:
    """The state of a call with these legs.

    ``ended`` when every leg is; otherwise, of the legs that live: ``held`` if one is on hold, ``bridged`` if one
    hears another leg or a conference, ``answered`` if one is answered, ``ringing`` if one rings, else ``new``.
    """
    best = ENDED
    for leg in legs:
        state = leg.state
        if state == ENDED:
            continue
        if leg.held_since_us:
            return HELD
        if leg.bridged_to or leg.conference:
            best = BRIDGED
        elif best == BRIDGED:
            continue
        elif state == ANSWERED:
            best = ANSWERED
        elif best == ANSWERED:
            continue
        elif state != NEW:
            best = RINGING
        elif best == ENDED:
            best = NEW
    return best


def seconds_between(start_us: int, end_us: int) -> int:
    """Seconds as FreeSWITCH bills them: whole seconds of the two clock times, subtracted; 0 without a start.

    switch_channel_set_timestamps (switch_channel.c) cuts both times to seconds first, so a talk from 3.9 to 4.1
    is one second and one from 3.1 to 3.9 is none.
    """
    return end_us // 1_000_000 - start_us // 1_000_000 if start_us else 0


def post_dial_delay_us(leg: Leg) -> int:
    """From dialling to the first sign of the far end (ringing or sound), in microseconds; 0 if none came."""
    signs = [at for at in (leg.progress_us, leg.progress_media_us) if at]
    return max(0, min(signs) - leg.created_us) if signs else 0
