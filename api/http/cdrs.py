"""Call detail records: one for each leg and one for each call, written once and kept."""

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import one_answer, page_answer
from api.http.operation import Group, Path
from api.http.query import Filter
from core.errors import NotFound
from core.model.cdrs import Cdr
from core.storage import cdrs as cdr_store

cdrs = Group("cdrs", "Call detail records of legs and calls.")

CDR = Path("cdr_id", "The record's id: `cdr_…`.")


FILTERS = (
    Filter("kind", "word", ("leg", "call")),
    Filter("call_id"),
    Filter("node"),
    Filter("direction", "word", ("inbound", "outbound")),
    Filter("caller"),
    Filter("destination"),
    Filter("hangup_cause"),
    Filter("trunk"),
    Filter("started_us", "integer"),
    Filter("answered_us", "integer"),
    Filter("ended_us", "integer"),
    Filter("billsec", "integer"),
    Filter("duration", "integer"),
    Filter("sip_status", "integer"),
    Filter("inferred", "boolean"),
)


@cdrs.operation(
    "GET",
    "/cdrs",
    permission="cdrs:read",
    summary="List call detail records, newest first",
    answers=Cdr,
    listing=True,
    filters=FILTERS,
)
async def list_cdrs(ask: Ask[None]) -> Answer:
    """Of calls, unless a filter on `kind` says otherwise."""
    kind = None if any(asked.field == "kind" for asked in ask.query.conditions) else "call"
    page = await cdr_store.list_cdrs_json(
        ask.services.database,
        ask.tenant_id,
        kind=kind,
        conditions=ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@cdrs.operation(
    "GET",
    "/cdrs/{cdr_id}",
    permission="cdrs:read",
    summary="One call detail record",
    answers=Cdr,
    paths=[CDR],
    problems=[404],
    etag=True,
)
async def get_cdr(ask: Ask[None]) -> Answer:
    """A record never changes, except that what was concluded gives way to what was seen."""
    body = await cdr_store.get_cdr_json(ask.services.database, ask.tenant_id, ask.path["cdr_id"])
    if body is None:
        raise NotFound(f"there is no record {ask.path['cdr_id']}", code="no_such_cdr")
    return one_answer(ask, body)
