"""What comes after a try to send. Pure: the error and the history decide.

Only what was certainly not sent is tried again by itself, or what a provider recognises as a repetition. Everything else
is an outcome that nobody knows: sending it again could say the same thing twice to a person. A message that may go by
several carriers goes on to the next one after a failure that was certainly the carrier's own, and after no other.
"""

from typing import Literal

from msgspec import Struct

from irisx_sdk.channel import Capabilities
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
FIRST_THROTTLE_S = 0.1
MAX_THROTTLE_S = 60.0


class Next(Struct, frozen=True):
    """``again`` after ``pause_s``, ``next`` carrier at once, ``over``, or ``unknown``."""

    step: Literal["again", "next", "over", "unknown"]
    outcome: str
    code: str
    reason: str
    pause_s: float = 0.0
    blames_account: bool = False
    """The account needs a person; nothing else will go through it."""
    opted_out: bool = False


def after(
    error: BaseException,
    *,
    attempts: int,
    idempotent: bool,
    left_s: float,
    jitter: float,
    routed: bool = False,
) -> Next:
    """What to do about ``error`` at try number ``attempts``.

    ``left_s`` is the time until nobody wants the message any more; ``jitter`` is from 0.8 to 1.2; ``routed``: other
    carriers may be asked.
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
    blames = isinstance(error, Misconfigured)
    if routed and outcome != "unknown":
        return Next("next", outcome, code, reason, blames_account=blames)
    if left_s <= pause_s:
        # (what a provider may have is not certainly over, however late it is)
        step: Literal["over", "unknown"] = "unknown" if outcome == "unknown" else "over"
        return Next(step, "unknown" if outcome == "unknown" else "expired", code, reason)
    # Being told to wait is no failure: only tries that came to nothing are counted.
    if attempts >= MAX_ATTEMPTS and outcome in ("not_sent", "unknown"):
        step = "over" if outcome == "not_sent" else "unknown"
        return Next(step, outcome, code, reason)
    return Next("again", outcome, code, reason, pause_s, blames_account=blames)


def pause_of(attempts: int, jitter: float) -> float:
    """Seconds before the next try: doubling, at most `MAX_PAUSE_S`."""
    pause_s: float = FIRST_PAUSE_S * 2.0 ** min(max(attempts - 1, 0), 20)
    return min(pause_s, MAX_PAUSE_S) * jitter


def throttle_of(times: int, retry_after_s: float | None, jitter: float) -> float:
    """Seconds that a whole account waits that was told to slow down for the ``times``-th time in a row."""
    if retry_after_s is not None:
        return min(max(retry_after_s, 0.05), MAX_THROTTLE_S)
    pause_s: float = FIRST_THROTTLE_S * 2.0 ** min(max(times - 1, 0), 10)
    return min(pause_s, MAX_THROTTLE_S) * jitter


def recognises(capabilities: Capabilities, first_us: int, at_us: int) -> bool:
    """Whether the provider would know a repetition, ``at_us``, of what it was given first at ``first_us``."""
    if not capabilities.idempotent:
        return False
    return not capabilities.idempotent_s or at_us - first_us < capabilities.idempotent_s * 1_000_000
