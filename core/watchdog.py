"""A guard for a trio program that runs strangers' code: one step of a task that does not end stops the process.

A channel's ``send`` and ``listen`` run in the host's own loop. Code that blocks instead of waiting (``time.sleep``, a
client without async, a calculation without end) stops every account of that host at once, and nothing inside trio can end
it. So a thread of its own looks at the step that runs; when one lasts longer than `LIMIT_S`, the account whose code it is
is named in the log and set aside in the store for a while (`core.storage.pauses`), and the process ends. Its supervisor
starts it again and it serves all others; other hosts leave that account alone, too. What was being sent is looked after
like that of any host that died.

Code that holds the interpreter's lock for ever stops this thread with all others; then the host is missed in the status
pages and its work is taken over, and its supervisor's own limits have to end it.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Self

import trio
from msgspec import Struct

from core.clock import monotonic
from core.logs import get_logger

LOG = get_logger("watchdog")

LIMIT_S = 5.0
"""No step of a task of ours takes longer than some milliseconds."""
LOOK_S = 0.25
EXIT_STATUS = 70
"""``EX_SOFTWARE`` of sysexits.h."""


class Charge(Struct, frozen=True):
    """Whose code a task runs."""

    tenant_id: str
    channel_id: str
    type: str


CHARGE: ContextVar[Charge | None] = ContextVar("charge", default=None)
"""Set by the task that serves an account; its children inherit it."""


class Watchdog(trio.abc.Instrument):
    """Watches the trio run that it is added to, while it is open. ``set_aside`` is called in the watching thread."""

    def __init__(
        self, set_aside: Callable[[Charge], None], *, stop: Callable[[int], object] = os._exit
    ) -> None:
        self._set_aside = set_aside
        self._stop = stop
        self._task: trio.lowlevel.Task | None = None
        self._since = 0.0
        self._over = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since = monotonic()
        self._task = task

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._task = None

    def __enter__(self) -> Self:
        trio.lowlevel.add_instrument(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        trio.lowlevel.remove_instrument(self)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            task, since = self._task, self._since
            if task is None or monotonic() - since < LIMIT_S or self._task is not task:
                continue
            charge = task.context.get(CHARGE)
            place = _place(sys._current_frames().get(self._watched))
            if charge is None:
                LOG.critical("a step of our own does not end; the process ends", task=task.name, place=place)
            else:
                LOG.critical(
                    "a channel blocks its host; the process ends and leaves the account alone for a while",
                    channel=charge.channel_id,
                    type=charge.type,
                    place=place,
                )
                self._set_aside(charge)
            self._stop(EXIT_STATUS)
            return


def _place(frame: FrameType | None) -> str:
    """Where the code stands: module and line, nothing of its values."""
    if frame is None:
        return ""
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_lineno}"
