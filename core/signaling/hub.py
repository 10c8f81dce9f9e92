"""All sessions of this controller: who holds which agent, what the log and the page say to whom, and what they ask for.

The rules are the machine's (`core.model.signaling_session`); here its outputs are carried out: frames into sockets, orders
over the bus to whoever owns the switch, operations of the store. Everything that waits is a task of the hub's nursery with a
deadline, and reports to its session when it is over, also to one that has ended: something may have to be put right.
"""

import hashlib
import heapq
import random
import uuid
from weakref import WeakValueDictionary

import trio

from core.access.tokens import Keyring
from core.aio import Bridge
from core.bus import Bus
from core.clock import monotonic, now_us
from core.config import inside_of
from core.errors import Conflict, IrisxError, PeerError, PeerTimeout, Unavailable
from core.ids import new_id
from core.logs import get_logger
from core.model.entries import LogEntry
from core.model.orders import Order, Outcome
from core.model.signaling import Accept, Dial, Hello, Renew, Request, Resume
from core.model.signaling_session import Session
from core.model.signaling_spine import Came, Frame, Give, Keep, Now, Output, Over, Shut
from core.signaling import store
from core.signaling.room import Room
from core.signaling.sdp import fault_of
from core.signaling.socket import Counters, Socket
from core.signaling.store import Who
from core.storage import agents, recordings
from core.storage.database import Database
from core.storage.nodes import load_of
from core.telephony.parts import Parts

LOG = get_logger("signaling")

ENTERING = 16
"""Sessions that may begin at once: after the loss of a controller thousands come together."""
ENTER_S = 5.0
BEAT_S = 10.0
BEAT_AGAIN_S = 1.0
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 1.0
OFFLINE_S = 5.0
TAKEN_OVER_S = 5.0
"""How long an order waits for an owner of its switch: more than a takeover takes."""


class Held:
    """A session with its place: whose it is, and the socket that it has now."""

    __slots__ = ("due", "room", "session", "socket", "who")

    def __init__(self, session: Session, who: Who, room: Room["Held"]) -> None:
        self.session = session
        self.who = who
        self.room = room
        self.socket: Socket | None = None
        self.due = float("inf")
        """When the clock comes to it next."""


