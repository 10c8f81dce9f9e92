"""What was wrong with the platform, and when: one open incident for each component that is not well.

Seeing the same trouble again extends the open incident instead of opening another.
"""

from core.ids import new_id
from core.storage.database import Database

SEVERITIES = ("notice", "degraded", "down")

_TIME = '\'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\''
_DOCUMENT = f"""
    json_build_object(
        'id', id, 'component', component, 'severity', severity, 'summary', summary, 'cause', cause,
        'started_at', to_char(started_at, {_TIME}), 'seen_at', to_char(seen_at, {_TIME}),
        'ended_at', to_char(ended_at, {_TIME})
    )::text"""


async def open_incident(
    db: Database, component: str, *, severity: str, summary: str, cause: str = ""
) -> tuple[str, bool]:
    """Note that ``component`` is not well; (the incident's id, whether it is a new one).

    ``summary`` is for people ("the switch berlin-2 does not answer"), ``cause`` a stable word.
    """
    async with db.system() as connection:
        row = await connection.fetchrow(
            "insert into incidents as was (id, component, severity, summary, cause) values ($1, $2, $3, $4, $5)"
            " on conflict (component) where ended_at is null do update set"
            " severity = excluded.severity, summary = excluded.summary, cause = excluded.cause, seen_at = now()"
            " returning id",
            new_id("inc"),
            component,
            severity,
            summary,
            cause,
        )
        fresh: bool = await connection.fetchval(
            "select started_at = seen_at from incidents where id = $1", row["id"]
        )
    return row["id"], fresh


async def close_incident(db: Database, component: str) -> str | None:
    """``component`` is well again; the id of the incident that this ends, None when there was none."""
    async with db.system() as connection:
        ended: str | None = await connection.fetchval(
            "update incidents set ended_at = now() where component = $1 and ended_at is null returning id",
            component,
        )
    return ended


async def list_incidents_json(db: Database, *, limit: int = 50, only_open: bool = False) -> bytes:
    """Incidents as a JSON array, open ones first, then the newest."""
    async with db.system() as connection:
        body: bytes = await connection.fetchval(
            f"select convert_to('[' || coalesce(string_agg({_DOCUMENT}, ','), '') || ']', 'UTF8') from ("  # noqa: S608
            "  select * from incidents where ended_at is null or not $2"
            "  order by ended_at is null desc, started_at desc, id desc limit $1) i",
            limit,
            only_open,
        )
    return body
