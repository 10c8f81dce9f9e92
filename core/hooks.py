"""Plugins at work on messages: each call in a thread with a deadline, counted, and left out when it fails.

asyncio. A hook is a stranger's code: it may raise, hang or never come back. Each plugin has `THREADS` threads of its own,
so one that hangs uses up its own and nobody else's; while all of them hang it is not asked at all. A plugin that failed
`FAILURES` times in a row is left alone for `REST_S`. Whatever happens, the message goes on without it.

What plugins say is checked like everything that comes from outside: a message that goes out keeps its id and receiver,
and what it has become is decided about by the policy afterwards.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import pluggy
from msgspec import Struct

from core.clock import monotonic
from core.logs import get_logger
from core.threads import AllHang, Threads
from irisx_sdk import Inbound, Outbound, Status

LOG = get_logger("hooks")

DEADLINE_S = 1.0
THREADS = 2
FAILURES = 5
REST_S = 30.0
WAITING = 1_000
"""Deliveries that plugins are still to be told of; more are not told, and counted."""
MOST_ATTRIBUTES = 50
MAX_ATTRIBUTE = 1_000
MAX_QUEUE = 120

Called = Callable[[str, str], None]


class Counts(Struct):
    """What became of the calls of one plugin."""

    called: int = 0
    raised: int = 0
    late: int = 0
    bad: int = 0
    """Answers that are none."""
    skipped: int = 0
    """Not asked: all its threads hang, or it rests."""


class _Plugin:
    """One plugin's threads, and how it does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = Counts()
        self._threads = Threads(THREADS, f"hook-{name}")
        self._failures = 0
        self._rests_until = 0.0

    async def call(self, hook: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """What the plugin says; None when it fails."""
        if monotonic() < self._rests_until:
            self.counts.skipped += 1
            return None
        self.counts.called += 1
        try:
            said = await self._threads.run(partial(function, **arguments), limit_s=DEADLINE_S)
        except AllHang:
            self.counts.called -= 1
            self.counts.skipped += 1
            return None
        except TimeoutError:
            self.counts.late += 1
            self._failed(hook, "it took too long")
            return None
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
            self.counts.raised += 1
            self._failed(hook, type(exc).__name__)
            return None
        self._failures = 0
        return said

    def answered_badly(self, hook: str) -> None:
        self.counts.bad += 1
        self._failed(hook, "its answer is none")

    def close(self) -> None:
        self._threads.close()

    def _failed(self, hook: str, why: str) -> None:
        LOG.error("a plugin's hook failed and was left out", plugin=self.name, hook=hook, error=why)
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures, self._rests_until = 0, monotonic() + REST_S


class Hooks:
    """The plugins of a process. Make it where an asyncio loop runs; without plugins it costs nothing."""

    def __init__(self, manager: pluggy.PluginManager | None = None) -> None:
        self._plugins: dict[str, _Plugin] = {}
        self._found: dict[str, list[tuple[_Plugin, Callable[..., Any], Sequence[str]]]] = {}
        for hook in ("irisx_enrich", "irisx_route", "irisx_before_send", "irisx_after_delivery"):
            self._found[hook] = self._implementations(manager, hook)
        self._told: asyncio.Queue[tuple[str, str, Status]] = asyncio.Queue(WAITING)
        self._teller: asyncio.Task[None] | None = None
        self.untold = 0

    def has(self, hook: str) -> bool:
        """Whether any plugin takes part there."""
        return bool(self._found[hook])

    async def arrived(self, channel: str, message: Inbound) -> tuple[dict[str, str], str]:
        """What plugins know of who wrote, and the queue for it; nothing of either from plugins that fail."""
        if not self.has("irisx_enrich") and not self.has("irisx_route"):
            return {}, ""
        given, queue = await asyncio.gather(self._enrich(channel, message), self._route(channel, message))
        return given, queue

    async def before_send(self, channel: str, message: Outbound) -> Outbound:
        """The message as plugins want it, one after the other: same id, same receiver."""
        for plugin, function, names in self._found["irisx_before_send"]:
            arguments = _chosen(names, channel=channel, message=message)
            said = await plugin.call("irisx_before_send", function, arguments)
            if said is None:
                continue
            if not isinstance(said, Outbound) or (said.id, said.to) != (message.id, message.to):
                plugin.answered_badly("irisx_before_send")
                continue
            message = said
        return message

    def after_delivery(self, channel: str, message_id: str, status: Status) -> None:
        """Tell plugins, some time soon; nobody waits for it."""
        if not self.has("irisx_after_delivery"):
            return
        try:
            self._told.put_nowait((channel, message_id, status))
        except asyncio.QueueFull:
            self.untold += 1
            return
        if self._teller is None or self._teller.done():
            self._teller = asyncio.get_running_loop().create_task(self._tell())

    def statistics(self) -> dict[str, dict[str, int]]:
        """The counts of each plugin."""
        return {name: msgspec.to_builtins(plugin.counts) for name, plugin in self._plugins.items()}

    async def aclose(self) -> None:
        """Ask no more. A thread that hangs is left behind."""
        if self._teller is not None:
            self._teller.cancel()
        for plugin in self._plugins.values():
            plugin.close()

    def _implementations(
        self, manager: pluggy.PluginManager | None, hook: str
    ) -> list[tuple[_Plugin, Callable[..., Any], Sequence[str]]]:
        found = []
        # (pluggy calls the one that was registered last first)
        for one in reversed(getattr(manager.hook, hook).get_hookimpls() if manager is not None else []):
            if one.hookwrapper or one.wrapper:
                LOG.error("a plugin wraps a hook and is left out", plugin=one.plugin_name, hook=hook)
                continue
            plugin = self._plugins.setdefault(one.plugin_name, _Plugin(one.plugin_name))
            found.append((plugin, one.function, one.argnames))
        return found

    async def _enrich(self, channel: str, message: Inbound) -> dict[str, str]:
        found: dict[str, str] = {}
        calls = self._found["irisx_enrich"]
        answers = await asyncio.gather(
            *(
                plugin.call("irisx_enrich", function, _chosen(names, channel=channel, message=message))
                for plugin, function, names in calls
            )
        )
        for (plugin, _, _), said in zip(calls, answers, strict=True):
            if said is None:
                continue
            if not _is_attributes(said):
                plugin.answered_badly("irisx_enrich")
                continue
            found |= said
        return found

    async def _route(self, channel: str, message: Inbound) -> str:
        for plugin, function, names in self._found["irisx_route"]:
            said = await plugin.call(
                "irisx_route", function, _chosen(names, channel=channel, message=message)
            )
            if said is None:
                continue
            if isinstance(said, str) and 0 < len(said) <= MAX_QUEUE:
                return said
            plugin.answered_badly("irisx_route")
        return ""

    async def _tell(self) -> None:
        while not self._told.empty():
            channel, message_id, status = self._told.get_nowait()
            for plugin, function, names in self._found["irisx_after_delivery"]:
                arguments = _chosen(names, channel=channel, message_id=message_id, status=status)
                await plugin.call("irisx_after_delivery", function, arguments)


def _chosen(names: Sequence[str], **arguments: Any) -> dict[str, Any]:
    """A hook takes only those arguments that it names."""
    return {name: value for name, value in arguments.items() if name in names}


def _is_attributes(said: object) -> bool:
    return (
        isinstance(said, dict)
        and len(said) <= MOST_ATTRIBUTES
        and all(
            isinstance(name, str) and isinstance(value, str) and max(len(name), len(value)) <= MAX_ATTRIBUTE
            for name, value in said.items()
        )
    )
