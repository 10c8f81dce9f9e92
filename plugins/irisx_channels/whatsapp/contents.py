"""The content of one inbound WhatsApp message, in our words. Pure.

What has no word of ours and still says something to an agent (a contact card, an order, a filled form) becomes text
with one line for each thing; the rest is `Unsupported` with WhatsApp's word for it.
"""

from collections.abc import Callable
from typing import Literal

from irisx_channels.lenient import Json, decimal, document, part, parts, whole, words
from irisx_sdk import (
    Choice,
    Content,
    Deletion,
    Edit,
    File,
    Location,
    Malformed,
    Media,
    Reaction,
    Text,
    Unsupported,
)

MediaKind = Literal["image", "audio", "voice", "video", "document", "sticker"]
_MEDIA: dict[str, MediaKind] = {
    "image": "image", "audio": "audio", "video": "video", "document": "document", "sticker": "sticker",
}  # fmt: skip


def content(message: Json) -> tuple[Content, tuple[File, ...]]:
    """What a message says, and its files besides that."""
    kind = words(message, "type")
    inner = part(message, kind)
    if kind in _MEDIA and words(inner, "id"):
        return _media(_MEDIA[kind], inner), ()
    if kind == "contacts" and parts(message, kind):
        return Text("\n\n".join(_contact(one) for one in parts(message, "contacts"))), ()
    reader = _READERS.get(kind)
    found = reader(inner) if reader else None
    return found or Unsupported(words(inner, "type") or kind or "unknown"), ()


def _media(kind: MediaKind, inner: Json) -> Media:
    # A direct address may come along: it lives for minutes and is as good as the file. The id is enough.
    file = File(
        id=words(inner, "id"),
        name=words(inner, "filename"),
        media_type=words(inner, "mime_type") or "application/octet-stream",
        size=whole(inner, "file_size"),
    )
    return Media(file, "voice" if inner.get("voice") is True else kind, words(inner, "caption"))


def _text(inner: Json) -> Content | None:
    return Text(words(inner, "body")) if "body" in inner else None


def _location(inner: Json) -> Content | None:
    if "latitude" not in inner or "longitude" not in inner:
        return None
    return Location(
        decimal(inner, "latitude"), decimal(inner, "longitude"), words(inner, "name"), words(inner, "address")
    )


def _reaction(inner: Json) -> Content | None:
    target = words(inner, "message_id")
    return Reaction(target, words(inner, "emoji")) if target else None


def _button(inner: Json) -> Content | None:
    payload, title = words(inner, "payload"), words(inner, "text")
    return Choice(payload or title, title) if payload or title else None


def _interactive(inner: Json) -> Content | None:
    kind = words(inner, "type")
    answer = part(inner, kind)
    if kind in ("button_reply", "list_reply") and words(answer, "id"):
        return Choice(words(answer, "id"), words(answer, "title"))
    if kind == "nfm_reply":
        return _form(answer)
    return None


def _form(answer: Json) -> Content | None:
    """A filled form (flow): its fields as lines."""
    try:
        fields = document(words(answer, "response_json").encode())
    except Malformed:
        return Text(words(answer, "body")) if words(answer, "body") else None
    lines = [f"{key}: {value}" for key, value in fields.items() if key != "flow_token"]
    return Text("\n".join(lines) or words(answer, "body"))


def _edit(inner: Json) -> Content | None:
    target = words(inner, "original_message_id")
    message = part(inner, "message")
    new = part(message, words(message, "type"))
    return Edit(target, words(new, "body") or words(new, "caption")) if target else None


def _revoke(inner: Json) -> Content | None:
    target = words(inner, "original_message_id")
    return Deletion(target) if target else None


def _order(inner: Json) -> Content | None:
    items = [
        f"{words(item, 'quantity') or '1'} × {words(item, 'product_retailer_id')}: "
        f"{item.get('item_price', '')} {words(item, 'currency')}".rstrip(": ")
        for item in parts(inner, "product_items")
    ]
    lines = [*items, words(inner, "text")]
    return Text("\n".join(line for line in lines if line)) if items else None


def _contact(card: Json) -> str:
    name = part(card, "name")
    company = part(card, "org")
    lines = [
        words(name, "formatted_name") or words(name, "first_name"),
        words(company, "company"),
        *(words(number, "phone") or words(number, "wa_id") for number in parts(card, "phones")),
        *(words(mail, "email") for mail in parts(card, "emails")),
        *(words(site, "url") for site in parts(card, "urls")),
    ]
    return "\n".join(line for line in lines if line)


_READERS: dict[str, Callable[[Json], Content | None]] = {
    "text": _text,
    "location": _location,
    "reaction": _reaction,
    "button": _button,
    "interactive": _interactive,
    "edit": _edit,
    "revoke": _revoke,
    "order": _order,
}
