"""What happened at Discord, read: messages, edits, deletions, signs, interactions. Pure.

A message is called ``channel:id``; an edit has the time of the edit behind it. Signs have no id of their own and are
called by their place in the session (``session:sequence``), which is the same when it is replayed.

Left out on purpose: what bots and webhooks write (ours comes back, too), joins, pins, boosts and other lines that
Discord writes itself, and updates that only added a link's preview.
"""

from typing import Literal

from irisx_channels.discord.text import microseconds, name_of, plain
from irisx_channels.lenient import Json, part, parts, whole, words
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

SPOKEN = frozenset({0, 19})
"""Types of messages that are somebody's words: plain ones and answers."""

FORWARD = 1
"""The type of a reference that shows another message instead of answering it."""

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
"""Types of interactions (docs, "Receiving and Responding")."""

_PRIVATE_CHANNEL = 2
"""The context of an interaction between other people, where no bot can write."""

_KINDS: dict[str, Literal["image", "audio", "video"]] = {"image": "image", "audio": "audio", "video": "video"}
_DEPTH = 6


def read(
    kind: str, d: Json, *, place: str = "", us: str = "", authors: dict[str, str] | None = None
) -> tuple[Inbound, ...]:
    """What a dispatch of the gateway says. ``place`` is ``session:sequence``, ``us`` the bot's own id.

    ``authors`` is who wrote which message, as far as it is known: a deletion does not say. Raises `Malformed`.
    """
    authors = {} if authors is None else authors
    if kind == "MESSAGE_CREATE":
        found = _message(d, us)
    elif kind == "MESSAGE_UPDATE":
        found = _edit(d, us)
    elif kind in ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"):
        found = _sign(d, place, us, added=kind.endswith("ADD"))
    elif kind == "MESSAGE_DELETE":
        return _gone(d, [words(d, "id")], us, authors)
    elif kind == "MESSAGE_DELETE_BULK":
        ids = d.get("ids")
        return _gone(
            d, [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else [], us, authors
        )
    elif kind == "INTERACTION_CREATE":
        return interaction(d)
    else:
        return ()
    return (found,) if found else ()


def _message(d: Json, us: str) -> Inbound | None:
    author, id, channel = part(d, "author"), words(d, "id"), words(d, "channel_id")
    sender = words(author, "id")
    if author.get("bot") is True or words(d, "webhook_id") or sender == us != "":
        return None
    if whole(d, "type") not in SPOKEN:
        return None
    if not (id and channel and sender):
        raise Malformed("a message without id, channel or author")
    reference = part(d, "message_reference")
    forwarded = whole(reference, "type") == FORWARD
    shown = part(next(iter(parts(d, "message_snapshots")), {}), "message") if forwarded else d
    content, rest = _content(shown, us)
    answered = "" if forwarded else words(reference, "message_id")
    return Inbound(
        id=name_of(channel, id),
        sender=_person(author, part(d, "member")),
        content=content,
        recipient=Address("user", us) if us else None,
        sent_us=microseconds(id),
        thread=channel,
        reply_to=name_of(words(reference, "channel_id") or channel, answered) if answered else "",
        files=rest,
    )


def _content(shown: Json, us: str) -> tuple[Content, tuple[File, ...]]:
    text = said(shown, us)
    files = tuple(_file(one) for one in parts(shown, "attachments"))
    if files:
        media = Media(files[0], _KINDS.get(files[0].media_type.partition("/")[0], "document"), text)
        return media, files[1:]
    if text:
        return Text(text), ()
    for name in ("sticker_items", "poll", "embeds", "components"):
        if shown.get(name):
            return Unsupported(name.removesuffix("_items").removesuffix("s")), ()
    # Without the privileged intent of message content this is all that servers' messages are.
    return Unsupported("empty"), ()


def said(message: Json, us: str = "") -> str:
    """A message's words, with names for mentions; the bot's own at the start is left out."""
    text = words(message, "content")
    for mark in (f"<@{us}>", f"<@!{us}>"):
        text = text.removeprefix(mark).lstrip() if us and text.startswith(mark) else text
    people = {
        words(one, "id"): words(one, "global_name") or words(one, "username")
        for one in parts(message, "mentions")
    }
    return plain(text, people)


def _edit(d: Json, us: str) -> Inbound | None:
    author, id, channel = part(d, "author"), words(d, "id"), words(d, "channel_id")
    when = words(d, "edited_timestamp")
    if not when or author.get("bot") is True or words(d, "webhook_id") or words(author, "id") == us != "":
        return None
    if not (id and channel and words(author, "id")):
        raise Malformed("an edit without id, channel or author")
    return Inbound(
        id=f"{name_of(channel, id)}:{when}",
        sender=_person(author, part(d, "member")),
        content=Edit(name_of(channel, id), said(d, us)),
        recipient=Address("user", us) if us else None,
        thread=channel,
    )


def _gone(d: Json, ids: list[str], us: str, authors: dict[str, str]) -> tuple[Inbound, ...]:
    channel = words(d, "channel_id")
    if not channel or not all(ids):
        raise Malformed("a deletion without id or channel")
    found = []
    for id in ids:
        name = name_of(channel, id)
        author = authors.get(name, "")
        if author != us or not us:  # (what the bot took back was its own wish)
            found.append(Inbound(f"{name}:deleted", Address("user", author), Deletion(name), thread=channel))
    return tuple(found)


def _sign(d: Json, place: str, us: str, *, added: bool) -> Inbound | None:
    person, channel, message = words(d, "user_id"), words(d, "channel_id"), words(d, "message_id")
    if person == us != "" or part(d, "member", "user").get("bot") is True:
        return None
    if not (person and channel and message and place):
        raise Malformed("a sign without user, channel or message")
    emoji = part(d, "emoji")
    sign = words(emoji, "name")
    if words(emoji, "id"):
        sign = f"{sign}:{words(emoji, 'id')}"
    content = Reaction(name_of(channel, message), sign if added else "")
    return Inbound(place, _person({"id": person}, part(d, "member")), content, thread=channel)


def interaction(d: Json) -> tuple[Inbound, ...]:
    """A command, a pressed button, a filled form: over HTTP or the gateway. Raises `Malformed`."""
    id, kind, data = words(d, "id"), whole(d, "type"), part(d, "data")
    user = part(d, "member", "user") or part(d, "user")
    if not (id and words(user, "id")):
        raise Malformed("an interaction without id or user")
    if kind == AUTOCOMPLETE:
        return ()
    channel = words(d, "channel_id") or words(part(d, "channel"), "id")
    message = words(part(d, "message"), "id")
    files: tuple[File, ...] = ()
    content: Content
    if kind == COMMAND:
        content = Text(_command(data))
        files = tuple(
            _file(one) for one in part(data, "resolved", "attachments").values() if isinstance(one, dict)
        )
    elif kind == COMPONENT:
        chosen = data.get("values")
        value = (
            chosen[0]
            if isinstance(chosen, list) and chosen and isinstance(chosen[0], str)
            else words(data, "custom_id")
        )
        content = Choice(value, _label(part(d, "message"), value))
    elif kind == MODAL:
        content = Text("\n".join(_inputs(data, _DEPTH)))
    else:
        raise Malformed(f"an interaction of type {kind}")
    return (
        Inbound(
            id=f"interaction:{id}",
            sender=_person(user, part(d, "member")),
            content=content,
            sent_us=microseconds(id),
            thread=channel if _can_write_there(d) else "",
            reply_to=name_of(channel, message) if channel and message else "",
            files=files,
        ),
    )


def _can_write_there(d: Json) -> bool:
    """Whether the bot is where it was called: an app that a person brings along is not."""
    if whole(d, "context") == _PRIVATE_CHANNEL:
        return False
    owners = d.get("authorizing_integration_owners")
    return not (isinstance(owners, dict) and owners and words(d, "guild_id") and "0" not in owners)


def _command(data: Json) -> str:
    """``/name`` and what was filled in: a single value as it is, several with their names."""
    names, options = ["/" + words(data, "name")], parts(data, "options")
    for _ in range(2):  # subcommand group, subcommand
        if len(options) == 1 and "value" not in options[0]:
            names.append(words(options[0], "name"))
            options = parts(options[0], "options")
    values = [(words(one, "name"), _value(one.get("value"))) for one in options]
    filled = (
        [value for _, value in values] if len(values) == 1 else [f"{name}: {value}" for name, value in values]
    )
    return " ".join([*names, *filled]).strip()


def _value(value: object) -> str:
    if isinstance(value, str):
        return value.replace("\x00", "")
    return str(value) if isinstance(value, int | float) else ""


def _label(holder: Json, value: str, depth: int = _DEPTH) -> str:
    """What stood on the button or menu line that is called ``value``."""
    if depth == 0:
        return ""
    for one in [*parts(holder, "components"), *parts(holder, "options"), part(holder, "accessory")]:
        if value in (words(one, "custom_id"), words(one, "value")) and words(one, "label"):
            return words(one, "label")
        if found := _label(one, value, depth - 1):
            return found
    return ""


def _inputs(holder: Json, depth: int) -> list[str]:
    if depth == 0:
        return []
    found = []
    for one in [*parts(holder, "components"), part(holder, "component")]:
        if words(one, "value"):
            found.append(words(one, "value"))
        found += _inputs(one, depth - 1)
    return found


def _person(user: Json, member: Json) -> Address:
    inside = part(member, "user")
    name = words(member, "nick")
    for one in (user, inside):
        name = name or words(one, "global_name") or words(one, "username")
    return Address("user", words(user, "id"), name)


def _file(found: Json) -> File:
    return File(
        name=words(found, "filename"),
        media_type=words(found, "content_type").partition(";")[0].strip() or "application/octet-stream",
        size=max(0, whole(found, "size")),
        id=words(found, "id"),
        url=words(found, "url") or words(found, "proxy_url"),
    )
