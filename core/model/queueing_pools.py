"""Who is free and who waits, kept so that a decision needs no search. Pure.

A `Lane` holds waiting entries that the same agents could serve, in the order in which they are served. All of a lane wait
for the same target, so their ranks grow equally and their order never changes.

A `Pool` holds the agents of a queue who could take work of one class now, the best first: a heap in which what is no longer
true is thrown away when it comes up. What makes it so is the agent's stamp, which grows with everything that happens to them.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from core.model.capacity import NOTHING, Load, Work
from core.model.queueing_records import Agent

Needs = tuple[tuple[str, int], ...]
"""(skill, level), in the order of their names."""
_WASTE = 4
"""A heap may hold so many times what is true in it before it is made anew."""


class LaneKey(NamedTuple):
    """What makes entries equal in the eyes of a decision."""

    queue_id: str
    work_class: str
    needs: Needs
    target_us: int
    only: str = ""
    """The one agent who may have it now."""
    without: frozenset[str] = frozenset()
    """Agents who have just refused it."""

    @property
    def pool(self) -> "PoolKey":
        return PoolKey(self.queue_id, self.work_class, self.needs)


class PoolKey(NamedTuple):
    queue_id: str
    work_class: str
    needs: Needs


class Place(NamedTuple):
    """Where an entry stands: ``order`` is when its rank was zero, so the smallest comes first."""

    order: float
    entry_id: str


class Lane:
    """Entries in the order in which they are served."""

    __slots__ = ("key", "places", "pool")

    def __init__(self, key: LaneKey, pool: "Pool") -> None:
        self.key = key
        self.pool = pool
        """Who could serve it."""
        self.places: list[Place] = []

    def add(self, place: Place) -> None:
        insort(self.places, place)

    def remove(self, place: Place) -> None:
        at = bisect_left(self.places, place)
        if at < len(self.places) and self.places[at] == place:
            del self.places[at]

    def before(self, order: float) -> int:
        """How many stand before one of this order."""
        return bisect_left(self.places, Place(order, ""))

    def rank(self, now_us: int) -> float:
        """The rank of its head: targets waited, and priority."""
        return (now_us - self.places[0].order) / self.key.target_us


class Seat:
    """An agent and all that a decision asks about them."""

    __slots__ = (
        "agent",
        "claims",
        "ear",
        "idle",
        "inside",
        "known",
        "last",
        "promised",
        "stamp",
        "tiers",
        "used",
        "wakes_us",
        "works",
    )

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.works: dict[str, Work] = {}
        """What they have, by reservation."""
        self.used: Load = NOTHING
        self.tiers: dict[str, int] = {}
        """Their queues."""
        self.idle: dict[str, int] = {}
        """When their last work of a class ended."""
        self.last: dict[str, int] = {}
        """When a queue offered them something last."""
        self.promised: Lane | None = None
        """Whom they are kept free for."""
        self.claims = False
        """Whether somebody ever waited for them alone."""
        self.ear = False
        """Whether they could take a call but for what they write."""
        self.inside: list[Pool] = []
        """Pools that they were put into."""
        self.known: dict[Needs, bool] = {}
        self.stamp = 0
        self.wakes_us = 0
        """When one of their conversations falls asleep next, as far as there is a timer for it."""

    def idle_since(self, work_class: str) -> int:
        return self.idle.get(work_class, self.agent.idle_since_us)

    def has(self, needs: Needs) -> bool:
        """Whether they have these skills."""
        found = self.known.get(needs)
        if found is None:
            skills = self.agent.skills
            found = self.known[needs] = all(skills.get(skill, 0) >= level for skill, level in needs)
        return found

    def takes(self, load: Load) -> bool:
        """Whether they would take work of this weight now."""
        if self.agent.state != "ready":
            return False
        if load.audio:
            if not self.agent.session:
                return False  # no telephone
        elif self.promised is not None:
            return False
        return self.used.fits(load, self.agent.capacity)


Key = tuple[float, ...]


class Pool:
    """The agents who could take it, the best first."""

    __slots__ = ("_heap", "key", "lanes", "members")

    def __init__(self, key: PoolKey) -> None:
        self.key = key
        self.lanes: set[Lane] = set()
        """Where those wait whom they could serve."""
        self.members: dict[str, int] = {}
        """Agents who are in it, with the stamp that they had when they came."""
        self._heap: list[tuple[Key, int, str]] = []

    def put(self, seat: Seat, key: Key) -> None:
        """They could take it; the lower the key, the better."""
        agent_id = seat.agent.id
        self.members[agent_id] = seat.stamp
        heappush(self._heap, (key, seat.stamp, agent_id))
        if len(self._heap) > 64 and len(self._heap) > _WASTE * len(self.members):
            self._heap = [one for one in self._heap if self.members.get(one[2]) == one[1]]
            heapify(self._heap)

    def drop(self, agent_id: str) -> None:
        """They could not, or no more."""
        self.members.pop(agent_id, None)

    def best(self, without: frozenset[str] = frozenset()) -> str | None:
        """The best one who is not in ``without``; they stay in it."""
        aside = []
        found = None
        while self._heap:
            top = self._heap[0]
            if self.members.get(top[2]) != top[1]:
                heappop(self._heap)
            elif top[2] in without:
                aside.append(heappop(self._heap))
            else:
                found = top[2]
                break
        for one in aside:
            heappush(self._heap, one)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)
