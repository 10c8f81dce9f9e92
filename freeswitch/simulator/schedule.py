"""The switch's scheduler: tasks that survive the controller (dead-man switches), in whole seconds."""

from collections.abc import Callable

from freeswitch.simulator import origins as at
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Timer

_ADD = at.origin("ADD_SCHEDULE", "switch_scheduler.c", "switch_scheduler_add_task_ex", 266)
_DEL = at.origin("DEL_SCHEDULE", "switch_scheduler.c", "task_thread_loop", 151)


class Job:
    """One scheduled task."""

    __slots__ = ("description", "every_s", "group", "number", "runs_at", "timer", "what")

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
        self.timer: Timer | None = None


def when(switch: Switch, text: str) -> int:
    """Return the second that ``+10``, ``@10`` or an epoch means; nonsense is now, as atol makes it 0."""
    now = switch.clock.now_us() // 1_000_000
    digits = text.lstrip("+@")
    number = int(digits) if digits.isdigit() else 0
    return now + number if text[:1] in ("+", "@") else number


def add(
    switch: Switch,
    text: str,
    description: str,
    group: str,
    what: Callable[[], object],
    *,
    repeat: bool = False,
) -> Job:
    """Schedule ``what`` and say so (ADD_SCHEDULE)."""
    switch.next_job += 1
    job = Job(switch.next_job, description, group, when(switch, text), what)
    digits = text.lstrip("+@")
    if repeat and text[:1] == "@" and digits.isdigit():
        job.every_s = max(1, int(digits))
    switch.jobs[job.number] = job
    switch.desk.fire(_ADD, before=_headers(job))
    _arm(switch, job)
    return job


def _headers(job: Job) -> list[tuple[str, str | list[str]]]:
    return [
        ("Task-ID", str(job.number)),
        ("Task-Desc", job.description),
        ("Task-Group", job.group),
        ("Task-Runtime", str(job.runs_at)),
    ]


def _arm(switch: Switch, job: Job) -> None:
    # The scheduler's thread looks every half second for tasks whose second has come.
    delay = max(0.0, job.runs_at - switch.clock.now_us() / 1_000_000)
    job.timer = switch.threads.after(delay + switch.frame_delay(), _run, switch, job)


def _run(switch: Switch, job: Job) -> None:
    if switch.jobs.get(job.number) is not job:
        return
    if job.every_s:
        job.runs_at += job.every_s
        job.what()
        switch.desk.fire(at.RE_SCHEDULE, before=_headers(job))
        _arm(switch, job)
        return
    del switch.jobs[job.number]
    job.what()
    switch.desk.fire(_DEL, before=_headers(job))


def remove(switch: Switch, name: str) -> int:
    """Delete the task with that number, or all tasks of that group; returns how many."""
    if name.isdigit():
        found = [job for job in (switch.jobs.get(int(name)),) if job is not None]
    else:
        found = [job for job in switch.jobs.values() if job.group == name]
    for job in found:
        del switch.jobs[job.number]
        if job.timer is not None:
            job.timer.cancel()
        switch.desk.fire(_DEL, before=_headers(job))
    return len(found)
