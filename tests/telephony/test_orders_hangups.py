"""Somebody hangs up between any two commands of an order, whichever order, whoever it is.

A desk counts the commands that an order sends, its later steps included, and after the n-th one somebody's telephone
hangs up: for every order, every leg and every n. Then the outcome must be definite, and whoever is left must be where
the order's docstring says: talking, in a conference, on hold with music, or back where it was. Nobody waits in silence
for somebody who will not come. At last one of those who are left hangs up, and whoever belongs to it must end too.

The cases of one kind of order run at the same time, each with calls of its own. There are some nine hundred of them, so
unless ``IRISX_TEST_EVERY`` is 1 each leg hangs up at every third moment only, and the moments of its neighbours lie
between. ``IRISX_TEST_LATE`` (seconds) lets the telephone hang up so much later than the command.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pytest
import trio
from msgspec import Struct

from core.clock import now_us
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Leg
from core.telephony.bonds import HOOK, is_parked, let_go
from core.telephony.desk import Desk
from core.telephony.joining import on_hold, waiting_for
from core.telephony.orders import carry_out
from freeswitch.errors import CommandRefused
from tests.telephony.desk_of import REAL, TENANT, Lab, open_lab

EVERY = int(os.environ.get("IRISX_TEST_EVERY", "3"))
LATE_S = float(os.environ.get("IRISX_TEST_LATE", "0"))
AT_ONCE = 8 if REAL else 40
SETTLES_S = 15.0
POLL_S = 0.1
NOWHERE = "sofia/gateway/nowhere/{number}"
Args = dict[str, str | bool | float | None]


class Scene(Struct, frozen=True):
    """The legs before an order, and the order."""

    legs: tuple[Leg, ...]
    action: str
    about: Leg
    args: Args = {}
    template: str = ""
    """Another dial template, where the order shall fail."""
    alone: tuple[str, ...] = ()
    """Legs that may be parked in silence afterwards: they were before, or the order says so."""
    soothed: tuple[str, ...] = ()
    """Legs that may be parked with music afterwards without being on hold."""


class Tripwire:
    """`core.telephony.desk.Desk`, which does something after its n-th command."""

    def __init__(self, lab: Lab, scene: Scene, after: int, act: Callable[[], Awaitable[None]]) -> None:
        self._desk = lab.desk
        self._after = after
        self._act = act
        self.commands = 0
        self.dial_template = scene.template or lab.desk.dial_template

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        try:
            return await self._desk.api(line, deadline_s=deadline_s)
        finally:
            self.commands += 1
            if self.commands == self._after:
                await self._act()

    async def bgapi(self, line: str, *, deadline_s: float = 60.0) -> str:
        self.commands += 1
        if self.commands == self._after:
            await self._act()
        return await self._desk.bgapi(line, deadline_s=deadline_s)


class Ears:
    """To which legs something plays."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._read = 0
        self._playing: set[str] = set()

    def hear(self, uuid: str) -> bool:
        changes = self._lab.desk.changes
        for change in changes[self._read :]:
            if change.type == "call.playback_started":
                self._playing.add(str(change.data["leg"]))
            elif change.type == "call.playback_stopped":
                self._playing.discard(str(change.data["leg"]))
        self._read = len(changes)
        return uuid in self._playing


Setting = Callable[[Lab, str], Awaitable[Scene]]
ORDERS: dict[str, list[Setting]] = {}
"""By kind: those of one kind are tried at the same time."""


def order(kind: str) -> Callable[[Setting], Setting]:
    def note(setting: Setting) -> Setting:
        ORDERS.setdefault(kind, []).append(setting)
        return setting

    return note


async def _talk(lab: Lab, number: str) -> tuple[Leg, Leg]:
    customer = await lab.call_in(f"+1555{number}")
    agent = await lab.dialled(f"1{number}")
    await lab.done("call.bridge", customer, call_id=lab.call(agent).id)
    return lab.leg(customer), lab.leg(agent)


async def _consult(lab: Lab, number: str, digit: str = "1") -> tuple[Leg, Leg, Leg]:
    customer, agent = await _talk(lab, number)
    result = await lab.done("call.transfer_attended", customer, to=f"{digit}9{number}")
    third = str(result["to_leg"])
    if digit == "1":
        await lab.leg_when(third, lambda leg: leg.bridged_to == agent.uuid)
    return lab.leg(customer), lab.leg(agent), lab.leg(third)


