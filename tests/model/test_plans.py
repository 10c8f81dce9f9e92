"""What a plan says about a message, and how carriers are ordered when it has spoken."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.plans import Step, ruling
from core.model.routing import Carrier, Wanted, decide
from tests.model.test_routing import NOW, board, order, sms

GERMANY = Wanted(digits="4930123")


def planned(
    *steps: Step, wanted: Wanted = GERMANY, **more: dict[str, object]
) -> tuple[list[str], dict[str, str]]:
    """The order of three carriers whose price is a < b < c, and why the others are out."""
    carriers: list[Carrier] = [sms(name, **more.get(name, {})) for name in "abc"]
    there = board(carriers, {"a": 1, "b": 2, "c": 3}, plans={"sms": steps})
    found = decide(there, wanted, NOW, 0.5)
    return order(found), {one.carrier_id: one.skipped for one in found.skipped}


def test_without_a_step_that_fits_prices_decide() -> None:
    assert planned() == (["a", "b", "c"], {})
    abroad = Step("only", ("c",), prefixes=("1", "44"))
    codes = Step("never", ("a",), purposes=("transactional",))
    assert planned(abroad, codes) == (["a", "b", "c"], {})


def test_only_and_never_bar_with_their_reason_and_neither_lets_in_what_the_other_bars() -> None:
    assert planned(Step("only", ("b", "c"))) == (["b", "c"], {"a": "plan"})
    assert planned(Step("only", ("b", "c")), Step("never", ("b",))) == (["c"], {"a": "plan", "b": "plan"})
    assert planned(Step("never", ("b",)), Step("only", ("a", "b")))[0] == ["a"]
    assert planned(Step("only", ("a", "b")), Step("only", ("b", "c")))[0] == ["b"]


def test_who_is_preferred_comes_first_in_that_order_whatever_it_costs_and_whatever_the_priorities() -> None:
    assert planned(Step("prefer", ("c",)))[0] == ["c", "a", "b"]
    assert planned(Step("prefer", ("c", "b")), Step("prefer", ("a",)))[0] == ["c", "b", "a"]
    assert planned(Step("prefer", ("c",)), b={"priority": 1000})[0] == ["c", "b", "a"]


def test_a_plan_makes_nobody_do_what_they_cannot() -> None:
    assert planned(Step("prefer", ("c",)), c={"on": False}) == (["a", "b"], {"c": "off"})
    assert planned(Step("only", ("c",)), c={"never": ("49",)})[0] == []


def test_purposes_and_prefixes_must_both_fit() -> None:
    step = Step("only", ("b",), prefixes=("49",), purposes=("marketing",))
    assert planned(step)[0] == ["a", "b", "c"]
    assert planned(step, wanted=Wanted(digits="4930123", purpose="marketing"))[0] == ["b"]
    assert planned(step, wanted=Wanted(digits="4930123", purpose="marketing", kind="sms"))[1] == {
        "a": "plan",
        "c": "plan",
    }


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["only", "never", "prefer"]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(tuple),
        prefixes=st.lists(st.sampled_from(["4", "49", "1"]), max_size=2).map(tuple),
    ),
    max_size=6,
)


@given(STEPS)
def test_whatever_a_plan_says_every_carrier_is_named_once_and_preferring_bars_nobody(
    steps: list[Step],
) -> None:
    ordered, out = planned(*steps)
    assert sorted([*ordered, *out]) == ["a", "b", "c"]
    without = [step for step in steps if step.do != "prefer"]
    assert set(planned(*without)[0]) == set(ordered)
    said = ruling(steps, "4930123", "service")
    assert ordered[: len([one for one in said.first if one in ordered])] == sorted(
        (one for one in said.first if one in ordered), key=said.first.__getitem__
    )
