"""What all webhooks of text messages have in common: forms, JSON, times, and the message that comes out of them.

Everything here is pure and believes nothing: a field that is missing or of another type reads as "", and a body that
is no form or no JSON at all is `Malformed`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, quote

import msgspec

from irisx_channels.sms import words
from irisx_sdk import (
    Address,
    File,
    Inbound,
    Malformed,
    Media,
    Parsed,
    Preference,
    Reply,
    Request,
    Text,
    Unsupported,
)

REFERENCE = "irisx-message"
"""The query parameter of a receipt's address that carries `Outbound.id`, for providers that give nothing back."""

_MAX_FIELDS = 500
_KINDS: Mapping[str, Literal["image", "audio", "video"]] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
}
_QUERY = re.compile(r"\?([^#]*)")


def header(request: Request, name: str) -> str:
    return request.headers.get(name, "")


def media_type(request: Request) -> str:
    """The body's type without parameters, in lower case."""
    return header(request, "content-type").partition(";")[0].strip().lower()


def pairs(encoded: str | bytes) -> list[tuple[str, str]]:
    """The fields of a form or query in the order they came. Raises `Malformed`."""
    text = encoded.decode("utf-8", "replace") if isinstance(encoded, bytes) else encoded
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Malformed(f"the form has more than {_MAX_FIELDS} fields") from None


def query(url: str) -> list[tuple[str, str]]:
    """The fields of an address's query. Raises `Malformed`."""
    found = _QUERY.search(url)
    return pairs(found.group(1)) if found else []


def fields(request: Request) -> dict[str, str]:
    """What a webhook says, for providers that let the customer choose between GET, a form and JSON."""
    if request.method == "GET" or not request.body:
        return dict(query(request.url))
    if media_type(request) == "application/json" or request.body.lstrip()[:1] == b"{":
        return {name: word(value) for name, value in json_object(request.body).items()}
    return dict(pairs(request.body))


def json_value(body: bytes) -> Any:
    """Raises `Malformed`."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None


def json_object(body: bytes) -> dict[str, Any]:
    """Raises `Malformed`."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise Malformed("the body is JSON, but not an object")
    return value


def dig(data: object, *path: str | int) -> Any:
    """What is found along a path of names and places, None where it ends."""
    for step in path:
        if isinstance(step, str) and isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(step, int) and isinstance(data, list) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def items(data: object, *path: str | int) -> list[Any]:
    """The list along a path, an empty one for anything else."""
    found = dig(data, *path)
    return found if isinstance(found, list) else []


def word(data: object, *path: str | int) -> str:
    """The text or number along a path as text, "" for anything else."""
    found = dig(data, *path)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int | float) else ""


def needed(data: object, *path: str | int) -> str:
    """Like `word`, but it has to be there. Raises `Malformed`."""
    found = word(data, *path)
    if not found:
        raise Malformed(f"the webhook has no {'.'.join(map(str, path))}")
    return found


def whole(text: str) -> int:
    """A number of digits, 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def time_us(written: str) -> int:
    """Microseconds since 1970 of an ISO 8601 or mail time; 0 when it is none. Without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        try:
            moment = parsedate_to_datetime(written)
        except (ValueError, TypeError, IndexError):
            return 0
    return _us(moment)


def compact_us(digits: str) -> int:
    """The same of ``YYMMDDhhmm``, with or without seconds, or with a year of four digits. Taken as UTC."""
    form = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if form is None or not digits.isascii() or not digits.isdigit():
        return 0
    try:
        return _us(datetime.strptime(digits, form))
    except ValueError:
        return 0


def _us(moment: datetime) -> int:
    try:
        stamp = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return 0
    return max(0, round(stamp * 1_000_000))


def with_reference(url: str, message_id: str) -> str:
    """The address that receipts of this message go to, with our id in it."""
    if not url:
        return ""
    bare, hash_, fragment = url.partition("#")
    return f"{bare}{'&' if '?' in bare else '?'}{REFERENCE}={quote(message_id, safe='')}{hash_}{fragment}"


def reference(url: str) -> str:
    """Our id out of such an address, "" when it has none."""
    return dict(query(url)).get(REFERENCE, "")


def file(url: str, kind: str = "", *, name: str = "", size: int = 0) -> File:
    return File(name=name, media_type=kind or "application/octet-stream", size=size, url=url)


def _media(of: File) -> Media:
    return Media(of, _KINDS.get(of.media_type.partition("/")[0], "document"))


def came(
    message_id: str,
    sender: Address,
    recipient: Address | None,
    text: str,
    *,
    files: Sequence[File] = (),
    sent_us: int = 0,
    subject: str = "",
    also_to: Sequence[Address] = (),
    stop: frozenset[str] = words.STOP,
    start: frozenset[str] = words.START,
    told: bool | None = None,
    reply: Reply | None = None,
) -> Parsed:
    """A message that somebody sent, and what it says about being written to.

    ``told``: the provider's own reading of it (True: wants messages again, False: wants none). Where the provider said
    nothing the words decide.
    """
    content = Text(text) if text or not files else _media(files[0])
    message = Inbound(
        id=message_id,
        sender=sender,
        recipient=recipient,
        content=content,
        sent_us=sent_us,
        subject=subject,
        also_to=tuple(also_to),
        files=tuple(files) if isinstance(content, Text) else tuple(files[1:]),
    )
    if told is None:
        wish = words.wish(text, stop=stop, start=start)
        told = {"stop": False, "start": True}.get(wish or "")
    preferences = () if told is None else (wants(message_id, sender, recipient, told, sent_us),)
    return Parsed(messages=(message,), preferences=preferences, reply=reply or Reply())


def strange(
    message_id: str, sender: Address, recipient: Address | None, kind: str, *, sent_us: int = 0
) -> Parsed:
    """Something that no person wrote and nobody can read here: a ring tone, a setting for a handset."""
    return Parsed(messages=(Inbound(message_id, sender, Unsupported(kind), recipient, sent_us),))


def wants(
    cause: str, sender: Address, recipient: Address | None, allowed: bool, at_us: int = 0
) -> Preference:
    """Somebody's wish to get messages or none. ``cause``: the message or receipt that told."""
    return Preference(f"{cause}:{'start' if allowed else 'stop'}", sender, allowed, at_us, recipient)


def together(found: Sequence[Parsed], reply: Reply | None = None) -> Parsed:
    """Several things of one webhook as one."""
    return Parsed(
        messages=tuple(message for one in found for message in one.messages),
        statuses=tuple(status for one in found for status in one.statuses),
        preferences=tuple(preference for one in found for preference in one.preferences),
        reply=reply or Reply(),
    )
