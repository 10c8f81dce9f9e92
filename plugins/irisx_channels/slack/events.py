"""What happened at Slack, read: messages, edits, signs, slash commands, buttons. Pure.

Both ways in (requests and Socket Mode) bring the same payloads. Slack repeats what is not answered within 3 s; a
repetition has the same id here: a message's is ``channel:ts`` (the pair that Slack itself uses, and the same for
`message` and `app_mention` of one post), any other event's is its ``event_id``.

Left out on purpose: what bots write (our own messages come back as events), joins and leaves and other lines that
Slack writes itself, edits that only added a link's preview.
"""

from typing import Literal

import msgspec

from irisx_channels.lenient import Json, part, parts, whole, words
from irisx_channels.slack.text import emoji_sign, microseconds, name_of, plain
from irisx_sdk.channel import Parsed, Reply
from irisx_sdk.errors import Malformed
from irisx_sdk.messages import (
    Address,
    Choice,
    Content,
    Deletion,
    Edit,
    File,
    Inbound,
    Media,
    Reaction,
    Text,
    Unsupported,
)

QUIET = frozenset({
    "bot_message", "message_replied", "channel_join", "channel_leave", "channel_topic", "channel_purpose",
    "channel_name", "channel_archive", "channel_unarchive", "channel_convert_to_private", "channel_posting_permissions",
    "group_join", "group_leave", "group_topic", "group_purpose", "group_name", "group_archive", "group_unarchive",
    "pinned_item", "unpinned_item", "reminder_add", "bot_add", "bot_remove", "bot_enable", "bot_disable",
    "ekm_access_denied", "assistant_app_thread", "huddle_thread", "sh_room_created", "joiner_notification",
})  # fmt: skip
"""Subtypes of messages that no person wrote to us."""

SPOKEN = frozenset({"", "file_share", "me_message", "thread_broadcast", "file_comment"})
"""Subtypes of messages that are somebody's shown."""

_KINDS: dict[str, Literal["image", "audio", "video"]] = {"image": "image", "audio": "audio", "video": "video"}


def read(payload: Json, command_reply: str = "", now_us: int = 0) -> Parsed:
    """One payload, as a request or an envelope brings it. Raises `Malformed`."""
    kind = words(payload, "type")
    if kind == "url_verification":
        return Parsed(reply=Reply(body=words(payload, "challenge").encode("utf-8", "replace")))
    if kind == "event_callback":
        found = _event(payload)
        return Parsed(messages=(found,) if found else ())
    if kind == "app_rate_limited":
        return Parsed()  # events were withheld; Slack says no more about them
    if not kind and words(payload, "command"):
        return Parsed(messages=(_command(payload, now_us),), reply=_command_answer(command_reply))
    if kind and words(part(payload, "user"), "id"):
        return Parsed(messages=_interaction(payload, now_us))
    raise Malformed(f"nothing that Slack sends: type {kind[:40]!r}")


def _command_answer(text: str) -> Reply:
    """Nothing, or a line that only the sender of the command sees."""
    if not text:
        return Reply()
    body = msgspec.json.encode({"response_type": "ephemeral", "text": text})
    return Reply(body=body, media_type="application/json")


def _event(payload: Json) -> Inbound | None:
    event, id = part(payload, "event"), words(payload, "event_id")
    if not id:
        raise Malformed("an event without event_id")
    bot = next(
        (words(one, "user_id") for one in parts(payload, "authorizations") if one.get("is_bot") is True), ""
    )
    us = Address("user", bot) if bot else None
    kind = words(event, "type")
    if words(event, "user") == bot != "":
        return None
    if kind in ("message", "app_mention"):
        return _message(event, id, us)
    if kind in ("reaction_added", "reaction_removed"):
        item = part(event, "item")
        if words(item, "type") != "message":
            return None
        emoji = emoji_sign(words(event, "reaction")) if kind == "reaction_added" else ""
        target = name_of(words(item, "channel"), words(item, "ts"))
        return _inbound(event, id, Reaction(target, emoji), us, thread=_thread(item))
    return None  # an event that somebody subscribed to for another purpose


def _message(event: Json, id: str, us: Address | None) -> Inbound | None:
    subtype, channel = words(event, "subtype"), words(event, "channel")
    if subtype in QUIET or words(event, "bot_id"):
        return None
    if subtype in ("message_changed", "message_deleted"):
        return _changed(event, id, us)
    sender, ts = words(event, "user"), words(event, "ts")
    if not (sender and channel and ts):
        raise Malformed("a message without user, channel or ts")
    content: Content
    rest: tuple[File, ...] = ()
    said = words(event, "text")
    if us is not None:  # "@IRISX help" is said to us: "help"
        said = said.removeprefix(f"<@{us.value}>").lstrip()
    shown = plain(said)
    files = tuple(_file(one) for one in parts(event, "files") if words(one, "mode") != "tombstone")
    if subtype not in SPOKEN:
        content = Unsupported(subtype)
    elif files:
        content, rest = (
            Media(files[0], _KINDS.get(files[0].media_type.partition("/")[0], "document"), shown),
            files[1:],
        )
    elif shown:
        content = Text(shown)
    else:
        content = Unsupported("blocks" if event.get("blocks") or event.get("attachments") else "empty")
    parent = words(event, "thread_ts")
    return Inbound(
        id=name_of(channel, ts),
        sender=Address("user", sender),
        content=content,
        recipient=us,
        sent_us=microseconds(ts),
        thread=_thread(event),
        reply_to=name_of(channel, parent) if parent and parent != ts else "",
        files=rest,
    )