@order("one leg")
async def _answer(lab: Lab, number: str) -> Scene:
    leg = await lab.call_in(f"+1555{number}", answered=False)
    return Scene((leg,), "call.answer", leg, alone=(leg.uuid,))


@order("one leg")
async def _hang_up(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.hangup", legs[0], {"leg": None, "cause": "CALL_REJECTED"})


@order("one leg")
async def _mute(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.mute", legs[0])


@order("hold")
async def _hold(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.hold", legs[0])


@order("hold")
async def _hold_the_agent(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.hold", legs[1])


@order("hold")
async def _unhold(lab: Lab, number: str) -> Scene:
    customer, agent = await _talk(lab, number)
    await lab.done("call.hold", customer)
    return Scene((customer, agent), "call.unhold", customer)


@order("one leg")
async def _play(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.play", legs[0], {"path": "tone_stream://%(200,0,440)"})


@order("hold")
async def _play_on_hold(lab: Lab, number: str) -> Scene:
    customer, agent = await _talk(lab, number)
    await lab.done("call.hold", customer)
    return Scene((customer, agent), "call.play", customer, {"path": "tone_stream://%(200,0,440)"})


@order("one leg")
async def _record(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.record_start", legs[0])


@order("one leg")
async def _stop_recording(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    result = await lab.done("call.record_start", legs[0])
    return Scene(legs, "call.record_stop", legs[0], {"recording": str(result["recording"])})


@order("one leg")
async def _monitor(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.monitor", legs[0], {"to": f"18{number}", "mode": "barge"})


@order("blind transfer")
async def _transfer_blind(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    to = {"to": f"19{number}"}
    return Scene(legs, "call.transfer_blind", legs[0], {**to}, soothed=(legs[0].uuid,))


@order("blind transfer")
async def _transfer_blind_from_hold(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    await lab.done("call.hold", legs[0])
    to = {"to": f"19{number}"}
    return Scene(legs, "call.transfer_blind", lab.leg(legs[0]), {**to}, soothed=(legs[0].uuid,))


@order("blind transfer")
async def _transfer_blind_to_somebody_busy(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    to = {"to": f"29{number}"}
    return Scene(legs, "call.transfer_blind", legs[0], {**to}, soothed=(legs[0].uuid,))


@order("blind transfer")
async def _transfer_blind_that_fails(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    to = {"to": f"19{number}"}
    return Scene(legs, "call.transfer_blind", legs[0], {**to}, NOWHERE, soothed=(legs[0].uuid,))


@order("attended transfer")
async def _transfer_attended(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.transfer_attended", legs[0], {"to": f"19{number}"})


@order("attended transfer")
async def _transfer_attended_from_hold(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    await lab.done("call.hold", legs[0])
    return Scene(legs, "call.transfer_attended", lab.leg(legs[0]), {"to": f"19{number}"})


@order("attended transfer that fails")
async def _transfer_attended_to_somebody_busy(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.transfer_attended", legs[0], {"to": f"29{number}"})


@order("attended transfer that fails")
async def _transfer_attended_that_fails(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "call.transfer_attended", legs[0], {"to": f"19{number}"}, NOWHERE)


@order("end of a consultation")
async def _complete(lab: Lab, number: str) -> Scene:
    legs = await _consult(lab, number)
    return Scene(legs, "call.transfer_complete", legs[0])


@order("end of a consultation")
async def _cancel(lab: Lab, number: str) -> Scene:
    legs = await _consult(lab, number)
    return Scene(legs, "call.transfer_cancel", legs[0])


@order("end of a consultation")
async def _cancel_while_it_rings(lab: Lab, number: str) -> Scene:
    legs = await _consult(lab, number, "3")
    return Scene(legs, "call.transfer_cancel", legs[0])


@order("joining")
async def _join_two_pairs(lab: Lab, number: str) -> Scene:
    one, two = await _talk(lab, number), await _talk(lab, f"7{number}")
    args: Args = {"call_id": lab.call(two[0]).id, "other_leg": two[1].uuid}
    return Scene((*one, *two), "call.bridge", one[0], args)


@order("joining")
async def _join_a_held_one_with_one_alone(lab: Lab, number: str) -> Scene:
    one, alone = await _talk(lab, number), await lab.dialled(f"17{number}")
    await lab.done("call.hold", one[0])
    args: Args = {"call_id": lab.call(alone).id}
    return Scene((*one, alone), "call.bridge", lab.leg(one[0]), args, alone=(alone.uuid,))


@order("conference")
async def _a_call_into_a_conference(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    return Scene(legs, "conference.add", legs[0], {"conference": f"r{number}", "leg": None})


@order("conference")
async def _a_consultation_into_a_conference(lab: Lab, number: str) -> Scene:
    legs = await _consult(lab, number)
    return Scene(legs, "conference.add", legs[0], {"conference": f"r{number}", "leg": None})


@order("conference")
async def _one_leg_into_a_conference(lab: Lab, number: str) -> Scene:
    legs = await _talk(lab, number)
    args: Args = {"conference": f"r{number}"}
    return Scene(legs, "conference.add", legs[0], args, alone=(legs[1].uuid,))


class Case:
    """One order, one leg, one moment."""

    def __init__(self, lab: Lab, ears: Ears, setting: Setting, who: int, after: int, number: str) -> None:
        self.lab = lab
        self.ears = ears
        self.setting = setting
        self.who = who
        self.after = after
        self.number = f"{number}{who}{after:02}"
        self.complaint = ""
        self.reached = False
        """Whether somebody hung up."""

    def __str__(self) -> str:
        return f"{self.setting.__name__[1:].replace('_', ' ')}, leg {self.who} after command {self.after}"

    async def run(self) -> None:
        scene = await self.setting(self.lab, self.number)
        wire = Tripwire(self.lab, scene, self.after, lambda: self._hang_up(scene))
        if self.after == 0:
            await self._hang_up(scene)
        outcome = await self.give(scene, wire)
        if outcome.status not in ("done", "refused", "not_found"):
            self.complaint = f"no definite outcome: {outcome}"
        with trio.move_on_after(SETTLES_S):
            while wrong := await self._wrong(scene):
                await trio.sleep(POLL_S)
        if wrong:
            self.complaint += f" {wrong} after {outcome.status} {outcome.code}"
            for leg in self.legs(scene):
                await let_go(self.lab.desk, leg.uuid)
        else:
            self.complaint += await self._last_words(scene)

    async def give(self, scene: Scene, wire: Tripwire) -> Outcome:
        call = self.lab.call(scene.about)
        args = {"leg": scene.about.uuid, **scene.args}
        given = Order(
            id=new_id("ord"),
            action=scene.action,
            node=self.lab.desk.board.node,
            tenant_id=TENANT,
            deadline_us=now_us() + 10_000_000,
            call_id=call.id,
            args={name: value for name, value in args.items() if value is not None},
        )
        return await carry_out(cast("Desk", wire), given)

    async def _hang_up(self, scene: Scene) -> None:
        legs = [*scene.legs, *(leg for leg in self.legs(scene) if leg.uuid not in _uuids(scene.legs))]
        if self.who < len(legs):
            self.reached = True
            await trio.sleep(LATE_S)
            await self.lab.person(self.lab.leg(legs[self.who])).hang_up()

    def legs(self, scene: Scene) -> list[Leg]:
        """The legs of this scene that live, those that came later too."""
        calls: dict[str, Call] = {}
        for leg in scene.legs:
            call = self.lab.desk.board.call_of(leg.uuid)
            if call is not None:
                calls[call.id] = call
        found = [leg for call in calls.values() for leg in call.legs if leg.state != "ended"]
        return found

    async def _wrong(self, scene: Scene) -> str:
        """Who is not where it may be; empty when all is well."""
        living = {leg.uuid: leg for leg in self.legs(scene)}
        for leg in living.values():
            try:
                if why := await self._out_of_place(scene, leg, living):
                    return f"{_name(scene, leg)} {why}"
            except CommandRefused:
                return f"{_name(scene, leg)} just ended"
        return ""

    async def _out_of_place(self, scene: Scene, leg: Leg, living: dict[str, Leg]) -> str:
        if leg.bridged_to:
            partner = living.get(leg.bridged_to)
            return "" if partner is not None and partner.bridged_to == leg.uuid else "talks to nobody"
        if leg.conference:
            return ""
        if leg.state != "answered":
            return "" if leg.uuid in scene.alone else "still rings"
        if not leg.parked or not await is_parked(self.lab.desk, leg.uuid):
            return "is nowhere"
        call = self.lab.desk.board.call_of(leg.uuid)
        waits = waiting_for(call, leg) if call is not None else None
        if on_hold(leg):
            if not self.ears.hear(leg.uuid):
                return "is on hold without music"
            return await self._bound(leg, waits) if waits is not None and waits.uuid in living else ""
        if leg.uuid in scene.alone or (leg.uuid in scene.soothed and self.ears.hear(leg.uuid)):
            return ""
        return "" if waits is not None else "is parked with nobody"

    async def _bound(self, one: Leg, two: Leg) -> str:
        for leg, other in ((one, two), (two, one)):
            if other.uuid not in await self.lab.desk.api(f"uuid_getvar {leg.uuid} {HOOK}"):
                return "is not bound"
        return ""

    async def _last_words(self, scene: Scene) -> str:
        """One after the other of those who are left hangs up: whoever talks to one or waits for it ends too, unless a
        third one is there for it."""
        while living := self.legs(scene):
            leaving, *others = living
            belong = [one for one in others if len(living) == 2 and self._belong(leaving, one)]
            await self.lab.person(leaving).hang_up()
            with trio.move_on_after(SETTLES_S):
                while await self._wrong(scene) or any(map(self.lab.desk.leg, _uuids((leaving, *belong)))):
                    await trio.sleep(POLL_S)
                continue
            left = [_name(scene, one) for one in self.legs(scene)]
            return f"{_name(scene, leaving)} hung up at last, and left {left}: {await self._wrong(scene)}"
        return ""

    def _belong(self, one: Leg, two: Leg) -> bool:
        call = self.lab.desk.board.call_of(one.uuid)
        return one.bridged_to == two.uuid or (call is not None and waiting_for(call, one) == two)


def _uuids(legs: Iterable[Leg]) -> set[str]:
    return {leg.uuid for leg in legs}


def _name(scene: Scene, leg: Leg) -> str:
    known = [one.uuid for one in scene.legs]
    return f"leg {known.index(leg.uuid)}" if leg.uuid in known else "a new leg"


async def _cases(lab: Lab, ears: Ears, setting: Setting, number: str) -> list[Case]:
    """All the cases of one order: without anybody hanging up it tells how many commands there are, and how many legs."""
    scene = await setting(lab, f"{number}99")
    calm = Case(lab, ears, setting, 9, 0, number)
    wire = Tripwire(lab, scene, 0, trio.lowlevel.checkpoint)
    await calm.give(scene, wire)
    await trio.sleep(0.3)
    left = calm.legs(scene)
    legs = len({leg.uuid for leg in (*scene.legs, *left)})
    for leg in left:
        await let_go(lab.desk, leg.uuid)
    return [
        Case(lab, ears, setting, who, after, number)
        for who in range(legs)
        for after in range(who % EVERY, wire.commands + 1, EVERY)
    ]


@pytest.mark.parametrize("kind", ORDERS)
async def test_whoever_hangs_up_at_whatever_moment_nobody_is_left_behind(kind: str) -> None:
    complaints: list[str] = []
    async with open_lab() as lab:
        ears = Ears(lab)
        limit = trio.CapacityLimiter(AT_ONCE)

        async def run(case: Case) -> None:
            async with limit:
                await case.run()
            if case.complaint:
                complaints.append(f"{case}: {case.complaint}")

        async def run_all(setting: Setting, number: str) -> None:
            cases = await _cases(lab, ears, setting, number)
            async with trio.open_nursery() as nursery:
                for case in cases:
                    nursery.start_soon(run, case)
            assert any(case.reached for case in cases)

        async with trio.open_nursery() as nursery:
            for number, setting in enumerate(ORDERS[kind]):
                nursery.start_soon(run_all, setting, f"{number:02}")
        assert not complaints, "\n".join(sorted(complaints))
