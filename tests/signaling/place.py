"""A controller's signaling with everything real around it: sockets, Postgres, Valkey; only the switch's owner is a stand-in
that answers orders over the bus."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from core.access.tokens import Keyring
from core.aio import Bridge, open_bridge
from core.bus import Bus
from core.clock import now_us
from core.config import Settings
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Change, Leg
from core.model.signaling import PROTOCOL
from core.signaling import serve_signaling
from core.storage.calls import write_changes
from core.storage.database import Database
from core.storage.nodes import Node
from core.telephony.parts import Parts

SECRET = "a secret for tests that is long enough to be one"
SDP = "\r\n".join(
    [
        "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110", "c=IN IP4 0.0.0.0",
        "a=candidate:1 1 udp 2113937151 127.0.0.1 40000 typ host", "a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 24,
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass", "a=mid:0", "a=rtcp-mux", "",
    ]
)  # fmt: skip
_numbers = itertools.count(1)
WAIT_S = 20.0

Obey = Callable[[Order], Outcome | None]


def obedient(order: Order) -> Outcome:
    """A switch on which everything works."""
    if order.action == "agent.call":
        result: dict[str, object] = {
            "leg": order.args["leg"],
            "call_id": order.call_id or f"call_{str(order.args['leg'])[:8]}",
            "sdp": "v=0\r\nanswer",
        }
        return Outcome(order_id=order.id, status="done", result=result)
    return Outcome(order_id=order.id, status="done", result={"sdp": "v=0\r\nanswer"})


class Place:
    """One or more controllers' signaling, and what tests need of the rest."""

    def __init__(self, bridge: Bridge, db: Database, bus: Bus, tenant_id: str, node: str) -> None:
        self.bridge = bridge
        self.db = db
        self.bus = bus
        self.tenant_id = tenant_id
        self.node = node
        self.orders: list[Order] = []
        self.obey: Obey = obedient
        self.stop: Callable[[], None] = lambda: None
        """Ends the newest controller in good order."""
        self._answers: set[asyncio.Future[None]] = set()

    # -- the store

    async def agent(self, name: str = "Ann", extension: str = "", tenant_id: str = "") -> tuple[str, str]:
        """A new agent: (agent id, user id)."""
        agent_id, user_id = new_id("agt"), new_id("usr")
        await self.bridge.run(self._insert, tenant_id or self.tenant_id, agent_id, user_id, name, extension)
        return agent_id, user_id

    async def _insert(self, tenant_id: str, agent_id: str, user_id: str, name: str, extension: str) -> None:
        async with self.db.tenant(tenant_id) as connection:
            await connection.execute(
                "insert into agents (tenant_id, id, user_id, name, extension, since_us, capacity, created_us, updated_us)"
                " values ($1, $2, $3, $4, $5, $6, $7, $6, $6)",
                tenant_id, agent_id, user_id, name, extension, now_us(),
                '{"attention": 1.0, "audio": 1, "slots": 4}',
            )  # fmt: skip

    async def tenant(self) -> str:
        """Another tenant's id."""
        tenant_id = new_id("tnt")
        await self.bridge.run(_tenant, self.db, tenant_id)
        return tenant_id

    async def rows(self, sql: str, *args: object, tenant_id: str = "") -> list[Any]:
        async def fetch() -> list[Any]:
            async with self.db.tenant(tenant_id or self.tenant_id) as connection:
                return list(await connection.fetch(sql, *args))

        return await self.bridge.run(fetch)

    def call(self, tenant_id: str = "", **more: Any) -> Call:
        """A customer who waits."""
        number = next(_numbers)
        leg = Leg(
            uuid=f"customer-{number}",
            direction="inbound",
            state="answered",
            caller="+493011122",
            created_us=now_us(),
        )
        call = Call(
            id=new_id("call"), tenant_id=tenant_id or self.tenant_id, node=self.node, state="answered", legs=(leg,),
            created_us=now_us(), version=1,
        )  # fmt: skip
        return replace(call, **more)

    async def write(self, kind: str, call: Call, **data: str | int | bool) -> None:
        """Let the owner of the switch tell of a change."""
        change = Change(type=kind, call=call, occurred_us=now_us(), data=data)
        await self.bridge.run(partial(write_changes, self.db, node=self.node, fence=1, changes=[change]))

    async def offer(self, agent_id: str, call: Call, tenant_id: str = "") -> str:
        """Somebody offers this agent a call."""
        from core.storage.reservations import offer_direct

        made = await self.bridge.run(
            partial(
                offer_direct,
                self.db,
                tenant_id or self.tenant_id,
                agent_id=agent_id,
                node=self.node,
                call_id=call.id,
                leg=call.legs[0].uuid,
                caller="+493011122",
                caller_name="Eve",
                ring_s=15,
            )
        )
        return made.id

    # -- the switch

    def on_order(self, reply_to: str, order: Order) -> None:
        """On the asyncio side."""
        self.orders.append(order)
        outcome = self.obey(order)
        if outcome is not None:
            self._answers.add(asyncio.ensure_future(self.bus.answer(reply_to, outcome)))

    def ordered(self, action: str) -> list[Order]:
        return [one for one in self.orders if one.action == action]


