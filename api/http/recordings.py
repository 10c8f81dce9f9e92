"""Recordings: which there are and which are missing, playing them, holding and erasing them.

Who hears a recording is written down before the first byte is sent. An address that plays without a session works for some
minutes, names whom it was made for, and what is heard by it is theirs.
"""

import asyncio
import hashlib
import hmac
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import page_answer, tagged
from api.http.operation import PUBLIC, Group, Path
from api.http.patterns import whole
from api.http.query import Filter, Param, int_param
from api.http.shapes import Body
from api.http.sounds import range_of, send_sound
from core.clock import now_us
from core.errors import NotAllowed
from core.recordings import erase_object
from core.storage import recordings as store
from core.storage.blobs import open_blobs
from core.storage.database import SYSTEM
from core.storage.recordings import Stored
from core.storage.sealing import derive_key

recordings = Group("recordings", "What was recorded, what should have been, and who heard it.")

RECORDING = Path("recording_id", "The recording's id: `rec_…`.")
ADDRESS_S = 300
"""How long an address that plays works: longer than it takes to begin, shorter than a link in a mail."""
STATES = ("expected", "recording", "stopped", "uploading", "stored", "missing", "erased")
FILTERS = (
    Filter("call_id"),
    Filter("agent_id"),
    Filter("queue_id"),
    Filter("policy_id"),
    Filter("node"),
    Filter("state", "word", STATES),
    Filter("source", "word", ("policy", "order", "switch")),
    Filter("direction", "word", ("inbound", "outbound")),
    Filter("caller"),
    Filter("destination"),
    Filter("expected_us", "integer"),
    Filter("duration_ms", "integer"),
    Filter("hold", "boolean"),
)


class RecordingErasure(Struct):
    """Proof that a recording is gone."""

    by: str
    """Who asked for it; `retention` when its time was over."""
    reason: str
    versions: int
    """How many versions the object store had of it."""
    key: str
    size: int
    sha256: str
    """Of what was erased, in hex."""
    checked_us: int
    """When we looked that nothing of it was left."""


class RecordingEntry(Struct):
    """One file, or the wish for one. Times are microseconds since 1970, 0 where the moment has not come."""

    id: str
    call_id: str
    node: str
    leg: str
    source: Literal["policy", "order", "switch"]
    """A policy wants it, somebody asked for it, or the switch began it by itself."""
    policy_id: str
    state: Literal["expected", "recording", "stopped", "uploading", "stored", "missing", "erased"]
    reason: str
    """Why it is missing (`never_began`, `not_on_disk`, `nobody_looked`, `announcement_failed` ...), why it has not begun
    yet, or `empty`: it is stored and holds no sound."""
    direction: str
    caller: str
    destination: str
    queue_id: str
    agent_id: str
    stereo: bool
    pause_allowed: bool
    expected_us: int
    started_us: int
    stopped_us: int
    stored_us: int
    masked: list[tuple[int, int]]
    """From when to when it was masked: silence in the file."""
    duration_ms: int
    channels: int
    size: int
    sha256: str
    """In hex; empty until it is stored."""
    retention_days: int
    """0: kept until somebody erases it."""
    expires_us: int
    hold: bool
    hold_reason: str
    plays: int
    erased_us: int
    erased: RecordingErasure | None
    version: int


class RecordingSummary(Struct):
    """How many there are in each state."""

    since_us: int
    expected: int
    recording: int
    stopped: int
    uploading: int
    stored: int
    missing: int
    erased: int


class RecordingHold(Body):
    reason: Annotated[str, Meta(max_length=500, pattern=whole(r"[^\x00]*"))] = ""


class PlayAddress(Struct):
    """An address from which the recording can be played without a session. Whoever has it can hear it: it is a secret."""

    address: str
    expires_us: int


class Waveform(Struct):
    """The loudest moments, evenly over the time: 0 (silence) to 255."""

    duration_ms: int
    channels: list[list[int]]
    """Left what the recorded leg says, right what it hears; one for a mono recording, none for what has no sound."""


class RecordingPlay(Struct):
    """Requests of one person within ten minutes of each other."""

    id: str
    recording_id: str
    actor: str
    way: Literal["session", "address"]
    remote: str
    requests: int
    bytes: int
    at_us: int
    last_us: int


class RecordingVerified(Struct):
    """What the object store holds, read again from beginning to end."""

    good: bool
    size: int
    sha256: str
    checked_us: int


def _text(text: str) -> str:
    if len(text) > 500 or "\x00" in text:
        raise ValueError("longer than 500 characters")
    return text


def _proof(text: str) -> str:
    if len(text) > 100:
        raise ValueError("longer than 100 characters")
    return text


REASON = Param("reason", {"type": "string", "maxLength": 500, "pattern": "^[^\\x00]*$"}, "Why.", _text)
POINTS = int_param("points", 1, 800, "How many moments of each channel.", 400)
SINCE = int_param("since_us", 0, 2**53 - 1, "Of recordings expected since then; 0: of all.", 0)
EXPIRES = int_param("expires", 0, 2**40, "Until when it works.")
ACTOR = Param("by", {"type": "string", "maxLength": 100}, "Whom it was made for.", _proof, required=True)
SIGNATURE = Param(
    "signature", {"type": "string", "maxLength": 100}, "What proves that we made it.", _proof, required=True
)


