"""Handing a message to a session, part by part, and saying no more about it than is certain."""

from collections.abc import Awaitable, Callable, Sequence

from irisx_channels.sms.outcomes import failure
from irisx_channels.sms.smpp import words
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.session import Answered, Lost
from irisx_channels.sms.smpp.translate import TITLE
from irisx_sdk import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Throttled

_TRIES = 6
"""For the second part and those after it: with the session's own pauses about half a minute."""

Submit = Callable[[Short], Awaitable[Answered]]
"""Waits for room and for the answer. Raises `Throttled` or `NotSent` when the part certainly stayed here."""


async def in_parts(parts: Sequence[Short], submit: Submit) -> tuple[str, ...]:
    """The centre's ids, one for each part.

    One part after the other: a refusal of the first refuses the message, and nothing of it has left. Once a part is on
    its way the rest has to follow, so passing troubles are sat out; what stays refused leaves half a message with the
    receiver, and nobody may send it again.
    """
    ids: list[str] = []
    for number, part in enumerate(parts, 1):
        for attempt in range(_TRIES):
            error = await _one(part, submit, ids)
            if error is None:
                break
            passing = isinstance(error, Throttled | NotSent) and attempt < _TRIES - 1
            if number == 1 or isinstance(error, OutcomeUnknown):
                raise error
            if not passing:
                text = f"part {number} of {len(parts)} was not taken, those before it were"
                raise OutcomeUnknown(f"{TITLE}: {text}", code=error.code)
    return tuple(ids)


async def _one(part: Short, submit: Submit, ids: list[str]) -> ChannelError | None:
    try:
        answered = await submit(part)
    except (Throttled, NotSent) as error:
        return error
    if answered.status is None:
        if answered.gone:
            return OutcomeUnknown(f"{TITLE}: the centre did not answer")
        return NotSent(f"{TITLE}: the session ended before the message left")
    if answered.status != words.OK:
        return refusal(answered.status)
    if not answered.id:
        return OutcomeUnknown(f"{TITLE}: the centre took the message and did not say under which id")
    ids.append(answered.id)
    return None


def refusal(status: int) -> ChannelError:
    """The error that a status of the centre means. A refusal is certain, also one with a number of its own."""
    code = words.code_of(status)
    if code not in words.CODES:
        return NotSent(f"{TITLE}: the centre refused it for a reason of its own", code=code)
    return failure(TITLE, 0, code, words.CODES)


def not_bound(lost: Lost) -> ChannelError:
    """Why there is no session."""
    if lost.refused is None:
        return NotSent(f"{TITLE}: {lost.reason}")
    error = refusal(lost.refused)
    if lost.refused in (words.ALREADY_BOUND, words.BIND_FAILED) and isinstance(error, Misconfigured):
        # (many centres say "bind failed" for everything, also when too many sessions are open)
        return NotSent(str(error), code=error.code)
    return error
