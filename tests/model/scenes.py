"""A switch in a few words: facts about legs with growing times and numbers, told to a board."""

from typing import Any

from msgspec.structs import replace

from core.model import facts
from core.model.facts import Channel, Fact, LegFact
from core.model.records import Call, Change, Leg
from core.model.switchboard import Switchboard

START = 1_795_375_000_000_000
SECOND = 1_000_000


class Scene:
    """Tells a board what happens. Every fact comes one second after the one before it."""

    def __init__(self, *, tenant: str = "tnt_main") -> None:
        self.board = Switchboard("pbx-1", tenant)
        self.at = START
        self.seq = 100
        self.channels: dict[str, Channel] = {}
        self.changes: list[Change] = []
        self.facts: list[Fact] = []

    def tell(self, kind: type[Fact], uuid: str = "", /, **fields: Any) -> list[Change]:
        """Tell a fact; keywords that the channel has go there, and stay."""
        return self.give(self.make(kind, uuid, **fields))

    def make(self, kind: type[Fact], uuid: str = "", /, **fields: Any) -> Fact:
        """A fact that is not told yet."""
        self.at += SECOND
        self.seq += 1
        fields.setdefault("at_us", self.at)
        fields.setdefault("seq", self.seq)
        if issubclass(kind, LegFact):
            shown = {name: fields.pop(name) for name in list(fields) if name in Channel.__struct_fields__}
            known = self.channels.get(uuid) or Channel(
                uuid=uuid, direction="inbound", created_us=fields["at_us"], call_uuid=uuid, detailed=True
            )
            self.channels[uuid] = replace(known, **shown)
            fields["channel"] = self.channels[uuid]
        return kind(**fields)

    def give(self, fact: Fact) -> list[Change]:
        self.facts.append(fact)
        changes = self.board.advance(fact)
        self.changes += changes
        return changes

    # What happens to legs, in words.

    def arrives(self, uuid: str, **fields: Any) -> list[Change]:
        return self.tell(facts.LegCreated, uuid, **fields)

    def is_dialled(self, uuid: str, *, by: str = "", **fields: Any) -> list[Change]:
        return self.tell(facts.LegCreated, uuid, direction="outbound", other_leg=by, **fields)

    def rings(self, uuid: str) -> list[Change]:
        return self.tell(facts.LegProgressed, uuid, progress_us=self.at + SECOND)

    def answers(self, uuid: str) -> list[Change]:
        return self.tell(facts.LegAnswered, uuid, answered_us=self.at + SECOND)

    def bridges(self, a: str, b: str) -> list[Change]:
        return self.tell(facts.LegBridged, a, a=a, b=b, other_leg=b)

    def unbridges(self, a: str, b: str) -> list[Change]:
        return self.tell(facts.LegUnbridged, a, a=a, b=b)

    def hangs_up(self, uuid: str, cause: str = "NORMAL_CLEARING") -> list[Change]:
        """The whole end: HANGUP, the summary, and the destruction."""
        out = self.tell(facts.LegHungUp, uuid, hangup_cause=cause)
        hangup_us = self.at
        out += self.tell(facts.LegEnded, uuid, hangup_us=hangup_us, billsec=7, duration=9, q850=16)
        return out + self.tell(facts.LegDestroyed, uuid)

    # What is known.

    def call(self, uuid: str) -> Call:
        call = self.board.call_of(uuid)
        assert call is not None
        return call

    def leg(self, uuid: str) -> Leg:
        leg = self.board.leg_of(uuid)
        assert leg is not None
        return leg

    @property
    def last(self) -> Change:
        return self.changes[-1]


def types(changes: list[Change]) -> list[str]:
    return [change.type for change in changes]


def talking(a: str = "a", b: str = "b") -> Scene:
    """A caller who talks to somebody we dialled for him."""
    scene = Scene()
    scene.arrives(a, caller="+4930123", caller_name="Zoë", destination="100")
    scene.is_dialled(b, by=a, destination="200")
    scene.rings(b)
    scene.answers(b)
    scene.answers(a)
    scene.bridges(a, b)
    return scene
