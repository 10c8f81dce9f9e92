"""Which method of the Bot API sends which message, with its fields; what Telegram would refuse is refused here. Pure.

The limits are the Bot API's (core.telegram.org/bots/api, 10.0 of 2026).
"""

from urllib.parse import urlsplit

from msgspec import Struct

from irisx_channels.lenient import Json
from irisx_channels.telegram.contents import MediaKind
from irisx_sdk import (
    Deletion,
    Edit,
    File,
    Interactive,
    Location,
    Media,
    Outbound,
    Reaction,
    Refused,
    Text,
    Typing,
)

MAX_TEXT, MAX_CAPTION, MAX_DATA, MAX_BUTTONS = 4096, 1024, 64, 100
MAX_GROUP = 10
MAX_FILE, MAX_PHOTO = 50 << 20, 10 << 20
_PHOTOS = ("image/jpeg", "image/png", "image/webp")
_METHODS: dict[MediaKind, tuple[str, str]] = {
    "image": ("sendPhoto", "photo"), "audio": ("sendAudio", "audio"), "voice": ("sendVoice", "voice"),
    "video": ("sendVideo", "video"), "document": ("sendDocument", "document"), "sticker": ("sendSticker", "sticker"),
}  # fmt: skip
_GROUPED = {"image": "photo", "video": "video", "audio": "audio", "document": "document"}


class Ask(Struct, frozen=True):
    """A call of the Bot API."""

    method: str
    fields: Json
    files: dict[str, File] = {}
    """What is uploaded, by the name of its part."""


def chat_of(message: Outbound) -> str:
    """The chat to write to: where the thread is today (a group may have moved), or the person."""
    return message.context.get("chat_id") or message.thread.partition("/")[0] or message.to.value


def ask(message: Outbound) -> Ask | None:
    """The call that sends ``message``; None when there is nothing to do. Raises `Refused`."""
    content = message.content
    chat = chat_of(message)
    if isinstance(content, Typing):
        if not content.on:
            return None
        return Ask("sendChatAction", _where(message) | {"action": "typing"})
    if isinstance(content, Edit):
        _fits(content.text, MAX_TEXT, "text")
        return Ask("editMessageText", _target(content.target) | {"text": content.text})
    if isinstance(content, Deletion):
        return Ask("deleteMessage", _target(content.target))
    if isinstance(content, Reaction):
        signs = [{"type": "emoji", "emoji": content.emoji}] if content.emoji else []
        return Ask("setMessageReaction", _target(content.target) | {"reaction": signs})
    where = _where(message) | _answering(message, chat)
    if isinstance(content, Location):
        return Ask(*_place(content, where))
    if isinstance(content, Interactive):
        return Ask("sendMessage", where | _question(content))
    if not isinstance(content, Text | Media):
        raise Refused(f"Telegram has no message of the kind {type(content).__name__.lower()}", code="kind")
    files = _attached(message)
    if not files:
        assert isinstance(content, Text)  # noqa: S101 - the other has a file
        if not content.text.strip():
            raise Refused("Telegram sends no empty text", code="empty")
        _fits(content.text, MAX_TEXT, "text")
        return Ask("sendMessage", where | {"text": content.text})
    caption = content.text if isinstance(content, Text) else content.caption
    _fits(caption, MAX_CAPTION, "text below a file")
    return _single(files[0], caption, where) if len(files) == 1 else _group(files, caption, where)


def caption_instead(content: Edit) -> Ask:
    """The call that changes the text below a file: which of the two it is, only Telegram knows."""
    _fits(content.text, MAX_CAPTION, "text below a file")
    return Ask("editMessageCaption", _target(content.target) | {"caption": content.text})


def _where(message: Outbound) -> Json:
    topic = message.context.get("message_thread_id") or message.thread.partition("/")[2]
    business = message.context.get("business_connection_id", "")
    where: Json = {"chat_id": chat_of(message)}
    if topic.isdigit():
        where["message_thread_id"] = int(topic)
    return where | ({"business_connection_id": business} if business else {})


def _answering(message: Outbound, chat: str) -> Json:
    other, _, number = message.reply_to.rpartition(":")
    if not number.isdigit():
        return {}
    # What was answered may have been deleted meanwhile: the answer is worth more than the reference.
    to: Json = {"message_id": int(number), "allow_sending_without_reply": True}
    return {"reply_parameters": to | ({"chat_id": other} if other not in ("", chat) else {})}


