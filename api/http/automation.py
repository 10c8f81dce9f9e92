"""Rules, promises about time, and the hours in which those are counted."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.content import Kept, check_actions
from api.http.lists import page_answer
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.shapes import Body, Name
from api.http.shelf import Shelf, refuse
from core.clock import now_us
from core.model import automation as model
from core.model import hours
from core.model.automation import Actions, Conditions, Events, Rule
from core.model.content import SlaPolicy
from core.model.hours import Schedule, Slot, SpecialDay
from core.model.servicelevel import Targets
from core.storage import rule_history
from core.storage.acting import Done
from core.storage.rule_history import Trial

automation = Group("automation", "Rules, service levels and business hours.")

Position = Annotated[int, Meta(ge=-1000, le=1000)]
ScheduleId = Annotated[str, Meta(pattern=whole(r"(sch_[0-9a-z]{1,40})?"))]
Zone = Annotated[str, Meta(min_length=1, max_length=64, pattern=whole(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*"))]
Weekly = Annotated[tuple[Slot, ...], Meta(max_length=140)]
Exceptions = Annotated[tuple[SpecialDay, ...], Meta(max_length=400)]


class RuleInfo(Kept):
    on: Events
    actions: Actions
    all: Conditions
    any: Conditions
    enabled: bool
    position: int


class NewRule(Body):
    name: Name
    on: Events
    """What it waits for."""
    actions: Actions
    """What it does then; what cannot be done is left out and told."""
    all: Conditions = ()
    """These must all hold."""
    any: Conditions = ()
    """And of these at least one, where there are any."""
    enabled: bool = True
    position: Position = 0
    """Rules are asked in this order; each sees what those before it did."""


class RuleChange(Body):
    name: Name | UnsetType = UNSET
    on: Events | UnsetType = UNSET
    actions: Actions | UnsetType = UNSET
    all: Conditions | UnsetType = UNSET
    any: Conditions | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    position: Position | UnsetType = UNSET


class RuleRun(Struct):
    """What a rule did about one entry of the log."""

    id: str
    seq: int
    conversation_id: str
    outcome: Literal["done", "partly", "failed", "limited"]
    """`limited`: rules had done enough in this conversation within an hour."""
    report: list[Done]
    at_us: int


class DryRun(Body):
    last: Annotated[int, Meta(ge=1, le=500)] = 100
    """How many conversations to look at, newest message first."""


class SlaPolicyInfo(Kept):
    targets: Targets
    schedule_id: str
    all: Conditions
    enabled: bool
    position: int


class NewSlaPolicy(Body):
    name: Name
    targets: Targets
    schedule_id: ScheduleId = ""
    """In whose hours it is counted; empty: always."""
    all: Conditions = ()
    """For which conversations it holds. Each gets the first policy that fits, when somebody first writes in it."""
    enabled: bool = True
    position: Position = 0


class SlaPolicyChange(Body):
    name: Name | UnsetType = UNSET
    targets: Targets | UnsetType = UNSET
    schedule_id: ScheduleId | UnsetType = UNSET
    all: Conditions | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    position: Position | UnsetType = UNSET


class SlaBreach(Struct):
    """A promise that was not kept."""

    id: str
    conversation_id: str
    policy_id: str
    clock: Literal["first_reply", "next_reply", "resolution"]
    due_us: int
    at_us: int
    """When it was certain: the late answer, or the moment at which time was over."""


class ScheduleInfo(Kept):
    timezone: str
    weekly: Weekly
    exceptions: Exceptions


class NewSchedule(Body):
    name: Name
    timezone: Zone
    """IANA: `Europe/Berlin`."""
    weekly: Weekly
    """`day` 0 is Monday; `start` and `end` are `HH:MM` of the zone's clock, up to `24:00`."""
    exceptions: Exceptions = ()
    """Dates with hours of their own; without `spans` nobody works that day."""


class ScheduleChange(Body):
    name: Name | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    weekly: Weekly | UnsetType = UNSET
    exceptions: Exceptions | UnsetType = UNSET


