"""From a provider's codes to the errors of the SDK, and from receipts to "is trying again pointless?".

Each provider has a table of its codes: what a code means for us and a line for people. The provider's own texts are
never passed on, because they quote numbers and messages.
"""

from collections.abc import Mapping
from typing import Literal

from irisx_sdk import (
    ChannelError,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    State,
    Status,
    Throttled,
)

Meaning = Literal["refused", "opted_out", "config", "throttled", "retry", "away", "unknown"]
"""``retry``: certainly not sent by a passing trouble of the provider's own, another try may work. ``away``: the same, but it is
the receiver's handset or network, or nobody says whose. ``unknown``: nobody can tell whether it was sent."""

Codes = Mapping[str, tuple[Meaning, str]]

_PERMANENT: Mapping[Meaning, bool | None] = {
    "refused": True, "opted_out": True, "config": True, "throttled": False, "retry": False, "away": False, "unknown": None,
}  # fmt: skip
_OWN_FAULT: frozenset[Meaning] = frozenset({"config", "throttled", "retry"})
"""In a receipt these say that the provider did not deliver what another one may. What is refused (spam, a number that is not
there) stays with its sender, whatever way it goes."""


def by_status(status: int) -> Meaning:
    """What an HTTP status says when no code says more. A 5xx may come after the message was taken; only 503 denies it."""
    if status in (401, 402, 403) or 300 <= status < 400:
        return "config"
    if status == 429:
        return "throttled"
    if status in (408, 425, 503):
        return "retry"
    return "refused" if 400 <= status < 500 else "unknown"


def failure(
    title: str, status: int, code: str, codes: Codes, retry_after_s: float | None = None
) -> ChannelError:
    """The error to raise for an answer that is no success. ``status`` 0: the code alone decides."""
    known = codes.get(code)
    if known is not None and not (status and _contradicts(status, known[0])):
        meaning, text = known
    else:
        meaning = by_status(status) if status else "unknown"
        text = _PLAIN[meaning]
    said = f"{title}: {text}"
    label = code or (f"http {status}" if status else "")
    if meaning == "config":
        return Misconfigured(said, code=label)
    if meaning == "throttled":
        return Throttled(said, code=label, retry_after_s=retry_after_s)
    if meaning in ("retry", "away"):
        return NotSent(said, code=label)
    if meaning == "unknown":
        return OutcomeUnknown(said, code=label)
    return Refused(said, code=label, opted_out=meaning == "opted_out")


_PLAIN: Mapping[Meaning, str] = {
    "refused": "the message was refused",
    "opted_out": "the receiver wants no messages",
    "config": "the account, its credentials or its address are not accepted",
    "throttled": "too many messages at once",
    "retry": "not available at the moment",
    "away": "the receiver is out of reach",
    "unknown": "the answer does not say whether the message was taken",
}


def _contradicts(status: int, meaning: Meaning) -> bool:
    # A server that failed half way through cannot promise that trying again is safe, whatever code it adds.
    return status >= 500 and status != 503 and meaning in ("retry", "away", "throttled")


def receipt(
    message_id: str,
    state: State,
    code: str,
    codes: Codes,
    *,
    at_us: int = 0,
    reference: str = "",
    price: str = "",
    currency: str = "",
) -> Status:
    """What became of a message. A code that means "all is well" is left out."""
    if code in _FINE:
        code = ""
    meaning, reason = codes.get(code, (None, ""))
    failed = state in ("failed", "undelivered")
    return Status(
        id=message_id,
        state=state,
        at_us=at_us,
        code=code,
        reason=reason if failed or code else "",
        permanent=_PERMANENT[meaning] if failed and meaning is not None else None,
        reference=reference,
        price=price,
        currency=currency,
        own_fault=failed and meaning in _OWN_FAULT,
    )


def opted_out(code: str, codes: Codes) -> bool:
    """Whether a receipt's code says that the receiver wants no messages."""
    return code in codes and codes[code][0] == "opted_out"


_FINE = frozenset(["0", "00", "000", "0000"])
