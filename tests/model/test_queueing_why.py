"""Why is this waiting? At any moment there is an answer, and it is the right one."""

from typing import Any

from core.model.hours import Schedule
from core.model.queueing import Board
from core.model.queueing_records import Need
from core.model.queueing_why import why
from tests.model.test_queueing import T0, S, agent, board, call, chat, offer, queue


def codes(made: Board, entry: str = "one", at_s: float = 1) -> list[str]:
    made.decide(T0 + round(at_s * S))
    return [one.code for one in why(made, entry, T0 + round(at_s * S))]


def waiting(*agents: Any, entry: Any = None, **settings: Any) -> Board:
    made = board(*agents, **settings)
    made.put_entry(entry or call("one"))
    return made


def test_nobody_is_there_or_nobody_is_able() -> None:
    assert codes(waiting()) == ["no_agents"]
    assert codes(waiting(agent("ann", state="offline"))) == ["offline"]
    assert codes(waiting(agent("ann", state="not_ready"), agent("bo", session=""))) == [
        "not_ready",
        "no_phone",
    ]
    made = waiting(agent("ann", skills={"german": 1}), needs=(Need("german", 2),))
    (one,) = why(made, "one", T0)
    assert (one.code, one.detail) == ("no_skill", "no agent of the queue has german 2")


def test_all_who_could_take_it_are_busy_and_others_come_first() -> None:
    made = waiting(agent("ann"))
    made.put_reservation(offer(call("talk"), "ann", state="connected"))
    assert codes(made) == ["busy"]
    made.put_entry(call("two", 1))
    assert codes(made, "two") == ["busy", "not_first"]


def test_a_chat_waits_for_a_call_that_has_waited_too_long() -> None:
    made = waiting(agent("ann"), entry=chat("one"), conversations="all")
    made.put_reservation(offer(chat("old"), "ann"))
    made.put_entry(call("call", -60))
    assert codes(made) == ["reserved"]


def test_closed_not_due_kept_and_offered() -> None:
    made = Board()
    made.put_queue(queue(), {"ann": 1}, Schedule("UTC", ()), T0)
    made.put_agent(agent("ann"))
    made.put_entry(call("one"))
    assert codes(made) == ["closed"]
    assert codes(waiting(agent("ann"), entry=call("one", kind="callback", due_us=T0 + 9 * S))) == ["not_due"]
    known = call("one", sticky_agent="ann", sticky_until_us=T0 + 10 * S)
    kept = waiting(agent("ann", state="not_ready"), agent("bo"), entry=known)
    assert codes(kept)[0] == "sticky"
    made = waiting(agent("ann"))
    made.put_entry(call("one", state="offered", version=2))
    made.put_reservation(offer(call("one"), "ann"))
    assert codes(made) == ["offered"]
