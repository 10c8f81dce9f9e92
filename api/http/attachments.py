"""Files of messages: uploading one to send it, what is known of one, and its bytes.

Bytes never pass as a page of ours: they come with a type that was looked at, ``nosniff``, a policy that lets nothing in
them run, and to be saved unless a browser can show that type without it being able to act.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.body import answer_upload, pieces
from api.http.lists import one_answer
from api.http.operation import PUBLIC, Group, Path
from api.http.patterns import whole
from api.http.problem import Invalid, Refused, bad_parameter, bad_value
from api.http.query import Param
from core.attachments import Links, put_stream
from core.clock import now_us
from core.errors import NotAllowed, RequestError
from core.ids import new_id
from core.model.files import plain_name, plain_type, shown_inline
from core.storage import attachments as store
from core.storage.blobs import open_blobs
from core.storage.database import SYSTEM, Connection

attachments = Group("attachments", "Files of messages.")

ATTACHMENT = Path("attachment_id", "The attachment's id: `att_…`.")
MOST_FILES = 20
AttachmentId = Annotated[str, Meta(pattern=whole(r"att_[0-9a-z]{1,40}"))]


class Attachment(Struct):
    """A file. Its bytes are at `/v1/attachments/{id}/content` once it is ready."""

    id: str
    message_id: str
    """Empty until a message uses it."""
    channel_id: str
    direction: Literal["in", "out"]
    name: str
    media_type: str
    """What its first bytes say, where they say anything."""
    size: int
    sha256: str
    """In hex; empty while it is pending."""
    state: Literal["pending", "ready", "refused"]
    reason: str
    """Why it was refused (`too_large`, `too_many`, `gone` ...). Of one that is ready: why it is handed out to be saved
    only (`executable`, `active_content`, `type_mismatch`)."""
    download_only: bool
    created_us: int


def _name(text: str) -> str:
    if not text or len(text) > 240 or "\x00" in text:
        raise bad_parameter("name", "is a file's name, at most 240 characters")
    return text


def _number(text: str) -> int:
    if not text.isdigit() or len(text) > 12:
        raise bad_parameter("expires", "is no time")
    return int(text)


NAME = Param(
    "name",
    {"type": "string", "minLength": 1, "maxLength": 240, "pattern": "^[^\\x00]*$"},
    "The file's name.",
    _name,
)
EXPIRES = Param("expires", {"type": "integer", "minimum": 0}, "Until when it works.", _number, required=True)
SIGNATURE = Param(
    "signature",
    {"type": "string", "maxLength": 100},
    "What proves that we made this address.",
    str,
    required=True,
)


@attachments.operation(
    "POST",
    "/attachments",
    permission="conversations:write",
    summary="Upload a file to send",
    takes="application/octet-stream",
    answers=Attachment,
    status=201,
    params=[NAME],
    problems=[413, 415],
    idempotency="none",
    streaming=True,
)
async def upload_attachment(ask: Ask[None]) -> Answer:
    """The body is the file; `Content-Type` says what it is. It belongs to no message until one names it, and is
    forgotten after a day without one."""
    receive, _ = ask.transport
    limit = ask.services.settings.attachments.file_bytes
    declared = ask.header(b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise Refused(413, "attachment_too_large", f"a file has at most {limit} bytes")
    attachment_id, moment = new_id("att"), now_us()
    name = plain_name(ask.value("name") or "file")
    placed = await put_stream(
        open_blobs(ask.services.settings),
        store.key_of(ask.tenant_id, attachment_id),
        pieces(receive),
        asyncio.to_thread,
        declared=plain_type(ask.header(b"content-type")),
        name=name,
        limit=limit,
    )
    if not placed.size:
        raise Invalid("the file is empty", code="empty_attachment")
    await store.add_own(
        ask.services.database,
        ask.tenant_id,
        attachment_id,
        placed.look,
        name=name,
        size=placed.size,
        sha256=placed.sha256,
        actor=ask.actor.id,
        now_us=moment,
    )
    body = await store.get(ask.services.database, ask.tenant_id, attachment_id)
    return await answer_upload(ask, 201, body, [(b"location", f"/v1/attachments/{attachment_id}".encode())])


@attachments.operation(
    "GET",
    "/attachments/{attachment_id}",
    permission="conversations:read",
    summary="What is known of a file",
    answers=Attachment,
    paths=[ATTACHMENT],
    problems=[404],
    etag=True,
)
async def get_attachment(ask: Ask[None]) -> Answer:
    """Pending while it is being fetched."""
    body = await store.get(ask.services.database, ask.tenant_id, ask.path["attachment_id"])
    return one_answer(ask, body)


@attachments.operation(
    "GET",
    "/attachments/{attachment_id}/content",
    permission="conversations:read",
    summary="The bytes of a file",
    answers=str,
    media="*/*",
    paths=[ATTACHMENT],
    problems=[404, 409],
    streaming=True,
)
async def get_attachment_content(ask: Ask[None]) -> Answer:
    """409 while it is pending, or when it was refused."""
    return await _content(ask, ask.tenant_id)


@attachments.operation(
    "GET",
    "/attachments/{attachment_id}/public",
    permission=PUBLIC,
    summary="The bytes of a file, for a provider",
    answers=str,
    media="*/*",
    paths=[ATTACHMENT],
    params=[EXPIRES, SIGNATURE],
    problems=[403, 404, 409],
    streaming=True,
    bucket="webhooks",
)
async def get_public_attachment(ask: Ask[None]) -> Answer:
    """For providers that fetch what they are to send: the address is signed and works for some hours."""
    links = Links(ask.services.secret, "")
    attachment_id = ask.path["attachment_id"]
    if not links.allows(attachment_id, ask.value("expires"), ask.value("signature"), now_us=now_us()):
        raise NotAllowed("this address is none of ours, or works no more", code="link_expired")
    return await _content(ask, SYSTEM)


def check_words(text: str, files: Sequence[str], *, note: bool) -> None:
    """Raises `Invalid` for a message that says nothing, names a file twice, or is a note with files."""
    if not text.strip() and not files:
        raise bad_value("/text", "says nothing", code="missing")
    if len(set(files)) != len(files):
        raise bad_value("/attachments", "names a file twice")
    if note and files:
        raise bad_value("/attachments", "a note has none")


async def take_files(ask: Ask[Any], connection: Connection, ids: Sequence[str], channel_id: str) -> None:
    """Lock the files of a message to come. Raises `NotFound`, `Conflict`, and `RequestError` for what its channel cannot take."""
    if not ids:
        return
    sizes = await store.take(connection, ask.tenant_id, ids)
    opened = await ask.services.channels.open(channel_id)
    can, title = opened.channel.capabilities, opened.channel.title
    if "media" not in can.sends and not can.max_files:
        raise RequestError(f"{title} sends no files", code="no_files_here")
    most = can.max_files or 1
    if len(ids) > most:
        raise RequestError(f"{title} takes at most {most} files", code="too_many_files")
    if can.max_file_bytes and max(sizes) > can.max_file_bytes:
        raise RequestError(
            f"{title} takes files of at most {can.max_file_bytes} bytes", code="file_too_large"
        )
    if can.max_total_bytes and sum(sizes) > can.max_total_bytes:
        raise RequestError(
            f"{title} takes at most {can.max_total_bytes} bytes together", code="file_too_large"
        )


async def _content(ask: Ask[None], tenant_id: str) -> Answer:
    found = await store.stored(ask.services.database, tenant_id, ask.path["attachment_id"])
    blobs = open_blobs(ask.services.settings)
    chunks = await asyncio.to_thread(blobs.open_range, found.key)
    inline = shown_inline(found.media_type, found.download_only)
    media = "application/octet-stream" if found.download_only else found.media_type
    ascii_name = found.name.encode("ascii", "replace").decode().translate(_QUOTED)
    where = "inline" if inline else "attachment"
    disposition = f"{where}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(found.name, safe='')}"
    headers = [
        (b"content-type", media.encode()),
        (b"content-length", b"%d" % found.size),
        (b"content-disposition", disposition.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"private, no-store"),
        (b"request-id", ask.request_id.encode()),
    ]
    _, send = ask.transport
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    await send({"type": "http.response.body", "body": b""})
    return Answer(200)


_QUOTED = str.maketrans({'"': "_", "\\": "_"})
