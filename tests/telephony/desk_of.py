"""A small owner of one switch for tests of orders: real connections, a real switchboard, no database, no bus.

`open_lab` gives a `Lab` with a switch behind it: the simulator in this process, or a real FreeSWITCH when these are set:

``IRISX_TEST_SWITCH``   ``esl://:password@127.0.0.1:8021?inside=user:password@127.0.0.1:5080``, a switch that runs our
                        configuration and nobody else uses
``IRISX_TEST_CARRIER``  where its carrier profile listens, ``127.0.0.1:5060``

The same tests run on both. People are `Person`s on either: SIP telephones with real sound at a real switch, scripts in
the simulator, whose people are silent here: there `Lab.hears` asks nothing.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol, TypeVar, TypeVarTuple

import trio

from core.clock import now_us
from core.errors import Conflict, PeerError
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Change, Leg
from core.model.switchboard import Switchboard
from core.telephony import consult
from core.telephony import resync as comparing
from core.telephony.agent_phone import AgentPhone
from core.telephony.orders import carry_out
from core.telephony.resync import Report
from core.telephony.translate import CUSTOM_SUBCLASSES, EVENT_NAMES, translate
from core.telephony.turns import Turns
from core.telephony.watch import Watches
from freeswitch.conf import sign_of_life
from freeswitch.endpoint import Endpoint, dial
from freeswitch.errors import EslError
from freeswitch.switch import (
    Doubt,
    Down,
    Events,
    Notice,
    Switch,
    SwitchSettings,
    Up,
    open_switch,
)
from tests.telephony import phones

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

REAL = os.environ.get("IRISX_TEST_SWITCH", "")
CARRIER = os.environ.get("IRISX_TEST_CARRIER", "127.0.0.1:5060")
TENANT = "tnt_main"
MUSIC = f"tone_stream://%(2000,0,{phones.MUSIC});loops=-1"
PATIENCE_S = 5.0
SIGN_OF_LIFE_S = 3.0
QUICK = SwitchSettings(first_retry_s=0.05, most_retry_s=0.2)
SUBSCRIPTIONS = (
    *(name for name in EVENT_NAMES if name not in ("CHANNEL_CALLSTATE", "CHANNEL_OUTGOING")),
    "CUSTOM",
    *CUSTOM_SUBCLASSES,
)
"""What an owner listens to (`core.telephony.node.SUBSCRIPTIONS`, which a test checks)."""


class SmallDesk:
    """`core.telephony.desk.Desk`, as `core.telephony.owner.Owner` is one, without what that needs a cluster for."""

    def __init__(self, switch: Switch, dial_template: str) -> None:
        self.switch = switch
        self.board = Switchboard("node_test", TENANT)
        self.watches = Watches()
        self.turns = Turns()
        self.state = "active"
        self.phone: AgentPhone | None = None
        self.on_their_way: set[str] = set()
        self.settings: Mapping[str, object] = {"hold_music": MUSIC}
        self.dial_template = dial_template
        self.changes: list[Change] = []
        """Everything that was told, in order."""
        self.failures: list[str] = []
        """Steps that failed after their order had been answered."""
        self.moved = trio.Event()
        self.deaf = False
        """True: events come and are not looked at."""
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the switch until `stop`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                self._on_notice(await self.switch.receive())

    def stop(self) -> None:
        """Die: whatever was under way is not finished."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        return await self.switch.api(line, deadline_s=deadline_s)

    async def bgapi(self, line: str, *, deadline_s: float = 60.0) -> str:
        return await self.switch.bgapi(line, deadline_s=deadline_s)

    def leg(self, uuid: str) -> Leg | None:
        call = self.board.call_of(uuid)
        legs = call.legs if call is not None else ()
        return next((leg for leg in legs if leg.uuid == uuid and leg.state != "ended"), None)

    def latest(self, call_id: str) -> Call | None:
        return self.board.calls.get(call_id)

    def note(self, leg: str, *, muted: bool | None = None, held: bool | None = None) -> None:
        self._take(self.board.mark(leg, muted=muted, held=held, at_us=now_us()))

    def tell(self, kind: str, call_id: str, **data: str) -> None:
        call = self.board.calls.get(call_id)
        if call is not None:
            self._take([Change(type=kind, call=call, occurred_us=now_us(), data=dict(data))])

    @contextmanager
    def calling(self, leg: str) -> Iterator[None]:
        self.on_their_way.add(leg)
        yield
        self.on_their_way.discard(leg)

    def background(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        async def guarded() -> None:
            try:
                await fn(*args)
            except (EslError, PeerError, Conflict) as exc:
                self.failures.append(f"{fn.__name__}: {exc}")

        assert self._nursery is not None
        self._nursery.start_soon(guarded)

    def refuse_new_calls(self) -> None:
        if self.state != "active":
            raise Conflict(f"the switch is {self.state}: it takes no new calls", code="draining")

    async def set_state(self, state: str) -> None:
        self.state = state

    async def resync(self, reason: str) -> Report:
        return await comparing.resync(self.switch, self.board, self._take, self)

    def write(self, data: bytes) -> None:
        """(There is no flight recorder here.)"""

    def mark(self, mark: str, **values: object) -> None:
        """(There is no flight recorder here.)"""

    def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, Events):
            for event in () if self.deaf else notice.events:
                fact = translate(event, self.board)
                if fact is not None:
                    self._take(self.board.advance(fact))
        elif isinstance(notice, Up):
            if notice.changed:
                self._take(self.board.node_restarted(now_us()))
            if not notice.first:
                self.background(self._compare)
        elif isinstance(notice, Down):
            self._take(self.board.node_lost(now_us()))
        elif isinstance(notice, Doubt):
            self.background(self._compare)

    async def _compare(self) -> None:
        await self.resync("noticed")

    def _take(self, changes: list[Change]) -> None:
        if changes:
            self.changes += changes
            self.watches.tell(changes)
            self.moved.set()
            self.moved = trio.Event()


