"""Reading conferences. Their rows are written with the ``conference.*`` changes (`core.storage.calls`).

Members are not stored twice: the members of one tenant in a meeting are one call, and a member is a leg of it.
"""

from collections.abc import Iterable

from core.storage.database import Database
from core.storage.listing import Asked, Listing, Page, list_json

_DOCUMENT = """
    json_build_object(
        'id', id, 'name', name, 'node', node, 'call_id', call_id, 'live', ended_us = 0,
        'created_us', created_us, 'ended_us', ended_us,
        'members', coalesce((
            select json_agg(json_build_object(
                'id', leg ->> 'conference_member', 'leg', leg ->> 'uuid', 'caller', coalesce(leg ->> 'caller', ''),
                'caller_name', coalesce(leg ->> 'caller_name', ''),
                'destination', coalesce(leg ->> 'destination', ''),
                'direction', leg ->> 'direction', 'muted', coalesce((leg ->> 'muted')::boolean, false)
            ))
            from calls, json_array_elements(calls.doc -> 'legs') as leg
            where conferences.ended_us = 0 and calls.tenant_id = conferences.tenant_id
                and calls.id = conferences.call_id and calls.live
                and leg ->> 'conference' = conferences.name and coalesce(leg ->> 'state', 'new') <> 'ended'
        ), '[]')
    )::text"""

CONFERENCES = Listing(
    "conferences",
    place="created_us",
    columns="id name node call_id created_us ended_us",
    document=_DOCUMENT,
)


async def get_conference_json(db: Database, tenant_id: str, conference_id: str) -> bytes | None:
    """A conference with its present members, None when this tenant has none with that id."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}, 'UTF8') from conferences where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            conference_id,
        )
    return body


async def find_conference(db: Database, tenant_id: str, conference_id: str) -> tuple[str, str, bool] | None:
    """(switch, name, whether it is live): what an order to it needs. None when this tenant has none such."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select node, name, ended_us = 0 as live from conferences where tenant_id = $1 and id = $2",
            tenant_id,
            conference_id,
        )
    return (row["node"], row["name"], row["live"]) if row else None


async def list_conferences_json(
    db: Database,
    tenant_id: str,
    *,
    live: bool | None = None,
    conditions: Iterable[Asked] = (),
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Conferences, newest first: only live ones, only ended ones, or both (None)."""
    only = {None: "", True: " and ended_us = 0", False: " and ended_us > 0"}[live]
    return await list_json(db, tenant_id, CONFERENCES, conditions, limit=limit, after=after, only=only)
