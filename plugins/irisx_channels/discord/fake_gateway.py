"""The fake Discord's gateway: sessions that outlive connections, replays, heartbeats, close codes, limits of starting."""

import asyncio
import contextlib
from typing import Any, cast

import msgspec

from irisx_channels.discord.fake_api import Api
from irisx_channels.lenient import Json
from irisx_sdk.fake import Closed, WebSocket

CONTENT = 1 << 15
_MOST_FRAME = 4096


class Session:
    """What the gateway knows of one Identify."""

    def __init__(self, id: str, shard: int, shards: int, intents: int) -> None:
        self.id = id
        self.shard = shard
        self.shards = shards
        self.intents = intents
        self.log: list[tuple[str, Json]] = []
        """Everything dispatched; the sequence number is the place, from 1."""
        self.link: Link | None = None


class Link:
    """One connection."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.session: Session | None = None
        self.beats = 0
        self.sent = 0
        """The last sequence number that went out."""
        self.pushing = asyncio.Lock()

    async def send(self, op: int, d: Any = None, s: int | None = None, t: str | None = None) -> None:
        """Send a frame; nothing when the other side is gone."""
        with contextlib.suppress(Closed):
            await self.socket.send(msgspec.json.encode({"op": op, "d": d, "s": s, "t": t}).decode())


class Gateway(Api):
    """Another third of `irisx_channels.discord.fake.FakeDiscord`."""

    interval_s: float = 41.25
    concurrency_s: float = 5.0
    """In which `max_concurrency` sessions may be started."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.links: list[Link] = []
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self.hasty = 0
        """Sessions that were refused because others had just been started."""
        self.closes: list[int] = []
        """Codes with which the bot closed."""
        self.deaf = False
        """Heartbeats are not acknowledged: the connection only looks alive."""
        self.content_allowed = True
        """The privileged intent is switched on."""
        self.refuse_with = 0
        """Close every connection with this code after Hello."""
        self._started: dict[int, list[float]] = {}
        self.websocket("/gateway/", self._gateway_link)
        self.websocket("/resume/", self._gateway_link)

    @property
    def gateway_url(self) -> str:
        """Where new sessions connect."""
        return f"{self.base.replace('http', 'ws', 1)}/gateway"

    def tell(self, kind: str, d: Json) -> None:
        """Dispatch an event to the sessions whose shard it belongs to (docs, "Gateway", sharding)."""
        for session in self.sessions.values():
            guild = int(d.get("guild_id", 0))
            if (guild >> 22) % session.shards != session.shard:
                continue
            seen = {**d, "content": ""} if self._hidden(session, kind, d) else d
            copies = 2 if self._chance(self.faults.duplicate) else 1
            session.log += [(kind, msgspec.json.decode(msgspec.json.encode(seen)))] * copies
            if session.link is not None:
                self.spawn(self._push(session))

    def _hidden(self, session: Session, kind: str, d: Json) -> bool:
        """Whether a message's words are kept from a bot without the privileged intent."""
        theirs = kind.startswith("MESSAGE_") and "author" in d and d["author"]["id"] != self.bot_id
        return theirs and "guild_id" in d and not session.intents & CONTENT

    async def ask_to_reconnect(self) -> None:
        """Tell every connection to come again (op 7)."""
        for link in list(self.links):
            await link.send(7)

    async def invalidate(self, *, resumable: bool) -> None:
        """Tell every connection that its session is invalid (op 9)."""
        for link in list(self.links):
            if not resumable and link.session is not None:
                self.sessions.pop(link.session.id, None)
            await link.send(9, resumable)

    async def close_with(self, code: int) -> None:
        """Close every connection with ``code``."""
        for link in list(self.links):
            await link.socket.close(code)

    async def _push(self, session: Session) -> None:
        link = session.link
        if link is None:
            return
        async with link.pushing:
            while link.sent < len(session.log) and session.link is link:
                kind, d = session.log[link.sent]
                link.sent += 1
                await link.send(0, d, link.sent, kind)

    async def _gateway_link(self, socket: WebSocket) -> None:
        if socket.query.get("v") != "10" or socket.query.get("encoding") != "json":
            await socket.close(4012)
            return
        link = Link(socket)
        self.links.append(link)
        watch: asyncio.Task[None] | None = None
        try:
            await link.send(10, {"heartbeat_interval": int(self.interval_s * 1000), "_trace": ["fake"]})
            if self.refuse_with:
                await socket.close(self.refuse_with)
                return
            watch = self.spawn(self._watch(link))
            while True:
                code = await self._frame(link, await socket.receive())
                if code:
                    await socket.close(code)
                    return
        except Closed as closed:
            self.closes.append(closed.code)
            if closed.code in (1000, 1001) and link.session is not None:
                self.sessions.pop(link.session.id, None)
        finally:
            if watch is not None:
                watch.cancel()
            self.links.remove(link)
            if link.session is not None and link.session.link is link:
                link.session.link = None

    async def _watch(self, link: Link) -> None:
        """Close the connection of somebody whose heart does not beat."""
        while True:
            beats = link.beats
            await asyncio.sleep(self.interval_s * 2)
            if link.beats == beats:
                await link.socket.close(4009)
                return

    async def _frame(self, link: Link, raw: str | bytes) -> int:
        """Take a frame; the code to close with, 0 to go on."""
        if len(raw) > _MOST_FRAME:
            return 4002
        try:
            found = msgspec.json.decode(raw, type=Json)
            op, d = int(found["op"]), cast(Json, found.get("d"))
        except (msgspec.DecodeError, KeyError, ValueError, TypeError):
            return 4002
        if op == 1:
            link.beats += 1
            if not self.deaf:
                await link.send(11)
            return 0
        if op in (2, 6) and not isinstance(d, dict):
            return 4002
        if op == 2:
            return 4005 if link.session is not None else await self._identify(link, d)
        if op == 6:
            return 4005 if link.session is not None else await self._resume(link, d)
        return 4001 if link.session is not None else 4003

    async def _identify(self, link: Link, d: Json) -> int:
        if d["token"] != self.bot_token:
            self.unauthorized += 1
            return 4004
        if d["intents"] >> 26:
            return 4013
        if d["intents"] & CONTENT and not self.content_allowed:
            return 4014
        shard, shards = d.get("shard", [0, 1])
        if not 0 <= shard < shards:
            return 4010
        key, now = shard % self.max_concurrency, asyncio.get_running_loop().time()
        recent = [at for at in self._started.get(key, []) if now < at + self.concurrency_s]
        self._started[key] = [*recent, now]
        if recent or self.remaining_starts <= 0:
            self.hasty += bool(recent)
            await link.send(9, False)
            return 0
        self.identified += 1
        self.remaining_starts -= 1
        session = Session(self.new_id(), shard, shards, d["intents"])
        self.sessions[session.id] = session
        await self._take(link, session)
        url = self.gateway_url.replace("/gateway", "/resume")
        ready = {
            "v": 10, "user": self.user(self.bot_id), "guilds": [{"id": self.GUILD, "unavailable": True}],
            "session_id": session.id, "resume_gateway_url": url, "shard": [shard, shards],
            "application": {"id": self.bot_id, "flags": 0},
        }  # fmt: skip
        session.log += [
            ("READY", ready),
            ("GUILD_CREATE", {"id": self.GUILD, "name": "Fake", "channels": []}),
        ]
        await self._push(session)
        return 0

    async def _resume(self, link: Link, d: Json) -> int:
        if d["token"] != self.bot_token:
            self.unauthorized += 1
            return 4004
        session = self.sessions.get(d["session_id"])
        if session is None:
            await link.send(9, False)
            return 0
        if not 0 <= d["seq"] <= len(session.log):
            return 4007
        self.resumed += 1
        link.sent = d["seq"]
        await self._take(link, session)
        session.log.append(("RESUMED", {"_trace": ["fake"]}))
        await self._push(session)
        return 0

    async def _take(self, link: Link, session: Session) -> None:
        """A session belongs to its newest connection."""
        if session.link is not None:
            await session.link.socket.close(4000)
        session.link, link.session = link, session
