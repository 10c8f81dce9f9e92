"""Prompts: sounds that are played to callers. Uploaded as WAV, kept in the object store, fetched by the switches."""

import asyncio
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, encode
from api.http.ask import Ask
from api.http.body import answer_upload, pieces
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import Invalid, Refused, bad_parameter
from api.http.query import Param
from api.http.shapes import Body, Name
from api.http.sounds import range_of, send_sound
from core.errors import PeerError
from core.ids import new_id
from core.logs import get_logger
from core.model import wav
from core.storage import media as store
from core.storage.blobs import open_blobs
from core.storage.media import MediaRow

LOG = get_logger("media")

media = Group("media", "Prompts: what callers are played.")

MEDIA = Path("media_id", "The prompt's id: `med_…`.")
MOST_BYTES = 20 << 20
"""Of a prompt: ten minutes in the quality of a telephone, twice."""
Language = Annotated[str, Meta(max_length=20, pattern=whole(r"([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?"))]


class Media(Struct):
    """A prompt. Times are microseconds since 1970."""

    id: str
    name: str
    language: str
    size: int
    sha256: str
    """In hex."""
    duration_ms: int
    channels: int
    rate: int
    """Samples a second. Telephones hear 8000; switches convert."""
    version: int
    created_us: int
    updated_us: int


class MediaChange(Body):
    name: Name | UnsetType = UNSET
    language: Language | UnsetType = UNSET


def _name(text: str) -> str:
    if not text.strip() or len(text) > 120 or any(ord(one) < 32 or ord(one) == 127 for one in text):
        raise bad_parameter("name", "is a name of 1 to 120 characters")
    return text


def _language(text: str) -> str:
    if len(text) > 20 or not all(one.isascii() and (one.isalnum() or one == "-") for one in text):
        raise bad_parameter("language", "is a language such as de or en-GB")
    return text


NAME = Param(
    "name",
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[^\\x00-\\x1f\\x7f]*[^\\s\\x00-\\x1f\\x7f][^\\x00-\\x1f\\x7f]*$",
    },
    "What people call it.",
    _name,
    required=True,
)
LANGUAGE = Param(
    "language",
    {"type": "string", "maxLength": 20, "pattern": "^[A-Za-z0-9-]*$"},
    "The language that it speaks.",
    _language,
)


@media.operation(
    "GET",
    "/media",
    permission="media:read",
    summary="List prompts, newest first",
    answers=Media,
    listing=True,
)
async def list_media(ask: Ask[None]) -> Answer:
    """All that can be played."""
    rows = await store.list_media(
        ask.services.database, ask.tenant_id, limit=ask.query.page.limit, after=ask.query.page.after
    )
    return rows_answer(ask, [_shown(row) for row in rows], lambda one: (one.created_us, one.id))


@media.operation(
    "POST",
    "/media",
    permission="media:write",
    summary="Upload a prompt",
    takes="application/octet-stream",
    answers=Media,
    status=201,
    params=[NAME, LANGUAGE],
    problems=[413, 415, 502],
    idempotency="none",
    streaming=True,
)
async def create_media(ask: Ask[None]) -> Answer:
    """The body is a WAV file of 16 bit samples. Switches have it some ten seconds later."""
    receive, _ = ask.transport
    content = await _whole(receive)
    try:
        head = wav.read_head(content[: wav.HEAD], len(content))
    except wav.NoWav as exc:
        raise Invalid(f"{exc}: a WAV file is wanted", code="not_a_sound") from exc
    if (head.format, head.bits) != (wav.PCM, 16) or not head.samples or head.channels > 2:
        raise Invalid("16 bit samples on one or two channels are wanted", code="not_a_sound")
    media_id = new_id("med")
    key = store.key_of(ask.tenant_id, media_id)
    blobs = open_blobs(ask.services.settings)
    blob = await asyncio.to_thread(blobs.put, key, content, content_type="audio/wav")
    given = {
        "id": media_id,
        "name": ask.value("name"),
        "language": ask.value("language", ""),
        "size": len(content),
        "sha256": bytes.fromhex(blob.sha256),
        "key": key,
        "duration_ms": head.duration_ms,
        "channels": head.channels,
        "rate": head.rate,
    }
    row = await store.add(ask.services.database, ask.tenant_id, given, actor=ask.actor.id)
    location = (b"location", f"/v1/media/{media_id}".encode())
    return await answer_upload(ask, 201, encode(_shown(row)), [location])


@media.operation(
    "GET",
    "/media/{media_id}",
    permission="media:read",
    summary="One prompt",
    answers=Media,
    paths=[MEDIA],
    problems=[404],
    etag=True,
)
async def get_media(ask: Ask[None]) -> Answer:
    """What is known of it."""
    return versioned(ask, _shown(await _row(ask)))


@media.operation(
    "PATCH",
    "/media/{media_id}",
    permission="media:write",
    summary="Change a prompt",
    body=MediaChange,
    answers=Media,
    paths=[MEDIA],
    problems=[404, 412],
    etag=True,
    if_match=True,
)
async def update_media(ask: Ask[MediaChange]) -> Answer:
    """Its name and language; another sound is another prompt."""
    body = ask.body
    given = {name: getattr(body, name) for name in ("name", "language") if getattr(body, name) is not UNSET}
    row = await store.change(
        ask.services.database,
        ask.tenant_id,
        ask.path["media_id"],
        given,
        version=ask.if_match,
        actor=ask.actor.id,
    )
    return versioned(ask, _shown(row))


@media.operation(
    "DELETE",
    "/media/{media_id}",
    permission="media:write",
    summary="Remove a prompt",
    paths=[MEDIA],
    problems=[404, 409],
)
async def delete_media(ask: Ask[None]) -> Answer:
    """409 while a recording policy announces by it. Switches forget it some seconds later."""
    key = await store.remove(ask.services.database, ask.tenant_id, ask.path["media_id"], actor=ask.actor.id)
    try:
        await asyncio.to_thread(open_blobs(ask.services.settings).delete, key)
    except PeerError as exc:
        # (nobody can find it any more; its bytes stay)
        LOG.warning("the bytes of a removed prompt stay", media=ask.path["media_id"], error=exc.code)
    return Answer(204)


@media.operation(
    "GET",
    "/media/{media_id}/content",
    permission="media:read",
    summary="Listen to a prompt",
    answers=str,
    media="audio/wav",
    paths=[MEDIA],
    problems=[404, 502],
    streaming=True,
    ranges=True,
)
async def get_media_content(ask: Ask[None]) -> Answer:
    """The whole, or the `Range` that is asked for."""
    row = await _row(ask)
    tag = row.sha256.hex()[:32]
    piece = range_of(ask, row.size, tag)
    blobs = open_blobs(ask.services.settings)
    return await send_sound(ask, blobs, row.key, row.size, name=row.id, tag=tag, piece=piece)


async def _row(ask: Ask[Any]) -> MediaRow:
    return await store.get(ask.services.database, ask.tenant_id, ask.path["media_id"])


def _shown(row: MediaRow) -> Media:
    given = {name: getattr(row, name) for name in Media.__struct_fields__}
    return Media(**{**given, "sha256": row.sha256.hex()})


async def _whole(receive: Any) -> bytes:
    content = bytearray()
    async for piece in pieces(receive):
        content += piece
        if len(content) > MOST_BYTES:
            raise Refused(413, "body_too_large", f"a prompt has at most {MOST_BYTES} bytes")
    return bytes(content)
