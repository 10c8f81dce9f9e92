"""Route plans: what holds for carriers before prices decide; drafts, versions, one of each kind in force."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.carriers import Kind
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.shapes import Body, Name
from core.model.plans import Step, Steps
from core.storage import route_plans as store

route_plans = Group("routing")

PLAN = Path("plan_id", "The plan's id: `rpl_…`.")


class RoutePlan(Struct):
    """A plan with its draft. Times are microseconds since 1970."""

    id: str
    name: str
    kind: Kind
    steps: list[Step]
    """The draft. What is in force is the version `live`."""
    live: int
    """The version that is in force; 0: none of this plan's."""
    versions: int
    """How many were published."""
    version: int
    """Of this document: what a change may name."""
    created_us: int
    updated_us: int


class NewRoutePlan(Body):
    name: Name
    kind: Kind = "sms"
    steps: Steps = ()
    """All that fit a message hold together: `only` these carriers, `never` these, `prefer` these, in this order. What is
    left is ordered by price and chance."""


class RoutePlanChange(Body):
    name: Name | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    """All of them."""


class PlanVersion(Struct):
    """A version as it was published."""

    number: int
    steps: list[Step]
    live: bool
    actor: str
    published_us: int


class RollBack(Body):
    to: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """The version; without it the one before that in force."""


@route_plans.operation(
    "GET",
    "/routing/plans",
    permission="routing:read",
    summary="List route plans, newest first",
    answers=RoutePlan,
    listing=True,
)
async def list_route_plans(ask: Ask[None]) -> Answer:
    """Each with its draft and the version that is in force."""
    after = ask.query.page.after
    rows = [
        one
        for one in await store.list_plans(ask.services.database, ask.tenant_id)
        if after is None or (one.created_us, one.id) < after
    ]
    return rows_answer(ask, rows[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@route_plans.operation(
    "POST",
    "/routing/plans",
    permission="routing:write",
    summary="Begin a route plan",
    body=NewRoutePlan,
    answers=RoutePlan,
    status=201,
    etag=True,
)
async def create_route_plan(ask: Ask[NewRoutePlan]) -> Answer:
    """Nothing of it is in force before it is published."""
    body = ask.body
    plan = await store.create_plan(
        ask.services.database,
        ask.tenant_id,
        name=body.name,
        kind=body.kind,
        steps=body.steps,
        actor=ask.actor.id,
    )
    answer = versioned(ask, plan, 201)
    answer.headers = [(b"location", f"/v1/routing/plans/{plan.id}".encode())]
    return answer


@route_plans.operation(
    "GET",
    "/routing/plans/{plan_id}",
    permission="routing:read",
    summary="One route plan",
    answers=RoutePlan,
    paths=[PLAN],
    problems=[404],
    etag=True,
)
async def get_route_plan(ask: Ask[None]) -> Answer:
    """With its draft."""
    return versioned(ask, await store.get_plan(ask.services.database, ask.tenant_id, ask.path["plan_id"]))


@route_plans.operation(
    "PATCH",
    "/routing/plans/{plan_id}",
    permission="routing:write",
    summary="Change a route plan's draft",
    body=RoutePlanChange,
    answers=RoutePlan,
    paths=[PLAN],
    problems=[404],
    etag=True,
    if_match=True,
)
async def update_route_plan(ask: Ask[RoutePlanChange]) -> Answer:
    """What is in force stays until it is published."""
    plan = await store.change_plan(
        ask.services.database,
        ask.tenant_id,
        ask.path["plan_id"],
        name=None if ask.body.name is UNSET else ask.body.name,
        steps=None if ask.body.steps is UNSET else ask.body.steps,
        version=ask.if_match,
        actor=ask.actor.id,
    )
    return versioned(ask, plan)


@route_plans.operation(
    "DELETE",
    "/routing/plans/{plan_id}",
    permission="routing:write",
    summary="Delete a route plan",
    paths=[PLAN],
    problems=[404],
    if_match=True,
)
async def delete_route_plan(ask: Ask[None]) -> Answer:
    """If it was in force, carriers are chosen without a plan from then on."""
    await store.delete_plan(
        ask.services.database, ask.tenant_id, ask.path["plan_id"], version=ask.if_match, actor=ask.actor.id
    )
    return Answer(204)


@route_plans.operation(
    "POST",
    "/routing/plans/{plan_id}/publish",
    permission="routing:write",
    summary="Put a route plan's draft into force",
    answers=RoutePlan,
    paths=[PLAN],
    problems=[404],
    etag=True,
    if_match=True,
)
async def publish_route_plan(ask: Ask[None]) -> Answer:
    """As a new version, in place of whatever plan of its kind was. Senders follow within two seconds."""
    plan = await store.publish(
        ask.services.database, ask.tenant_id, ask.path["plan_id"], version=ask.if_match, actor=ask.actor.id
    )
    return versioned(ask, plan)


@route_plans.operation(
    "POST",
    "/routing/plans/{plan_id}/rollback",
    permission="routing:write",
    summary="Put an earlier version of a route plan into force again",
    body=RollBack,
    answers=RoutePlan,
    paths=[PLAN],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def roll_back_route_plan(ask: Ask[RollBack]) -> Answer:
    """The draft stays as it is. 409 `no_such_version` when there is none to go back to."""
    plan = await store.roll_back(
        ask.services.database,
        ask.tenant_id,
        ask.path["plan_id"],
        to=ask.body.to,
        version=ask.if_match,
        actor=ask.actor.id,
    )
    return versioned(ask, plan)


@route_plans.operation(
    "GET",
    "/routing/plans/{plan_id}/versions",
    permission="routing:read",
    summary="The versions of a route plan that were published",
    answers=list[PlanVersion],
    paths=[PLAN],
    problems=[404],
)
async def list_route_plan_versions(ask: Ask[None]) -> Answer:
    """Newest first. They stay as they were."""
    return json_answer(await store.versions_of(ask.services.database, ask.tenant_id, ask.path["plan_id"]))
