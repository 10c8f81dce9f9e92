"""Recordings as people see them: lists, one of them, who played it, holds, erasure with proof.

What the switch says and policies want is entered by `core.storage.recording_ledger`, what becomes of files by
`core.storage.recording_work`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage.access_filters import Asked
from core.storage.appending import append
from core.storage.database import SYSTEM, Connection, Database
from core.storage.listing import Listing, Page, list_json
from core.storage.recording_ledger import told
from core.storage.texts import storable
from core.storage.versions import check_version

ONE_PLAY_US = 600_000_000
"""Requests of one person for one recording within so long of each other are one play: a player asks for pieces."""
_DOCUMENT = (
    "json_build_object('id', id, 'call_id', call_id, 'node', node, 'leg', leg, 'source', source, 'policy_id', policy_id,"
    " 'state', state, 'reason', reason, 'direction', direction, 'caller', caller, 'destination', destination,"
    " 'queue_id', queue_id, 'agent_id', agent_id, 'stereo', stereo, 'pause_allowed', pause_allowed,"
    " 'expected_us', expected_us, 'started_us', started_us, 'stopped_us', stopped_us, 'stored_us', stored_us,"
    " 'masked', masked, 'duration_ms', duration_ms, 'channels', channels, 'size', size,"
    " 'sha256', coalesce(encode(sha256, 'hex'), ''), 'retention_days', retention_days,"
    " 'expires_us', case when stored_us > 0 and retention_days > 0 and erased_us = 0"
    " then stored_us + retention_days * 86400000000::bigint else 0 end, 'hold', hold, 'hold_reason', hold_reason,"
    " 'plays', plays, 'erased_us', erased_us, 'erased', erased, 'version', version)::text"
)
RECORDINGS = Listing(
    "recordings",
    place="expected_us",
    columns="id call_id node source policy_id state direction caller destination queue_id agent_id expected_us"
    " duration_ms hold",
    document=_DOCUMENT,
)
_PLAY = (
    "json_build_object('id', id, 'recording_id', recording_id, 'actor', actor, 'way', way, 'remote', remote,"
    " 'requests', requests, 'bytes', bytes, 'at_us', at_us, 'last_us', last_us)::text"
)
PLAYS = Listing("recording_plays", place="at_us", columns="recording_id actor", document=_PLAY)


class Stored(Struct, frozen=True, kw_only=True):
    """A recording whose bytes may be handed out."""

    id: str
    tenant_id: str
    key: str
    size: int
    sha256: bytes


class Erasable(Struct, frozen=True, kw_only=True):
    """A recording that may be erased now."""

    id: str
    tenant_id: str
    call_id: str
    key: str
    size: int
    sha256: bytes | None
    state: str


class _Of(Struct, frozen=True, kw_only=True):
    """The condition that a row belongs to a recording."""

    field: str = "recording_id"
    op: str = "eq"
    value: str


async def list_recordings_json(
    db: Database,
    tenant_id: str,
    *,
    conditions: Iterable[Asked] = (),
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Recordings, the newest wish first."""
    return await list_json(db, tenant_id, RECORDINGS, conditions, limit=limit, after=after)


async def get_recording_json(db: Database, tenant_id: str, recording_id: str) -> bytes:
    """One of them as JSON. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}, 'UTF8') from recordings where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            recording_id,
        )
    if body is None:
        raise no_such(recording_id)
    return body


async def summary(db: Database, tenant_id: str, *, since_us: int) -> dict[str, int]:
    """How many there are in each state, of those that were expected since then."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select state, count(*) as count from recordings where tenant_id = $1 and expected_us >= $2 group by state",
            tenant_id,
            since_us,
        )
    return {row["state"]: row["count"] for row in rows}


async def stored(db: Database, tenant_id: str, recording_id: str) -> Stored:
    """Where its bytes are; ``tenant_id`` ``*`` for whoever's it is. Raises `NotFound`, `Conflict` for none to hand out."""
    mine = "" if tenant_id == SYSTEM else " and tenant_id = $2"
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select id, tenant_id, key, size, sha256, state from recordings where id = $1{mine}",  # noqa: S608
            recording_id,
            *([tenant_id] if mine else []),
        )
    if row is None:
        raise no_such(recording_id)
    if row["state"] != "stored":
        raise Conflict(f"the recording is {row['state']}", code="recording_not_stored")
    return Stored(**{name: row[name] for name in Stored.__struct_fields__})


