"""Health, status, metrics, version and jobs."""

from typing import Any, Literal

from msgspec import Struct

from api.http import health
from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.health_outgoing import outgoing_metrics
from api.http.lists import one_answer, page_answer
from api.http.operation import PUBLIC, Group, Path
from api.http.orders import visible
from api.http.problem_codes import CODES, OTHERS
from api.http.query import Filter, bool_param, int_param
from api.http.signaling import signaling_metrics
from api.http.version import API_VERSION, VERSION
from core.errors import NotFound
from core.storage import incidents as incident_store
from core.storage import jobs as job_store

system = Group("system", "Health and status of the platform, metrics, version, jobs.")

CODE = Path("code", "A problem's `code`.", r"[a-z0-9_]{1,64}")
JOB = Path("job_id", "The job's id: `job_…`.")


class Live(Struct):
    status: Literal["live"]


class Ready(Struct):
    """Whether requests should be sent to this process."""

    status: Literal["ready", "not_ready"]
    reasons: list[str]
    """Why not."""


class Version(Struct):
    version: str
    api_version: str


class Job(Struct):
    """Long work that was asked for."""

    id: str
    kind: str
    subject: str
    """What it is about."""
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    done: int
    total: int | None
    detail: str
    result: Any
    error: Any
    cancel_asked: bool
    created_by: str
    request_id: str
    created_at: str
    started_at: str | None
    ended_at: str | None


class ProblemCode(Struct):
    """What a problem's `code` means."""

    code: str
    meaning: str


class ProblemCodeList(Struct):
    data: list[ProblemCode]
    others: str
    """What codes that are not in the list are."""


@system.operation("GET", "/health/live", permission=PUBLIC, summary="Is this process alive?", answers=Live)
async def get_live(ask: Ask[None]) -> Answer:
    """200 as long as it answers at all: for whoever restarts processes."""
    return json_answer(Live("live"))


@system.operation(
    "GET",
    "/health/ready",
    permission=PUBLIC,
    summary="Should this process get requests?",
    answers=Ready,
    problems=[503],
)
async def get_ready(ask: Ask[None]) -> Answer:
    """503 while the database is out of reach, has no schema, or this process is about to stop: for load balancers.
    Redis may be away: reading goes on without it."""
    reasons = await health.not_ready(ask.services)
    if reasons:
        return json_answer(Ready("not_ready", reasons), 503)
    return json_answer(Ready("ready", []))


@system.operation(
    "GET",
    "/health/deep",
    permission="system:read",
    summary="Try everything this process depends on",
    answers=health.Deep,
    problems=[503],
)
async def get_deep(ask: Ask[None]) -> Answer:
    """Each part is tried at this moment, with a deadline. 503 when one that cannot be done without fails."""
    deep = await health.deep(ask.services)
    return json_answer(deep, 503 if deep.state == "bad" else 200)


@system.operation(
    "GET",
    "/status",
    permission="system:read",
    summary="How everything is, in one sentence",
    answers=health.Status,
)
async def get_status(ask: Ask[None]) -> Answer:
    """The worst state of all components, and what it means."""
    return json_answer(await health.status(ask.services, ask))


@system.operation(
    "GET",
    "/status/components",
    permission="system:read",
    summary="How every component is",
    answers=health.Components,
)
async def get_status_components(ask: Ask[None]) -> Answer:
    """The stores, the controllers and the switches, each with a state and a sentence."""
    return json_answer(health.Components(await health.components(ask.services, ask)))


@system.operation(
    "GET",
    "/status/incidents",
    permission="system:read",
    summary="What went wrong, newest first",
    answers=health.IncidentList,
    params=[
        int_param("limit", 1, 200, "At most so many.", 50),
        bool_param("open", "true: only those that go on."),
    ],
)
async def list_incidents(ask: Ask[None]) -> Answer:
    """Open ones first, then the newest. An open one has no `ended_at`."""
    data = await incident_store.list_incidents_json(
        ask.services.database, limit=ask.value("limit", 50), only_open=ask.value("open", False)
    )
    return Answer(200, b'{"data":%s}' % data)


