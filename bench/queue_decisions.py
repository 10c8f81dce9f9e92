"""Assignments a second: 2,000 agents in 5 queues each, 200 queues, 5,000 who wait; calls and chats, skills, late ones.

Agents finish a few at a time, and for everybody who is served somebody else comes, so there are always as many waiting. What
is timed is everything that an assignment costs the decision maker: the decision, and all the facts about it that it is told
(somebody came, was offered, talks, is done). The reference does the same with a plain search: all that wait sorted by rank,
each time over all agents of their queue. Seconds are of the processor.
"""

import random
import time
from typing import get_args

from msgspec.structs import replace

from bench.report import Figure, arguments, report
from core.model.capacity import Weights, total
from core.model.queueing import Assignment, Board
from core.model.queueing_records import Agent, Need, Queue, QueueEntry, QueueSettings, Strategy
from core.model.reservations import Reservation

WANTED = 5000.0
"""Assignments a second, to reach."""
S = 1_000_000
T0 = 1_795_000_000 * S
SKILLS = ("german", "english", "billing", "sales", "technical")
AT_ONCE = 10
"""Agents who finish between two decisions."""


class Scene:
    """The board and what goes on around it."""

    def __init__(self, agents: int, queues: int, waiting: int) -> None:
        self.chance = random.Random(7)
        self.now = T0
        self.board = Board()
        self.entries: dict[str, QueueEntry] = {}
        self.held: dict[str, Reservation] = {}
        self.count = 0
        self.members: dict[str, dict[str, int]] = {f"que_{n}": {} for n in range(queues)}
        people = [self._agent(n) for n in range(agents)]
        self.agents = {one.id: one for one in people}
        for one in people:
            for name in self.chance.sample(sorted(self.members), min(5, queues)):
                self.members[name][one.id] = 1
        for n, (name, members) in enumerate(self.members.items()):
            self.board.put_queue(_queue(name, n), members)
        for one in people:
            self.board.put_agent(one)
        # (everybody is on a call at first)
        for one in people:
            self._give(Assignment("", one.id, self.chance.choice(sorted(self.members))), "call")
        self.come(waiting)

    def _agent(self, n: int) -> Agent:
        skills = {name: self.chance.randint(1, 5) for name in self.chance.sample(SKILLS, 3)}
        return Agent(
            id=f"agt_{n}", tenant_id="t", user_id=f"u{n}", name="", state="ready", session="s", skills=skills
        )

    def come(self, number: int) -> None:
        for _ in range(number):
            self.count += 1
            kind = "call" if self.chance.random() < 0.8 else "chat"
            # (at first they come spread over the last minutes)
            at = self.now - self.chance.randint(0, 60 * S)
            entry = QueueEntry(
                id=f"qen_{self.count}", tenant_id="t", queue_id=f"que_{self.chance.randrange(len(self.members))}",
                kind="call" if kind == "call" else "conversation", class_=kind, entered_us=at, queued_us=at,
            )  # fmt: skip
            self.entries[entry.id] = entry
            self.board.put_entry(entry)

    def _give(self, made: Assignment, kind: str) -> None:
        self.count += 1
        one = Reservation(
            id=f"rsv_{self.count}", tenant_id="t", agent_id=made.agent_id,
            kind="call" if kind == "call" else "conversation", class_=kind, queue_id=made.queue_id,
            entry_id=made.entry_id, offered_us=self.now,
        )  # fmt: skip
        self.board.put_reservation(one)
        talking = replace(one, state="connected", version=2)
        self.board.put_reservation(talking)
        self.held[one.id] = talking

    def done(self, made: list[Assignment]) -> None:
        for one in made:
            entry = self.entries.pop(one.entry_id)
            self.board.put_entry(replace(entry, state="offered", version=2))
            self._give(one, entry.class_)
            self.board.put_entry(replace(entry, state="served", version=3))


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", seconds=5.0, agents=2000, queues=200, waiting=5000)
    scene = Scene(int(given.agents), int(given.queues), int(given.waiting))
    with_facts, alone, least = _run(scene, given.seconds)
    plain = _plain(Scene(int(given.agents), int(given.queues), int(given.waiting)), given.seconds / 2)
    report(
        "queue_decisions",
        [
            Figure("assignments with their facts", with_facts, "/s", plain, "plain search", "5,000/s", with_facts >= WANTED),
            Figure("assignments, the decision alone", alone, "/s", plain, "plain search", "", True),
            Figure("who waited, at least", least, "", given.waiting, "at first", "", True),
        ],
        as_json=given.json,
    )  # fmt: skip


def _run(scene: Scene, seconds: float) -> tuple[float, float, float]:
    made = 0
    timed = deciding = 0.0
    least = float("inf")
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        scene.now += 20_000
        finished = scene.chance.sample(sorted(scene.held), AT_ONCE)
        overs = [
            replace(scene.held.pop(name), state="done", done_us=scene.now, version=3) for name in finished
        ]
        start = time.process_time()
        for one in overs:
            scene.board.put_reservation(one)
        before = time.process_time()
        assigned = scene.board.decide(scene.now)
        after = time.process_time()
        scene.done(assigned)
        scene.come(len(assigned))
        timed += time.process_time() - start
        deciding += after - before
        made += len(assigned)
        least = min(least, len(scene.entries))
    return made / timed, made / deciding, least


def _plain(scene: Scene, seconds: float) -> float:
    """The same by search."""
    works: dict[str, list[Reservation]] = {}
    for one in scene.held.values():
        works.setdefault(one.agent_id, []).append(one)
    waiting = dict(scene.entries)
    weights = Weights()
    made, timed = 0, 0.0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        scene.now += 20_000
        for name in scene.chance.sample(sorted(scene.held), AT_ONCE):
            gone = scene.held.pop(name)
            works[gone.agent_id].remove(gone)
        start = time.process_time()
        given_out = []
        for entry in sorted(waiting.values(), key=lambda one: one.entered_us):
            needs = scene.board.desks[entry.queue_id].queue.settings.needs
            for who in scene.members[entry.queue_id]:
                person = scene.agents[who]
                if any(person.skills.get(need.skill, 0) < need.level for need in needs):
                    continue
                used = total((had.work for had in works.get(who, ())), weights, scene.now)
                if used.fits(weights.of(entry.class_), person.capacity):
                    given_out.append((entry, who))
                    scene.count += 1
                    held = Reservation(
                        id=f"p{scene.count}", tenant_id="t", agent_id=who, kind="call", class_=entry.class_
                    )
                    works.setdefault(who, []).append(held)
                    scene.held[held.id] = held
                    break
            if len(given_out) == AT_ONCE:
                break
        timed += time.process_time() - start
        for entry, _ in given_out:
            made += 1
            del waiting[entry.id]
            scene.count += 1
            waiting[f"w{scene.count}"] = replace(entry, id=f"w{scene.count}", entered_us=scene.now)
    return made / timed if made else 0.0


def _queue(name: str, n: int) -> Queue:
    strategies = get_args(Strategy)
    needs = (Need(SKILLS[n % len(SKILLS)], 1 + n % 3),) if n % 2 else ()
    more = QueueSettings(strategy=strategies[n % 4], needs=needs, conversations="all")
    return Queue(id=name, tenant_id="t", name=name, settings=more)


if __name__ == "__main__":
    main()
