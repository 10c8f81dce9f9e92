"""Rules: when something happens and these things are so, do that. Pure.

A rule names kinds of entries of the log, conditions on facts (a flat dictionary, `core.storage.facts` makes it) and actions.
It decides; `core.storage.acting` does. Loops cannot be: an entry that a rule caused is looked at by no rule (`may_trigger`), and
what a rule may do in one conversation within an hour is limited, so that two machines that answer each other end.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from core.model import hours
from core.model.hours import Schedule

EVENTS = (
    "conversation.created",
    "message.received",
    "message.queued",
    "message.noted",
    "conversation.assigned",
    "conversation.labelled",
    "conversation.resolved",
    "conversation.reopened",
    "conversation.snoozed",
    "conversation.transferred",
    "sla.breached",
)
"""What a rule may wait for."""
Event = Literal[
    "conversation.created",
    "message.received",
    "message.queued",
    "message.noted",
    "conversation.assigned",
    "conversation.labelled",
    "conversation.resolved",
    "conversation.reopened",
    "conversation.snoozed",
    "conversation.transferred",
    "sla.breached",
]
Operator = Literal[
    "eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "exists", "missing",
    "gt", "gte", "lt", "lte", "within_hours", "outside_hours",
]  # fmt: skip
PER_HOUR = 20
"""Runs of all rules in one conversation within an hour."""
HOUR_US = 3_600_000_000
RULE_PREFIX = "rul_"

FIELDS = (
    "event", "clock", "automatic", "state", "priority", "labels", "queue", "assignee", "channel_id", "channel_type", "subject",
    "unread", "messages", "first_reply", "waiting", "text", "direction", "author", "contact.name",
    "contact.company", "contact.language", "contact.timezone", "now",
)  # fmt: skip
"""What conditions may ask about, beside ``contact.attributes.NAME``."""
ATTRIBUTES = "contact.attributes."


Word = Annotated[str, Meta(max_length=300)]
LabelName = Annotated[str, Meta(min_length=1, max_length=60)]
Labels = Annotated[tuple[LabelName, ...], Meta(max_length=50)]
Said = Annotated[str, Meta(max_length=20_000)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that must be so. Texts are compared without regard to case."""

    field: Word
    op: Operator
    value: Word | int | bool | Annotated[list[Word], Meta(max_length=100)] | None = None
    """For `within_hours` and `outside_hours` (of the field `now`): a schedule's id."""


# What may be done; also what macros and bulk orders are made of.


class Assign(Struct, frozen=True, tag="assign", tag_field="do", forbid_unknown_fields=True):
    to: Word = ""
    """A user's id; empty for nobody."""


class Label(Struct, frozen=True, tag="label", tag_field="do", forbid_unknown_fields=True):
    add: Labels = ()
    remove: Labels = ()


class Priority(Struct, frozen=True, tag="priority", tag_field="do", forbid_unknown_fields=True):
    value: Annotated[int, Meta(ge=-10, le=10)]


class Queue(Struct, frozen=True, tag="queue", tag_field="do", forbid_unknown_fields=True):
    name: Name
    """Nobody has it then: whoever works in the queue takes it."""


class Reply(Struct, frozen=True, tag="reply", tag_field="do", forbid_unknown_fields=True):
    template_id: Word = ""
    text: Said = ""
    """With places for values; used where no template is named."""


class Note(Struct, frozen=True, tag="note", tag_field="do", forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=20_000)]


class Snooze(Struct, frozen=True, tag="snooze", tag_field="do", forbid_unknown_fields=True):
    for_s: Annotated[int, Meta(ge=1, le=366 * 86_400)]


class Resolve(Struct, frozen=True, tag="resolve", tag_field="do", forbid_unknown_fields=True):
    pass


class Reopen(Struct, frozen=True, tag="reopen", tag_field="do", forbid_unknown_fields=True):
    pass


class Emit(Struct, frozen=True, tag="emit", tag_field="do", forbid_unknown_fields=True):
    """Put `automation.emitted` with this name into the log, where webhooks hear it."""

    name: Name


