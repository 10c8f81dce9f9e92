"""The gateway's connections: one task a shard, which drives a `gateway.Machine` and stores what it dispatches (trio).

A dispatch waits in a queue of `QUEUE` until the platform has stored the ones before it; when it is full the reader
waits, and Discord with it. The session that is kept (`Tools.save`) is that of the last *stored* dispatch, so whatever
was lost on the way, in a connection or in the process, is replayed. Messages that come twice have the same id.

Starting sessions is limited (docs, "Gateway", session start limit): ``max_concurrency`` each 5 s, 1000 a day, beyond
which Discord takes the bot's token away. Resuming costs nothing, so that is always tried first.
"""

import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import msgspec
import trio
from msgspec import Struct

from irisx_channels.discord import events, gateway
from irisx_channels.discord.gateway import (
    Again,
    BeatEvery,
    Dispatch,
    GiveUp,
    Identify,
    Machine,
    Send,
    Session,
)
from irisx_channels.discord.text import name_of
from irisx_channels.lenient import Json, part, words
from irisx_channels.websocket import Lost, Socket, connected, only
from irisx_sdk.channel import Deliver, Parsed
from irisx_sdk.errors import Malformed, Misconfigured, NotSent, Throttled
from irisx_sdk.messages import Inbound

QUEUE = 1000
BATCH = 100
"""Dispatches that are stored at once."""
HELLO_S = 15.0
MAX_FRAME = 16 * 2**20
"""A large server's description is some megabytes."""
AUTHORS = 10_000
"""Messages whose author is remembered, for deletions; the oldest go first."""
FRUITLESS = 3
"""Connections in a row that came to nothing, before the platform is told (it makes the pauses longer)."""


class Kept(Struct, frozen=True):
    """What `Tools.save` keeps: each shard's session. Another number of shards makes them worthless."""

    shards: int = 1
    sessions: dict[int, Session] = {}


class Start(Struct, frozen=True):
    """What ``GET /gateway/bot`` says."""

    url: str
    shards: int
    remaining: int
    reset_after_s: float
    max_concurrency: int


class Holder:
    """Holds all shards of one bot."""

    def __init__(
        self,
        start: Start,
        kept: Kept,
        *,
        token: str,
        intents: int,
        deliver: Deliver,
        save: Callable[[bytes], Awaitable[None]],
        respond: Callable[[Json], Awaitable[None]],
        identify_every_s: float,
        plain: bool,
    ) -> None:
        self.start = start
        self.token = token
        self.intents = intents
        self.deliver = deliver
        self.respond = respond
        self.plain = plain
        self.authors: OrderedDict[str, str] = OrderedDict()
        self.sessions = dict(kept.sessions) if kept.shards == start.shards else {}
        self._save = save
        self._saving = trio.Lock()
        self._every_s = identify_every_s
        self._remaining = start.remaining
        self._turns = [trio.Lock() for _ in range(max(1, start.max_concurrency))]
        self._last = [-float("inf")] * len(self._turns)

    async def hold(self) -> None:
        """Until something ends it. Raises what that was, never a group."""
        try:
            async with trio.open_nursery() as nursery:
                for index in range(self.start.shards):
                    nursery.start_soon(Shard(self, index).run)
        except BaseExceptionGroup as group:
            raise only(group) from None

    async def may_identify(self, index: int) -> None:
        """Return when shard ``index`` may start a session. Raises `Throttled` when none is left for today."""
        turn = index % len(self._turns)
        async with self._turns[turn]:
            if self._remaining <= 0:
                text = "Discord allows no more new sessions of this bot for now"
                raise Throttled(text, code="session_start_limit", retry_after_s=self.start.reset_after_s)
            self._remaining -= 1
            await trio.sleep_until(self._last[turn] + self._every_s)
            self._last[turn] = trio.current_time()

    async def keep(self, index: int, session: Session) -> None:
        """Everything up to ``session`` is stored.

        It is remembered before the first wait: a connection that breaks now is resumed here all the same.
        """
        self.sessions[index] = session
        async with self._saving:
            await self._save(msgspec.json.encode(Kept(self.start.shards, self.sessions)))

    def remember(self, kind: str, d: Json) -> None:
        """Who wrote a message: its deletion will not say."""
        if kind == "MESSAGE_CREATE":
            self.authors[name_of(words(d, "channel_id"), words(d, "id"))] = words(part(d, "author"), "id")
            if len(self.authors) > AUTHORS:
                self.authors.popitem(last=False)


