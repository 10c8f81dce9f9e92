"""The bodies of requests to the Cloud API, and everything that WhatsApp would refuse, refused before it is asked. Pure.

The limits are Meta's (Cloud API reference, as of 2025-11). Nothing is cut to fit: half a text is not what was meant.
"""

from urllib.parse import urlsplit

from irisx_channels.lenient import Json
from irisx_channels.whatsapp.contents import MediaKind
from irisx_channels.whatsapp.failures import MEANINGS, OUTSIDE_WINDOW
from irisx_sdk import File, Interactive, Location, Media, Outbound, Reaction, Refused, Template, Text, Typing

WINDOW_S = 86_400
MAX_TEXT = 4096
MAX_CAPTION = 1024
MAX_BUTTONS, MAX_ROWS = 3, 10
MAX_BUTTON, MAX_ROW, MAX_DESCRIPTION, MAX_LABEL, MAX_HEADER, MAX_FOOTER = 20, 24, 72, 20, 60, 60
MAX_BYTES = {
    "image": 5 << 20, "sticker": 500 << 10, "audio": 16 << 20, "voice": 16 << 20, "video": 16 << 20,
    "document": 100 << 20,
}  # fmt: skip
"""Bytes by kind; an animated sticker's limit, because nobody tells whether one is animated."""
_KINDS: dict[str, MediaKind] = {
    "image/jpeg": "image", "image/png": "image", "video/mp4": "video", "video/3gpp": "video",
    "audio/aac": "audio", "audio/amr": "audio", "audio/mpeg": "audio", "audio/mp4": "audio", "audio/ogg": "audio",
}  # fmt: skip
_CAPTIONS = ("image", "video", "document")


def in_window(message: Outbound, now_us: int) -> bool:
    """Whether this person wrote within the last 24 hours, so that anything may be sent."""
    return 0 < message.last_inbound_us and now_us - message.last_inbound_us < WINDOW_S * 1_000_000


def check(message: Outbound, now_us: int) -> None:
    """Raise `Refused` for what WhatsApp would refuse, with its own code where it has one."""
    content = message.content
    if isinstance(content, Typing):
        return
    if not isinstance(content, Template) and not in_window(message, now_us):
        raise Refused(MEANINGS[int(OUTSIDE_WINDOW)].text, code=OUTSIDE_WINDOW)
    if isinstance(content, Text):
        if not content.text.strip() and not message.files:
            raise Refused("WhatsApp sends no empty text", code="131008")
        _fits(content.text, MAX_TEXT, "text")
    elif isinstance(content, Interactive):
        _check_question(content)
    elif not isinstance(content, Media | Template | Location | Reaction):
        raise Refused(f"WhatsApp has no message of the kind {type(content).__name__.lower()}", code="131051")
    if isinstance(content, Location) and not (abs(content.latitude) <= 90 and abs(content.longitude) <= 180):
        raise Refused("there is no such place: degrees are -90 to 90 and -180 to 180", code="131009")
    media = attached(message)
    if media is None:
        return
    if media.caption and media.kind not in _CAPTIONS:
        raise Refused(
            f"WhatsApp shows no text below a file of the kind {media.kind}: send two messages", code="131009"
        )
    _fits(media.caption, MAX_CAPTION, "text below a file")
    check_size(media, media.file.size)


def check_size(media: Media, size: int) -> None:
    """Raise `Refused` for a file that is too big for its kind."""
    most = MAX_BYTES[media.kind]
    if size > most:
        raise Refused(f"WhatsApp takes at most {most} bytes of {media.kind}", code="131053")


def _check_question(content: Interactive) -> None:
    if not content.options:
        raise Refused("a question needs answers to choose from", code="131008")
    if not content.label and len(content.options) > MAX_BUTTONS:
        raise Refused(f"WhatsApp shows at most {MAX_BUTTONS} buttons: give the list a label", code="131009")
    if len(content.options) > MAX_ROWS:
        raise Refused(f"WhatsApp shows at most {MAX_ROWS} answers", code="131009")
    if len({option.id for option in content.options}) < len(content.options):
        raise Refused("two answers have the same id", code="131009")
    _fits(content.text, MAX_TEXT if content.label else 1024, "question")
    _fits(content.label, MAX_LABEL, "label of the list")
    _fits(content.header, MAX_HEADER, "header")
    _fits(content.footer, MAX_FOOTER, "footer")
    for option in content.options:
        _fits(option.title, MAX_ROW if content.label else MAX_BUTTON, "answer")
        _fits(option.description, MAX_DESCRIPTION, "description of an answer")


def _fits(text: str, most: int, what: str) -> None:
    if len(text) > most:
        raise Refused(
            f"WhatsApp takes at most {most} characters of {what}, this has {len(text)}", code="131009"
        )


def attached(message: Outbound) -> Media | None:
    """The one file that this message carries: as its content, beside a text (its caption), or in a template's header.

    Raises `Refused` for more than one: WhatsApp would make several messages of them, and half of it could fail.
    """
    content = message.content
    files = message.files
    if isinstance(content, Template) and isinstance(content.header, Media):
        own: Media | None = content.header
    else:
        own = content if isinstance(content, Media) else None
    if len(files) + (own is not None) > 1:
        raise Refused("WhatsApp takes one file a message", code="131009")
    if own is not None or not files:
        return own
    if not isinstance(content, Text):
        raise Refused("only a text can have a file beside it", code="131009")
    return Media(files[0], kind_of(files[0]), content.text)


