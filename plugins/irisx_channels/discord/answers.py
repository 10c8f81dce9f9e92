"""What Discord's answers mean. Pure.

Source: discord/discord-api-docs, "Opcodes and Status Codes" (JSON error codes), "Rate Limits". What is missing in one
channel (a permission, access) is a refusal of that message: the rest of the account works.
"""

import math

from irisx_channels.lenient import Json, document, whole
from irisx_sdk.errors import (
    ChannelError,
    Malformed,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Throttled,
)

REFUSED: dict[int, str] = {
    10003: "Discord knows no such channel, or it is gone",
    10008: "the message is no longer there",
    10013: "Discord knows no such person",
    10014: "Discord knows no such sign",
    10015: "the webhook is gone",
    10062: "too late: the interaction has expired",
    30010: "the message has as many different signs as Discord allows",
    30046: "the message is too old to be changed so often",
    40005: "the files are too large for this server",
    40060: "the interaction was answered already",
    50001: "the bot has no access to this channel",
    50005: "only messages of the bot itself can be changed",
    50006: "there is nothing to send",
    50007: "this person takes no direct messages from the bot",
    50008: "messages cannot be sent in this kind of channel",
    50013: "the bot lacks a permission in this channel",
    50021: "this cannot be done with a message of Discord's own",
    50033: "Discord knows no such receiver",
    50035: "Discord does not accept the message",
    50083: "the thread is archived",
    50278: "the bot and this person have no server in common",
    90001: "this person has blocked the bot",
    160002: "the bot may not read the message that is answered",
    200000: "the server's filter stopped the message",
    200001: "the server's filter stopped the message",
}
"""Pointless to try again."""

THROTTLED: dict[int, str] = {
    20016: "the channel is in slow mode",
    20028: "too much is being written in this channel",
    20029: "too much is being written in this server",
    40003: "direct messages are being opened too fast",
}

MISCONFIGURED: dict[int, str] = {
    20012: "the token is not of this application",
    40001: "Discord does not accept the bot token",
    40002: "the bot's account must be verified first",
    50014: "Discord does not accept the bot token",
    50025: "Discord does not accept the bot token",
}


def read_answer(status: int, body: bytes, retry_after: float | None) -> Json:
    """What a request was answered, empty for nothing. Raises the error that it means."""
    if 200 <= status < 300:
        try:
            return document(body) if body else {}
        except Malformed:
            raise OutcomeUnknown(
                "Discord took it and answered what cannot be read", code=str(status)
            ) from None
    raise failure(status, body, retry_after)


def failure(status: int, body: bytes, retry_after: float | None) -> ChannelError:
    """The error that an answer outside 2xx means."""
    try:
        said = document(body)
    except Malformed:
        said = {}
    code = whole(said, "code")
    name = str(code or status)
    wait = seconds(said.get("retry_after"), retry_after)
    if status == 429:
        everywhere = " (all of the bot's requests)" if said.get("global") is True else ""
        return Throttled(f"too fast for Discord{everywhere}", code=name, retry_after_s=wait)
    if status == 401 or code in MISCONFIGURED:
        return Misconfigured(MISCONFIGURED.get(code, "Discord does not accept the bot token"), code=name)
    if code in THROTTLED:
        return Throttled(THROTTLED[code], code=name, retry_after_s=wait)
    if status == 503:
        return NotSent("Discord is not available", code=name)
    if status >= 500:
        return OutcomeUnknown("Discord had an error of its own", code=name)
    if status == 403 and not code:
        # A page of the guard in front of Discord: this machine's address is shut out for a while.
        return NotSent("Discord does not let this machine in at the moment", code=name)
    if 400 <= status < 500:
        return Refused(REFUSED.get(code, "Discord refused it"), code=name)
    return OutcomeUnknown(f"Discord answered {status}", code=name)


def seconds(said: object, header: float | None) -> float | None:
    """How long to wait: the body's word is finer than the header's."""
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < math.inf:
        return float(said)
    return header