class Wires:
    """The connections to the switch, as a test may break them."""

    def __init__(self) -> None:
        self.swallow = False
        """What we send leaves us and never arrives."""
        self.refuse = False
        """Nobody is let in."""
        self._open: set[_Wire] = set()

    async def connect(self, endpoint: Endpoint) -> trio.abc.Stream:
        if self.refuse:
            raise ConnectionRefusedError("the test refuses")
        wire = _Wire(self, await dial(endpoint))
        self._open.add(wire)
        return wire

    async def cut(self) -> None:
        """Cut every connection that there is now."""
        for wire in list(self._open):
            await wire.aclose()


class _Wire(trio.abc.Stream):
    def __init__(self, wires: Wires, stream: trio.SocketStream) -> None:
        self._wires = wires
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._wires.swallow:
            await trio.lowlevel.checkpoint()
            return
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except trio.ClosedResourceError:
            return b""

    async def aclose(self) -> None:
        self._wires._open.discard(self)
        await self._stream.aclose()


class Person(Protocol):
    """Somebody at the far end of a leg."""

    @property
    def tone(self) -> int: ...
    @property
    def keys(self) -> str | None:
        """The keys that came to them; None where nobody keeps them."""

    @property
    def caller_shown(self) -> str | None:
        """Who calls them, as their telephone shows it; None where there is no telephone."""

    async def hang_up(self) -> None: ...
    async def press(self, keys: str) -> None: ...
    def hears(self) -> set[int] | None:
        """The tones that reach them; None where there is no sound."""


class Place(Protocol):
    """A switch and the people around it."""

    real: bool
    endpoint: Endpoint
    dial_template: str

    async def call_in(self, desk: SmallDesk, to: str, number: str, name: str) -> str:
        """Somebody calls; the uuid of the leg. Raises `ConnectionRefusedError` when the switch does not take it."""

    def person(self, lab: "Lab", uuid: str) -> Person: ...


