"""The simulator as a place for tests of orders: people are scripts, there is no sound."""

import trio

from freeswitch.endpoint import Endpoint
from freeswitch.errors import CommandRefused
from freeswitch.simulator import NEVER, Person, Rule, Simulator, SimulatorSettings, Traffic, fixed, serve
from tests.telephony import phones
from tests.telephony.desk_of import Lab, SmallDesk

FAR = "198.51.100.20:5060"


def _rules() -> tuple[Rule, ...]:
    """The manners of `phones.MANNERS` for the simulator's people."""
    found = []
    for digit, manner in phones.MANNERS.items():
        busy = {486: "USER_BUSY", 404: "UNALLOCATED_NUMBER"}.get(manner.status, "")
        person = Person(
            ring_after=fixed(min(manner.ring_s, 0.02)),
            answer_after=NEVER if manner.answer_s == float("inf") else fixed(manner.answer_s),
            refuse=busy,
            talk=NEVER if manner.talk_s == float("inf") else fixed(manner.talk_s),
            early_media=manner.early_media,
        )
        found.append(Rule(rf"^{digit}\d*@", person))
    return tuple(found)


class SimulatedPerson:
    """Somebody at the far end of a channel of the simulator, driven by its ``sim`` command."""

    tone = 0
    keys: str | None = None
    """Nobody there keeps what was pressed."""
    caller_shown: str | None = None

    def __init__(self, desk: SmallDesk, uuid: str) -> None:
        self._desk = desk
        self._uuid = uuid

    async def hang_up(self) -> None:
        try:
            await self._desk.api(f"sim bye {self._uuid}")
        except CommandRefused:
            return  # gone already

    async def press(self, keys: str) -> None:
        await self._desk.api(f"sim press {self._uuid} {keys}")

    def hears(self) -> set[int] | None:
        return None


class SimulatedPlace:
    """A simulator in this process."""

    real = False
    dial_template = f"sofia/carrier/{{number}}@{FAR}"

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.endpoint = Endpoint("127.0.0.1", simulator.port, simulator.settings.password)

    async def call_in(self, desk: SmallDesk, to: str, number: str, name: str) -> str:
        shown = f" name='{name}'" if name else ""
        try:
            answer = await desk.api(f"sim call to={to} number={number}{shown}")
        except CommandRefused as refused:
            raise ConnectionRefusedError(refused.text) from None
        uuid = answer.split()[-1]
        with trio.fail_after(5):
            while desk.board.call_of(uuid) is None:
                await desk.moved.wait()
        return uuid

    def person(self, lab: Lab, uuid: str) -> SimulatedPerson:
        return SimulatedPerson(lab.desk, uuid)


async def open_simulated(nursery: trio.Nursery, *, with_agents: bool = False) -> SimulatedPlace:
    """Start a simulator in ``nursery``; ``with_agents`` it takes agents' legs, too (in silence)."""
    settings = SimulatorSettings(
        port=0,
        sip_port=0 if with_agents else None,
        sound=False,
        inside_password="inside-secret",
        traffic=Traffic(rules=_rules()),
        heartbeat_s=1.0,
    )
    simulator: Simulator = await nursery.start(_serve, settings)
    return SimulatedPlace(simulator)


async def _serve(
    settings: SimulatorSettings, *, task_status: trio.TaskStatus[Simulator] = trio.TASK_STATUS_IGNORED
) -> None:
    await serve(settings, task_status=task_status)