async def get_metrics(ask: Ask[None]) -> Answer:
    services = ask.services
    more = await outgoing_metrics(services) if ask.actor.operator else []
    if ask.actor.operator:
        more += await signaling_metrics(services.bus)
    text = await services.metrics.render(services, lambda tenant_id: visible(ask, tenant_id), more)
    return Answer(200, text, media=b"text/plain; version=0.0.4; charset=utf-8")


@system.operation(
    "GET",
    "/metrics",
    permission="system:read",
    summary="Metrics for Prometheus",
    answers=str,
    media="text/plain",
)
async def get_v1_metrics(ask: Ask[None]) -> Answer:
    """In Prometheus' text format: requests of this process, and every switch and controller as last reported."""
    return await get_metrics(ask)


@system.operation(
    "GET",
    "//metrics",
    permission="system:read",
    summary="Metrics for Prometheus, at the address it expects",
    answers=str,
    media="text/plain",
)
async def get_root_metrics(ask: Ask[None]) -> Answer:
    """The same as `/v1/metrics`. Prometheus sends an API key with the scope `system:read` as its bearer token."""
    return await get_metrics(ask)


@system.operation("GET", "/version", permission=PUBLIC, summary="Which version this is", answers=Version)
async def get_version(ask: Ask[None]) -> Answer:
    """Of the software, and of the API."""
    return json_answer(Version(VERSION, API_VERSION))


@system.operation(
    "GET", "/problems", permission=PUBLIC, summary="What the codes of problems mean", answers=ProblemCodeList
)
async def list_problem_codes(ask: Ask[None]) -> Answer:
    """All codes that a problem of this API may carry, in words."""
    return json_answer(ProblemCodeList([ProblemCode(*one) for one in CODES.items()], OTHERS))


@system.operation(
    "GET",
    "/problems/{code}",
    permission=PUBLIC,
    summary="What one code means",
    answers=ProblemCode,
    paths=[CODE],
    problems=[404],
)
async def get_problem_code(ask: Ask[None]) -> Answer:
    """Where the `type` of a problem leads."""
    code = ask.path["code"]
    if code not in CODES:
        raise NotFound(OTHERS, code="no_such_problem")
    return json_answer(ProblemCode(code, CODES[code]))


@system.operation(
    "GET",
    "/jobs",
    permission="system:read",
    summary="List jobs, newest first",
    answers=Job,
    listing=True,
    filters=(
        Filter("kind"),
        Filter("subject"),
        Filter("state", "word", ("queued", "running", "done", "failed", "cancelled")),
        Filter("created_by"),
    ),
)
async def list_jobs(ask: Ask[None]) -> Answer:
    """Long work of this tenant, with its progress."""
    page = await job_store.list_jobs_json(
        ask.services.database,
        ask.tenant_id,
        conditions=ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@system.operation(
    "GET",
    "/jobs/{job_id}",
    permission="system:read",
    summary="One job",
    answers=Job,
    paths=[JOB],
    problems=[404],
    etag=True,
)
async def get_job(ask: Ask[None]) -> Answer:
    """Its progress, and its result or error in the end."""
    return one_answer(ask, await _read(ask))


@system.operation(
    "POST",
    "/jobs/{job_id}/cancel",
    permission="system:write",
    summary="Ask a job to stop",
    answers=Job,
    status=202,
    paths=[JOB],
    problems=[404, 409],
)
async def cancel_job(ask: Ask[None]) -> Answer:
    """It stops at the next place where that is safe; 409 when it has ended."""
    await job_store.cancel_job(ask.services.database, ask.tenant_id, ask.path["job_id"])
    return Answer(202, await _read(ask))


async def _read(ask: Ask[Any]) -> bytes:
    body = await job_store.get_job_json(ask.services.database, ask.tenant_id, ask.path["job_id"])
    if body is None:
        raise NotFound(f"there is no job {ask.path['job_id']}", code="no_such_job")
    return body