async def shape(db: Database, tenant_id: str, recording_id: str) -> tuple[bytes, int, int]:
    """The loudest moments of its channels one after the other, how many channels, its length in ms. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select peaks, channels, duration_ms, state from recordings where tenant_id = $1 and id = $2",
            tenant_id,
            recording_id,
        )
    if row is None:
        raise no_such(recording_id)
    if row["state"] != "stored":
        raise Conflict(f"the recording is {row['state']}", code="recording_not_stored")
    return bytes(row["peaks"] or b""), row["channels"], row["duration_ms"]


async def note_play(
    db: Database,
    tenant_id: str,
    recording_id: str,
    *,
    actor: str,
    way: str,
    size: int,
    remote: str = "",
    request_id: str = "",
) -> None:
    """Note that somebody was given ``size`` bytes of it. Before they are sent, so that none are heard unseen."""
    moment = now_us()
    async with db.tenant(tenant_id) as connection:
        # (two requests of one player that come together are told apart by nobody: one waits for the other)
        plays = await connection.fetchval(
            "select plays from recordings where tenant_id = $1 and id = $2 for update",
            tenant_id,
            recording_id,
        )
        if plays is None:
            raise no_such(recording_id)
        done: str = await connection.execute(
            "update recording_plays set requests = requests + 1, bytes = bytes + $5, last_us = $6"
            " where tenant_id = $1 and id = (select id from recording_plays where tenant_id = $1 and recording_id = $2"
            " and actor = $3 and way = $4 and last_us > $6 - $7::bigint order by at_us desc limit 1)",
            tenant_id,
            recording_id,
            actor,
            way,
            size,
            moment,
            ONE_PLAY_US,
        )
        if done.endswith(" 1"):
            return
        await connection.execute(
            "insert into recording_plays (tenant_id, id, recording_id, actor, way, remote, request_id, bytes, at_us, last_us)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
            tenant_id,
            new_id("rpl"),
            recording_id,
            actor,
            way,
            storable(remote)[:64],
            storable(request_id)[:64],
            size,
            moment,
        )
        row = await connection.fetchrow(
            "update recordings set plays = plays + 1 where tenant_id = $1 and id = $2 returning id, call_id, state",
            tenant_id,
            recording_id,
        )
        await append(connection, [told(tenant_id, "recording.played", row, moment, by=actor, way=way)])


async def list_plays_json(
    db: Database,
    tenant_id: str,
    recording_id: str,
    *,
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Who played it, the latest first."""
    return await list_json(db, tenant_id, PLAYS, [_Of(value=recording_id)], limit=limit, after=after)


async def hold(
    db: Database,
    tenant_id: str,
    recording_id: str,
    *,
    on: bool,
    reason: str = "",
    version: int | None = None,
    actor: str = "",
) -> None:
    """Keep it whatever its retention says, or no longer. Raises `NotFound`, `Conflict` for one that is erased."""
    async with db.tenant(tenant_id) as connection:
        present = await _lock(connection, tenant_id, recording_id)
        check_version(present["version"], version)
        if present["state"] == "erased":
            raise Conflict("the recording is erased", code="recording_erased")
        row = await connection.fetchrow(
            "update recordings set hold = $3, hold_reason = $4, version = version + 1 where tenant_id = $1 and id = $2"
            " returning id, call_id, state",
            tenant_id,
            recording_id,
            on,
            storable(reason) if on else "",
        )
        kind = "recording.held" if on else "recording.released"
        await append(connection, [told(tenant_id, kind, row, now_us(), by=actor)])


async def may_pause(db: Database, tenant_id: str, recording_id: str) -> bool:
    """Whether people may mask parts of it. One that the ledger does not know yet was asked for by somebody."""
    async with db.reader(tenant_id) as connection:
        found = await connection.fetchval(
            "select pause_allowed from recordings where tenant_id = $1 and id = $2", tenant_id, recording_id
        )
    return found is not False


async def erasable(
    db: Database, tenant_id: str, recording_id: str, *, version: int | None = None
) -> Erasable:
    """What has to be erased. Raises `NotFound`, `Conflict` for one that is held, erased or on its way."""
    async with db.tenant(tenant_id) as connection:
        row = await _lock(connection, tenant_id, recording_id)
        check_version(row["version"], version)
    if row["hold"]:
        raise Conflict("the recording is held: lift the hold first", code="on_hold")
    if row["state"] == "erased":
        raise Conflict("the recording is erased", code="recording_erased")
    if row["state"] not in ("stored", "missing"):
        raise Conflict(
            f"the recording is {row['state']}: it can be erased when it is stored",
            code="recording_not_stored",
        )
    return Erasable(tenant_id=tenant_id, **{name: row[name] for name in _ERASABLE})


async def erased(
    db: Database, one: Erasable, *, by: str, reason: str, versions: int, checked_us: int
) -> None:
    """Its object is gone, which was looked at: keep the proof, forget the sound's shape. Raises `Conflict` when it was
    held meanwhile."""
    proof = {
        "by": by,
        "reason": storable(reason),
        "versions": versions,
        "key": one.key,
        "size": one.size,
        "sha256": "" if one.sha256 is None else one.sha256.hex(),
        "checked_us": checked_us,
    }
    async with db.tenant(one.tenant_id) as connection:
        row = await connection.fetchrow(
            "update recordings set state = 'erased', erased_us = $3, erased = $4, peaks = null, version = version + 1"
            " where tenant_id = $1 and id = $2 and state in ('stored', 'missing') returning id, call_id, state",
            one.tenant_id,
            one.id,
            checked_us,
            msgspec.json.encode(proof).decode(),
        )
        if row is not None:
            entry = told(one.tenant_id, "recording.erased", row, checked_us, by=by, sha256=proof["sha256"])
            await append(connection, [entry])


async def to_erase(db: Database, *, now_us: int, limit: int = 50) -> list[Erasable]:
    """Recordings of any tenant whose retention is over, and that nobody holds."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, id, call_id, key, size, sha256, state from recordings where state = 'stored' and not hold"
            " and retention_days > 0 and stored_us + retention_days * 86400000000::bigint < $1 order by stored_us limit $2",
            now_us,
            limit,
        )
    return [Erasable(**dict(row)) for row in rows]


def no_such(recording_id: str) -> NotFound:
    return NotFound(f"there is no recording {recording_id}", code="no_such_recording")


_ERASABLE = ("id", "call_id", "key", "size", "sha256", "state")


async def _lock(connection: Connection, tenant_id: str, recording_id: str) -> Any:
    row = await connection.fetchrow(
        "select id, call_id, key, size, sha256, state, hold, version from recordings where tenant_id = $1 and id = $2"
        " for update",
        tenant_id,
        recording_id,
    )
    if row is None:
        raise no_such(recording_id)
    return row
