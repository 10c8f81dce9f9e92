"""Numbers of queues and agents: what is going on, and what was. Sums are stored, shares are computed when asked for."""

from typing import Literal

from msgspec import Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.operation import Group
from api.http.problem import bad_parameter
from api.http.query import MAX_INTEGER, int_param, text_param
from api.http.queues import HOUR_US, AgentCounts, live_of
from core.model.queueing_numbers import (
    EDGES_S,
    INTERVAL_S,
    Counted,
    Variant,
    abandoned_share,
    added,
    service_level,
)
from core.storage import agent_admin, queue_board, queue_intervals
from core.storage.agent_admin import Day
from core.storage.queue_intervals import Interval

analytics = Group("analytics", "Numbers of queues and agents.")

VARIANTS = ("answered_and_lost", "offered", "answered", "lost_in_time")
MOST_DAYS = 100
FROM = int_param(
    "from_us",
    0,
    MAX_INTEGER,
    "The beginning: microseconds since 1970. The last 24 hours when it is not given.",
)
TO = int_param("to_us", 0, MAX_INTEGER, "The end, which is not part of it; at most 100 days later.")
QUEUE = text_param("queue", "Only this queue, by its id.")
AGENT = text_param("agent", "Only this agent, by its id.")
WITHIN = int_param(
    "within_s", 5, 600, f"Answered within how long: one of {', '.join(map(str, EDGES_S))}.", 20
)
SHORT = int_param("short_s", 0, 60, "Who hung up within it was not lost: 0 or one of the same edges.", 5)
VARIANT = text_param("variant", f"Which service level: {', '.join(VARIANTS)}.")
BY = text_param("by", "`total` (one row for a queue) or `interval` (one for each quarter of an hour).")
DAY_US = 86_400_000_000


class QueueNow(Struct):
    """A queue at this moment, without those who wait."""

    queue_id: str
    name: str
    open: bool
    staffed: bool
    agents: AgentCounts
    waiting: int
    longest_wait_s: float
    target_s: int
    """Within which calls should be answered."""
    service_level: float | None
    """Calls answered within the target (or the next edge of the histogram) in the last hour, of those answered or lost;
    null without any."""


class Live(Struct):
    at_us: int
    queues: list[QueueNow]


class Share(Struct):
    """A part of a whole: both are told, so that shares of several rows can be joined by adding."""

    part: int
    whole: int
    share: float | None
    """Null of nothing."""


class QueueNumbers(Struct):
    """What a queue did, counted by when people came. Times in seconds."""

    queue_id: str
    work: str
    """`call`, `chat`, `message`, `mail`."""
    start_us: int
    """Of the interval; of totals the beginning that was asked for."""
    offered: int
    answered: int
    abandoned: int
    overflowed: int
    closed: int
    callbacks: int
    other: int
    handled: int
    service_level: Share
    abandon_rate: Share
    answer_s: float | None
    """The average wait of those who were answered."""
    handling_s: float | None
    """The average of talk and wrap-up."""
    longest_s: float
    answered_within: list[int]
    """How many waited up to each of the edges 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600 s; the last: longer."""
    abandoned_within: list[int]


class QueueReport(Struct):
    from_us: int
    to_us: int
    within_s: int
    short_s: int
    variant: Literal["answered_and_lost", "offered", "answered", "lost_in_time"]
    rows: list[QueueNumbers]


class AgentNumbers(Struct):
    """What an agent did. Times in seconds."""

    agent_id: str
    name: str
    here_s: float
    """Signed in."""
    ready_s: float
    paused_s: dict[str, float]
    """Not ready, by reason."""
    ring_s: float
    talk_s: float
    wrap_s: float
    offered: int
    handled: int
    declined: int
    missed: int
    occupancy: float | None
    """Ringing, talking and wrapping up, of the time signed in and not paused."""
    utilisation: float | None
    """The same of the time signed in."""


class AgentReport(Struct):
    from_us: int
    to_us: int
    rows: list[AgentNumbers]


@analytics.operation(
    "GET",
    "/analytics/live",
    permission="analytics:read",
    summary="All queues at this moment",
    answers=Live,
)
async def get_queues_live(ask: Ask[None]) -> Answer:
    """Who waits in one of them is at `/v1/queues/{queue_id}/live`."""
    loaded = await queue_board.load(ask.services.database, ask.tenant_id)
    hour = await queue_intervals.read(
        ask.services.database,
        ask.tenant_id,
        from_us=loaded.moment_us - HOUR_US,
        to_us=loaded.moment_us,
    )
    rows = []
    for queue in sorted(loaded.queues.values(), key=lambda one: (one.name.lower(), one.id)):
        now = live_of(loaded, queue.id, Counted(), entries=False)
        calls = added(one.counted for one in hour if (one.queue_id, one.work_class) == (queue.id, "call"))
        target_s = queue.settings.target_s
        edge = next((one for one in EDGES_S if one >= target_s), EDGES_S[-1])
        level = _share(service_level(calls, edge)).share
        rows.append(
            QueueNow(
                queue.id,
                queue.name,
                now.open,
                now.staffed,
                now.agents,
                now.waiting,
                now.longest_s,
                target_s,
                level,
            )
        )
    return json_answer(Live(loaded.moment_us, rows))


