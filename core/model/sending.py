"""What comes after a try to send. Pure: the error and the history decide.

Only what was certainly not sent is tried again by itself, or what a provider recognises as a repetition. Everything else
is an outcome that nobody knows: sending it again could say the same thing twice to a person.
"""

from typing import Literal

from msgspec import Struct

from irisx_sdk.errors import (
    ChannelError,
    Misconfigured,
    NotSent,
    Refused,
    Throttled,
)

MAX_ATTEMPTS = 12
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 300.0
MISCONFIGURED_PAUSE_S = 60.0
"""How long messages of an account wait that its provider does not know: somebody has to mend it first."""


class Next(Struct, frozen=True):
    """``again`` after ``pause_s``, ``over``, or ``unknown``."""

    step: Literal["again", "over", "unknown"]
    outcome: str
    code: str
    reason: str
    pause_s: float = 0.0
    blames_account: bool = False
    """The account needs a person; nothing else will go through it."""
    opted_out: bool = False


def after(error: BaseException, *, attempts: int, idempotent: bool, left_s: float, jitter: float) -> Next:
    """What to do about ``error`` at try number ``attempts``.

    ``left_s`` is the time until nobody wants the message any more; ``jitter`` is from 0.8 to 1.2.
    """
    code = error.code if isinstance(error, ChannelError) else type(error).__name__
    reason = str(error) if isinstance(error, ChannelError) else "the channel failed in a way of its own"
    match error:
        case Refused():
            return Next("over", "refused", code, reason, opted_out=error.opted_out)
        case Misconfigured():
            pause_s, outcome = MISCONFIGURED_PAUSE_S, "misconfigured"
        case Throttled():
            asked = error.retry_after_s
            pause_s, outcome = pause_of(attempts, jitter) if asked is None else max(asked, 0.05), "throttled"
        case NotSent():
            pause_s, outcome = pause_of(attempts, jitter), "not_sent"
        case _ if idempotent:
            pause_s, outcome = pause_of(attempts, jitter), "unknown"
        case _:
            return Next("unknown", "unknown", code, reason)
    if left_s <= pause_s:
        return Next("over", "expired", code, reason)
    # Being told to wait is no failure: only tries that came to nothing are counted.
    if attempts >= MAX_ATTEMPTS and outcome in ("not_sent", "unknown"):
        step: Literal["over", "unknown"] = "over" if outcome == "not_sent" else "unknown"
        return Next(step, outcome, code, reason)
    return Next("again", outcome, code, reason, pause_s, blames_account=isinstance(error, Misconfigured))


def pause_of(attempts: int, jitter: float) -> float:
    """Seconds before the next try: doubling, at most `MAX_PAUSE_S`."""
    pause_s: float = FIRST_PAUSE_S * 2.0 ** min(max(attempts - 1, 0), 20)
    return min(pause_s, MAX_PAUSE_S) * jitter