BREACH_FILTERS = (
    Filter("conversation_id"),
    Filter("policy_id"),
    Filter("clock", "word", ("first_reply", "next_reply", "resolution")),
    Filter("due_us", "integer"),
    Filter("at_us", "integer"),
)
RUN_FILTERS = (
    Filter("conversation_id"),
    Filter("outcome", "word", ("done", "partly", "failed", "limited")),
    Filter("at_us", "integer"),
)


async def _check_rule(ask: Ask[Any], doc: Rule) -> None:
    found = await rule_history.schedule_ids(ask.services.database, ask.tenant_id)
    refuse("/all", model.mistakes(doc.all, found))
    refuse("/any", model.mistakes(doc.any, found))
    await check_actions(ask, doc.actions)


async def _check_policy(ask: Ask[Any], doc: SlaPolicy) -> None:
    found = await rule_history.schedule_ids(ask.services.database, ask.tenant_id)
    refuse("/all", model.mistakes(doc.all, found))
    if doc.schedule_id and doc.schedule_id not in found:
        raise bad_value("/schedule_id", "there is no such schedule")
    if doc.targets == Targets():
        raise bad_value("/targets", "it promises nothing: give at least one time")


async def _check_schedule(ask: Ask[Any], doc: Schedule) -> None:
    refuse("/weekly", hours.mistakes(doc))


rules = Shelf(
    automation,
    kind="rule",
    path="/rules",
    noun="rule",
    nouns="rules",
    doc=Rule,
    new=NewRule,
    change=RuleChange,
    info=RuleInfo,
    read="automation:read",
    write="automation:write",
    about="What happens by itself. A rule sees what happens after it was made, and nothing that a rule did.",
    check=_check_rule,
)
sla_policies = Shelf(
    automation,
    kind="sla_policy",
    path="/sla-policies",
    noun="SLA policy",
    nouns="SLA policies",
    doc=SlaPolicy,
    new=NewSlaPolicy,
    change=SlaPolicyChange,
    info=SlaPolicyInfo,
    read="automation:read",
    write="automation:write",
    about="How soon people are answered. A change holds for clocks that begin after it.",
    check=_check_policy,
)
schedules = Shelf(
    automation,
    kind="schedule",
    path="/schedules",
    noun="schedule",
    nouns="schedules",
    doc=Schedule,
    new=NewSchedule,
    change=ScheduleChange,
    info=ScheduleInfo,
    read="automation:read",
    write="automation:write",
    about="Business hours: of a week, and of the days that differ.",
    check=_check_schedule,
)


@automation.operation(
    "POST",
    "/rules/{rule_id}/dry-run",
    permission="automation:read",
    summary="See what a rule would have done",
    body=DryRun,
    answers=Trial,
    paths=[rules.where],
    problems=[404],
    idempotency="none",
    bucket="reads",
)
async def dry_run_rule(ask: Ask[DryRun]) -> Answer:
    """Nothing is done. Conversations are looked at as they are now, each with the last message of the other side."""
    trial = await rule_history.try_out(
        ask.services.database, ask.tenant_id, ask.path["rule_id"], last=ask.body.last, now_us=now_us()
    )
    return json_answer(trial)


@automation.operation(
    "GET",
    "/rules/{rule_id}/runs",
    permission="automation:read",
    summary="What a rule did, newest first",
    answers=RuleRun,
    listing=True,
    paths=[rules.where],
    problems=[404],
    filters=RUN_FILTERS,
)
async def list_rule_runs(ask: Ask[None]) -> Answer:
    """Each with what became of its actions. `seq` is the entry of the log that it was about."""
    page = await rule_history.list_runs(
        ask.services.database,
        ask.tenant_id,
        ask.path["rule_id"],
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@automation.operation(
    "GET",
    "/sla-breaches",
    permission="automation:read",
    summary="Promises that were not kept, newest first",
    answers=SlaBreach,
    listing=True,
    filters=BREACH_FILTERS,
)
async def list_sla_breaches(ask: Ask[None]) -> Answer:
    """Each is also `sla.breached` in the log, once."""
    page = await rule_history.list_breaches(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)