Action = Assign | Label | Priority | Queue | Reply | Note | Snooze | Resolve | Reopen | Emit


Actions = Annotated[tuple[Action, ...], Meta(min_length=1, max_length=30)]
Conditions = Annotated[tuple[Condition, ...], Meta(max_length=50)]
Events = Annotated[tuple[Event, ...], Meta(min_length=1, max_length=11)]


class Rule(Struct, frozen=True):
    """A rule as it is stored."""

    on: Events
    actions: Actions
    all: Conditions = ()
    any: Conditions = ()
    """At least one of these, where there are any."""
    enabled: bool = True
    position: int = 0
    """Rules are asked in this order."""


class Verdict(Struct, frozen=True):
    """Whether a rule applies, and what each of its conditions said."""

    applies: bool
    all: tuple[bool, ...]
    any: tuple[bool, ...]


Facts = Mapping[str, Any]
Schedules = Mapping[str, Schedule]


def may_trigger(actor: str, causation_id: str, author: str = "") -> bool:
    """Whether rules look at an entry: not at one that a rule caused, by any of the marks that it leaves."""
    return not any(mark.startswith(RULE_PREFIX) for mark in (actor, causation_id, author))


def mistakes(conditions: Iterable[Condition], schedules: Collection[str]) -> list[str]:
    """What is wrong with conditions, for people; empty when nothing is."""
    found = []
    for number, one in enumerate(conditions):
        timed = one.op in ("within_hours", "outside_hours")
        if one.field not in FIELDS and not one.field.startswith(ATTRIBUTES):
            found.append(f"condition {number}: there is no field {one.field}")
        elif timed and (one.field != "now" or one.value not in schedules):
            found.append(f"condition {number}: {one.op} asks about `now` and names a schedule")
    return found


def judge(rule: Rule, facts: Facts, schedules: Schedules) -> Verdict:
    """Whether ``rule`` applies to ``facts``. What a fact lacks makes its condition false; nothing raises."""
    every = tuple(holds(one, facts, schedules) for one in rule.all)
    some = tuple(holds(one, facts, schedules) for one in rule.any)
    return Verdict(all(every) and (any(some) or not some), every, some)


def holds(condition: Condition, facts: Facts, schedules: Schedules) -> bool:
    """Whether one condition is so."""
    fact, wanted, op = facts.get(condition.field), condition.value, condition.op
    match op:
        case "exists":
            return fact not in (None, "", [], 0)
        case "missing":
            return fact in (None, "", [], 0)
        case "within_hours" | "outside_hours":
            schedule = schedules.get(str(wanted))
            if schedule is None or not isinstance(fact, int):
                return False
            return hours.is_open(schedule, fact) == (op == "within_hours")
        case "eq" | "in":
            return _is_one_of(fact, wanted)
        case "ne" | "not_in":
            return not _is_one_of(fact, wanted)
        case "contains":
            return _contains(fact, wanted)
        case "not_contains":
            return not _contains(fact, wanted)
        case "starts_with":
            return isinstance(fact, str) and any(_plain(fact).startswith(one) for one in _wanted(wanted))
    return _compare(op, fact, wanted)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).casefold()


def _wanted(value: object) -> list[str]:
    return [_plain(one) for one in value] if isinstance(value, list) else [_plain(value)]


def _is_one_of(fact: object, wanted: object) -> bool:
    if fact is None:
        return wanted is None
    if isinstance(fact, list | tuple):
        return any(_plain(one) in _wanted(wanted) for one in fact)
    return _plain(fact) in _wanted(wanted)


def _contains(fact: object, wanted: object) -> bool:
    if isinstance(fact, list | tuple):
        return _is_one_of(fact, wanted)
    return isinstance(fact, str) and any(one in _plain(fact) for one in _wanted(wanted))


def _compare(op: str, fact: object, wanted: object) -> bool:
    if isinstance(fact, bool) or isinstance(wanted, bool):
        return False
    if not isinstance(fact, int | float):
        return False
    try:
        limit = float(wanted)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError):
        return False
    return {"gt": fact > limit, "gte": fact >= limit, "lt": fact < limit, "lte": fact <= limit}[op]
