"""The words with which people leave, come back and ask for help, as carriers and providers understand them.

Only a message that is nothing but the word counts, in any casing and with spaces around it: "STOP please" is a
sentence. The common set is that of the American carriers' association; what only one provider acts on stays with that
provider, because there the word also changes what the provider lets through.
"""

from typing import Final, Literal

Wish = Literal["stop", "start", "help"]

STOP: Final = frozenset(["stop", "stopall", "unsubscribe", "cancel", "end", "quit"])
START: Final = frozenset(["start", "unstop"])
HELP: Final = frozenset(["help", "info"])

TWILIO_STOP: Final = STOP | {"revoke", "optout"}
"""Twilio, "Advanced Opt-Out", 2025."""
TWILIO_START: Final = START | {"yes"}
TELNYX_STOP: Final = STOP | {"stop all"}
"""Telnyx, "Advanced opt-in and opt-out", 2025."""


_LONGEST = 100
"""No message that is longer is one of the words, not even with much space around it."""


def wish(text: str, *, stop: frozenset[str] = STOP, start: frozenset[str] = START) -> Wish | None:
    """What a message asks for, None for every ordinary one."""
    if len(text) > _LONGEST:
        return None
    word = " ".join(text.split()).casefold()
    if word in stop:
        return "stop"
    if word in start:
        return "start"
    return "help" if word in HELP else None
