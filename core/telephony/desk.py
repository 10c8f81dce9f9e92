"""What an order may use of the switch it is about: the face that `core.telephony.owner` shows to the actions."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVarTuple

from core.model.records import Call, Leg
from core.model.switchboard import Switchboard
from core.telephony.agent_phone import AgentPhone
from core.telephony.resync import Report
from core.telephony.turns import Turns
from core.telephony.watch import Watches
from freeswitch.errors import CommandRefused
from freeswitch.switch import Switch

Ts = TypeVarTuple("Ts")


class Desk(Protocol):
    """One owned switch: its calls, its command line, and who waits for what."""

    switch: Switch
    board: Switchboard
    watches: Watches
    turns: Turns
    phone: AgentPhone | None
    """To agents' browsers; None where the switch has no inside profile."""
    state: str
    """``active``, ``draining`` or ``drained``."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What the node's operator set: ``hold_music``, ``recordings_dir``, ``sounds_dir``, ``caller_id``."""

    @property
    def dial_template(self) -> str:
        """How a number becomes a dial string: ``sofia/gateway/carrier/{number}``."""

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        """Run one fast command. Raises `freeswitch.errors.EslError` of the kind that says what is known."""

    async def bgapi(self, line: str, *, deadline_s: float = 60.0) -> str:
        """Run one slow command to its end."""

    def leg(self, uuid: str) -> Leg | None:
        """A live leg as it is now."""

    def latest(self, call_id: str) -> Call | None:
        """The call as it is now; None when it has ended."""

    def note(self, leg: str, *, muted: bool | None = None, held: bool | None = None) -> None:
        """Record what we did and FreeSWITCH sends no event for."""

    def tell(self, kind: str, call_id: str, **data: str) -> None:
        """Add a fact about a live call that is not a change of its record."""

    def calling(self, leg: str) -> AbstractContextManager[None]:
        """While the block runs, ``leg`` is on its way: it is not missing when the switch does not have it yet."""

    def background(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run something that outlives the order. It may raise `EslError`, `PeerError` and `Conflict`."""

    def refuse_new_calls(self) -> None:
        """Raise `core.errors.Conflict` when the switch is draining."""

    async def set_state(self, state: str) -> None:
        """Change ``state``, here and in the store."""

    async def resync(self, reason: str) -> Report:
        """Compare with the switch's own list, now."""


async def wish(desk: Desk, name: str, *globals_: str, otherwise: str) -> str:
    """What the node's operator set as ``name``, else the first of the switch's global variables that has a value
    (the configuration that we ship sets some), else ``otherwise``."""
    text = desk.settings.get(name)
    if isinstance(text, str) and text:
        return text
    for variable in globals_:
        try:
            value = (await desk.api(f"global_getvar {variable}")).strip()
        except CommandRefused:
            continue  # "-ERR no reply": the variable is not set
        if value and value != "_undef_":
            return value
    return otherwise