class Hub:
    """See the module's text."""

    def __init__(self, parts: Parts, secret: str, nursery: trio.Nursery) -> None:
        self._parts = parts
        self._bridge: Bridge = parts.bridge
        self._bus: Bus = parts.bus
        self._db: Database = parts.db
        self._nursery = nursery
        self._keyring = Keyring(secret)
        self.counters = Counters()
        self.sessions: dict[str, Held] = {}
        self._rooms: dict[str, Room[Held]] = {}
        self._entering = trio.CapacityLimiter(ENTERING)
        self._locks: WeakValueDictionary[tuple[str, str], trio.Lock] = WeakValueDictionary()
        self._due: list[tuple[float, int, Held]] = []
        self._armed = 0
        self._wake = trio.Event()

    @staticmethod
    def now() -> Now:
        return Now(monotonic(), now_us())

    def statistics(self) -> dict[str, int]:
        """For the presence and the metrics."""
        counters = self.counters
        return {
            "sessions": len(self.sessions),
            "sockets": sum(held.socket is not None for held in self.sessions.values()),
            "sockets_opened": counters.opened,
            "sockets_not_read": counters.not_read,
            "sockets_too_fast": counters.too_fast,
            "sockets_refused": counters.refused,
            "faults": counters.faults,
            "frames": counters.frames,
            "surprises": sum(held.session.surprises for held in self.sessions.values()),
            "log_holes": sum(room.follow.holes for room in self._rooms.values()),
            "entries_refused": sum(room.inbox.refused for room in self._rooms.values()),
        }

    # -- a page says hello

    async def hello(self, socket: Socket, hello: Hello) -> Held:
        """The session that this socket is from now on for; the page is answered. Raises `IrisxError`: it is none."""
        claims = self._keyring.verify("signaling", hello.token)
        tenant_id, user_id = claims.acts_in, claims.subject
        if hello.resume is not None:
            held = self._resumed(tenant_id, user_id, hello, hello.resume)
            if held is not None:
                self._attach(held, socket, hello.id, hello.resume.n)
                return held
        lock = self._locks.setdefault((tenant_id, user_id), trio.Lock())
        with trio.move_on_after(ENTER_S):
            async with lock, self._entering:
                return await self._enter(tenant_id, user_id, socket, hello)
        raise Unavailable("too many pages come at once; try again", code="busy")

    def _resumed(self, tenant_id: str, user_id: str, hello: Hello, resume: Resume) -> Held | None:
        held = self.sessions.get(resume.session)
        if held is None or held.session.over:
            return None
        # Whoever knows a session's id is not therefore its owner.
        same = (held.who.tenant_id, held.who.user_id, held.session.device.id)
        return held if same == (tenant_id, user_id, hello.device.id) else None

    async def _enter(self, tenant_id: str, user_id: str, socket: Socket, hello: Hello) -> Held:
        agent = await self._bridge.run(store.find, self._db, tenant_id, user_id)
        if agent is None:
            raise Conflict("you are no agent here", code="no_agent")
        digest = hashlib.sha256(hello.device.id.encode()).hexdigest()[:8]
        other = agent.session and not agent.session.endswith(f"-{digest}")
        if other and not hello.take_over:
            raise Conflict("your phone is on another device", code="other_device")
        who = Who(tenant_id, agent.id, user_id)
        room = await self._room(tenant_id)
        session_id = f"{new_id('sgs')}-{digest}"
        missed: list[LogEntry] = []
        room.awaited[agent.id] = missed
        try:
            found = await self._bridge.run(store.begin, self._db, who, session_id, self._parts.name)
        except BaseException:
            del room.awaited[agent.id]
            self._leave_empty(room)
            raise
        del room.awaited[agent.id]
        session = Session(
            session_id,
            tenant_id,
            found.agent,
            hello.device,
            self.now(),
            fresh_leg=lambda: str(uuid.uuid4()),
            reserved=found.reserved,
            calls=found.calls,
        )
        held = Held(session, who, room)
        before = room.agents.get(agent.id)
        if before is not None:
            session.inherit(before.session)
            self._apply(before, before.session.replaced(self.now()))
        room.agents[agent.id] = held
        self.sessions[session_id] = held
        room.note_calls(held, set(), set(session.calls.by_id))
        LOG.info("a session began", session=session_id, agent=agent.id, tenant=tenant_id)
        self._attach(held, socket, hello.id, None)
        for entry in missed:  # while the store was read
            for one, outputs in room.entry(entry, self.now(), only=held):
                self._apply(one, outputs)
        return held

    def _attach(self, held: Held, socket: Socket, request: str, after_n: int | None) -> None:
        before, held.socket = held.socket, None
        if before is not None:
            before.close(4408, "resumed elsewhere")
            self._apply(held, held.session.detach(self.now()))
        held.socket = socket
        self._apply(held, held.session.attach(request, after_n, self.now()))

    def lost(self, held: Held, socket: Socket) -> None:
        """This socket is gone. Its session stays, unless another socket has it by now."""
        if held.socket is socket:
            held.socket = None
            self._apply(held, held.session.detach(self.now()))

    def asked(self, held: Held, request: Request) -> None:
        """A page asks something."""
        if isinstance(request, Accept | Dial | Renew) and request.sdp and (fault := fault_of(request.sdp)):
            self.refuse(held, request.id, "invalid_sdp", fault)
            return
        self._apply(held, held.session.request(request, self.now()))

    def refuse(self, held: Held, request: str, code: str, detail: str) -> None:
        """A request that was seen to be wrong."""
        self._apply(held, held.session.bad_request(request, code, detail, self.now()))

    # -- tenants

    async def _room(self, tenant_id: str) -> Room[Held]:
        """The tenant's room, its log followed. Raises `Unavailable` when that cannot be had now."""
        room = self._rooms.get(tenant_id)
        if room is None:
            room = self._rooms[tenant_id] = Room(tenant_id, self._bus, self._db)
            self._nursery.start_soon(self._keep_room, room)
        with trio.move_on_after(ENTER_S):
            room.entering += 1
            try:
                await room.begun.wait()
            finally:
                room.entering -= 1
            return room
        self._leave_empty(room)
        raise Unavailable("the log is out of reach now", code="log_away")

    def _leave_empty(self, room: Room[Held]) -> None:
        if (
            not room.agents
            and not room.awaited
            and not room.entering
            and self._rooms.get(room.tenant_id) is room
        ):
            del self._rooms[room.tenant_id]
            room.scope.cancel()

    async def _keep_room(self, room: Room[Held]) -> None:
        with room.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bridge.run, room.follow.run)
                while True:
                    for entry in await room.inbox.take():
                        for held, outputs in room.entry(entry, self.now()):
                            self._apply(held, outputs)

    # -- what a session wants done

    def _apply(self, held: Held, outputs: list[Output]) -> None:
        session = held.session
        before = held.room.calls_of(held)
        for one in outputs:
            if isinstance(one, Frame):
                if held.socket is not None:
                    held.socket.push(one.body)
            elif isinstance(one, Give):
                self._nursery.start_soon(self._give, held, one)
            elif isinstance(one, Keep):
                self._nursery.start_soon(self._keep, held, one)
            elif isinstance(one, Shut):
                if held.socket is not None:
                    held.socket.close(one.code, one.reason)
            else:
                self._over(held, one)
        held.room.note_calls(held, before, set(session.calls.by_id) if not session.over else set())
        due = session.due
        if due is not None and due < held.due:
            self._arm(held, due)

    def _over(self, held: Held, over: Over) -> None:
        LOG.info("a session ended", session=held.session.id, agent=held.who.agent_id, offline=over.offline)
        self.sessions.pop(held.session.id, None)
        if held.room.agents.get(held.who.agent_id) is held:
            del held.room.agents[held.who.agent_id]
        self._leave_empty(held.room)
        if over.offline:
            self._nursery.start_soon(self._offline, held)

    async def _offline(self, held: Held) -> None:
        with trio.move_on_after(OFFLINE_S):
            try:
                await self._bridge.run(store.end, self._db, held.who, held.session.id)
            except PeerError as exc:
                # Whoever watches for silence does it in our place.
                LOG.info("an agent's leaving was not stored", agent=held.who.agent_id, error=exc.code)

    async def _give(self, held: Held, give: Give) -> None:
        outcome = Came(False, code="outcome_unknown", detail="no answer came in time; it may have been done")
        with trio.move_on_after(give.within_s):
            outcome = await self._ordered(held, give)
        self._apply(held, held.session.came(give.token, outcome, self.now()))

    async def _ordered(self, held: Held, give: Give) -> Came:
        node = give.node or self._any_node()
        if not node:
            return Came(False, code="no_switch", detail="no switch takes calls now", retryable=True)
        order = Order(
            id=new_id("ord"),
            action=give.action,
            node=node,
            tenant_id=held.who.tenant_id,
            deadline_us=now_us() + round(give.within_s * 1e6),
            call_id=give.call_id,
            args=give.args,
            actor=held.who.user_id,
        )
        try:
            if order.action == "call.record_pause" and not await self._may_pause(order):
                return Came(
                    False, code="pause_not_allowed", detail="this recording's policy allows no pauses"
                )
            outcome = await self._asked(order)
        except IrisxError as exc:
            return _failed(exc)
        LOG.info(
            "an order was given",
            order=order.id,
            action=order.action,
            status=outcome.status,
            code=outcome.code,
        )
        if outcome.status != "done":
            code = outcome.code or outcome.status
            return Came(
                False, code="outcome_unknown" if outcome.status == "unknown" else code, detail=outcome.detail
            )
        result = {name: value for name, value in outcome.result.items() if name != "call"}
        return Came(True, {**result, "node": node})

    async def _may_pause(self, order: Order) -> bool:
        recording = str(order.args.get("recording", ""))
        return await self._bridge.run(recordings.may_pause, self._db, order.tenant_id, recording)

    async def _asked(self, order: Order) -> Outcome:
        """Give an order, and again while it is certain that nothing was done: somebody may be taking the switch over."""
        patient_until = trio.current_time() + TAKEN_OVER_S
        while True:
            try:
                return await self._bridge.run(self._bus.ask, order)
            except Unavailable:
                if trio.current_time() >= patient_until:
                    raise
            await trio.sleep(FIRST_RETRY_S * random.uniform(0.5, 1.5))

    def _any_node(self) -> str:
        """The least busy switch that takes agents' legs."""
        able = [
            node
            for node in self._parts.nodes.values()
            if node.state == "active"
            # (what the store says of a switch is some seconds old)
            and (node.status.get("up") is True or node.id in self._parts.owned)
            and inside_of(node.url) is not None
        ]
        return min(able, key=lambda node: (load_of(node), node.id)).id if able else ""

    async def _keep(self, held: Held, keep: Keep) -> None:
        outcome = Came(
            False, code="outcome_unknown", detail="the store did not answer in time; it may be stored"
        )
        delay = FIRST_RETRY_S
        with trio.move_on_after(keep.within_s):
            while True:
                try:
                    outcome = Came(True, await self._bridge.run(store.keep, self._db, held.who, keep))
                    break
                except IrisxError as exc:
                    outcome = _failed(exc)
                if not outcome.retryable:
                    break
                # What was certainly not done is tried again while there is time.
                await trio.sleep(delay * random.uniform(0.5, 1.5))
                delay = min(delay * 2, MAX_RETRY_S)
        self._apply(held, held.session.came(keep.token, outcome, self.now()))

    # -- the clock

    def _arm(self, held: Held, due: float) -> None:
        held.due = due
        self._armed += 1
        heapq.heappush(self._due, (due, self._armed, held))
        if self._due[0][2] is held:
            self._wake.set()

    async def keep_time(self) -> None:
        """Come to each session when it is due."""
        while True:
            now = monotonic()
            while self._due and self._due[0][0] <= now:
                due, _, held = heapq.heappop(self._due)
                if due == held.due:
                    held.due = float("inf")
                    self._apply(held, held.session.tick(self.now()))
            self._wake = trio.Event()
            with trio.move_on_after(max(0.0, self._due[0][0] - now) if self._due else 60.0):
                await self._wake.wait()

    async def beat(self) -> None:
        """Say of all agents here that they are, in one statement; sessions that were told otherwise end."""
        pause = BEAT_S
        while True:
            await trio.sleep(pause)
            pause = BEAT_S
            held_now = list(self.sessions.values())
            rows = [(one.who.tenant_id, one.who.agent_id, one.session.id) for one in held_now]
            try:
                with trio.fail_after(BEAT_S):
                    alive = await self._bridge.run(agents.beat, self._db, rows)
            except (PeerError, trio.TooSlowError) as exc:
                LOG.info("the agents' beat was not stored", agents=len(rows), error=type(exc).__name__)
                # A store that comes back must hear of them before somebody looks for the silent.
                pause = BEAT_AGAIN_S
                continue
            for one in held_now:
                if (one.who.tenant_id, one.who.agent_id) not in alive and not one.session.over:
                    self._apply(one, one.session.disowned(self.now()))

    async def drain(self) -> None:
        """Send every page to another controller; returns when they have heard it."""
        sockets = [held.socket for held in self.sessions.values() if held.socket is not None]
        for held in list(self.sessions.values()):
            self._apply(held, held.session.drained(self.now()))
        for socket in sockets:
            await socket.flushed()


def _failed(exc: IrisxError) -> Came:
    if isinstance(exc, PeerTimeout):
        return Came(False, code="outcome_unknown", detail=exc.detail)
    retryable = isinstance(exc, Unavailable)
    return Came(False, code=exc.code, detail=exc.detail, retryable=retryable)
