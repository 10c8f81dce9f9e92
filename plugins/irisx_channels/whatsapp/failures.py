"""What WhatsApp's error codes mean for us, in one table for both ways they come: as an answer and in a status.

The numbers are Meta's (Cloud API error codes, as of 2025-11); decide on the code, not on the HTTP status, which is 400
for most of them. The words are for the person who has to do something.
"""

from typing import Any, Literal

from msgspec import Struct

from irisx_channels.lenient import document, part, whole, words
from irisx_sdk import ChannelError, Malformed, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled

Kind = Literal["account", "throttled", "later", "refused", "unreached"]
"""``unreached``: nothing is wrong with the message, this person cannot be reached with it."""


class Meaning(Struct, frozen=True):
    """One code."""

    kind: Kind
    text: str
    wait_s: float | None = None
    permanent: bool = True


def _later(text: str, wait_s: float | None = None, kind: Kind = "later") -> Meaning:
    return Meaning(kind, text, wait_s, False)


_TOKEN = Meaning("account", "the access token is not accepted or has expired: make a new one")
_RIGHTS = Meaning("account", "the access token lacks a permission: give it whatsapp_business_messaging")
_BUSY = _later("WhatsApp had a failure of its own")
_RATE = _later("too many requests for this app or business account", kind="throttled")

OUTSIDE_WINDOW = "131047"

MEANINGS: dict[int, Meaning] = {
    0: _TOKEN,
    190: _TOKEN,
    3: _RIGHTS,
    10: _RIGHTS,
    131005: _RIGHTS,
    4: _RATE,
    80007: _RATE,
    130429: _later("more messages a second than this number may send", kind="throttled"),
    # One message in 6 s to the same person; the wish grows with every try of the platform.
    131056: _later("too many messages to this person in a short time", 6.0, "throttled"),
    131057: _later("the account is being upgraded", 300.0, "throttled"),
    132069: _later("the flow is throttled", 3600.0, "throttled"),
    133016: Meaning(
        "account", "the number was registered too often: wait some hours, then register it again"
    ),
    1: _BUSY,
    2: _BUSY,
    131000: _BUSY,
    131016: _BUSY,
    135000: _BUSY,
    33: Meaning("account", "the phone number id does not exist, or the token may not use it"),
    100: Meaning("refused", "WhatsApp does not accept a field of this message"),
    368: Meaning("account", "the account is blocked for breaking a policy: see its business support page"),
    131031: Meaning("account", "the account is locked: see its business support page"),
    130497: Meaning("refused", "the account may not write to people in this country"),
    131048: Meaning(
        "refused", "too many of this number's messages were reported: stop the campaign", None, False
    ),
    131064: Meaning(
        "refused", "a limit because of templates in the wrong category: stop the campaign", None, False
    ),
    130472: Meaning("unreached", "this person takes part in an experiment of Meta and gets no marketing"),
    131008: Meaning("refused", "the message lacks a field"),
    131009: Meaning("refused", "a value in the message is not allowed"),
    131021: Meaning("refused", "the receiver is the sending number itself"),
    131026: Meaning(
        "unreached", "not deliverable: no WhatsApp there, an old version, or its terms not accepted"
    ),
    131030: Meaning("account", "a test number writes to listed receivers only: add this one to the list"),
    131037: Meaning("account", "the number's display name is not approved yet"),
    131042: Meaning("account", "there is a problem with the payment method"),
    131045: Meaning("account", "the number is not registered: register it"),
    131047: Meaning("refused", "more than 24 hours since this person last wrote: send a template"),
    131049: Meaning("unreached", "Meta holds back marketing for this person: try after a day", None, False),
    131050: Meaning("unreached", "this person stopped marketing from this business"),
    131051: Meaning("refused", "WhatsApp does not know this type of message"),
    131052: Meaning("refused", "WhatsApp could not download the file"),
    131053: Meaning("refused", "WhatsApp could not take the file: check its type and size"),
    131062: Meaning("account", "this number cannot write to user ids yet, only to phone numbers"),
    131063: Meaning("account", "marketing templates are switched off for the Cloud API"),
    132000: Meaning("refused", "the template has another number of places than values were given"),
    132001: Meaning("refused", "there is no approved template of this name in this language"),
    132005: Meaning("refused", "the text of the filled template is too long"),
    132007: Meaning("refused", "the template breaks a policy"),
    132008: Meaning("refused", "a value given to the template is not allowed"),
    132012: Meaning("refused", "a value given to the template has the wrong format"),
    132015: Meaning("refused", "the template is paused for its low quality", None, False),
    132016: Meaning("refused", "the template is disabled for its low quality"),
    132068: Meaning("refused", "the flow is blocked"),
    137000: Meaning("refused", "this person's identity has changed: confirm it and send again"),
}


def meaning(code: int) -> Meaning | None:
    """What a code means, None for one that nobody told us about."""
    return _RIGHTS if 200 <= code <= 299 else MEANINGS.get(code)


def failure(status: int, body: bytes, wait_s: float | None) -> ChannelError:
    """The error to raise for an answer that is no success. ``wait_s`` is the answer's ``Retry-After``."""
    try:
        error: dict[str, Any] = part(document(body), "error")
    except Malformed:
        error = {}
    if not words(error, "message") and "code" not in error:
        return _without_code(status, wait_s)
    code = whole(error, "code")
    known = meaning(code)
    name = str(code)
    if known is None:
        if status >= 500:
            return OutcomeUnknown(f"WhatsApp answered {status} with the unknown code {code}", code=name)
        if status == 429:
            return Throttled(f"WhatsApp asks to slow down (code {code})", code=name, retry_after_s=wait_s)
        return Refused(f"WhatsApp refused it with code {code}", code=name)
    if known.kind == "account":
        return Misconfigured(known.text, code=name)
    if known.kind == "throttled":
        return Throttled(known.text, code=name, retry_after_s=wait_s if wait_s is not None else known.wait_s)
    if known.kind == "later":
        # Code 1 is "unknown": with a server's error nobody knows whether the message is on its way.
        return (
            OutcomeUnknown(known.text, code=name)
            if code == 1 and status >= 500
            else NotSent(known.text, code=name)
        )
    return Refused(known.text, code=name)


def _without_code(status: int, wait_s: float | None) -> ChannelError:
    text = f"WhatsApp answered {status} without an error of its own"
    if status == 429:
        return Throttled(text, retry_after_s=wait_s)
    if status in (401, 403):
        return Misconfigured(text + ": check the access token")
    if status == 503:
        return NotSent(text)
    if 300 <= status < 500:
        return Misconfigured(text + ": check the base address, the version and the phone number id")
    return OutcomeUnknown(text)