class Page:
    """A browser, as far as signaling is concerned."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str | None] | None = None
        self._numbers = itertools.count(1)
        self._news = trio.Event()
        self.probes = True
        """Whether it answers probes."""

    async def read(self) -> None:
        try:
            while True:
                frame = msgspec.json.decode(await self.ws.get_message())
                self.frames.append(frame)
                self._ring()
                if frame.get("type") == "probe" and self.probes:
                    await self.send("probed", probe=frame["probe"])
        except ConnectionClosed as exc:
            assert exc.reason is not None
            self.closed = exc.reason.code, exc.reason.reason
            self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def send(self, kind: str, /, *, request: str = "", **members: Any) -> str:
        request = request or f"q{next(self._numbers)}"
        await self.ws.send_message(msgspec.json.encode({"id": request, "type": kind, **members}).decode())
        return request

    async def ask(self, kind: str, /, **members: Any) -> dict[str, Any]:
        """A request and its answer."""
        request = await self.send(kind, **members)
        return await self.until(lambda one: one.get("re") == request)

    async def until(self, which: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first frame of this kind, waiting for it."""
        with trio.fail_after(WAIT_S):
            while True:
                for frame in self.frames:
                    if which(frame):
                        return frame
                assert self.closed is None, f"closed: {self.closed}"
                await self._news.wait()

    async def event(self, kind: str, **members: Any) -> dict[str, Any]:
        return await self.until(
            lambda one: (
                one.get("type") == kind and all(one.get(name) == value for name, value in members.items())
            )
        )

    async def until_closed(self) -> tuple[int, str | None]:
        with trio.fail_after(WAIT_S):
            while self.closed is None:
                await self._news.wait()
        return self.closed


def token(tenant_id: str, user_id: str, seconds: int = 60) -> str:
    return Keyring(SECRET).sign(
        "signaling", subject=user_id, tenant_id=tenant_id, session_id="ses_1", seconds=seconds
    )


@asynccontextmanager
async def open_place(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """Stores, a tenant of its own, and a switch that obeys."""
    async with open_bridge() as bridge:
        db = await bridge.run(partial(Database.open, max_size=6), database_url)
        bus = await bridge.run(Bus.open, redis_url)
        db.show = bus.publish
        tenant_id, node = new_id("tnt"), new_id("node")
        place = Place(bridge, db, bus, tenant_id, node)
        try:
            await bridge.run(bus.listening.wait)
            await bridge.run(_tenant_and_node, db, tenant_id, node)
            await bridge.run(bus.serve, node, place.on_order)
            yield place
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(bus.aclose)
                await bridge.run(db.close)


async def _tenant(db: Database, tenant_id: str) -> None:
    async with db.system() as connection:
        await connection.execute("insert into tenants (id, name) values ($1, $1)", tenant_id)


async def _tenant_and_node(db: Database, tenant_id: str, node: str) -> None:
    async with db.system() as connection:
        await connection.execute("insert into tenants (id, name) values ($1, $1)", tenant_id)
        await connection.execute(
            "insert into nodes (id, name, url, secret, fence, default_tenant, dial_template, settings) values ($1, $1, 'esl://x', 'x', 1, 'tnt_main', 'x', '{}')",
            node,
        )


@asynccontextmanager
async def controller(place: Place, tmp_path: Path, name: str = "ctl-1") -> AsyncIterator[tuple[str, Parts]]:
    """One controller's signaling: (its address, its parts)."""
    parts = Parts(name, place.bridge, place.bus, place.db, tmp_path)
    parts.nodes = {
        place.node: Node(
            id=place.node,
            name="sw",
            url="esl://:x@127.0.0.1:1?inside=u:p@127.0.0.1:5080",
            host="127.0.0.1",
            port=1,
            state="active",
            owner="",
            fence=1,
            default_tenant="tnt_main",
            dial_template="x/{number}",
            status={"up": True},
        )
    }
    settings = Settings(secret=SECRET, signaling="127.0.0.1:0")
    scope = trio.CancelScope()
    place.stop = scope.cancel

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await serve_signaling(parts, settings, task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        while "signaling" not in parts.shown:
            await trio.sleep(0)
        yield str(parts.shown["signaling"]), parts
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def page(url: str, protocols: Sequence[str] = (PROTOCOL,)) -> AsyncIterator[Page]:
    """A connected browser that has said nothing."""
    host, _, port = url.removeprefix("ws://").partition("/")[0].rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    try:
        async with trio.open_nursery() as nursery:
            ws = await wrap_client_stream(nursery, stream, host, "/v1/signaling", subprotocols=protocols)
            opened = Page(ws)
            nursery.start_soon(opened.read)
            yield opened
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def hello(
    opened: Page, place: Place, user_id: str, *, device: str = "dev-1", **more: Any
) -> dict[str, Any]:
    """Say hello; the answer."""
    tenant_id = more.pop("tenant_id", place.tenant_id)
    return await opened.ask(
        "hello",
        token=token(tenant_id, user_id),
        device={"id": device, "label": "A browser"},
        tab="t1",
        **more,
    )