def _target(name: str) -> Json:
    chat, _, number = name.rpartition(":")
    if not chat or not number.isdigit():
        raise Refused("this is not the name of a Telegram message", code="no_message")
    return {"chat_id": chat, "message_id": int(number)}


def _place(place: Location, where: Json) -> tuple[str, Json]:
    if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180):
        raise Refused("there is no such place: degrees are -90 to 90 and -180 to 180", code="place")
    fields = where | {"latitude": place.latitude, "longitude": place.longitude}
    if not place.name and not place.address:
        return "sendLocation", fields
    names = {"title": place.name or place.address, "address": place.address or place.name}
    return "sendVenue", fields | names


def _question(content: Interactive) -> Json:
    if not content.options or len(content.options) > MAX_BUTTONS:
        raise Refused(f"a question has 1 to {MAX_BUTTONS} answers", code="buttons")
    for option in content.options:
        if not 0 < len(option.id.encode()) <= MAX_DATA:
            raise Refused(f"an answer's id has 1 to {MAX_DATA} bytes in Telegram", code="buttons")
    text = "\n\n".join(piece for piece in (content.header, content.text, content.footer) if piece)
    _fits(text, MAX_TEXT, "question")
    rows = [
        [
            {
                "text": f"{one.title}: {one.description}" if one.description else one.title,
                "callback_data": one.id,
            }
        ]
        for one in content.options
    ]
    return {"text": text, "reply_markup": {"inline_keyboard": rows}}


def _attached(message: Outbound) -> list[Media]:
    content = message.content
    own = [Media(content.file, content.kind)] if isinstance(content, Media) else []
    files = own + [Media(file, kind_of(file)) for file in message.files]
    if len(files) > MAX_GROUP:
        raise Refused(f"Telegram takes at most {MAX_GROUP} files a message", code="files")
    for media in files:
        if media.file.size > MAX_FILE:
            raise Refused(f"Telegram takes files of at most {MAX_FILE >> 20} MB from bots", code="413")
    return files


def kind_of(file: File) -> MediaKind:
    """How Telegram shows a file: by its type and size, as a document otherwise."""
    media_type = file.media_type.partition(";")[0].strip().lower()
    if media_type in _PHOTOS and file.size <= MAX_PHOTO:
        return "image"
    if media_type == "video/mp4":
        return "video"
    return "audio" if media_type in ("audio/mpeg", "audio/mp4") else "document"


def _single(media: Media, caption: str, where: Json) -> Ask:
    method, field = _METHODS[media.kind]
    fields = where | ({"caption": caption} if caption and media.kind != "sticker" else {})
    if caption and media.kind == "sticker":
        raise Refused("Telegram shows no text below a sticker: send two messages", code="caption")
    if by_address(media.file):
        return Ask(method, fields | {field: media.file.url})
    return Ask(method, fields, {field: media.file})


def _group(files: list[Media], caption: str, where: Json) -> Ask:
    """Several files as one message: pictures and films mix, documents and sounds only with their like."""
    kinds = {media.kind for media in files}
    mixed = not (kinds <= {"image", "video"} or kinds in ({"audio"}, {"document"}))
    group, uploads = [], {}
    for number, media in enumerate(files):
        item: Json = {
            "type": "document" if mixed else _GROUPED[media.kind],
            "media": f"attach://file{number}",
        }
        if by_address(media.file):
            item["media"] = media.file.url
        else:
            uploads[f"file{number}"] = media.file
        # A text below the first picture is shown for the whole; below documents the last one is read.
        if caption and number == (len(files) - 1 if item["type"] == "document" else 0):
            item["caption"] = caption
        group.append(item)
    return Ask("sendMediaGroup", where | {"media": group}, uploads)


def by_address(file: File) -> bool:
    """Whether Telegram is to fetch this file itself: a public https address, and nothing that we hold."""
    return not file.id and file.content is None and urlsplit(file.url).scheme == "https"


def _fits(text: str, most: int, what: str) -> None:
    if len(text) > most:
        raise Refused(
            f"Telegram takes at most {most} characters of {what}, this has {len(text)}", code="too_long"
        )
