"""Telegram's updates, read, whether they came by webhook or by polling. Pure.

A message's id is unique in its chat only, so ours is ``CHAT:MESSAGE``, in everything that names a message. A thread is
a chat, with ``/TOPIC`` behind it in a forum. What comes without an id of its own (an edit, a reaction) is named by its
update, which is the same at every delivery.
"""

import hmac
from collections.abc import Callable

import msgspec

from irisx_channels.lenient import Json, document, part, parts, seconds_us, words
from irisx_channels.telegram.contents import content
from irisx_sdk import (
    Address,
    BadSignature,
    Choice,
    Content,
    Deletion,
    Edit,
    Inbound,
    Malformed,
    Media,
    Parsed,
    Preference,
    Reaction,
    Reply,
    Text,
    Unsupported,
)

UPDATES = (
    "message", "edited_message", "channel_post", "edited_channel_post", "business_message", "edited_business_message",
    "deleted_business_messages", "callback_query", "message_reaction", "my_chat_member",
)  # fmt: skip
"""What we want to be told: Telegram tells reactions only to those who ask for them."""


def check_secret(expected: str, given: str) -> None:
    """Raise `BadSignature` unless the webhook's secret came along. It proves who sent it, not what."""
    if not expected:
        raise BadSignature("this account has no secret token: set one before you use a webhook")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise BadSignature("X-Telegram-Bot-Api-Secret-Token is not the one of this account")


def parse(body: bytes, bot: str) -> Parsed:
    """A webhook's update. Raises `Malformed`.

    A pressed button is acknowledged in the answer itself (a method call, which costs no request): until then the
    person's Telegram shows that it waits.
    """
    update = document(body)
    found = parse_update(update, bot)
    if pressed := words(part(update, "callback_query"), "id"):
        answer = {"method": "answerCallbackQuery", "callback_query_id": pressed}
        reply = Reply(body=msgspec.json.encode(answer), media_type="application/json")
        return msgspec.structs.replace(found, reply=reply)
    return found


def parse_update(update: Json, bot: str) -> Parsed:
    """One update; empty for kinds that are no message. ``bot`` is the bot's id. Raises `Malformed` without an id."""
    name = words(update, "update_id")
    if not name:
        raise Malformed("an update has no update_id")
    for kind, reader in _READERS.items():
        if value := part(update, kind):
            found = reader(value, name)
            to = Address("user", bot) if bot else None
            return msgspec.structs.replace(
                found,
                messages=tuple(msgspec.structs.replace(one, recipient=to) for one in found.messages),
                preferences=tuple(msgspec.structs.replace(one, recipient=to) for one in found.preferences),
            )
    return Parsed()


def message_id(message: Json) -> str:
    """``CHAT:MESSAGE``, empty when one of them is missing."""
    chat, number = words(part(message, "chat"), "id"), words(message, "message_id")
    return f"{chat}:{number}" if chat and number else ""


def _message(message: Json, update: str) -> Parsed:
    # A customer's private chat has the customer's id: who else writes in it is the business itself, from its phone.
    chat = part(message, "chat")
    if words(message, "business_connection_id") and words(chat, "id") != words(part(message, "from"), "id"):
        return Parsed()
    said = content(message)
    return Parsed((_inbound(message, message_id(message), said),))


def _edited(message: Json, update: str) -> Parsed:
    said = content(message)
    target = message_id(message)
    if isinstance(said, Text):
        said = Edit(target, said.text)
    elif isinstance(said, Media):
        said = Edit(target, said.caption)
    return Parsed((_inbound(message, f"update:{update}", said),))


def _inbound(message: Json, name: str, said: Content) -> Inbound:
    if not message_id(message):
        raise Malformed("a message has no id or no chat")
    chat = part(message, "chat")
    writer = part(message, "from")
    answered = part(message, "reply_to_message")
    topic = words(message, "message_thread_id") if message.get("is_topic_message") is True else ""
    context = {
        "chat_id": words(message, "migrate_to_chat_id") or words(chat, "id"),
        "message_thread_id": topic,
        "business_connection_id": words(message, "business_connection_id"),
        "media_group_id": words(message, "media_group_id"),
    }
    # In a topic every message "answers" the one that opened it: that is no answer.
    first = topic and words(answered, "message_id") == topic
    return Inbound(
        id=name,
        sender=_sender(message),
        content=said,
        sent_us=seconds_us(message, "edit_date") or seconds_us(message, "date"),
        thread=words(chat, "id") + (f"/{topic}" if topic else ""),
        reply_to="" if first else message_id({"chat": chat} | answered),
        context={key: value for key, value in context.items() if value},
        automatic=writer.get("is_bot") is True or isinstance(said, Unsupported),
    )


