"""Reading call detail records. They are written with the changes that complete them (`core.storage.calls`)."""

from collections.abc import Iterable

from core.storage.database import Database
from core.storage.listing import Asked, Listing, Page, list_json

CDRS = Listing(
    "cdrs",
    place="started_us",
    columns="""id kind call_id node direction caller destination started_us answered_us ended_us billsec duration
        hangup_cause q850 sip_status disposition trunk inferred recovered""",
)


async def get_cdr_json(db: Database, tenant_id: str, cdr_id: str) -> bytes | None:
    """One record, None when this tenant has none with that id."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            "select convert_to(doc::text, 'UTF8') from cdrs where tenant_id = $1 and id = $2",
            tenant_id,
            cdr_id,
        )
    return body


async def list_cdrs_json(
    db: Database,
    tenant_id: str,
    *,
    kind: str | None = None,
    conditions: Iterable[Asked] = (),
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Records, newest beginning first: of legs, of calls (``kind``), or both."""
    only = {None: "", "leg": " and kind = 'leg'", "call": " and kind = 'call'"}[kind]
    return await list_json(db, tenant_id, CDRS, conditions, limit=limit, after=after, only=only)


async def cdrs_of_call_json(db: Database, tenant_id: str, call_id: str) -> bytes:
    """All records of one call as a JSON array: its legs in the order in which they began, then the call."""
    async with db.reader(tenant_id) as connection:
        body: bytes = await connection.fetchval(
            "select convert_to('[' || coalesce(string_agg(doc::text, ',' order by kind desc, started_us, id), '')"
            " || ']', 'UTF8') from cdrs where tenant_id = $1 and call_id = $2",
            tenant_id,
            call_id,
        )
    return body