def kind_of(file: File) -> MediaKind:
    """How WhatsApp shows a file: by its type where it takes that type and size, as a document otherwise."""
    kind = _KINDS.get(file.media_type.partition(";")[0].strip().lower(), "document")
    return kind if file.size <= MAX_BYTES[kind] else "document"


def body(message: Outbound, media_id: str = "") -> Json:
    """The request's body. ``media_id`` is what the upload of `attached` gave, empty when it goes by its address."""
    return {
        "messaging_product": "whatsapp",
        **_receiver(message),
        **({"context": {"message_id": message.reply_to}} if message.reply_to else {}),
        "biz_opaque_callback_data": message.id,
        **_content(message, media_id),
    }


def _receiver(message: Outbound) -> Json:
    group = message.thread or message.context.get("group_id", "")
    if group:
        return {"recipient_type": "group", "to": group}
    if message.to.kind == "phone":
        return {"recipient_type": "individual", "to": message.to.value.removeprefix("+")}
    return {"recipient_type": "individual", "recipient": message.to.value}


def _content(message: Outbound, media_id: str) -> Json:
    content = message.content
    if isinstance(content, Template):
        return {"type": "template", "template": _template(content, media_id)}
    if (media := attached(message)) is not None:
        kind = "audio" if media.kind == "voice" else media.kind
        return {"type": kind, kind: _media(media, media_id)}
    if isinstance(content, Text):
        return {"type": "text", "text": {"body": content.text, "preview_url": "https://" in content.text}}
    if isinstance(content, Interactive):
        return {"type": "interactive", "interactive": _question(content)}
    if isinstance(content, Location):
        place = {"latitude": content.latitude, "longitude": content.longitude}
        named = {"name": content.name, "address": content.address}
        return {"type": "location", "location": place | {key: text for key, text in named.items() if text}}
    if isinstance(content, Reaction):
        return {"type": "reaction", "reaction": {"message_id": content.target, "emoji": content.emoji}}
    raise Refused(f"WhatsApp has no message of the kind {type(content).__name__.lower()}", code="131051")


def _media(media: Media, media_id: str) -> Json:
    made: Json = {"id": media_id} if media_id else {"link": media.file.url}
    if media.caption:
        made["caption"] = media.caption
    if media.kind == "document" and media.file.name:
        made["filename"] = media.file.name
    if media.kind == "voice":
        made["voice"] = True
    return made


def _question(content: Interactive) -> Json:
    made: Json = {"type": "list" if content.label else "button", "body": {"text": content.text}}
    if content.header:
        made["header"] = {"type": "text", "text": content.header}
    if content.footer:
        made["footer"] = {"text": content.footer}
    if content.label:
        rows = [
            {"id": one.id, "title": one.title} | ({"description": one.description} if one.description else {})
            for one in content.options
        ]
        made["action"] = {"button": content.label, "sections": [{"title": content.label, "rows": rows}]}
    else:
        replies = [{"type": "reply", "reply": {"id": one.id, "title": one.title}} for one in content.options]
        made["action"] = {"buttons": replies}
    return made


def _template(content: Template, media_id: str) -> Json:
    components: list[Json] = []
    if isinstance(content.header, Text):
        components.append({"type": "header", "parameters": [{"type": "text", "text": content.header.text}]})
    elif isinstance(content.header, Media):
        kind = content.header.kind
        file = _media(Media(content.header.file, kind), media_id)
        components.append({"type": "header", "parameters": [{"type": kind, kind: file}]})
    if content.values:
        values = [{"type": "text", "text": value} for value in content.values]
        components.append({"type": "body", "parameters": values})
    components += [_button(number, button) for number, button in enumerate(content.buttons) if button]
    made: Json = {"name": content.name, "language": {"code": content.language}}
    return made | ({"components": components} if components else {})


def _button(number: int, payload: str) -> Json:
    """A quick reply's payload; ``url:…`` fills the place in the address of a link's button instead."""
    made: Json = {"type": "button", "index": str(number)}
    if payload.startswith("url:"):
        text = {"type": "text", "text": payload.removeprefix("url:")}
        return made | {"sub_type": "url", "parameters": [text]}
    return made | {"sub_type": "quick_reply", "parameters": [{"type": "payload", "payload": payload}]}


def seen(message_id: str, *, typing: bool) -> Json:
    """The body that marks a message (and those before it) as read; with ``typing`` somebody writes, for 25 s at most."""
    made: Json = {"messaging_product": "whatsapp", "status": "read", "message_id": message_id}
    return made | ({"typing_indicator": {"type": "text"}} if typing else {})


def by_address(file: File) -> bool:
    """Whether WhatsApp is to fetch this file itself: a public https address, and nothing that we hold."""
    return not file.id and file.content is None and urlsplit(file.url).scheme == "https"
