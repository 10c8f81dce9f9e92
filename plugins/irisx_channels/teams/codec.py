"""Activities of the Bot Framework, read. Pure.

A message's id is unique in its conversation only, so ours is ``CONVERSATION|ACTIVITY``. A thread of a team's channel is
a conversation of its own (``…;messageid=ROOT``); the messages in it are named by the channel, because Teams names them
both ways. The whole conversation reference goes into ``context``: without the service's URL nothing can be answered.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from irisx_channels.lenient import Json, part, parts, words
from irisx_channels.teams.contents import message_content, submitted
from irisx_sdk import (
    Address,
    Content,
    Deletion,
    Edit,
    File,
    Inbound,
    Malformed,
    Parsed,
    Preference,
    Reaction,
    Reply,
    Status,
    Text,
    Typing,
    Unsupported,
)

READ = "application/vnd.microsoft.readReceipt"
SIGNS = {"like": "👍", "heart": "❤️", "laugh": "😆", "surprised": "😮", "sad": "😢", "angry": "😠"}
"""Teams' own words for the six signs it began with; newer ones come as they are."""


def name_of(conversation: str, activity: str) -> str:
    """Our name of a message, empty when one of the two is missing."""
    return f"{conversation.partition(';messageid=')[0]}|{activity}" if conversation and activity else ""


def parse(activity: Json) -> Parsed:
    """What an activity says; empty for kinds that are about nothing we show. Raises `Malformed`."""
    kind = words(activity, "type")
    reader = _READERS.get(kind)
    if reader is None:
        return Parsed()
    return reader(activity)


def outgoing(activity: Json, answer: str) -> Parsed:
    """A message that an outgoing webhook brought: it can be answered here and now only."""
    found = parse(activity)
    body = msgspec.json.encode({"type": "message", "text": answer})
    return msgspec.structs.replace(
        found,
        messages=tuple(msgspec.structs.replace(one, context={"one_way": "1"}) for one in found.messages),
        reply=Reply(body=body, media_type="application/json"),
    )


def _inbound(activity: Json, said: Content, *, files: tuple[File, ...] = (), suffix: str = "") -> Inbound:
    conversation, who = part(activity, "conversation"), part(activity, "from")
    place, name = words(conversation, "id"), name_of(words(conversation, "id"), words(activity, "id"))
    if not name or not words(who, "id"):
        raise Malformed("an activity has no id, no conversation or no sender")
    bot, directory = part(activity, "recipient"), words(who, "aadObjectId")
    shown = words(who, "name")
    return Inbound(
        id=name + suffix,
        sender=Address("user", words(who, "id"), shown),
        aliases=(Address("user", directory, shown),) if directory else (),
        content=said,
        files=files,
        recipient=Address("user", words(bot, "id"), words(bot, "name")) if words(bot, "id") else None,
        sent_us=instant_us(words(activity, "timestamp")),
        thread=place,
        reply_to=name_of(place, words(activity, "replyToId")),
        context=reference(activity),
        automatic=words(who, "role") == "bot",
    )


def reference(activity: Json) -> dict[str, str]:
    """The conversation reference: everything that an answer needs, flat."""
    data = part(activity, "channelData")
    conversation = part(activity, "conversation")
    found = {
        "service_url": words(activity, "serviceUrl"),
        "conversation_id": words(conversation, "id"),
        "conversation_type": words(conversation, "conversationType"),
        "activity_id": words(activity, "id"),
        "user_id": words(part(activity, "from"), "id"),
        "bot_id": words(part(activity, "recipient"), "id"),
        "bot_name": words(part(activity, "recipient"), "name"),
        "tenant_id": words(part(data, "tenant"), "id") or words(conversation, "tenantId"),
        "team_id": words(part(data, "team"), "id"),
        "channel_id": words(part(data, "channel"), "id"),
        "locale": words(activity, "locale"),
    }
    return {key: value for key, value in found.items() if value}


def _message(activity: Json) -> Parsed:
    said, files = message_content(activity)
    return Parsed((_inbound(activity, said, files=files),))


def _updated(activity: Json) -> Parsed:
    said, _ = message_content(activity)
    target = name_of(words(part(activity, "conversation"), "id"), words(activity, "id"))
    if isinstance(said, Text):
        said = Edit(target, said.text, said.html)
    return Parsed((_inbound(activity, said, suffix=f"|edit {words(activity, 'timestamp')}"),))


def _deleted(activity: Json) -> Parsed:
    target = name_of(words(part(activity, "conversation"), "id"), words(activity, "id"))
    return Parsed((_inbound(activity, Deletion(target), suffix="|deleted"),))


def _reacted(activity: Json) -> Parsed:
    target = name_of(words(part(activity, "conversation"), "id"), words(activity, "replyToId"))
    if not target:
        raise Malformed("a reaction names no message")
    # A person has one sign at a message: what was added is what it is now.
    word = next((words(one, "type") for one in parts(activity, "reactionsAdded")), "")
    return Parsed((_inbound(activity, Reaction(target, SIGNS.get(word, word))),))


def _typing(activity: Json) -> Parsed:
    return Parsed((_inbound(activity, Typing()),))


def _installed(activity: Json) -> Parsed:
    """Somebody removed the bot from their own chats, or added it again; in a team it is nobody's own wish."""
    action, who = words(activity, "action"), part(activity, "from")
    conversation = part(activity, "conversation")
    if words(conversation, "conversationType") != "personal" or not words(who, "id"):
        return Parsed()
    if action not in ("add", "remove", "add-upgrade", "remove-upgrade") or action.endswith("upgrade"):
        return Parsed()
    name = name_of(words(conversation, "id"), words(activity, "id"))
    sender = Address("user", words(who, "id"), words(who, "name"))
    at_us = instant_us(words(activity, "timestamp"))
    return Parsed(preferences=(Preference(name, sender, action == "add", at_us=at_us),) if name else ())


def _event(activity: Json) -> Parsed:
    """Read receipts of chats between two; other events are for other bots."""
    last = words(part(activity, "value"), "lastReadMessageId")
    name = name_of(words(part(activity, "conversation"), "id"), last)
    if words(activity, "name") != READ or not name:
        return Parsed()
    return Parsed(statuses=(Status(name, "read", at_us=instant_us(words(activity, "timestamp"))),))


def _invoked(activity: Json) -> Parsed:
    """A call that wants an answer now: a card's button of the newer kind gets one, everything else a 501."""
    if words(activity, "name") != "adaptiveCard/action":
        return Parsed(reply=Reply(501))
    said = submitted(part(activity, "value", "action", "data")) or Unsupported("adaptiveCard/action")
    done = {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "OK"}
    reply = Reply(body=msgspec.json.encode(done), media_type="application/json")
    return Parsed((_inbound(activity, said),), reply=reply)


def instant_us(text: str) -> int:
    """A time as Teams writes it (ISO 8601), in microseconds; 0 when it is none."""
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, round(at.timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        return 0


_READERS: dict[str, Callable[[Json], Parsed]] = {
    "message": _message,
    "messageUpdate": _updated,
    "messageDelete": _deleted,
    "messageReaction": _reacted,
    "typing": _typing,
    "installationUpdate": _installed,
    "event": _event,
    "invoke": _invoked,
}
