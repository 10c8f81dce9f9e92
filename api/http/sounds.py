"""Handing out sound: the whole of an object, or the piece that a player asks for.

One range is answered with 206; several at once, or what is no range, with the whole (RFC 9110, 14.2 lets us). The piece is
read from the object store in chunks, so a long recording costs no memory.
"""

import asyncio
import re
from typing import Any

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.problem import Refused
from core.storage.blobs import Blobs

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def wanted_range(said: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole. Raises `Refused` (416) for what is not there."""
    found = _RANGE.fullmatch(said.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        first, last = int(found[1]), int(found[2]) if found[2] else size - 1
        if found[2] and last < first:
            return None
        stop = min(last + 1, size)
    else:
        first, stop = max(size - int(found[2]), 0), size
    if first >= stop:
        raise Refused(
            416,
            "range_not_satisfiable",
            f"it has {size} bytes",
            headers=[("content-range", f"bytes */{size}")],
        )
    return first, stop


def range_of(ask: Ask[Any], size: int, tag: str) -> tuple[int, int] | None:
    """What the request wants of ``size`` bytes."""
    condition = ask.header(b"if-range")
    if condition and condition != f'"{tag}"':
        return None
    return wanted_range(ask.header(b"range"), size)


async def send_sound(
    ask: Ask[Any], blobs: Blobs, key: str, size: int, *, name: str, tag: str, piece: tuple[int, int] | None
) -> Answer:
    """Send ``piece`` of the object, or all of it. Raises the store's errors before anything is sent."""
    first, stop = piece or (0, size)
    chunks = await asyncio.to_thread(blobs.open_range, key, first, stop)
    headers = [
        (b"content-type", b"audio/wav"),
        (b"content-length", b"%d" % (stop - first)),
        (b"accept-ranges", b"bytes"),
        (b"etag", b'"%s"' % tag.encode()),
        (b"content-disposition", f'inline; filename="{name}.wav"'.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"private, no-store"),
        (b"request-id", ask.request_id.encode()),
    ]
    if piece is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (first, stop - 1, size)))
    status = 200 if piece is None else 206
    _, send = ask.transport
    await send({"type": "http.response.start", "status": status, "headers": headers})
    try:
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    await send({"type": "http.response.body", "body": b""})
    return Answer(status)
