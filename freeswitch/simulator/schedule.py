"""The switch's scheduler: tasks that survive the controller (dead-man switches), in whole seconds.

One loop looks every half second for tasks whose second has come, and then says of every task that is done or
was deleted that it is gone (DEL_SCHEDULE): that event comes up to half a second after the fact.
"""

import heapq
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from freeswitch.simulator import origins as at
from freeswitch.simulator.timing import Timer
from freeswitch.simulator.wire import Pair

if TYPE_CHECKING:
    from freeswitch.simulator.switch import Switch

_ADD = at.origin("ADD_SCHEDULE", "switch_scheduler.c", "switch_scheduler_add_task_ex", 266)
_DEL = at.origin("DEL_SCHEDULE", "switch_scheduler.c", "task_thread_loop", 151)
LOOP_S = 0.5


class Job:
    """One scheduled task."""

    __slots__ = ("description", "every_s", "gone", "group", "number", "runs_at", "what")

    def __init__(
        self, number: int, description: str, group: str, runs_at: int, what: Callable[[], object]
    ) -> None:
        self.number = number
        self.description = description
        self.group = group
        self.runs_at = runs_at
        """Second of the epoch at which it runs."""
        self.what = what
        self.every_s = 0
        self.gone = False

    def headers(self) -> list[Pair]:
        """Return the headers of events about the task."""
        return [
            ("Task-ID", str(self.number)),
            ("Task-Desc", self.description),
            ("Task-Group", self.group),
            ("Task-Runtime", str(self.runs_at)),
        ]


class Scheduler:
    """The tasks of one switch."""

    def __init__(self, switch: "Switch") -> None:
        self._switch = switch
        self.jobs: dict[int, Job] = {}
        """Tasks that are waiting, and deleted ones until the loop has noticed."""
        self._groups: dict[str, set[int]] = {}
        self._due: list[tuple[int, int]] = []
        self._deleted: list[Job] = []
        # The heartbeat is task 1, the clearing of rate counters 2.
        self._number = 2
        self._loop: Timer | None = None

    def when(self, text: str) -> int:
        """Return the second that ``+10``, ``@10`` or an epoch means; nonsense is now, as atol makes it 0."""
        now = self._switch.clock.now_us() // 1_000_000
        digits = re.match(r"\d+", text.lstrip("+@"))
        number = int(digits[0]) if digits else 0
        return now + number if text[:1] in ("+", "@") else number

    def add(
        self, text: str, description: str, group: str, what: Callable[[], object], *, repeat: bool = False
    ) -> Job:
        """Schedule ``what`` and say so (ADD_SCHEDULE); with ``repeat``, ``@N`` runs it every N seconds."""
        self._number += 1
        job = Job(self._number, description, group, self.when(text), what)
        digits = text.lstrip("+@")
        if repeat and text[:1] == "@" and digits.isdigit():
            job.every_s = max(1, int(digits))
        self.jobs[job.number] = job
        self._groups.setdefault(group, set()).add(job.number)
        heapq.heappush(self._due, (job.runs_at, job.number))
        self._switch.desk.fire(_ADD, before=job.headers())
        self._keep_looping()
        return job

    def _keep_looping(self) -> None:
        if self._loop is None and self.jobs:
            # The loop has a rhythm of its own, whenever tasks are made.
            wait = LOOP_S - (self._switch.monotonic() - self._switch.started) % LOOP_S
            self._loop = self._switch.threads.after(wait, self._turn)

    def _turn(self) -> None:
        self._loop = None
        switch, now = self._switch, self._switch.clock.now_us() // 1_000_000
        while self._due and self._due[0][0] <= now:
            job = self.jobs.get(heapq.heappop(self._due)[1])
            if job is None or job.gone:
                continue
            if job.every_s:
                job.runs_at += job.every_s
                heapq.heappush(self._due, (job.runs_at, job.number))
                job.what()
                switch.desk.fire(at.RE_SCHEDULE, before=job.headers())
                continue
            job.what()
            self._delete(job)
        deleted, self._deleted = self._deleted, []
        for job in deleted:
            self.jobs.pop(job.number, None)
            switch.desk.fire(_DEL, before=job.headers())
        self._keep_looping()

    def _delete(self, job: Job) -> None:
        job.gone = True
        self._deleted.append(job)
        members = self._groups[job.group]
        members.discard(job.number)
        if not members:
            del self._groups[job.group]

    def remove(self, name: str) -> int:
        """Delete the task with that number, or all tasks of that group; returns how many."""
        job = self.jobs.get(int(name)) if name.isdigit() else None
        if job is not None and not job.gone:
            self._delete(job)
            return 1
        return 0 if name.isdigit() else self.remove_group(name)

    def remove_group(self, group: str) -> int:
        """Delete all tasks of a group (a channel's uuid, for example); returns how many."""
        found = [self.jobs[number] for number in self._groups.get(group, ())]
        for job in found:
            self._delete(job)
        return len(found)


def end_call(switch: "Switch", when: str, uuid: str, cause: str) -> Job:
    """Schedule a hangup (`sched_hangup`, command and application)."""

    def end() -> None:
        found = switch.channels.get(uuid)
        if found is not None:
            found.hang_up(cause)

    return switch.scheduler.add(when, "switch_ivr_schedule_hangup", uuid, end)