class Lab:
    """A switch, its desk, and the words that tests use."""

    def __init__(self, place: Place, desk: SmallDesk, nursery: trio.Nursery, wires: Wires) -> None:
        self.place = place
        self.desk = desk
        self._nursery = nursery
        self.wires = wires
        self.tenant = TENANT

    # -- people

    async def call_in(
        self, number: str = "+15550100", *, to: str = "100", name: str = "", answered: bool = True
    ) -> Leg:
        """Somebody calls and is parked; ``answered`` gives the order to answer too."""
        uuid = await self.place.call_in(self.desk, to, number, name)
        leg = await self.leg_when(uuid, lambda leg: leg.parked)
        if answered:
            await self.done("call.answer", leg)
        return self.leg(uuid)

    def person(self, leg: Leg) -> Person:
        """Who sits at the far end of this leg."""
        return self.place.person(self, leg.uuid)

    async def hears(self, leg: Leg, *tones: int) -> None:
        """The person at this leg comes to hear exactly these tones."""
        person = self.person(leg)
        if person.hears() is None:
            return
        wanted = set(tones)
        with trio.move_on_after(3.0):
            while person.hears() != wanted:
                await trio.sleep(0.02)
            return
        raise AssertionError(f"{leg.uuid[:8]} hears {person.hears()}, not {wanted}")

    async def got_keys(self, leg: Leg, keys: str) -> None:
        """The telephone of this leg comes to hear these keys."""
        person = self.person(leg)
        with trio.move_on_after(PATIENCE_S):
            while person.keys not in (keys, None):
                await trio.sleep(0.02)
            return
        raise AssertionError(f"{leg.uuid[:8]} got the keys {person.keys}, not {keys}")

    def tone(self, leg: Leg) -> int:
        """What the person at this leg speaks."""
        return self.person(leg).tone

    async def hand_over(self) -> None:
        """The controller dies, and an heir that knows what was stored goes on."""
        dead = self.desk
        dead.stop()
        heir = SmallDesk(dead.switch, dead.dial_template)
        heir.settings = dead.settings
        heir.board.restore(dead.board.calls.values())
        heir.changes = dead.changes
        await self._nursery.start(heir.run)
        self.desk = heir
        await heir.resync("taken over")
        consult.resume(heir)

    # -- orders

    async def give(
        self, action: str, about: Leg | Call | None = None, **args: str | bool | float | None
    ) -> Outcome:
        """Give an order; a `Leg` names its call and itself, a `Call` only itself. ``from_`` is ``from``."""
        call_id = ""
        if isinstance(about, Leg):
            call = self.desk.board.call_of(about.uuid)
            call_id = call.id if call is not None else ""
            args.setdefault("leg", about.uuid)
        elif about is not None:
            call_id = about.id
        order = Order(
            id=new_id("ord"),
            action=action,
            node=self.desk.board.node,
            tenant_id=self.tenant,
            deadline_us=now_us() + 10_000_000,
            call_id=call_id,
            args={name.rstrip("_"): value for name, value in args.items()},
        )
        return await carry_out(self.desk, order)

    async def done(
        self, action: str, about: Leg | Call | None = None, **args: str | bool | float | None
    ) -> dict[str, object]:
        """Give an order that succeeds; its result."""
        outcome = await self.give(action, about, **args)
        assert outcome.status == "done", (action, outcome.status, outcome.code, outcome.detail)
        return outcome.result

    async def refused(
        self,
        code: str,
        action: str,
        about: Leg | Call | None = None,
        *,
        status: str = "refused",
        **args: str | bool | float | None,
    ) -> Outcome:
        """Give an order that does not succeed, for this reason."""
        outcome = await self.give(action, about, **args)
        assert (outcome.status, outcome.code) == (status, code), outcome
        assert outcome.detail
        return outcome

    # -- looking

    def leg(self, leg: Leg | str) -> Leg:
        """A leg as it is now, ended or not."""
        uuid = leg if isinstance(leg, str) else leg.uuid
        call = self.desk.board.call_of(uuid)
        if call is None:
            call = next(
                change.call
                for change in reversed(self.desk.changes)
                if any(one.uuid == uuid for one in change.call.legs)
            )
        return next(one for one in call.legs if one.uuid == uuid)

    def call(self, leg: Leg | str) -> Call:
        """The call of a leg as it is now, ended or not."""
        uuid = leg if isinstance(leg, str) else leg.uuid
        call = self.desk.board.call_of(uuid)
        if call is not None:
            return call
        return next(
            change.call
            for change in reversed(self.desk.changes)
            if any(one.uuid == uuid for one in change.call.legs)
        )

    async def until(self, true: Callable[[], T], what: str = "") -> T:
        """Wait until something about the calls holds; what it gave."""
        with trio.move_on_after(PATIENCE_S):
            while not (found := true()):
                await self.desk.moved.wait()
            return found
        raise AssertionError(
            f"not seen: {what or true}; told: {self.told()[-12:]}; failures: {self.desk.failures}"
        )

    async def leg_when(self, leg: Leg | str, true: Callable[[Leg], bool]) -> Leg:
        """The leg, once this holds for it."""
        uuid = leg if isinstance(leg, str) else leg.uuid

        def look() -> bool:
            return self.desk.board.call_of(uuid) is not None and true(self.leg(uuid))

        await self.until(look, f"leg {uuid[:8]}")
        return self.leg(uuid)

    async def ended(self, *legs: Leg) -> None:
        """Wait until these legs have ended."""
        await self.until(lambda: all(self.leg(leg).state == "ended" for leg in legs), "the end of legs")

    async def apart(self, *legs: Leg) -> None:
        """Nothing ends for a moment: these legs live."""
        await trio.sleep(0.3)
        assert [self.leg(leg).state for leg in legs] == ["answered"] * len(legs)

    async def told_of(self, kind: str) -> Change:
        """The last change of a kind, when it has come."""
        await self.until(lambda: kind in self.told(), kind)
        return next(change for change in reversed(self.desk.changes) if change.type == kind)

    def told(self) -> list[str]:
        """The kinds of everything that was told."""
        return [change.type for change in self.desk.changes]

    # -- situations

    async def dialled(self, to: str = "100") -> Leg:
        """A leg that we placed, when it has been answered and parked."""
        result = await self.done("call.originate", to=to)
        leg = str(result["leg"])
        return await self.leg_when(leg, lambda one: one.parked)

    async def talk(self, *, to: str = "100") -> tuple[Leg, Leg]:
        """A customer who called and an agent whom we called, talking."""
        customer = await self.call_in()
        agent = await self.dialled(to)
        await self.done("call.bridge", customer, call_id=self.call(agent).id)
        return self.leg(customer), self.leg(agent)

    async def talk_too(self) -> tuple[Leg, Leg]:
        """Another customer and another agent, talking."""
        customer = await self.call_in("+15550199")
        agent = await self.dialled("110")
        await self.done("call.bridge", customer, call_id=self.call(agent).id)
        return self.leg(customer), self.leg(agent)


