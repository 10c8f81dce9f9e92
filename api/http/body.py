"""Request bodies: read within a limit, decoded by the type that the operation declares, refused with a pointer."""

import re
from typing import Any

import msgspec

from api.http.problem import FieldError, Invalid, Refused

MAX_BODY = 256 * 1024
"""Bytes. The largest body that makes sense here is 32 KiB of preferences."""

_AT = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_FIELD = re.compile(r"(unknown|required) field `(.+)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


async def read_body(headers: dict[bytes, bytes], receive: Any) -> bytes:
    """The whole body. Raises `Refused` (413) as soon as it is known to be too large."""
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > MAX_BODY:
        raise _too_large()
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= MAX_BODY:
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended within the body", code="incomplete_body")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _too_large()
    return b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, "body_too_large", f"a body has at most {MAX_BODY} bytes")


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
