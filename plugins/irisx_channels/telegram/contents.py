"""The content of one Telegram message, in our words. Pure.

A contact, a poll and a thrown die become text; what happened to a chat (somebody joined, a message was pinned) is
`Unsupported` with Telegram's word for it, because it can be seen in the timeline and asks for no answer.
"""

from collections.abc import Callable
from typing import Literal

from irisx_channels.lenient import Json, decimal, part, parts, whole, words
from irisx_sdk import Content, File, Location, Media, Text, Unsupported

MediaKind = Literal["image", "audio", "voice", "video", "document", "sticker"]

_FILES: dict[str, tuple[MediaKind, str]] = {
    "animation": ("video", "video/mp4"),  # before `document`, which comes along for old clients
    "video": ("video", "video/mp4"),
    "video_note": ("video", "video/mp4"),
    "voice": ("voice", "audio/ogg"),
    "audio": ("audio", "audio/mpeg"),
    "document": ("document", "application/octet-stream"),
}
_ABOUT = frozenset({
    "message_id", "from", "sender_chat", "sender_boost_count", "sender_business_bot",
    "business_connection_id", "chat", "date", "edit_date", "message_thread_id", "is_topic_message",
    "is_automatic_forward", "forward_origin", "reply_to_message", "external_reply", "quote",
    "reply_to_story", "via_bot", "has_protected_content", "is_from_offline", "media_group_id",
    "author_signature", "effect_id", "entities", "caption_entities", "show_caption_above_media",
    "has_media_spoiler", "reply_markup", "link_preview_options", "caption",
})  # fmt: skip
"""What is said about a message rather than by it."""


def content(message: Json) -> Content:
    """What a message says."""
    if "text" in message:
        return Text(words(message, "text"))
    caption = words(message, "caption")
    if sizes := [size for size in parts(message, "photo") if words(size, "file_id")]:
        largest = max(sizes, key=lambda size: whole(size, "width") * whole(size, "height"))
        return Media(_file(largest, "image/jpeg"), "image", caption)
    for name, (kind, media_type) in _FILES.items():
        if words(part(message, name), "file_id"):
            return Media(_file(part(message, name), media_type), kind, caption)
    for name, reader in _READERS.items():
        if part(message, name) and (found := reader(part(message, name))) is not None:
            return found
    return Unsupported(next((name for name in message if name not in _ABOUT), "empty"))


def _file(file: Json, media_type: str) -> File:
    return File(
        id=words(file, "file_id"),
        name=words(file, "file_name"),
        media_type=words(file, "mime_type") or media_type,
        size=max(0, whole(file, "file_size")),
    )


def _sticker(sticker: Json) -> Content | None:
    if not words(sticker, "file_id"):
        return None
    kind = "image/webp"
    if sticker.get("is_video") is True:
        kind = "video/webm"
    elif sticker.get("is_animated") is True:
        kind = "application/x-tgsticker"
    return Media(_file(sticker, kind), "sticker", words(sticker, "emoji"))


def _place(place: Json) -> Content | None:
    if "latitude" not in place or "longitude" not in place:
        return None
    return Location(decimal(place, "latitude"), decimal(place, "longitude"))


def _venue(venue: Json) -> Content | None:
    place = part(venue, "location")
    if "latitude" not in place or "longitude" not in place:
        return None
    name, address = words(venue, "title"), words(venue, "address")
    return Location(decimal(place, "latitude"), decimal(place, "longitude"), name, address)


def _contact(contact: Json) -> Content | None:
    name = f"{words(contact, 'first_name')} {words(contact, 'last_name')}".strip()
    lines = [line for line in (name, words(contact, "phone_number")) if line]
    return Text("\n".join(lines)) if lines else None


def _die(die: Json) -> Content | None:
    return Text(f"{words(die, 'emoji')} {words(die, 'value')}".strip())


def _poll(poll: Json) -> Content | None:
    lines = [words(poll, "question"), *(f"- {words(option, 'text')}" for option in parts(poll, "options"))]
    return Text("\n".join(lines)) if lines[0] else None


_READERS: dict[str, Callable[[Json], Content | None]] = {
    "sticker": _sticker,
    "venue": _venue,
    "location": _place,
    "contact": _contact,
    "dice": _die,
    "poll": _poll,
}