def _sender(message: Json) -> Address:
    """Who wrote: an anonymous administrator and a channel write as their chat."""
    sender = part(message, "sender_chat") or part(message, "from") or part(message, "chat")
    return Address("user", words(sender, "id"), _name(sender))


def _name(person: Json) -> str:
    name = f"{words(person, 'first_name')} {words(person, 'last_name')}".strip()
    return name or words(person, "title") or words(person, "username")


def _deleted(value: Json, update: str) -> Parsed:
    chat = part(value, "chat")
    ids = value.get("message_ids")
    gone = [str(one) for one in ids if isinstance(one, int)] if isinstance(ids, list) else []
    return Parsed(
        tuple(
            Inbound(
                id=f"update:{update}:{number}",
                sender=Address("user", words(chat, "id"), _name(chat)),
                content=Deletion(f"{words(chat, 'id')}:{number}"),
                thread=words(chat, "id"),
            )
            for number in gone
            if words(chat, "id")
        )
    )


def _pressed(query: Json, update: str) -> Parsed:
    """Somebody pressed a button below a message of ours."""
    message = part(query, "message")
    data, who = words(query, "data"), part(query, "from")
    if not words(query, "id") or not words(who, "id"):
        raise Malformed("a pressed button has no id or nobody who pressed it")
    chat = words(part(message, "chat"), "id") or words(who, "id")
    said: Content = Choice(data, _title(message, data)) if data else Unsupported("callback_query")
    return Parsed(
        (
            Inbound(
                id=f"callback:{words(query, 'id')}",
                sender=Address("user", words(who, "id"), _name(who)),
                content=said,
                thread=chat,
                reply_to=message_id(message),
                context={"chat_id": chat},
            ),
        )
    )


def _title(message: Json, data: str) -> str:
    rows = part(message, "reply_markup").get("inline_keyboard")
    for row in rows if isinstance(rows, list) else []:
        for button in row if isinstance(row, list) else []:
            if words(button, "callback_data") == data:
                return words(button, "text")
    return ""


def _reacted(value: Json, update: str) -> Parsed:
    target = message_id(value)
    who = part(value, "user") or part(value, "actor_chat")
    if not target or not words(who, "id"):
        raise Malformed("a reaction has no message or nobody who made it")
    now = next((words(one, "emoji") or "⭐" for one in parts(value, "new_reaction")), "")
    chat = words(part(value, "chat"), "id")
    said = Reaction(target, now)
    sender = Address("user", words(who, "id"), _name(who))
    at_us = seconds_us(value, "date")
    return Parsed(
        (Inbound(f"update:{update}", sender, said, sent_us=at_us, thread=chat, context={"chat_id": chat}),)
    )


def _membership(value: Json, update: str) -> Parsed:
    """Somebody blocked the bot or let it in again; in groups it is about the bot's rights, not about wishes."""
    chat = part(value, "chat")
    status = words(part(value, "new_chat_member"), "status")
    if words(chat, "type") != "private" or status not in ("kicked", "member") or not words(chat, "id"):
        return Parsed()
    who = Address("user", words(chat, "id"), _name(chat))
    wish = Preference(f"update:{update}", who, status == "member", at_us=seconds_us(value, "date"))
    return Parsed(preferences=(wish,))


_READERS: dict[str, Callable[[Json, str], Parsed]] = {
    "message": _message,
    "edited_message": _edited,
    "channel_post": _message,
    "edited_channel_post": _edited,
    "business_message": _message,
    "edited_business_message": _edited,
    "guest_message": _message,
    "deleted_business_messages": _deleted,
    "callback_query": _pressed,
    "message_reaction": _reacted,
    "my_chat_member": _membership,
}
