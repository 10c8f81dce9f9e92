"""Request bodies: read within a limit, decoded by the type that the operation declares, refused with a pointer."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.problem import FieldError, Invalid, Refused

MAX_BODY = 256 * 1024
"""Bytes. The largest body that makes sense here is 32 KiB of preferences."""

_AT = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_FIELD = re.compile(r"(unknown|required) field `(.+)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


async def read_body(
    declared: bytes | None, receive: Any, *, most: int = MAX_BODY, what: str = "a body"
) -> bytes:
    """The whole body, of which ``Content-Length`` says ``declared``. Raises `Refused` (413) as soon as it is too large."""
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise _too_large(what, most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] != "http.disconnect" and not message.get("more_body", False) and len(body) <= most:
        return body
    parts = [body]
    size = len(body)
    while True:
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended within the body", code="incomplete_body")
        if size > most:
            raise _too_large(what, most)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])


def _too_large(what: str, most: int) -> Refused:
    return Refused(413, "body_too_large", f"{what} has at most {most} bytes")


async def answer_upload(
    ask: Ask[Any], status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()
) -> Answer:
    """Send what an operation answers that reads its body itself."""
    _, send = ask.transport
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"request-id", ask.request_id.encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return Answer(status)


async def pieces(receive: Any) -> AsyncIterator[bytes]:
    """A body as it comes. Raises `Invalid` when the connection ends within it."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended within the body", code="incomplete_body")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def check_type(headers: dict[bytes, bytes]) -> None:
    """Raises `Refused` (415) unless the body says that it is JSON."""
    said = headers.get(b"content-type", b"")
    if said.split(b";", 1)[0].strip().lower() != b"application/json":
        raise Refused(415, "unsupported_type", "send application/json")


def decode(decoder: "msgspec.json.Decoder[Any]", raw: bytes) -> Any:
    """The body as a value of its type. Raises `Invalid` that says where it is wrong."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as exc:
        error = _field_error(str(exc))
        raise Invalid(f"{error.pointer or 'the body'}: {error.detail}", [error]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Invalid("the body is not valid JSON", code="malformed_json") from exc


def _field_error(text: str) -> FieldError:
    """msgspec's sentence as a pointer, a code and a detail."""
    pointer = ""
    if found := _AT.search(text):
        text = text[: found.start()]
        for name, index in _STEP.findall(found[1]):
            pointer += "/" + (index if index else _escaped(name))
    if field := _FIELD.search(text):
        pointer += "/" + _escaped(field[2])
        if field[1] == "unknown":
            return FieldError("unknown", "there is no such member", pointer=pointer[:200])
        return FieldError("missing", "is required", pointer=pointer[:200])
    return FieldError("invalid", text[:300], pointer=pointer[:200])


def _escaped(name: str) -> str:
    # RFC 6901, section 3.
    return name.replace("~", "~0").replace("/", "~1")