class SipPlace:
    """A real FreeSWITCH, SIP telephones around it."""

    real = True

    def __init__(self, exchange: phones.Exchange, endpoint: Endpoint) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.dial_template = f"sofia/carrier/{{number}}@127.0.0.1:{exchange.port}"

    async def call_in(self, desk: SmallDesk, to: str, number: str, name: str) -> str:
        phone = await self.exchange.call(to, number, name)
        with trio.fail_after(PATIENCE_S):
            while True:
                for call in desk.board.calls.values():
                    for leg in call.legs:
                        if leg.sip_call_id == phone.call_id:
                            return leg.uuid
                if phone.status >= 300:
                    raise ConnectionRefusedError(f"the switch answered {phone.status}")
                with trio.move_on_after(0.02):
                    await desk.moved.wait()

    def person(self, lab: Lab, uuid: str) -> Person:
        leg = lab.leg(uuid)
        if leg.sip_call_id:
            return self.exchange.telephones[leg.sip_call_id]
        # An outbound leg has no Call-ID before its answer: the newest telephone with that number.
        return next(
            one for one in reversed(self.exchange.telephones.values()) if one.number == leg.destination
        )


@asynccontextmanager
async def open_lab(*, with_agents: bool = False, **settings: str) -> AsyncIterator[Lab]:
    """A lab for one test, ``with_agents`` for agents' legs; ``settings`` are the node's. When the test is over, everybody hangs up and the switch must
    be empty."""
    async with trio.open_nursery() as nursery:
        place = await (_open_real(nursery) if REAL else _open_simulated(nursery, with_agents))
        wires = Wires()
        async with open_switch(
            place.endpoint, subscriptions=SUBSCRIPTIONS, connect=wires.connect, settings=QUICK
        ) as switch:
            desk = SmallDesk(switch, place.dial_template)
            desk.settings = {**desk.settings, **settings}
            await nursery.start(desk.run)
            with trio.fail_after(PATIENCE_S):
                await switch.wait_up()
            await nursery.start(_show_life, desk)
            if place.real:
                # Thirty new sessions a second are not enough for the tests that try every moment.
                await desk.api("fsctl sps 1000")
            lab = Lab(place, desk, nursery, wires)
            try:
                yield lab
                await _clear(lab)
            except BaseException:
                # The next test shall not find what this one left.
                with trio.CancelScope(shield=True), trio.move_on_after(2), suppress(EslError):
                    await switch.api("hupall")
                raise
        nursery.cancel_scope.cancel()


async def _show_life(desk: SmallDesk, *, task_status: trio.TaskStatus[None]) -> None:
    """Show the switch that a controller is there, as `core.telephony.owner` does: its dialplan asks for it."""
    while True:
        with suppress(EslError):
            for line in sign_of_life(new_id("test").replace("_", "-")):
                await desk.api(line)
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        await trio.sleep(SIGN_OF_LIFE_S)


async def _clear(lab: Lab) -> None:
    """Hang up what the test left, and see that nothing remains, here or there."""
    for call in list(lab.desk.board.calls.values()):
        for leg in call.legs:
            if leg.state != "ended":
                await lab.person(leg).hang_up()
    with trio.move_on_after(PATIENCE_S):
        while lab.desk.board.calls or await lab.desk.switch.channels():
            await trio.sleep(0.02)
        return
    raise AssertionError(f"left: {await lab.desk.switch.channels()} {list(lab.desk.board.calls.values())}")


async def _open_real(nursery: trio.Nursery) -> SipPlace:
    host, _, port = CARRIER.partition(":")
    exchange = await phones.open_exchange((host, int(port)), nursery)
    return SipPlace(exchange, Endpoint.parse(REAL))


async def _open_simulated(nursery: trio.Nursery, with_agents: bool) -> Place:
    from tests.telephony.simulated import open_simulated

    return await open_simulated(nursery, with_agents=with_agents)