def _changed(event: Json, id: str, us: Address | None) -> Inbound | None:
    channel = words(event, "channel")
    after, before = part(event, "message"), part(event, "previous_message")
    gone = words(event, "subtype") == "message_deleted" or words(after, "subtype") == "tombstone"
    author = words(before, "user") or words(after, "user")
    target = words(event, "deleted_ts") or words(before, "ts") or words(after, "ts")
    if words(before, "bot_id") or words(after, "bot_id") or not author or (us and author == us.value):
        return None
    where = _thread({"channel_type": event.get("channel_type"), "channel": channel} | _times(before or after))
    if gone:
        content: Content = Deletion(name_of(channel, target))
    elif before and words(before, "text") == words(after, "text"):
        return None
    else:
        content = Edit(name_of(channel, target), plain(words(after, "text")))
    return _inbound({**event, "user": author}, id, content, us, thread=where)


def _inbound(event: Json, id: str, content: Content, us: Address | None, *, thread: str) -> Inbound:
    if not words(event, "user"):
        raise Malformed("an event without user")
    at = microseconds(words(event, "event_ts") or words(event, "ts"))
    return Inbound(id, Address("user", words(event, "user")), content, us, at, thread)


def _times(message: Json) -> Json:
    return {"ts": words(message, "ts"), "thread_ts": words(message, "thread_ts")}


def _thread(event: Json) -> str:
    """Where an answer belongs: in a direct message beside it, in a channel in the thread below the post."""
    channel, parent = words(event, "channel"), words(event, "thread_ts")
    if parent:
        return name_of(channel, parent)
    direct = words(event, "channel_type") in ("im", "mpim") or channel.startswith("D")
    return channel if direct else name_of(channel, words(event, "ts"))


def _file(found: Json) -> File:
    return File(
        name=words(found, "name") or words(found, "title"),
        media_type=words(found, "mimetype") or "application/octet-stream",
        size=max(0, whole(found, "size")),
        id=words(found, "id"),
        url=words(found, "url_private_download") or words(found, "url_private"),
    )


def _command(form: Json, now_us: int) -> Inbound:
    """A slash command: "/name shown". It is no message of any channel, so the answer goes to the person directly."""
    sender, trigger = words(form, "user_id"), words(form, "trigger_id")
    if not (sender and trigger):
        raise Malformed("a slash command without user_id or trigger_id")
    said = f"{words(form, 'command')} {plain(words(form, 'text'))}".strip()
    return Inbound(
        f"command:{trigger}", Address("user", sender, words(form, "user_name")), Text(said), sent_us=now_us
    )


def _interaction(payload: Json, now_us: int) -> tuple[Inbound, ...]:
    user, trigger = part(payload, "user"), words(payload, "trigger_id")
    sender = Address("user", words(user, "id"), words(user, "name") or words(user, "username"))
    box, message = part(payload, "container"), part(payload, "message")
    channel = words(box, "channel_id") or words(part(payload, "channel"), "id")
    ts = words(box, "message_ts") or words(message, "ts")
    about = name_of(channel, ts) if channel and ts else ""
    thread = ""
    if channel:
        parent = words(box, "thread_ts") or words(message, "thread_ts")
        thread = _thread({"channel": channel, "ts": ts, "thread_ts": parent})
    if words(payload, "type") != "block_actions":
        # Shortcuts and dialogs: nothing of ours opens them, but somebody may have built one.
        if not trigger:
            raise Malformed("an interaction without trigger_id")
        kind = Unsupported(words(payload, "type"))
        return (Inbound(f"action:{trigger}", sender, kind, sent_us=now_us, thread=thread, reply_to=about),)
    found = []
    for at, action in enumerate(parts(payload, "actions")):
        chosen = part(action, "selected_option") or action
        value = words(chosen, "value") or words(action, "action_id")
        when = words(action, "action_ts")
        found.append(
            Inbound(
                id=f"action:{trigger or about}:{when}:{at}",
                sender=sender,
                content=Choice(value, plain(words(part(chosen, "text"), "text"))),
                sent_us=microseconds(when) or now_us,
                thread=thread,
                reply_to=about,
            )
        )
    return tuple(found)
