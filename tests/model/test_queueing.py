"""Who serves whom: what the decision maker promises, checked against rules that are written down a second time."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.capacity import CAPACITY, Load, Weights, total
from core.model.hours import Schedule, Slot
from core.model.queueing import Assignment, Board, estimate_s
from core.model.queueing_records import Agent, Need, Queue, QueueEntry, QueueSettings
from core.model.reservations import Reservation

S = 1_000_000
T0 = 1_795_000_000 * S


def queue(name: str = "q", **more: Any) -> Queue:
    return Queue(id=name, tenant_id="t", name=name, settings=QueueSettings(**more))


def agent(name: str, **more: Any) -> Agent:
    said = {
        "id": name,
        "tenant_id": "t",
        "user_id": f"u-{name}",
        "name": name,
        "state": "ready",
        "session": "s",
    }
    return Agent(**{**said, **more})


def call(name: str, at_s: float = 0, **more: Any) -> QueueEntry:
    at = T0 + round(at_s * S)
    said = {"id": name, "tenant_id": "t", "queue_id": "q", "kind": "call", "entered_us": at, "queued_us": at}
    return QueueEntry(**{**said, **more})


def chat(name: str, at_s: float = 0, **more: Any) -> QueueEntry:
    return call(name, at_s, **{"kind": "conversation", "class_": "chat", **more})


def offer(entry: QueueEntry, to: str, at_s: float = 0, **more: Any) -> Reservation:
    said = {
        "id": f"r-{entry.id}", "tenant_id": "t", "agent_id": to, "kind": "call" if entry.class_ == "call" else
        "conversation", "class_": entry.class_, "queue_id": entry.queue_id, "entry_id": entry.id,
        "offered_us": T0 + round(at_s * S),
    }  # fmt: skip
    return Reservation(**{**said, **more})


def board(*agents: Agent, **queue_settings: Any) -> Board:
    made = Board()
    made.put_queue(queue(**queue_settings), {one.id: 1 for one in agents})
    for one in agents:
        made.put_agent(one)
    return made


def decided(made: Board, at_s: float) -> list[tuple[str, str]]:
    return [(one.entry_id, one.agent_id) for one in made.decide(T0 + round(at_s * S))]


def test_whoever_has_been_idle_longest_gets_the_call_that_waits_longest() -> None:
    made = board(agent("ann", idle_since_us=T0 - 5), agent("bo", idle_since_us=T0 - 9))
    for name, at in (("second", 2), ("first", 1), ("third", 3)):
        made.put_entry(call(name, at))
    assert decided(made, 4) == [("first", "bo"), ("second", "ann")]
    assert decided(made, 5) == []


def test_round_robin_asks_everybody_in_turn() -> None:
    made = board(agent("ann"), agent("bo"), agent("cy"), strategy="round_robin")
    asked = []
    for number in range(6):
        one = call(f"c{number}", number)
        made.put_entry(one)
        ((_, who),) = decided(made, number)
        asked.append(who)
        made.put_reservation(offer(one, who, number))
        made.put_entry(replace(one, state="served", version=2))
        made.put_reservation(offer(one, who, number, state="done", done_us=T0 + number * S, version=2))
    assert sorted(asked[:3]) == ["ann", "bo", "cy"] and asked[:3] == asked[3:]


def test_fewest_gives_to_whom_has_least_and_skills_to_whom_knows_most() -> None:
    made = board(agent("ann"), agent("bo"), strategy="fewest", conversations="all")
    made.put_reservation(offer(chat("old"), "ann"))
    made.put_entry(chat("new"))
    assert decided(made, 1) == [("new", "bo")]
    knows = [agent("ann", skills={"german": 3}), agent("bo", skills={"german": 5}), agent("cy")]
    made = board(*knows, strategy="skills", needs=(Need("german", 2),))
    made.put_entry(call("one"))
    assert decided(made, 1) == [("one", "bo")]


def test_lower_tiers_come_first_whatever_the_strategy_says() -> None:
    made = Board()
    made.put_queue(queue(), {"ann": 2, "bo": 1})
    made.put_agent(agent("ann", idle_since_us=1))
    made.put_agent(agent("bo", idle_since_us=2))
    made.put_entry(call("one"))
    assert decided(made, 1) == [("one", "bo")]


def test_nobody_without_the_skill_or_the_telephone_is_asked() -> None:
    made = board(agent("ann", skills={"german": 1}), agent("bo", session=""), agent("cy", state="not_ready"))
    made.put_entry(call("one", skills={"german": 2}))
    made.put_entry(chat("two"))
    assert decided(made, 1) == [("two", "ann")] or decided(made, 1) == []
    assert [entry.id for entry in made.waiting("q")] == ["one"]


def test_a_caller_waits_a_while_for_the_agent_who_knows_them() -> None:
    made = board(agent("ann", state="not_ready"), agent("bo"))
    made.put_entry(call("one", 0, sticky_agent="ann", sticky_until_us=T0 + 10 * S))
    assert decided(made, 5) == []
    assert made.due_us() <= T0 + 10 * S
    assert decided(made, 10) == [("one", "bo")]
    made = board(agent("ann"), agent("bo", idle_since_us=-9))
    made.put_entry(call("one", 0, sticky_agent="ann", sticky_until_us=T0 + 10 * S))
    assert decided(made, 0) == [("one", "ann")]


def test_who_refused_is_not_asked_again_at_once() -> None:
    made = board(agent("ann"))
    one = call("one")
    made.put_entry(one)
    assert decided(made, 0) == [("one", "ann")]
    made.put_reservation(offer(one, "ann"))
    made.put_entry(replace(one, state="offered", version=2))
    made.put_entry(replace(one, state="waiting", version=3))
    made.put_reservation(offer(one, "ann", state="declined", done_us=T0 + S, version=2))
    assert decided(made, 2) == []
    assert decided(made, 17) == [("one", "ann")]


def test_a_closed_queue_offers_nothing_until_it_opens() -> None:
    # T0 is Wednesday, 11:06 UTC.
    made = Board()
    opens = Schedule("UTC", (Slot(2, "11:21", "12:21"),))
    made.put_queue(queue(), {"ann": 1}, opens, T0)
    made.put_agent(agent("ann"))
    made.put_entry(call("one"))
    assert decided(made, 1) == []
    assert decided(made, 20 * 60) == [("one", "ann")]


def test_a_callback_is_offered_when_it_is_due() -> None:
    made = board(agent("ann"))
    made.put_entry(call("one", 0, kind="callback", due_us=T0 + 60 * S))
    assert decided(made, 59) == []
    assert decided(made, 60) == [("one", "ann")]


def test_priority_is_worth_targets_and_age_overtakes_it() -> None:
    made = board(agent("ann"), target_s=20)
    made.put_entry(call("old", 0))
    made.put_entry(call("dear", 15, priority=1))
    assert [made.rank(name, T0 + 15 * S) for name in ("old", "dear")] == [0.75, 1.0]
    assert decided(made, 15) == [("dear", "ann")]
    made = board(agent("ann"), target_s=20)
    made.put_entry(call("old", 0))
    made.put_entry(call("dear", 25, priority=1))
    assert decided(made, 25) == [("old", "ann")]


def test_chats_cannot_starve_the_telephone() -> None:
    """Chats without end and one agent: when the call's rank passes 1 they get no more, and the call comes when those
    that they have are over."""
    made = board(agent("ann"), target_s=20, conversations="all", conversation_target_s=1)
    open_chats: list[QueueEntry] = []
    number = 0
    made.put_entry(call("call", 5))
    answered = None
    for second in range(120):
        for _ in range(3):  # more than anybody can answer, each of them more urgent than the call
            number += 1
            made.put_entry(chat(f"chat{number}", second - 40))
        for one in made.decide(T0 + second * S):
            if one.entry_id == "call":
                answered = second
                break
            entry = made.entries[one.entry_id]
            open_chats.append(entry)
            made.put_reservation(offer(entry, "ann", second))
            made.put_entry(replace(entry, state="served", version=2))
        if answered is not None:
            break
        if second % 10 == 9 and open_chats:  # each takes a while
            gone = open_chats.pop(0)
            made.put_reservation(offer(gone, "ann", state="done", done_us=T0 + second * S, version=2))
    assert answered is not None
    # (until rank 1 at 25 s chats were given; two of them, 10 s each, had to end then)
    assert 25 <= answered <= 50


def test_the_promise_goes_to_somebody_else_when_its_agent_leaves() -> None:
    made = board(agent("ann"), agent("bo"), target_s=20, conversations="all")
    for name in ("ann", "bo"):
        made.put_reservation(offer(chat(f"{name}1"), name))
    made.put_entry(call("call", 0))
    assert decided(made, 21) == []
    (kept,) = [one for one, seat in made.seats.items() if seat.promised]
    made.put_agent(agent(kept, state="not_ready", version=2))
    (other,) = [one for one, seat in made.seats.items() if seat.promised]
    assert other != kept
    made.put_entry(chat("more", 0))
    assert decided(made, 22) == []


def test_who_comes_off_a_call_and_still_writes_is_kept_free_for_the_one_that_waits_too_long() -> None:
    made = board(agent("ann", capacity=Load(2, 1, 9)), conversations="all")
    talk = call("talk")
    made.put_reservation(offer(talk, "ann"))
    made.put_reservation(offer(chat("c1"), "ann"))
    made.put_reservation(offer(chat("c2"), "ann"))
    made.put_reservation(offer(chat("c3"), "ann"))
    made.put_entry(call("late", 0))
    assert decided(made, 21) == []
    made.put_reservation(offer(talk, "ann", state="done", done_us=T0 + 22 * S, version=2))
    made.put_agent(agent("ann", version=2))  # (as much as others: the call does not fit beside three chats)
    made.put_entry(chat("more", 0))
    assert decided(made, 22) == []
    assert made.seats["ann"].promised is not None


def test_a_decision_may_be_cut_short_and_goes_on_where_it_was() -> None:
    made = board(*(agent(f"a{n}") for n in range(3)))
    for number in range(3):
        made.put_entry(call(f"c{number}", number))
    assert [len(made.decide(T0 + 9 * S, 1)) for _ in range(4)] == [1, 1, 1, 0]


def test_a_conversation_that_nobody_answers_falls_asleep_and_lets_the_telephone_ring() -> None:
    made = board(agent("ann"))
    made.put_reservation(offer(chat("quiet"), "ann", awaits_us=False, quiet_since_us=T0))
    made.put_entry(call("call", 0))
    assert decided(made, 30) == []
    assert decided(made, Weights().asleep_after_s) == [("call", "ann")]


def test_what_is_to_be_looked_at_again_does_not_pile_up() -> None:
    """Conversations that fall asleep one after the other, while much happens to their agent."""
    made = board(agent("ann", capacity=Load(9, 1, 99)), conversations="all")
    for number in range(20):
        quiet = chat(f"c{number}")
        made.put_reservation(offer(quiet, "ann", awaits_us=False, quiet_since_us=T0 + number * S))
    for second in range(700):
        made.put_agent(agent("ann", capacity=Load(9, 1, 99), version=second + 2))
        made.decide(T0 + second * S)
        assert len(made._timers) < 50
    assert made.seats["ann"].used == Load()


def test_positions_and_estimates() -> None:
    made = board(agent("ann", state="not_ready"))
    for number in range(3):
        made.put_entry(call(f"c{number}", number))
    made.put_entry(call("dear", 9, priority=2))
    assert [made.position(name, T0 + 10 * S) for name in ("dear", "c0", "c1", "c2")] == [1, 2, 3, 4]
    assert estimate_s(3, 2, 180) == 270
    assert estimate_s(1, 0, 180) is None


def test_an_assignment_that_could_not_be_stored_is_tried_again() -> None:
    made = board(agent("ann"), agent("bo"))
    made.put_entry(call("one"))
    (one,) = made.decide(T0)
    made.not_done(one)
    (two,) = made.decide(T0)
    assert two == Assignment("one", {"ann": "bo", "bo": "ann"}[one.agent_id], "q")


# Any history --------------------------------------------------------------------------------------------

SKILLS = ("german", "billing")
QUEUES = ("q1", "q2", "q3")

agents_st = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 5)),
        st.sets(st.sampled_from(QUEUES), min_size=1),
        st.sampled_from(("ready", "ready", "ready", "not_ready")),
        st.sampled_from((CAPACITY, CAPACITY, Load(1.4, 1, 6), Load(0.5, 0, 2))),
    ),
    min_size=1,
    max_size=5,
)
steps_st = st.lists(
    st.one_of(
        st.tuples(
            st.just("enter"), st.sampled_from(QUEUES), st.sampled_from(("call", "chat", "mail")),
            st.sampled_from(({}, {"german": 3}, {"billing": 1})), st.integers(-1, 2),
        ),
        st.tuples(st.just("finish"), st.integers(0, 30)),
        st.tuples(st.just("decline"), st.integers(0, 30)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("toggle"), st.integers(0, 4)),
        st.tuples(st.just("pass"), st.integers(1, 40)),
    ),
    max_size=40,
)  # fmt: skip


class World:
    """The same facts, kept plainly, and what must be true of every decision about them."""

    def __init__(self, people: list[Any], strategy: Any) -> None:
        self.now = T0
        self.board = Board()
        self.agents: dict[str, Agent] = {}
        self.queues = {
            name: replace(queue(name, strategy=strategy, target_s=20 + 10 * n, conversations="all"), id=name)
            for n, name in enumerate(QUEUES)
        }
        self.members: dict[str, set[str]] = {name: set() for name in QUEUES}
        for n, (skills, queues, state, capacity) in enumerate(people):
            one = agent(f"a{n}", skills=skills, state=state, capacity=capacity)
            self.agents[one.id] = one
            for name in queues:
                self.members[name].add(one.id)
        for name, members in self.members.items():
            self.board.put_queue(self.queues[name], dict.fromkeys(members, 1))
        for one in self.agents.values():
            self.board.put_agent(one)
        self.waiting: dict[str, QueueEntry] = {}
        self.having: dict[str, tuple[str, QueueEntry, Reservation]] = {}
        self.refused: dict[tuple[str, str], int] = {}
        self.count = 0

    def rank(self, entry: QueueEntry) -> float:
        of = self.queues[entry.queue_id].settings
        target = (of.target_s if entry.class_ == "call" else of.conversation_target_s) * S
        return entry.priority + of.priority + (self.now - entry.entered_us) / target

    def fits(self, who: str, entry: QueueEntry) -> bool:
        one = self.agents[who]
        works = [held.work for by, _, held in self.having.values() if by == who]
        used = total(works, Weights(), self.now)
        return (
            one.state == "ready"
            and who in self.members[entry.queue_id]
            and all(one.skills.get(name, 0) >= level for name, level in entry.skills.items())
            and used.fits(Weights().of(entry.class_), one.capacity)
            and self.refused.get((entry.id, who), 0) <= self.now
        )

    def decide(self) -> None:
        given_out = []
        for one in self.board.decide(self.now):
            entry = self.waiting.pop(one.entry_id)  # (KeyError: offered twice)
            assert self.fits(one.agent_id, entry), "more than they can carry"
            # The order of work is the order of ranks: nobody waits who is more urgent and whom this agent could serve.
            urgent = [
                other.id for other in self.waiting.values()
                if self.rank(other) > self.rank(entry) + 1e-9 and self.fits(one.agent_id, other)
                and not (other.class_ != "call" and self.kept(one.agent_id))
            ]  # fmt: skip
            assert not urgent, (entry.id, urgent)
            if entry.class_ != "call":
                assert not self.kept(one.agent_id), "kept free for a call"
            held = offer(entry, one.agent_id, (self.now - T0) / S)
            held = replace(held, id=f"r{self.count}")
            self.count += 1
            self.having[held.id] = one.agent_id, entry, held
            given_out.append((entry, held))
        for entry, held in given_out:
            self.board.put_reservation(held)
            self.board.put_entry(replace(entry, state="offered", version=entry.version + 1))
        for entry in self.waiting.values():
            idle = [who for who in self.agents if self.fits(who, entry)]
            if entry.class_ == "call":
                assert not idle, "somebody could have taken this call"
            else:
                assert all(self.kept(who) for who in idle), "somebody could have answered this"
        self.calls_that_wait_too_long()

    def kept(self, who: str) -> bool:
        return self.board.seats[who].promised is not None

    def calls_that_wait_too_long(self) -> None:
        """One agent of those who only write is kept free for the oldest of them."""
        late = [one for one in self.waiting.values() if one.class_ == "call" and self.rank(one) > 1 + 1e-6]
        keeping = [who for who in self.agents if self.kept(who)]
        for entry in late:
            able = [
                who for who, one in self.agents.items()
                if one.state == "ready" and who in self.members[entry.queue_id] and one.capacity.audio >= 1
                and one.capacity.attention >= 1
                and all(one.skills.get(name, 0) >= level for name, level in entry.skills.items())
                and self.refused.get((entry.id, who), 0) <= self.now
                and not any(by == who and held.class_ == "call" for by, held, _ in self.having.values())
            ]  # fmt: skip
            assert not able or set(able) & set(keeping), f"nobody is kept free for {entry.id}"

    def step(self, what: str, *more: Any) -> None:
        if what == "enter":
            self.count += 1
            name, kind, skills, priority = more
            entry = call(
                f"e{self.count}", (self.now - T0) / S, queue_id=name, class_=kind, skills=skills,
                kind="call" if kind == "call" else "conversation", priority=priority,
            )  # fmt: skip
            self.waiting[entry.id] = entry
            self.board.put_entry(entry)
        elif what == "pass":
            self.now += more[0] * S
        elif what == "toggle" and self.agents:
            who = sorted(self.agents)[more[0] % len(self.agents)]
            one = self.agents[who]
            state: Any = "not_ready" if one.state == "ready" else "ready"
            self.agents[who] = replace(one, state=state, version=one.version + 1)
            self.board.put_agent(self.agents[who])
        elif what == "leave" and self.waiting:
            gone = self.waiting.pop(sorted(self.waiting)[more[0] % len(self.waiting)])
            self.board.put_entry(replace(gone, state="left", version=gone.version + 5))
        elif what in ("finish", "decline") and self.having:
            name = sorted(self.having)[more[0] % len(self.having)]
            who, entry, held = self.having.pop(name)
            state = "done" if what == "finish" else "declined"
            if what == "decline":
                self.waiting[entry.id] = replace(entry, version=entry.version + 2)
                self.refused[entry.id, who] = self.now + 15 * S
                self.board.put_entry(self.waiting[entry.id])
            over = replace(held, state=state, done_us=self.now, version=2)
            self.board.put_reservation(over)


@settings(max_examples=150, deadline=None)
@given(agents_st, steps_st, st.sampled_from(("longest_idle", "round_robin", "fewest", "skills")))
def test_in_any_history_nothing_waits_whom_somebody_could_serve_and_nobody_has_too_much(
    people: list[Any], steps: list[Any], strategy: str
) -> None:
    world = World(people, strategy)
    for step in steps:
        world.step(*step)
        world.decide()
