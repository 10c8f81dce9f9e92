"""Rules decide on facts, never raise, and never look at what a rule did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.automation import Condition, Resolve, Rule, holds, judge, may_trigger
from core.model.hours import Schedule, Slot

FACTS = {
    "text": "Where is my ORDER?",
    "labels": ["vip", "billing"],
    "priority": 3,
    "queue": "",
    "contact.name": "Ann",
    "now": 10 * 3_600_000_000,
}
MORNING = {"sch_1": Schedule("UTC", (Slot(3, "08:00", "12:00"),))}


@pytest.mark.parametrize(
    ("condition", "so"),
    [
        (Condition("text", "contains", "order"), True),
        (Condition("text", "contains", ["refund", "order"]), True),
        (Condition("text", "not_contains", "refund"), True),
        (Condition("text", "starts_with", "where"), True),
        (Condition("labels", "contains", "VIP"), True),
        (Condition("labels", "in", ["x", "billing"]), True),
        (Condition("labels", "ne", "vip"), False),
        (Condition("priority", "gte", 3), True),
        (Condition("priority", "lt", 3), False),
        (Condition("priority", "eq", 3), True),
        (Condition("queue", "missing"), True),
        (Condition("contact.name", "exists"), True),
        (Condition("contact.attributes.tier", "eq", "gold"), False),
        (Condition("contact.attributes.tier", "ne", "gold"), True),
        (Condition("now", "within_hours", "sch_1"), True),
        (Condition("now", "outside_hours", "sch_1"), False),
        (Condition("now", "within_hours", "sch_gone"), False),
        (Condition("text", "gt", 3), False),
        (Condition("priority", "gt", "much"), False),
    ],
)
def test_each_operator_says_what_it_says(condition: Condition, so: bool) -> None:
    assert holds(condition, FACTS, MORNING) is so


def test_all_of_some_and_any_of_others() -> None:
    rule = Rule(
        ("message.received",),
        (Resolve(),),
        all=(Condition("priority", "gte", 1),),
        any=(Condition("queue", "eq", "sales"), Condition("labels", "contains", "vip")),
    )
    verdict = judge(rule, FACTS, {})
    assert verdict.applies and (verdict.all, verdict.any) == ((True,), (False, True))
    assert not judge(rule, {**FACTS, "labels": []}, {}).applies
    assert judge(Rule(("message.received",), (Resolve(),)), {}, {}).applies


def test_what_a_rule_did_triggers_no_rule() -> None:
    assert may_trigger("usr_1", "", "usr_1") and may_trigger("", "", "")
    assert not may_trigger("rul_1", "")
    assert not may_trigger("", "rul_1")
    assert not may_trigger("", "", "rul_1")


@given(
    st.sampled_from(["text", "labels", "priority", "now", "nothing"]),
    st.sampled_from([
        "eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "exists", "missing",
        "gt", "gte", "lt", "lte", "within_hours", "outside_hours",
    ]),
    st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text()), st.none()),
)  # fmt: skip
def test_no_condition_raises(field: str, op: str, value: object) -> None:
    assert holds(Condition(field, op, value), FACTS, MORNING) in (True, False)  # type: ignore[arg-type]