class Shard:
    """One shard: connections one after the other."""

    def __init__(self, holder: Holder, index: int) -> None:
        self._holder = holder
        self._index = index
        self._machine = Machine(holder.token)
        self._socket: Socket
        self._again: Again | None = None

    async def run(self) -> None:
        """For ever. Raises `Misconfigured`, `Throttled`, or `NotSent` after `FRUITLESS` connections in a row."""
        holder, fruitless = self._holder, 0
        while True:
            session = holder.sessions.get(self._index, Session())
            self._machine, self._again = Machine(holder.token, session), None
            began = False
            try:
                began = await self._connection(session.url or holder.start.url)
            except Lost:
                raise
            except NotSent:
                if not session.url:
                    raise
                # The host that was named for resuming may be gone for good; the session may be known elsewhere.
                began = await self._connection(holder.start.url)
            fruitless = 0 if began else fruitless + 1
            if fruitless >= FRUITLESS:
                raise NotSent("Discord's gateway ends every connection before it begins")
            again = self._again or Again(resume=True)
            if not again.resume and holder.sessions.get(self._index, Session()).id:
                await holder.keep(self._index, Session())
            await trio.sleep(random.uniform(*again.pause_s))

    async def _connection(self, url: str) -> bool:
        """One connection, until it is over; whether its session ran."""
        address = f"{url.rstrip('/')}/?{urlencode({'v': 10, 'encoding': 'json'})}"
        began = False
        async with connected(
            address, plain=self._holder.plain, close_code=gateway.LEAVE, max_bytes=MAX_FRAME
        ) as self._socket:
            queue, dispatches = trio.open_memory_channel[Dispatch](QUEUE)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._store, dispatches)
                while self._machine.phase is not gateway.Phase.OVER:
                    try:
                        text = await self._socket.receive(HELLO_S if self._greeting() else float("inf"))
                        if text is None:
                            raise Lost(1006)
                        step = gateway.receive(self._machine, gateway.frame(text))
                    except Lost as lost:
                        step = gateway.closed(self._machine, lost.close_code)
                    except Malformed:
                        continue
                    await self._do(step, nursery, queue)
                    began = began or self._machine.phase is gateway.Phase.READY
                nursery.cancel_scope.cancel()
        return began

    def _greeting(self) -> bool:
        return self._machine.phase is gateway.Phase.GREETING

    async def _do(
        self, step: gateway.Step, nursery: trio.Nursery, queue: trio.MemorySendChannel[Dispatch]
    ) -> None:
        self._machine, effects = step
        for effect in effects:
            if isinstance(effect, Send):
                await self._send(effect.op, effect.d)
            elif isinstance(effect, Identify):
                nursery.start_soon(self._identify)
            elif isinstance(effect, BeatEvery):
                nursery.start_soon(self._beat, effect.interval_s, nursery, queue)
            elif isinstance(effect, Dispatch):
                await queue.send(effect)
            elif isinstance(effect, Again):
                self._again = effect
            elif isinstance(effect, GiveUp):
                raise Misconfigured(effect.why, code=str(effect.code))

    async def _send(self, op: gateway.Op, d: object) -> None:
        try:
            await self._socket.send(gateway.encode(op, d))
        except Lost:
            return  # the reader learns the reason

    async def _identify(self) -> None:
        await self._holder.may_identify(self._index)
        shards = self._holder.start.shards
        d = gateway.identify(self._holder.token, self._holder.intents, self._index, shards)
        await self._send(gateway.Op.IDENTIFY, d)

    async def _beat(
        self, interval_s: float, nursery: trio.Nursery, queue: trio.MemorySendChannel[Dispatch]
    ) -> None:
        await trio.sleep(interval_s * random.random())
        while True:
            await self._do(gateway.beat(self._machine), nursery, queue)
            if self._machine.phase is gateway.Phase.OVER:
                nursery.cancel_scope.cancel()  # the reader may wait for ever
                return
            await trio.sleep(interval_s)

    async def _store(self, dispatches: trio.MemoryReceiveChannel[Dispatch]) -> None:
        """Store what is dispatched, in order, and keep the session behind it."""
        async for first in dispatches:
            if first.kind == "READY":  # the first of all: nothing is stored before its session is
                await self._holder.keep(self._index, first.session)
                continue
            batch = [first]
            while len(batch) < BATCH:
                try:
                    batch.append(dispatches.receive_nowait())
                except trio.WouldBlock:
                    break
            found: dict[str, Inbound] = {}  # by id: the gateway may say a thing twice
            for one in batch:
                self._holder.remember(one.kind, one.d)
                place = f"{one.session.id}:{one.session.seq}"
                try:
                    said = events.read(
                        one.kind, one.d, place=place, us=one.session.user, authors=self._holder.authors
                    )
                except Malformed:
                    continue  # nothing that could be shown to anybody, and it must not come again for ever
                for message in said:
                    found.setdefault(message.id, message)
            if found:
                await self._holder.deliver(Parsed(tuple(found.values())))
            session = batch[-1].session
            if found:
                await self._holder.keep(self._index, session)
            else:
                self._holder.sessions[self._index] = session
            for one in batch:
                if one.kind == "INTERACTION_CREATE":
                    await self._holder.respond(one.d)
