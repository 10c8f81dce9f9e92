"""Which calls are recorded: the first policy that concerns a call decides, and says why the others did not."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.recording_policy import TRANSITIONS, Facts, Policy, came_from, decide, within_share

CALL = Facts(
    call_id="call_1", direction="inbound", caller="+493012345678", destination="+4930999", answered=True
)


def test_without_policies_nothing_is_recorded() -> None:
    decision = decide([], CALL)
    assert (decision.record, decision.reason) == (False, "no_policy")


def test_the_first_that_concerns_a_call_decides_and_the_others_say_why_not() -> None:
    policies = [
        Policy(id="off", on=False),
        Policy(id="out", directions=("outbound",)),
        Policy(id="uk", prefixes=("44",)),
        Policy(id="claims", queues=("que_1",)),
        Policy(id="ann", agents=("agt_1",)),
        Policy(id="nobody", share=0),
        Policy(id="all"),
        Policy(id="later"),
    ]
    decision = decide(policies, CALL)
    assert decision.record and decision.policy_id == "all"
    assert [(one.policy_id, one.skipped) for one in decision.looked_at] == [
        ("off", "off"),
        ("out", "direction"),
        ("uk", "number"),
        ("claims", "queue"),
        ("ann", "agent"),
        ("nobody", "share"),
        ("all", ""),
    ]


def test_a_policy_can_forbid_what_a_later_one_asks_for() -> None:
    policies = [Policy(id="no", action="never", prefixes=("4930",)), Policy(id="all")]
    decision = decide(policies, CALL)
    assert (decision.record, decision.reason, decision.policy_id) == (False, "never", "no")


def test_the_number_outside_is_the_caller_s_or_the_one_that_was_called() -> None:
    policy = Policy(id="p", prefixes=("4930",))
    placed = Facts(call_id="c", direction="outbound", caller="1000", destination="004930123", answered=True)
    assert decide([policy], placed).record
    inward = Facts(call_id="c", direction="inbound", caller="1000", destination="+4930123", answered=True)
    assert not decide([policy], inward).record


def test_one_that_waits_for_a_conversation_waits_and_lets_no_later_one_begin() -> None:
    policies = [Policy(id="talk", moment="talking"), Policy(id="all")]
    decision = decide(policies, CALL)
    assert (decision.record, decision.reason, decision.policy_id) == (False, "not_yet", "talk")
    talking = Facts(call_id="call_1", direction="inbound", answered=True, talking=True)
    assert decide(policies, talking).policy_id == "talk"


def test_what_becomes_known_later_can_decide_later() -> None:
    policies = [Policy(id="claims", queues=("que_1",)), Policy(id="ann", agents=("agt_1", "agt_2"))]
    assert not decide(policies, CALL).record
    queued = Facts(call_id="call_1", direction="inbound", queue_id="que_1", answered=True)
    assert decide(policies, queued).policy_id == "claims"
    served = Facts(call_id="call_1", direction="inbound", agents=("agt_2",), answered=True)
    assert decide(policies, served).policy_id == "ann"


@given(st.integers(0, 100), st.text("abcdef0123456789", min_size=1, max_size=12))
def test_a_share_is_the_same_for_whoever_asks(share: int, call_id: str) -> None:
    policy = Policy(id="p", share=share)
    drawn = within_share(policy, call_id)
    assert drawn == within_share(policy, call_id)
    if share in (0, 100):
        assert drawn == bool(share)
    # (what a smaller share takes, a larger one takes, too)
    if drawn and share < 100:
        assert within_share(Policy(id="p", share=share + 1), call_id)


def test_a_share_is_about_that_many_calls() -> None:
    policy = Policy(id="p", share=20)
    taken = sum(within_share(policy, f"call_{n}") for n in range(5000))
    assert 850 < taken < 1150


def test_what_is_erased_stays_so_and_what_was_given_up_may_be_found() -> None:
    assert not TRANSITIONS["erased"]
    assert "missing" in came_from("stored")
    assert came_from("erased") == ["stored", "missing"]
