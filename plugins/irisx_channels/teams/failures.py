"""What the Bot Framework's refusals mean. Pure.

Microsoft's rule for sending is to try 412, 429, 502 and 504 again after a growing pause with jitter (Teams, "Optimize your
bot with rate limiting"). The first three were not carried out; after a 504 nobody knows, so that one is `OutcomeUnknown`
and never repeated blindly: a message that comes twice is worse than one that a person sends again.
"""

from irisx_channels.lenient import document, part, words
from irisx_sdk import ChannelError, Malformed, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled

_WORDS = {
    "MessageWritesBlocked": "this person has blocked or removed the bot",
    "BotNotInConversationRoster": "the bot is not in this conversation any more: add it again",
    "ForbiddenOperationException": "the bot may not write here",
    "ConversationNotFound": "there is no such conversation any more",
    "MessageSizeTooBig": "the message is too big for Teams",
    "ConversationBlockedByUser": "this person has blocked the bot",
    "BotDisabledByAdmin": "an administrator has switched the bot off for this person",
}
_UNWANTED = ("MessageWritesBlocked", "ConversationBlockedByUser")


def failure(status: int, body: bytes, wait_s: float | None) -> ChannelError:
    """The error to raise for an answer of the service that is no success."""
    try:
        error = part(document(body), "error")
    except Malformed:
        error = {}
    word = words(error, "code") or words(part(error, "innerHttpError"), "code")
    code = word or str(status)
    if status == 429:
        return Throttled(
            "too many messages in this conversation or to this tenant", code=code, retry_after_s=wait_s
        )
    if status == 401:
        return Misconfigured(
            "Teams does not accept the bot's token: check application id, secret and tenant", code=code
        )
    if status in (412, 502, 503):
        return NotSent(f"Teams answered {status}: to be tried again", code=code)
    if status >= 500:
        return OutcomeUnknown(f"Teams answered {status}", code=code)
    if 300 <= status < 400:
        return Misconfigured(f"Teams answered {status}: check the base address", code=code)
    text = _WORDS.get(word, f"Teams refused it with {status}")
    return Refused(text, code=code, opted_out=word in _UNWANTED)


def token_failure(status: int, body: bytes, wait_s: float | None) -> ChannelError:
    """The error to raise when no token was given. Nothing has been sent yet, whatever happened."""
    try:
        code = words(document(body), "error")
    except Malformed:
        code = ""
    code = code or str(status)
    if status == 429:
        return Throttled("too many tokens were asked for", code=code, retry_after_s=wait_s)
    if status >= 500:
        return NotSent(f"Microsoft's sign-in answered {status}", code=code)
    text = "Microsoft gives this bot no token: check application id, secret (has it expired?) and tenant"
    return Misconfigured(text, code=code)
