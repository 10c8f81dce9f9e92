"""What a handler gives back: status, body bytes, headers. Nothing is decoded or encoded twice on the way out."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

JSON = b"application/json"

_encoder = msgspec.json.Encoder(decimal_format="string")
encode = _encoder.encode


class Answer(Struct):
    """One response. ``etag`` is the bare validator; the pipeline quotes it and answers 304 where it matches."""

    status: int = 200
    body: bytes = b""
    media: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()
    etag: str = ""
    kept: bytes | None = None
    """What an idempotency record keeps instead of ``body``: the same without what is shown only once."""


def json_answer(value: object, status: int = 200, *, etag: str = "") -> Answer:
    """An answer with ``value`` as JSON."""
    return Answer(status, encode(value), etag=etag)


def no_content() -> Answer:
    return Answer(204)
