"""Long work with progress: exports, imports, backups. A row tells who looks how far it is; the work is elsewhere.

A job that runs is kept alive by its progress (`progress` is its heartbeat). One whose worker died is found by
`fail_abandoned`, so nothing stays "running" for ever. Asking to cancel is a wish: the worker sees it in what
`progress` returns and ends the job itself.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage.database import Connection, Database
from core.storage.listing import Asked, Listing, Page, list_json

ABANDONED_S = 120
"""A worker that says nothing for so long is dead."""
END_STATES = ("done", "failed", "cancelled")

_TIME = '\'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\''
_DOCUMENT = f"""
    json_build_object(
        'id', id, 'kind', kind, 'subject', subject, 'state', state, 'done', done, 'total', total, 'detail', detail, 'result', result,
        'error', error, 'cancel_asked', cancel_asked, 'created_by', created_by, 'request_id', request_id,
        'created_at', to_char(created_at, {_TIME}), 'started_at', to_char(started_at, {_TIME}),
        'ended_at', to_char(ended_at, {_TIME})
    )::text"""
JOBS = Listing(
    "jobs", place="created_us", columns="id kind subject state created_by created_us", document=_DOCUMENT
)


async def create_job(
    db: Database,
    tenant_id: str,
    *,
    kind: str,
    subject: str = "",
    total: int | None = None,
    created_by: str = "",
    request_id: str = "",
) -> str:
    """Queue a job about ``subject``; its id."""
    job_id = new_id("job")
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into jobs (tenant_id, id, kind, subject, total, created_by, request_id)"
            " values ($1, $2, $3, $4, $5, $6, $7)",
            tenant_id,
            job_id,
            kind,
            subject,
            total,
            created_by,
            request_id,
        )
    return job_id


async def claim_job(db: Database, kinds: Iterable[str]) -> dict[str, Any] | None:
    """Take the oldest queued job of these kinds (of any tenant) to work on it; None when there is none.

    Two workers never get the same one.
    """
    async with db.system() as connection:
        row = await connection.fetchrow(
            "update jobs set state = 'running', started_at = now(), beat_at = now() where (tenant_id, id) in ("
            " select tenant_id, id from jobs where state = 'queued' and kind = any($1)"
            " order by created_at limit 1 for update skip locked)"
            " returning tenant_id, id, kind, subject, created_by, request_id",
            list(kinds),
        )
    return dict(row) if row else None


async def newest_json(
    db: Database, tenant_id: str, *, kind: str, subject: str, states: Iterable[str] = ()
) -> bytes | None:
    """The newest job about something, in any or one of these states; None when there is none."""
    async with db.reader(tenant_id) as connection:
        found = await connection.fetchval(
            f"select {_DOCUMENT} from jobs where tenant_id = $1 and kind = $2 and subject = $3"  # noqa: S608
            " and (cardinality($4::text[]) = 0 or state = any($4)) order by created_us desc, id desc limit 1",
            tenant_id,
            kind,
            subject,
            list(states),
        )
    return None if found is None else str(found).encode()


async def progress(
    db: Database, tenant_id: str, job_id: str, *, done: int, total: int | None = None, detail: str = ""
) -> bool:
    """Tell how far a running job is; True when it should go on, False when somebody wants it to stop (or it has
    been given up as abandoned)."""
    async with db.tenant(tenant_id) as connection:
        asked = await connection.fetchval(
            "update jobs set done = $3, total = coalesce($4, total), detail = $5, beat_at = now()"
            " where tenant_id = $1 and id = $2 and state = 'running' returning cancel_asked",
            tenant_id,
            job_id,
            done,
            total,
            detail,
        )
    return asked is False


async def finish_job(
    db: Database, tenant_id: str, job_id: str, *, result: Mapping[str, Any] | None = None
) -> None:
    """It is done. Raises `Conflict` when it was ended otherwise."""
    await _end(db, tenant_id, job_id, "done", result=result)


async def fail_job(db: Database, tenant_id: str, job_id: str, *, code: str, detail: str) -> None:
    """It failed. Raises `Conflict` when it was ended otherwise."""
    await _end(db, tenant_id, job_id, "failed", error={"code": code, "detail": detail})


async def stop_job(db: Database, tenant_id: str, job_id: str) -> None:
    """Its worker stopped as it was asked to. Raises `Conflict` when it was ended otherwise."""
    await _end(db, tenant_id, job_id, "cancelled")


async def cancel_job(db: Database, tenant_id: str, job_id: str) -> None:
    """Ask for a job to stop; one that has not begun is cancelled at once.

    Raises `NotFound`, and `Conflict` when it has ended.
    """
    async with db.tenant(tenant_id) as connection:
        state = await _lock(connection, tenant_id, job_id)
        if state in END_STATES:
            raise Conflict(f"the job is {state}", code="job_ended")
        await connection.execute(
            "update jobs set cancel_asked = true, state = case when state = 'queued' then 'cancelled' else state end,"
            " ended_at = case when state = 'queued' then now() end where tenant_id = $1 and id = $2",
            tenant_id,
            job_id,
        )


async def fail_abandoned(db: Database, *, silent_s: int = ABANDONED_S) -> int:
    """Fail the running jobs (of any tenant) whose workers have been silent; how many."""
    async with db.system() as connection:
        done: str = await connection.execute(
            "update jobs set state = 'failed', ended_at = now(),"
            """ error = '{"code": "abandoned", "detail": "its worker stopped without a word"}'"""
            " where state = 'running' and beat_at < now() - $1::interval",
            timedelta(seconds=silent_s),
        )
    return int(done.split()[-1])


async def get_job_json(db: Database, tenant_id: str, job_id: str) -> bytes | None:
    """A job, None when this tenant has none with that id."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}, 'UTF8') from jobs where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            job_id,
        )
    return body


async def list_jobs_json(
    db: Database,
    tenant_id: str,
    *,
    conditions: Iterable[Asked] = (),
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Jobs, newest first."""
    return await list_json(db, tenant_id, JOBS, conditions, limit=limit, after=after)


async def _lock(connection: Connection, tenant_id: str, job_id: str) -> str:
    state: str | None = await connection.fetchval(
        "select state from jobs where tenant_id = $1 and id = $2 for update", tenant_id, job_id
    )
    if state is None:
        raise NotFound(f"there is no job {job_id}", code="no_such_job")
    return state


async def _end(
    db: Database,
    tenant_id: str,
    job_id: str,
    state: str,
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> None:
    async with db.tenant(tenant_id) as connection:
        present = await _lock(connection, tenant_id, job_id)
        if present != "running":
            raise Conflict(f"the job is {present}", code="job_ended")
        await connection.execute(
            "update jobs set state = $3, result = $4, error = $5, ended_at = now() where tenant_id = $1 and id = $2",
            tenant_id,
            job_id,
            state,
            _json(result),
            _json(error),
        )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
