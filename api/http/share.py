"""Reads that come together are answered together.

While one reading is under way, those that ask for the same thing (or for things that one statement can read) wait and
then share the next reading. Nobody gets an answer from a reading that began before they asked, so what a caller has
just done is in what it reads next. One caller alone pays nothing; a thousand screens that ask for the same page cost the
database one statement at a time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Together(Generic[K, V]):
    """Gathers single reads of one tenant into batches. ``read(tenant, keys)`` gives what it found, by key."""

    def __init__(self, read: Callable[[str, list[K]], Awaitable[dict[K, V]]]) -> None:
        self._read = read
        self._tasks = _Tasks()
        self._lanes: dict[str, dict[K, list[asyncio.Future[V | None]]]] = {}
        self.readings = 0

    async def get(self, tenant_id: str, key: K) -> V | None:
        """What ``key`` is now; None when there is no such thing. Raises what reading raises."""
        waiting = self._lanes.get(tenant_id)
        if waiting is not None:
            future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
            waiting.setdefault(key, []).append(future)
            return await future
        self._lanes[tenant_id] = {}
        try:
            self.readings += 1
            return (await self._read(tenant_id, [key])).get(key)
        finally:
            self._next(tenant_id)

    def _next(self, tenant_id: str) -> None:
        waiting = self._lanes[tenant_id]
        if not waiting:
            del self._lanes[tenant_id]
            return
        self._lanes[tenant_id] = {}
        self._tasks.start(self._batch(tenant_id, waiting))

    async def _batch(self, tenant_id: str, asked: dict[K, list["asyncio.Future[V | None]"]]) -> None:
        self.readings += 1
        try:
            found = await self._read(tenant_id, list(asked))
        except BaseException as exc:
            _fail((one for many in asked.values() for one in many), exc)
            if not isinstance(exc, Exception):
                raise
        else:
            for key, futures in asked.items():
                _set(futures, found.get(key))
        finally:
            self._next(tenant_id)


class Same(Generic[K, V]):
    """Shares one reading among all who ask for the same thing."""

    def __init__(self) -> None:
        self._tasks = _Tasks()
        self._lanes: dict[K, list[asyncio.Future[V]]] = {}
        self.readings = 0

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """What ``read`` gives; ``key`` must say everything that its result depends on. Raises what it raises."""
        waiting = self._lanes.get(key)
        if waiting is not None:
            future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            return await future
        self._lanes[key] = []
        try:
            self.readings += 1
            return await read()
        finally:
            self._next(key, read)

    def _next(self, key: K, read: Callable[[], Awaitable[V]]) -> None:
        waiting = self._lanes[key]
        if not waiting:
            del self._lanes[key]
            return
        self._lanes[key] = []
        self._tasks.start(self._again(key, read, waiting))

    async def _again(
        self, key: K, read: Callable[[], Awaitable[V]], waiting: list["asyncio.Future[V]"]
    ) -> None:
        self.readings += 1
        try:
            value = await read()
        except BaseException as exc:
            _fail(waiting, exc)
            if not isinstance(exc, Exception):
                raise
        else:
            _set(waiting, value)
        finally:
            self._next(key, read)


def _set(futures: Iterable["asyncio.Future[Any]"], value: object) -> None:
    for future in futures:
        if not future.done():
            future.set_result(value)


def _fail(futures: Iterable["asyncio.Future[Any]"], error: BaseException) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(error, Exception):
            future.set_exception(error)
        else:
            future.cancel()


class _Tasks:
    """Holds tasks until they end: the loop itself holds them only weakly."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class Recent(Generic[K, V]):
    """The last ``size`` things that somebody asked for."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._known.get(key)
        if value is not None:
            self._known.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def forget(self, key: K) -> None:
        self._known.pop(key, None)