@recordings.operation(
    "GET",
    "/recordings",
    permission="recordings:read",
    summary="List recordings, the newest first",
    answers=RecordingEntry,
    listing=True,
    filters=FILTERS,
)
async def list_recordings(ask: Ask[None]) -> Answer:
    """Those that were made and those that should have been."""
    page = await store.list_recordings_json(
        ask.services.database,
        ask.tenant_id,
        conditions=ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@recordings.operation(
    "GET",
    "/recordings/summary",
    permission="recordings:read",
    summary="Expected against found",
    answers=RecordingSummary,
    params=[SINCE],
)
async def get_recordings_summary(ask: Ask[None]) -> Answer:
    """Counted by state."""
    since_us = ask.value("since_us", 0)
    counts = await store.summary(ask.services.database, ask.tenant_id, since_us=since_us)
    return json_answer(
        RecordingSummary(since_us=since_us, **{state: counts.get(state, 0) for state in STATES})
    )


@recordings.operation(
    "GET",
    "/recordings/{recording_id}",
    permission="recordings:read",
    summary="One recording",
    answers=RecordingEntry,
    paths=[RECORDING],
    problems=[404],
    etag=True,
)
async def get_recording(ask: Ask[None]) -> Answer:
    """With the proof of its erasure, when it is erased."""
    return await _shown(ask)


@recordings.operation(
    "DELETE",
    "/recordings/{recording_id}",
    permission="recordings:write",
    summary="Erase a recording",
    answers=RecordingEntry,
    paths=[RECORDING],
    params=[REASON],
    problems=[404, 409, 502],
    if_match=True,
    etag=True,
)
async def erase_recording(ask: Ask[None]) -> Answer:
    """Its sound and every version of it, for good; 409 while it is held or not stored yet. What stays is that it was there,
    and the proof that it is gone."""
    services = ask.services
    found = await store.erasable(
        services.database, ask.tenant_id, ask.path["recording_id"], version=ask.if_match
    )
    versions = await asyncio.to_thread(erase_object, open_blobs(services.settings), found)
    await store.erased(
        services.database,
        found,
        by=ask.actor.id,
        reason=ask.value("reason", ""),
        versions=versions,
        checked_us=now_us(),
    )
    return await _shown(ask)


@recordings.operation(
    "GET",
    "/recordings/{recording_id}/media",
    permission="recordings:play",
    summary="Play a recording",
    answers=str,
    media="audio/wav",
    paths=[RECORDING],
    problems=[404, 409, 502],
    streaming=True,
    ranges=True,
)
async def get_recording_media(ask: Ask[None]) -> Answer:
    """The whole, or the `Range` that is asked for. It is written down who heard it."""
    found = await store.stored(ask.services.database, ask.tenant_id, ask.path["recording_id"])
    return await _played(ask, found, actor=ask.actor.id, way="session")


@recordings.operation(
    "POST",
    "/recordings/{recording_id}/address",
    permission="recordings:play",
    summary="Get an address that plays a recording",
    answers=PlayAddress,
    status=201,
    paths=[RECORDING],
    problems=[404, 409],
    idempotency="none",
)
async def create_recording_address(ask: Ask[None]) -> Answer:
    """For players that cannot send a credential. It works for five minutes."""
    found = await store.stored(ask.services.database, ask.tenant_id, ask.path["recording_id"])
    until = now_us() // 1_000_000 + ADDRESS_S
    signature = _signature(ask.services.secret.split(",")[0], found.id, ask.actor.id, until)
    address = f"/v1/recordings/{found.id}/public?by={ask.actor.id}&expires={until}&signature={signature}"
    return json_answer(PlayAddress(address, until * 1_000_000), 201)


@recordings.operation(
    "GET",
    "/recordings/{recording_id}/public",
    permission=PUBLIC,
    summary="Play a recording by its address",
    answers=str,
    media="audio/wav",
    paths=[RECORDING],
    params=[ACTOR, EXPIRES, SIGNATURE],
    problems=[403, 404, 409, 502],
    streaming=True,
    ranges=True,
)
async def get_public_recording(ask: Ask[None]) -> Answer:
    """The address is signed; what is heard by it is written down as heard by whom it was made for."""
    recording_id, actor, until = ask.path["recording_id"], ask.value("by"), ask.value("expires", 0)
    good = until > now_us() // 1_000_000 and any(
        hmac.compare_digest(
            _signature(secret, recording_id, actor, until).encode(), ask.value("signature").encode()
        )
        for secret in ask.services.secret.split(",")
    )
    if not good:
        raise NotAllowed("this address is none of ours, or works no more", code="link_expired")
    found = await store.stored(ask.services.database, SYSTEM, recording_id)
    return await _played(ask, found, actor=actor, way="address")


