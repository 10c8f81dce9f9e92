"""Background jobs: a waiter for each Job-UUID, set before the command is sent, so that no answer is too early.

BACKGROUND_JOB can reach us before the reply that names the job (on another connection), and on every link that
subscribes to it. Whoever sees it first settles the waiter; later copies find none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from freeswitch.errors import CommandError, EslError, OutcomeUnknown
from freeswitch.event import Event

MAX_JOBS = 10_000
"""Jobs waited for at once. Each is a thread of the switch while it runs."""


class Job:
    """One job that was asked for."""

    __slots__ = ("_done", "error", "result")

    def __init__(self) -> None:
        self._done = trio.Event()
        self.result: str | None = None
        self.error: EslError | None = None

    async def wait(self) -> str:
        """The job's output. Raises what it failed with. Has no deadline of its own: the caller sets one."""
        await self._done.wait()
        if self.error is not None:
            raise self.error
        return self.result or ""

    def settle(self, result: str | None, error: EslError | None = None) -> None:
        self.result, self.error = result, error
        self._done.set()


class Jobs:
    """The jobs of one switch that somebody waits for."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    @contextmanager
    def expect(self, job_uuid: str) -> Iterator[Job]:
        """Wait for this id while the block runs. Raises `CommandError` for an id in use or too many jobs."""
        if job_uuid in self._jobs:
            raise CommandError("a job with this id is running already")
        if len(self._jobs) >= MAX_JOBS:
            raise CommandError(f"{MAX_JOBS} jobs are running already")
        job = self._jobs[job_uuid] = Job()
        try:
            yield job
        finally:
            del self._jobs[job_uuid]

    def see(self, events: list[Event]) -> None:
        """Settle the waiters that these events answer. Events that are no jobs cost one comparison."""
        if not self._jobs:
            return
        for event in events:
            if event.name != "BACKGROUND_JOB":
                continue
            job = self._jobs.get(event.exact("Job-UUID") or "")
            if job is not None:
                # An output that is empty has no body and no length at all.
                job.settle(event.body.decode("utf-8", "replace"))

    def lose(self, reason: str) -> None:
        """The switch that ran them is gone: nobody will ever say how they ended."""
        for job in self._jobs.values():
            job.settle(None, OutcomeUnknown(f"the job's result is lost: {reason}"))
