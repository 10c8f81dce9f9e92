"""Who serves whom: the decision maker of one tenant's queues. Pure: facts and moments in, assignments out.

Rules:

1. What waits longest for its target comes first: rank = priority + waited / target. Every rank grows without bound, so
   nothing waits for ever.
2. It goes to an agent of the queue who is ready, has the skills, and whose capacity it fits in every component
   (`core.model.capacity`); of those, to the one whom the queue's strategy prefers.
3. When a call has waited for more than its target, one agent who could take it is kept free of everything that is only
   written, until it is served: a stream of chats cannot starve the telephone.

A lane that could not be served stays so until something changes for one of its agents or in itself; only then is it looked at
again. So a decision costs what has changed, not what there is.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush

from msgspec import Struct

from core.model import hours
from core.model.capacity import NOTHING, SLACK, Load, total
from core.model.hours import ALWAYS, Schedule
from core.model.queueing_pools import Key, Lane, LaneKey, Needs, Place, Pool, PoolKey, Seat
from core.model.queueing_records import Agent, Queue, QueueEntry, WorkSettings
from core.model.reservations import REFUSED, Reservation

PROMISE_RANK = 1.0
"""A call of this rank has one agent kept free for it."""
REFUSED_US = 15_000_000
"""How long somebody who refused an entry is not asked about it again."""
HOURS_US = 15_000_000
"""How often it is looked whether a queue has opened or closed."""
AUDIO = "call"
MOST_POOLS = 64
"""Of one queue: beyond them, those that nobody waits for are forgotten (each combination of skills has one)."""


class Assignment(Struct, frozen=True):
    """Offer this entry to this agent."""

    entry_id: str
    agent_id: str
    queue_id: str


class Desk:
    """A queue as the decision sees it."""

    __slots__ = ("agents", "ears", "lanes", "open", "pools", "queue", "schedule", "unkept")

    def __init__(self, queue: Queue, schedule: Schedule) -> None:
        self.queue = queue
        self.schedule = schedule
        self.open = True
        self.agents: dict[str, int] = {}
        """Members and their tiers."""
        self.lanes: dict[LaneKey, Lane] = {}
        self.pools: dict[PoolKey, Pool] = {}
        self.ears: set[str] = set()
        """Members who are on no call, and could be but for what they write."""
        self.unkept: set[Lane] = set()
        """Lanes of calls that have waited too long and for whom nobody could be kept free."""

    def entries(self) -> Iterator[str]:
        for lane in self.lanes.values():
            for place in lane.places:
                yield place.entry_id


class Board:
    """Agents, queues and what waits, of one tenant."""

    def __init__(self, settings: WorkSettings | None = None) -> None:
        self.settings = settings or WorkSettings()
        self.desks: dict[str, Desk] = {}
        self.seats: dict[str, Seat] = {}
        self.entries: dict[str, QueueEntry] = {}
        self.reservations: dict[str, Reservation] = {}
        """Those that are open."""
        self._where: dict[str, tuple[LaneKey, Place]] = {}
        self._refused: dict[str, dict[str, int]] = {}
        self._dirty: set[Lane] = set()
        self._overdue: dict[Lane, str] = {}
        """Lanes of calls that have waited too long, and who is kept free for them (empty: nobody could be)."""
        self._timers: list[tuple[int, int, str, object]] = []
        self._classes: set[str] = set()
        """Those that anybody has waited with so far."""
        self._count = 0
        self._hours_us = 0
        self._now_us = 0
        self.offers = 0

    # What is told ------------------------------------------------------------------------------------

    def put_queue(
        self, queue: Queue, members: Mapping[str, int], schedule: Schedule = ALWAYS, now_us: int = 0
    ) -> None:
        """A queue as it is now, with its members' tiers."""
        waiting = []
        if (old := self.desks.get(queue.id)) is not None:
            waiting = list(old.entries())
            for entry_id in waiting:
                self._take_out(entry_id)
            for agent_id in old.agents:
                if agent_id in self.seats:
                    self.seats[agent_id].tiers.pop(queue.id, None)
        if queue.deleted_us:
            self.desks.pop(queue.id, None)
            return
        desk = self.desks[queue.id] = Desk(queue, schedule)
        desk.open = hours.is_open(schedule, now_us) if now_us else True
        desk.agents = dict(members)
        for agent_id, tier in members.items():
            if (seat := self.seats.get(agent_id)) is not None:
                seat.tiers[queue.id] = tier
                if seat.ear:
                    desk.ears.add(agent_id)
        for entry_id in waiting:
            self._line_up(self.entries[entry_id])

    def put_agent(self, agent: Agent, tiers: Mapping[str, int] | None = None) -> None:
        """An agent as they are now; an older version than the known one says nothing. ``tiers``: their queues, if those
        are told anew."""
        seat = self.seats.get(agent.id)
        if seat is None:
            seat = self.seats[agent.id] = Seat(agent)
            seat.tiers = {
                desk.queue.id: desk.agents[agent.id]
                for desk in self.desks.values()
                if agent.id in desk.agents
            }
        elif agent.version < seat.agent.version:
            return
        seat.agent = agent
        seat.known.clear()
        if tiers is not None:
            for queue_id in seat.tiers:
                if (desk := self.desks.get(queue_id)) is not None:
                    desk.agents.pop(agent.id, None)
                    desk.ears.discard(agent.id)
                    for pool in desk.pools.values():
                        pool.drop(agent.id)
            seat.tiers = dict(tiers)
            for queue_id, tier in tiers.items():
                if queue_id in self.desks:
                    self.desks[queue_id].agents[agent.id] = tier
        self._changed(seat)

    def put_entry(self, entry: QueueEntry) -> None:
        """Somebody who waits, is offered to somebody, or is gone; an older version says nothing."""
        known = self.entries.get(entry.id)
        if known is not None and known.version >= entry.version:
            return
        self._take_out(entry.id)
        if not entry.open:
            self.entries.pop(entry.id, None)
            self._refused.pop(entry.id, None)
            return
        self.entries[entry.id] = entry
        self._line_up(entry)

    def put_reservation(self, one: Reservation) -> None:
        """An offer, or what became of it; an older version says nothing."""
        known = self.reservations.get(one.id)
        if known is not None and known.version >= one.version:
            return
        seat = self.seats.get(one.agent_id)
        if one.open:
            self.reservations[one.id] = one
            if seat is not None:
                # (what was decided and not yet stored was the same thing)
                before = seat.works.pop(one.entry_id, None) or seat.works.get(one.id)
                work = seat.works[one.id] = one.work
                if one.queue_id:
                    seat.last[one.queue_id] = max(seat.last.get(one.queue_id, 0), one.offered_us)
                if before == work:
                    return
        else:
            self.reservations.pop(one.id, None)
            if seat is not None:
                seat.works.pop(one.id, None)
                seat.works.pop(one.entry_id, None)
                seat.idle[one.class_] = max(seat.idle_since(one.class_), one.done_us)
            if one.state in REFUSED and one.state != "withdrawn" and one.entry_id in self.entries:
                self._refuse(one.entry_id, one.agent_id, one.done_us + REFUSED_US)
        if seat is not None:
            self._changed(seat)

    def not_done(self, assignment: Assignment) -> None:
        """An assignment could not be stored: somebody else was faster. Facts about them follow, or have come."""
        seat = self.seats.get(assignment.agent_id)
        if seat is not None:
            seat.works.pop(assignment.entry_id, None)
            self._changed(seat)
        entry = self.entries.get(assignment.entry_id)
        if entry is not None and assignment.entry_id not in self._where:
            self._refuse(entry.id, assignment.agent_id, self._now_us + 1_000_000)

    # What is decided ---------------------------------------------------------------------------------

    def decide(self, now_us: int, most: int = 1_000_000) -> list[Assignment]:
        """The assignments that are right at this moment, in the order of their ranks, at most ``most`` of them.

        They count as made: nothing is offered twice. Tell what became of each by `put_reservation` or `not_done`.
        """
        self._now_us = max(now_us, self._now_us)
        self._tick(now_us)
        heap: list[tuple[float, str, Lane]] = []
        listed: set[Lane] = set()
        made: list[Assignment] = []
        while len(made) < most:
            # (what an assignment makes possible again, too: an agent who was kept free is not any more)
            for lane in self._dirty - listed:
                if lane.places and self._is_open(lane):
                    heappush(heap, (-lane.rank(now_us), lane.places[0].entry_id, lane))
                    listed.add(lane)
            self._dirty.clear()
            if not heap:
                break
            lane = heappop(heap)[2]
            listed.discard(lane)
            if lane.places and (agent_id := self._choose(lane)) is not None:
                made.append(self._assign(lane, agent_id, now_us))
                self._dirty.add(lane)
        self._dirty |= listed
        self.offers += len(made)
        return made

    def due_us(self) -> int:
        """When something changes by itself next; 0 when nothing will."""
        return self._timers[0][0] if self._timers else 0

    def rank(self, entry_id: str, now_us: int) -> float:
        """How urgent an entry is. Raises `KeyError` for one that is not in line."""
        key, place = self._where[entry_id]
        return (now_us - place.order) / key.target_us

    def position(self, entry_id: str, now_us: int) -> int:
        """Its place in its queue, from 1, among what weighs the same. Raises `KeyError`."""
        key, place = self._where[entry_id]
        lanes = self.desks[key.queue_id].lanes.values()
        return 1 + sum(lane.before(place.order) for lane in lanes if lane.key.work_class == key.work_class)

    def waiting(self, queue_id: str) -> list[QueueEntry]:
        """Who is in line in a queue, the most urgent first."""
        found = [self.entries[one] for one in self.desks[queue_id].entries()]
        return sorted(found, key=lambda one: (-self.rank(one.id, self._now_us or one.entered_us), one.id))

    def lane_of(self, entry_id: str) -> LaneKey | None:
        """Where an entry stands; None when it is not in line."""
        found = self._where.get(entry_id)
        return None if found is None else found[0]

    # How ---------------------------------------------------------------------------------------------

    def _load(self, work_class: str) -> Load:
        return self.settings.weights.of(work_class)

    def _is_open(self, lane: Lane) -> bool:
        desk = self.desks.get(lane.key.queue_id)
        return desk is not None and desk.open

    def _choose(self, lane: Lane) -> str | None:
        key = lane.key
        if not key.only:
            return lane.pool.best(key.without)
        seat = self.seats.get(key.only)
        able = (
            seat is not None
            and key.queue_id in seat.tiers
            and seat.has(key.needs)
            and seat.takes(self._load(key.work_class))
        )
        return key.only if able else None

    def pool(self, key: PoolKey) -> Pool:
        """The agents who could take such work now."""
        desk = self.desks[key.queue_id]
        pool = desk.pools.get(key)
        if pool is None:
            pool = desk.pools[key] = Pool(key)
            self._classes.add(key.work_class)
            load = self._load(key.work_class)
            for agent_id, tier in desk.agents.items():
                seat = self.seats.get(agent_id)
                if seat is not None and seat.has(key.needs) and seat.takes(load):
                    pool.put(seat, self._key(desk, seat, tier, key))
                    seat.inside.append(pool)
        return pool

    def _key(self, desk: Desk, seat: Seat, tier: int, key: PoolKey) -> Key:
        """How good an agent is for this; the lower, the better. First the tier, then the strategy, then rest."""
        idle = seat.idle_since(key.work_class)
        strategy = desk.queue.settings.strategy
        if strategy == "round_robin":
            return tier, seat.last.get(desk.queue.id, seat.agent.offered_us), idle
        if strategy == "fewest":
            return tier, len(seat.works), idle
        if strategy == "skills":
            return tier, -sum(seat.agent.skills.get(skill, 0) for skill, _ in key.needs), idle
        return tier, idle

    def _assign(self, lane: Lane, agent_id: str, now_us: int) -> Assignment:
        place = lane.places.pop(0)
        entry = self.entries[place.entry_id]
        del self._where[place.entry_id]
        self._overdue_again(lane, now_us)
        seat = self.seats[agent_id]
        one = Reservation(
            id=entry.id, tenant_id="", agent_id=agent_id, kind="call", class_=entry.class_, offered_us=now_us
        )
        seat.works[entry.id] = one.work
        seat.last[entry.queue_id] = now_us
        self._changed(seat)
        return Assignment(entry.id, agent_id, entry.queue_id)

    def _changed(self, seat: Seat) -> None:
        """Something happened to an agent: they are taken out of every pool and put where they fit."""
        seat.stamp += 1
        moment = self._now_us
        weights = self.settings.weights
        seat.used = total(seat.works.values(), weights, moment)
        asleep = [
            asleep_us
            for work in seat.works.values()
            if work.quiet_since_us
            and not work.awaits_us
            and (asleep_us := work.quiet_since_us + weights.asleep_after_s * 1_000_000) > moment
        ]
        if asleep and not moment < seat.wakes_us <= min(asleep):
            # (one timer for each agent: every look at them sets the next one)
            seat.wakes_us = min(asleep)
            self._at(seat.wakes_us, "seat", seat.agent.id)
        self._listen(seat)
        if seat.promised is not None and not self._could(seat, seat.promised.key):
            self._release(seat)
        if seat.promised is None:
            self._keep_free(seat, moment)
        for pool in seat.inside:
            pool.drop(seat.agent.id)
        seat.inside.clear()
        able = {kind for kind in self._classes if seat.takes(self._load(kind))}
        if able:
            self._offer(seat, able)

    def _listen(self, seat: Seat) -> None:
        """Note whether they could take a call if nothing that is written kept them from it."""
        call, agent = self._load(AUDIO), seat.agent
        seat.ear = (
            agent.state == "ready"
            and bool(agent.session)
            and seat.used.audio + call.audio <= agent.capacity.audio + SLACK
            and NOTHING.fits(call, agent.capacity)
        )
        for queue_id in seat.tiers:
            if (desk := self.desks.get(queue_id)) is not None:
                if seat.ear:
                    desk.ears.add(agent.id)
                else:
                    desk.ears.discard(agent.id)

    def _offer(self, seat: Seat, able: set[str]) -> None:
        """Put them where they fit: into the pools of these classes."""
        for queue_id, tier in seat.tiers.items():
            desk = self.desks.get(queue_id)
            if desk is None:
                continue
            for key, pool in desk.pools.items():
                if key.work_class in able and seat.has(key.needs):
                    pool.put(seat, self._key(desk, seat, tier, key))
                    seat.inside.append(pool)
                    self._dirty |= pool.lanes
            if seat.claims:
                self._dirty |= {lane for lane in desk.lanes.values() if lane.key.only == seat.agent.id}

    def _line_up(self, entry: QueueEntry) -> None:
        """Put an entry into the lane where it belongs now."""
        desk = self.desks.get(entry.queue_id)
        if desk is None or entry.state != "waiting":
            return
        if entry.due_us > self._now_us:
            self._at(entry.due_us, "entry", entry.id)
            return
        settings = desk.queue.settings
        is_call = entry.class_ == AUDIO
        target_us = (settings.target_s if is_call else settings.conversation_target_s) * 1_000_000
        needs = {one.skill: one.level for one in settings.needs}
        for skill, level in entry.skills.items():
            needs[skill] = max(level, needs.get(skill, 0))
        only = ""
        if entry.sticky_agent in desk.agents and entry.sticky_until_us > self._now_us:
            seat = self.seats.get(entry.sticky_agent)
            if seat is not None and seat.agent.state != "offline":
                only = entry.sticky_agent
                seat.claims = True
                self._at(entry.sticky_until_us, "entry", entry.id)
        refused = frozenset(self._refused.get(entry.id, ()))
        if only in refused:
            only = ""
        key = LaneKey(
            entry.queue_id,
            entry.class_,
            tuple(sorted(needs.items())),
            target_us,
            only,
            refused if not only else frozenset(),
        )
        lane = desk.lanes.get(key)
        if lane is None:
            lane = desk.lanes[key] = Lane(key, self.pool(key.pool))
            lane.pool.lanes.add(lane)
        place = Place(entry.entered_us - (entry.priority + settings.priority) * target_us, entry.id)
        lane.add(place)
        self._where[entry.id] = key, place
        self._dirty.add(lane)
        if is_call and lane.places[0] == place:
            self._overdue_again(lane, self._now_us)

    def _take_out(self, entry_id: str) -> None:
        found = self._where.pop(entry_id, None)
        if found is None:
            return
        key, place = found
        desk = self.desks.get(key.queue_id)
        lane = desk.lanes.get(key) if desk is not None else None
        if desk is not None and lane is not None:
            lane.remove(place)
            if not lane.places:
                self._over(lane)
            else:
                self._overdue_again(lane, self._now_us)

    def _refuse(self, entry_id: str, agent_id: str, until_us: int) -> None:
        if until_us <= self._now_us:
            return
        self._refused.setdefault(entry_id, {})[agent_id] = until_us
        self._at(until_us, "refused", (entry_id, agent_id))
        self._again(entry_id)

    def _again(self, entry_id: str) -> None:
        entry = self.entries.get(entry_id)
        if entry is not None:
            self._take_out(entry_id)
            self._line_up(entry)

    # Calls that wait too long ------------------------------------------------------------------------

    def _over(self, lane: Lane) -> None:
        """Nobody waits there any more."""
        self._break(lane)
        self.desks[lane.key.queue_id].lanes.pop(lane.key, None)
        lane.pool.lanes.discard(lane)
        desk = self.desks[lane.key.queue_id]
        if not lane.pool.lanes and len(desk.pools) > MOST_POOLS:
            desk.pools.pop(lane.key.pool, None)
        self._dirty.discard(lane)

    def _break(self, lane: Lane) -> None:
        """Nobody is kept free for this lane any more."""
        kept = self._overdue.pop(lane, None)
        if (desk := self.desks.get(lane.key.queue_id)) is not None:
            desk.unkept.discard(lane)
        if kept and (seat := self.seats.get(kept)) is not None:
            seat.promised = None
            self._changed(seat)

    def _overdue_again(self, lane: Lane, now_us: int) -> None:
        """Its head is another one: whoever was kept free is so no more, unless this one has waited too long as well."""
        if lane.key.work_class != AUDIO:
            if not lane.places:
                self._over(lane)
            return
        self._break(lane)
        if not lane.places:
            self._over(lane)
            return
        due_us = int(lane.places[0].order + PROMISE_RANK * lane.key.target_us) + 1
        if due_us <= now_us:
            self._promise(lane)
        else:
            self._at(due_us, "promise", lane)

    def _promise(self, lane: Lane) -> None:
        """Keep the best one free who could take it: whoever has the most attention left."""
        if lane in self._overdue:
            return
        self._overdue[lane] = ""
        desk = self.desks[lane.key.queue_id]
        able = [
            seat
            for one in desk.ears
            if (seat := self.seats[one]).promised is None and self._could(seat, lane.key)
        ]
        if able:
            best = min(able, key=lambda seat: (seat.used.attention, seat.idle_since(AUDIO), seat.agent.id))
            self._overdue[lane] = best.agent.id
            best.promised = lane
            self._changed(best)
        else:
            desk.unkept.add(lane)

    def _could(self, seat: Seat, key: LaneKey) -> bool:
        """Whether they could take such a call if nothing that is written kept them from it."""
        return (
            key.queue_id in seat.tiers
            and key.only in ("", seat.agent.id)
            and seat.agent.id not in key.without
            and seat.has(key.needs)
            and seat.ear
        )

    def _keep_free(self, seat: Seat, now_us: int) -> None:
        """Somebody could be kept free by now for a call that has waited too long. (Who has nothing at all to do gets it
        without that, when its turn comes.)"""
        if not self._overdue or not seat.works:
            return
        lanes = [
            lane
            for queue_id in seat.tiers
            if (desk := self.desks.get(queue_id)) is not None and desk.open
            for lane in desk.unkept
            if lane.places and self._could(seat, lane.key)
        ]
        if lanes:
            urgent = max(lanes, key=lambda lane: lane.rank(now_us))
            self.desks[urgent.key.queue_id].unkept.discard(urgent)
            self._overdue[urgent] = seat.agent.id
            seat.promised = urgent

    def _release(self, seat: Seat) -> None:
        lane, seat.promised = seat.promised, None
        if lane is not None and lane in self._overdue:
            del self._overdue[lane]
            if lane.places and lane.key.queue_id in self.desks:
                self._promise(lane)

    # Time --------------------------------------------------------------------------------------------

    def _at(self, moment_us: int, what: str, about: object) -> None:
        self._count += 1
        heappush(self._timers, (moment_us, self._count, what, about))

    def _tick(self, now_us: int) -> None:
        while self._timers and self._timers[0][0] <= now_us:
            _, _, what, about = heappop(self._timers)
            if what == "seat" and isinstance(about, str):
                if (seat := self.seats.get(about)) is not None:
                    self._changed(seat)
            elif what == "entry" and isinstance(about, str):
                self._again(about)
            elif what == "promise" and isinstance(about, Lane):
                self._promise_now(about, now_us)
            elif what == "refused" and isinstance(about, tuple):
                entry_id, agent_id = about
                until = self._refused.get(entry_id, {})
                if 0 < until.get(agent_id, 0) <= now_us:
                    del until[agent_id]
                    self._again(entry_id)
        if now_us - self._hours_us >= HOURS_US:
            self._hours_us = now_us
            self.look_at_hours(now_us)

    def _promise_now(self, lane: Lane, now_us: int) -> None:
        if lane.places and self._is_open(lane) and lane.rank(now_us) >= PROMISE_RANK:
            self._promise(lane)

    def look_at_hours(self, now_us: int) -> list[str]:
        """Open and close queues; those that changed."""
        changed = []
        for queue_id, desk in self.desks.items():
            opened = desk.schedule is ALWAYS or hours.is_open(desk.schedule, now_us)
            if opened != desk.open:
                desk.open = opened
                changed.append(queue_id)
                self._dirty.update(desk.lanes.values())
        return changed


def needs_of(entry: QueueEntry, queue: Queue) -> Needs:
    """The skills that serving it takes."""
    needs = {one.skill: one.level for one in queue.settings.needs}
    for skill, level in entry.skills.items():
        needs[skill] = max(level, needs.get(skill, 0))
    return tuple(sorted(needs.items()))


def estimate_s(position: int, agents: int, handling_s: float) -> int | None:
    """How long somebody at this position will wait, in seconds, if ``agents`` serve for ``handling_s`` each; None when
    nobody does."""
    if agents <= 0:
        return None
    return round(position * handling_s / agents)


def names(skills: Iterable[tuple[str, int]]) -> str:
    """``billing 3, german 1`` for people."""
    return ", ".join(f"{skill} {level}" for skill, level in skills)