@recordings.operation(
    "GET",
    "/recordings/{recording_id}/waveform",
    permission="recordings:play",
    summary="The shape of a recording",
    answers=Waveform,
    paths=[RECORDING],
    params=[POINTS],
    problems=[404, 409],
)
async def get_recording_waveform(ask: Ask[None]) -> Answer:
    """For a player to draw."""
    recording_id = ask.path["recording_id"]
    peaks, channels, duration_ms = await store.shape(ask.services.database, ask.tenant_id, recording_id)
    shapes = []
    if peaks and channels:
        each = len(peaks) // channels
        for n in range(channels):
            shapes.append(_fewer(peaks[n * each : (n + 1) * each], ask.value("points", 400)))
    return json_answer(Waveform(duration_ms, shapes))


@recordings.operation(
    "PUT",
    "/recordings/{recording_id}/hold",
    permission="recordings:write",
    summary="Hold a recording",
    body=RecordingHold,
    answers=RecordingEntry,
    paths=[RECORDING],
    problems=[404, 409],
    if_match=True,
    etag=True,
)
async def hold_recording(ask: Ask[RecordingHold]) -> Answer:
    """It is kept whatever its retention says, and nobody can erase it."""
    return await _held(ask, on=True, reason=ask.body.reason)


@recordings.operation(
    "DELETE",
    "/recordings/{recording_id}/hold",
    permission="recordings:write",
    summary="Lift the hold of a recording",
    answers=RecordingEntry,
    paths=[RECORDING],
    problems=[404, 409],
    if_match=True,
    etag=True,
)
async def release_recording(ask: Ask[None]) -> Answer:
    """Its retention counts again: one that is over is erased within a minute."""
    return await _held(ask, on=False)


@recordings.operation(
    "GET",
    "/recordings/{recording_id}/accesses",
    permission="recordings:write",
    summary="Who played a recording",
    answers=RecordingPlay,
    listing=True,
    paths=[RECORDING],
    problems=[404],
)
async def list_recording_accesses(ask: Ask[None]) -> Answer:
    """The latest first."""
    recording_id = ask.path["recording_id"]
    await store.get_recording_json(ask.services.database, ask.tenant_id, recording_id)
    page = await store.list_plays_json(
        ask.services.database,
        ask.tenant_id,
        recording_id,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@recordings.operation(
    "POST",
    "/recordings/{recording_id}/verify",
    permission="recordings:read",
    summary="Read a recording again",
    answers=RecordingVerified,
    paths=[RECORDING],
    problems=[404, 409, 502],
    idempotency="none",
)
async def verify_recording(ask: Ask[None]) -> Answer:
    """All of it, from the object store, and compare it with what was stored."""
    found = await store.stored(ask.services.database, ask.tenant_id, ask.path["recording_id"])
    blobs = open_blobs(ask.services.settings)

    def read() -> tuple[int, bytes]:
        digest, size = hashlib.sha256(), 0
        for chunk in blobs.open_range(found.key):
            digest.update(chunk)
            size += len(chunk)
        return size, digest.digest()

    size, digest = await asyncio.to_thread(read)
    good = (size, digest) == (found.size, found.sha256)
    return json_answer(RecordingVerified(good, size, digest.hex(), now_us()))


async def _shown(ask: Ask[Any]) -> Answer:
    body = await store.get_recording_json(ask.services.database, ask.tenant_id, ask.path["recording_id"])
    return tagged(ask, body)


async def _held(ask: Ask[Any], *, on: bool, reason: str = "") -> Answer:
    await store.hold(
        ask.services.database,
        ask.tenant_id,
        ask.path["recording_id"],
        on=on,
        reason=reason,
        version=ask.if_match,
        actor=ask.actor.id,
    )
    return await _shown(ask)


async def _played(ask: Ask[Any], found: Stored, *, actor: str, way: str) -> Answer:
    tag = found.sha256.hex()[:32]
    piece = range_of(ask, found.size, tag)
    size = found.size if piece is None else piece[1] - piece[0]
    await _noted(ask, found.tenant_id, found.id, actor=actor, way=way, size=size)
    blobs = open_blobs(ask.services.settings)
    return await send_sound(ask, blobs, found.key, found.size, name=found.id, tag=tag, piece=piece)


async def _noted(
    ask: Ask[Any], tenant_id: str, recording_id: str, *, actor: str, way: str, size: int
) -> None:
    await store.note_play(
        ask.services.database,
        tenant_id,
        recording_id,
        actor=actor,
        way=way,
        size=size,
        remote=ask.services.address_of(ask.scope),
        request_id=ask.request_id,
    )


def _fewer(peaks: bytes, points: int) -> list[int]:
    """The loudest of each of ``points`` pieces."""
    count = len(peaks)
    if points >= count:
        return list(peaks)
    return [max(peaks[count * n // points : count * (n + 1) // points]) for n in range(points)]


def _signature(secret: str, recording_id: str, actor: str, until: int) -> str:
    key = derive_key(secret.strip(), "recording-address")
    return hmac.new(key, f"{recording_id}\n{actor}\n{until}".encode(), hashlib.sha256).hexdigest()
