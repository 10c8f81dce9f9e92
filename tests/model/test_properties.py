"""What holds for every history, however its facts arrive."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.facts import Fact, LegRenamed
from core.model.records import Call, Change
from core.model.switchboard import Switchboard
from tests.model.histories import SMALL, history

NODE, TENANT = "pbx-1", "tnt_main"
some = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def board() -> Switchboard:
    return Switchboard(NODE, TENANT)


def run(facts: Iterable[Fact], on: Switchboard | None = None) -> tuple[Switchboard, list[Change]]:
    on = on or board()
    changes: list[Change] = []
    for fact in facts:
        changes += on.advance(fact)
        consistent(on)
    return on, changes


def consistent(on: Switchboard) -> None:
    """The index and the calls say the same; no leg is in two calls."""
    placed = Counter(leg.uuid for call in on.calls.values() for leg in call.legs)
    assert all(count == 1 for count in placed.values())
    assert set(placed) == set(on._home)
    for uuid, call_id in on._home.items():
        assert any(leg.uuid == uuid for leg in on.calls[call_id].legs)
    assert all(call.live and call.legs for call in on.calls.values())


def outcome(changes: Sequence[Change], on: Switchboard) -> dict[str, Call]:
    """Every call as it was last known; how often something surprised us is not part of what is known."""
    last = {change.call.id: change.call for change in changes} | on.calls
    return {call_id: replace(call, surprises=0) for call_id, call in last.items()}


@st.composite
def mangled(draw: st.DrawFn) -> list[Fact]:
    """A real history with facts lost, repeated and moved."""
    facts = list(history(draw(st.sampled_from(SMALL))))
    start = draw(st.integers(0, len(facts) - 1))
    facts = facts[start if draw(st.booleans()) else 0 :]
    if draw(st.booleans()):
        return draw(st.permutations(facts))
    out: list[Fact] = []
    for fact in facts:
        out += [fact] * draw(st.sampled_from((1, 1, 1, 1, 1, 0, 2, 3)))
    for _ in range(draw(st.integers(0, 12))):
        if len(out) > 1:
            fact = out.pop(draw(st.integers(0, len(out) - 1)))
            out.insert(draw(st.integers(0, len(out))), fact)
    return out


names = st.sampled_from(SMALL)


@given(mangled())
@some
def test_no_order_loss_or_repetition_of_facts_raises(facts: list[Fact]) -> None:
    run(facts)


@given(mangled())
@some
def test_a_call_ends_once_and_nothing_is_told_of_it_afterwards(facts: list[Fact]) -> None:
    on, changes = run(facts)
    changes += on.reconcile([], at_us=1 << 52, since_us=1 << 52)
    over: set[str] = set()
    begun: Counter[str] = Counter()
    for change in changes:
        assert change.call.id not in over
        begun[change.call.id] += change.type == "call.created"
        if change.type in ("call.ended", "call.merged"):
            assert change.call.state == "ended"
            over.add(change.call.id)
    assert over == set(begun)
    assert set(begun.values()) <= {1}


@given(mangled())
@some
def test_every_recording_that_was_started_is_stopped_once(facts: list[Fact]) -> None:
    on, changes = run(facts)
    changes += on.reconcile([], at_us=1 << 52, since_us=1 << 52)
    running: Counter[tuple[object, object]] = Counter()
    for change in changes:
        key = (change.data.get("leg", ""), change.data.get("path"))
        if change.type == "call.recording_started":
            running[key] += 1
        elif change.type == "call.recording_stopped":
            # A stop without a start is told too: we came late.
            running[key] = max(0, running[key] - 1)
    assert not +running
    for change in changes:
        if change.type == "call.ended":
            assert all(one.stopped_us for leg in change.call.legs for one in leg.recordings)


@given(mangled())
@some
def test_after_any_prefix_an_empty_listing_ends_everything(facts: list[Fact]) -> None:
    on, _ = run(facts)
    on.reconcile([], at_us=1 << 52, since_us=1 << 52)
    assert on.calls == {}
    assert on.conferences == {}
    consistent(on)


@given(mangled())
@some
def test_versions_grow_by_one(facts: list[Fact]) -> None:
    _, changes = run(facts)
    versions: dict[str, int] = {}
    for change in changes:
        assert change.call.version == versions.get(change.call.id, 0) + 1
        versions[change.call.id] = change.call.version


@given(mangled())
@some
def test_no_leg_is_lost_or_doubled_when_calls_become_one(facts: list[Fact]) -> None:
    on, changes = run(facts)
    last = {change.call.id: change.call for change in changes} | on.calls
    legs = Counter(leg.uuid for call in last.values() for leg in call.legs)
    assert all(count == 1 for count in legs.values())
    told = {
        str(change.data["leg"]) for change in changes if change.type in ("call.created", "call.leg_added")
    }
    renamed = {one.old: one.channel.uuid for one in facts if isinstance(one, LegRenamed)}
    assert {renamed.get(uuid, uuid) for uuid in told} == {renamed.get(uuid, uuid) for uuid in legs}


@pytest.mark.parametrize("name", SMALL)
def test_every_fact_twice_in_a_row_tells_the_same(name: str) -> None:
    once, changes = run(history(name))
    twice, again = run(fact for fact in history(name) for _ in range(2))
    assert [change.type for change in again] == [change.type for change in changes]
    assert outcome(again, twice) == outcome(changes, once)


@pytest.mark.parametrize("name", SMALL)
def test_a_whole_history_read_again_tells_nothing(name: str) -> None:
    on, changes = run(history(name))
    before = outcome(changes, on)
    _, again = run(history(name), on)
    assert [change.type for change in again] == []
    assert outcome(changes, on) == before


@given(names, st.data())
@some
def test_an_heir_that_reads_the_last_facts_again_tells_only_what_is_new(
    name: str, data: st.DataObject
) -> None:
    facts = history(name)
    cut = data.draw(st.integers(0, len(facts)))
    whole, all_changes = run(facts)
    first, told = board(), []
    last_told: dict[str, int] = {}
    for at, fact in enumerate(facts[:cut]):
        for change in first.advance(fact):
            told.append(change)
            last_told[change.call.id] = at
    # What changed silently after a call's last entry is in no store: the heir has to have read since then.
    back = data.draw(st.integers(0, min([cut, *(last_told[call_id] for call_id in first.calls)])))
    stored = {change.call.id: change.call for change in told}
    copies = msgspec.json.decode(msgspec.json.encode(list(stored.values())), type=list[Call])
    heir = board()
    heir.restore(copies)
    _, again = run(facts[back:], heir)
    assert [(one.type, one.call.id, one.call.version) for one in again] == [
        (one.type, one.call.id, one.call.version) for one in all_changes[len(told) :]
    ]
    assert outcome(told + again, heir) == outcome(all_changes, whole)