@analytics.operation(
    "GET",
    "/analytics/queues",
    permission="analytics:read",
    summary="What queues did",
    answers=QueueReport,
    params=[FROM, TO, QUEUE, WITHIN, SHORT, VARIANT, BY],
)
async def get_queue_numbers(ask: Ask[None]) -> Answer:
    """`answered_and_lost`: answered within T of all who were answered or hung up after more than the short time; `offered`:
    of all who came; `answered`: of all who were answered; `lost_in_time`: who hung up within T counts as served."""
    from_us, to_us = await _range(ask)
    within_s, short_s = ask.value("within_s", 20), ask.value("short_s", 5)
    if within_s not in EDGES_S:
        raise bad_parameter("within_s", f"one of {', '.join(map(str, EDGES_S))}")
    if short_s and short_s not in EDGES_S:
        raise bad_parameter("short_s", f"0 or one of {', '.join(map(str, EDGES_S))}")
    variant = ask.value("variant", "answered_and_lost")
    if variant not in VARIANTS:
        raise bad_parameter("variant", f"one of {', '.join(VARIANTS)}")
    by = ask.value("by", "total")
    if by not in ("total", "interval"):
        raise bad_parameter("by", "total or interval")
    found = await queue_intervals.read(
        ask.services.database,
        ask.tenant_id,
        from_us=from_us - from_us % (INTERVAL_S * 1_000_000),
        to_us=to_us,
        queue_id=ask.value("queue", ""),
    )
    if by == "total":
        found = _totals(found, from_us)
    rows = [_numbers(one, within_s, short_s, variant) for one in found]
    return json_answer(QueueReport(from_us, to_us, within_s, short_s, variant, rows))


@analytics.operation(
    "GET",
    "/analytics/agents",
    permission="analytics:read",
    summary="What agents did",
    answers=AgentReport,
    params=[FROM, TO, AGENT],
)
async def get_agent_numbers(ask: Ask[None]) -> Answer:
    """States are cut at the ends of the range; work counts where it was offered."""
    from_us, to_us = await _range(ask)
    days = await agent_admin.days_of(
        ask.services.database, ask.tenant_id, from_us=from_us, to_us=to_us, agent_id=ask.value("agent", "")
    )
    return json_answer(AgentReport(from_us, to_us, [_agent(one) for one in days]))


async def _range(ask: Ask[None]) -> tuple[int, int]:
    async with ask.services.database.reader(ask.tenant_id) as connection:
        now = int(
            await connection.fetchval("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
        )
    to_us: int = ask.value("to_us", now + 1)
    from_us: int = ask.value("from_us", max(to_us - DAY_US, 0))
    if from_us >= to_us:
        raise bad_parameter("from_us", "must be before to_us")
    if to_us - from_us > MOST_DAYS * DAY_US:
        raise bad_parameter("from_us", f"at most {MOST_DAYS} days at once")
    return from_us, to_us


def _totals(found: list[Interval], from_us: int) -> list[Interval]:
    groups: dict[tuple[str, str], list[Counted]] = {}
    for one in found:
        groups.setdefault((one.queue_id, one.work_class), []).append(one.counted)
    return [
        Interval(queue_id=queue_id, work_class=work, start_us=from_us, counted=added(parts))
        for (queue_id, work), parts in sorted(groups.items())
    ]


def _numbers(one: Interval, within_s: int, short_s: int, variant: Variant) -> QueueNumbers:
    counted = one.counted
    return QueueNumbers(
        queue_id=one.queue_id,
        work=one.work_class,
        start_us=one.start_us,
        offered=counted.offered,
        answered=counted.answered,
        abandoned=counted.abandoned,
        overflowed=counted.overflowed,
        closed=counted.closed,
        callbacks=counted.callbacks,
        other=counted.other,
        handled=counted.handled,
        service_level=_share(service_level(counted, within_s, short_s=short_s, variant=variant)),
        abandon_rate=_share(abandoned_share(counted, short_s=short_s)),
        answer_s=counted.wait_answered_us / counted.answered / 1e6 if counted.answered else None,
        handling_s=(counted.talk_us + counted.wrap_us) / counted.handled / 1e6 if counted.handled else None,
        longest_s=counted.longest_us / 1e6,
        answered_within=list(counted.answered_hist),
        abandoned_within=list(counted.abandoned_hist),
    )


def _share(both: tuple[int, int]) -> Share:
    part, whole = both
    return Share(part, whole, round(part / whole, 6) if whole > 0 else None)


def _agent(day: Day) -> AgentNumbers:
    at_work = day.ring_us + day.talk_us + day.wrap_us
    return AgentNumbers(
        agent_id=day.agent_id,
        name=day.name,
        here_s=day.here_us / 1e6,
        ready_s=day.ready_us / 1e6,
        paused_s={reason: us / 1e6 for reason, us in sorted(day.paused.items())},
        ring_s=day.ring_us / 1e6,
        talk_s=day.talk_us / 1e6,
        wrap_s=day.wrap_us / 1e6,
        offered=day.offered,
        handled=day.handled,
        declined=day.declined,
        missed=day.missed,
        occupancy=round(at_work / day.ready_us, 4) if day.ready_us else None,
        utilisation=round(at_work / day.here_us, 4) if day.here_us else None,
    )
