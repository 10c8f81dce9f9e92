"""Bytes of attachments: into the object store within limits, and addresses that a provider can get them from.

Nothing is believed of a file: its size is counted while it comes, its type is looked at (`core.model.files`), its
checksum is kept. What has no end is cut off at the limit, with nothing left behind.
"""

import hashlib
import hmac
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from core.config import AttachmentLimits
from core.errors import RequestError
from core.model.files import HEAD, Look, look, plain_name
from core.storage.attachments import Kept, file_id, files_of, key_of
from core.storage.blobs import Blobs
from core.storage.inbound import Arrival
from core.storage.sealing import Sealer, derive_key
from core.storage.texts import json_text
from irisx_sdk import File

PURPOSE = "attachment"
LINK_S = 6 * 3600
"""How long an address for a provider works: Twilio and others fetch within minutes, and again when they retry."""
CHUNK = 1 << 18

Threads = Callable[..., Awaitable[object]]
"""Runs a blocking function in a worker thread: trio's or asyncio's way."""


class TooLarge(RequestError):
    """More bytes than a file may have."""

    status_hint = 413
    code = "attachment_too_large"


class Placed(Struct, frozen=True):
    """A file that is in the object store."""

    look: Look
    size: int
    sha256: bytes


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def put_bytes(blobs: Blobs, key: str, content: bytes, *, declared: str, name: str) -> Placed:
    """Store what is in memory. Blocking. Raises the object store's errors."""
    found = look(content[:HEAD], declared, name)
    blobs.put(key, content, content_type=found.media_type)
    return Placed(found, len(content), hashlib.sha256(content).digest())


async def put_stream(
    blobs: Blobs,
    key: str,
    chunks: AsyncIterator[bytes],  # (a generator is closed here, however this ends)
    in_thread: Threads,
    *,
    declared: str,
    name: str,
    limit: int,
) -> Placed:
    """Store what comes in pieces, by way of a file, so that memory holds one piece. Raises `TooLarge`, the store's errors."""
    digest, size, head = hashlib.sha256(), 0, b""
    async with _closing(chunks):
        with tempfile.NamedTemporaryFile(prefix="irisx-attachment-") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"a file has at most {limit} bytes")
                head = head if len(head) >= HEAD else head + chunk[: HEAD - len(head)]
                digest.update(chunk)
                file.write(chunk)  # (into the page cache: no wait worth a thread)
            file.flush()
            found = look(head, declared, name)

            def put() -> None:
                blobs.put_file(key, Path(file.name), content_type=found.media_type)

            await in_thread(put)
    return Placed(found, size, digest.digest())


class Filing:
    """What becomes of the files of an inbound message when the message is stored."""

    def __init__(self, blobs: Blobs, secret: str, limits: AttachmentLimits) -> None:
        self._blobs = blobs
        self._sealer = Sealer(secret, PURPOSE)
        self._limits = limits

    def file(self, tenant_id: str, arrival: Arrival) -> list[Kept]:
        """The rows of a message's files. Those whose bytes came along are stored now (blocking); the others will be
        fetched. Running it again for the same delivery stores the same under the same names."""
        kept: list[Kept] = []
        total = 0
        for part, one in enumerate(files_of(arrival.message)):
            total += one.size or len(one.content or b"")
            kept.append(self._one(tenant_id, arrival, part, one, total))
        return kept

    def _one(self, tenant_id: str, arrival: Arrival, part: int, one: File, total: int) -> Kept:
        at_us = max(arrival.message.sent_us, 0)
        attachment_id = file_id(tenant_id, arrival.channel_id, arrival.message.id, part, at_us=at_us)
        name, limits = plain_name(one.name), self._limits
        made = Kept(
            id=attachment_id,
            message_id="",
            channel_id=arrival.channel_id,
            name=name,
            media_type=one.media_type,
            part=part,
            size=max(one.size, 0),
            created_us=arrival.arrived_us,
        )
        reason = ""
        if part >= limits.files:
            reason = "too_many"
        elif max(one.size, len(one.content or b"")) > limits.file_bytes or total > limits.message_bytes:
            reason = "too_large"
        elif one.content is None and not (one.url or one.id):
            reason = "not_given"
        if reason:
            return _replace(made, state="refused", reason=reason)
        if one.content is None:
            return _replace(made, source=self._sealer.seal(json_text(one)))
        key = key_of(tenant_id, attachment_id)
        placed = put_bytes(self._blobs, key, one.content, declared=one.media_type, name=name)
        return _replace(
            made,
            state="ready",
            key=key,
            size=placed.size,
            sha256=placed.sha256,
            media_type=placed.look.media_type,
            reason=placed.look.reason,
            download_only=placed.look.download_only,
        )


def _replace(kept: Kept, **changes: object) -> Kept:
    return msgspec.structs.replace(kept, **changes)


class Links:
    """Addresses of files that work without a session, for a while. Whoever has one has the file: they are secrets."""

    def __init__(self, secret: str, public_url: str) -> None:
        self._base = public_url.rstrip("/")
        self._keys = [derive_key(one.strip(), "attachment-link") for one in secret.split(",")]

    def address(self, attachment_id: str, *, now_us: int) -> str:
        """Empty when no public address is configured."""
        if not self._base:
            return ""
        until = now_us // 1_000_000 + LINK_S
        return (
            f"{self._base}/v1/attachments/{attachment_id}/public"
            f"?expires={until}&signature={_signature(self._keys[0], attachment_id, until)}"
        )

    def allows(self, attachment_id: str, expires: int, signature: str, *, now_us: int) -> bool:
        """Whether this is an address that we have made and that still works."""
        if expires <= now_us // 1_000_000:
            return False
        return any(
            hmac.compare_digest(_signature(key, attachment_id, expires), signature) for key in self._keys
        )


def _signature(key: bytes, attachment_id: str, until: int) -> str:
    return hmac.new(key, f"{attachment_id}\n{until}".encode(), hashlib.sha256).hexdigest()
