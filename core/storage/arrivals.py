"""Messages on their way into the store, as the steps of `core.storage.inbound` hand them on."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from core.storage.attachments import Kept
from core.storage.entries import NewEntry
from core.storage.texts import storable
from core.storage.threads import Place
from irisx_sdk.messages import Address, Inbound

SCOPED = "user"
"""Addresses of this kind mean something to one account only."""


class Arrival(Struct, frozen=True):
    """A message and the account that it came through."""

    channel_id: str
    message: Inbound
    arrived_us: int
    family: str = ""
    """What an opt-out word in it holds for (``sms``); empty: words mean nothing."""
    files: tuple[Kept, ...] = ()
    queue: str = ""
    """Where it waits if it begins a conversation."""
    attributes: Mapping[str, str] = {}
    """What plugins know of who wrote."""
    missing: tuple[int, ...] = ()
    """The numbers of its parts that never came."""


class Stored(Struct, frozen=True):
    """Where it is now. ``fresh`` is false for what was there already. All ids are empty for a part that waits for the
    others, and for a deletion that came before its message."""

    message_id: str
    conversation_id: str
    contact_id: str
    fresh: bool


class Row(Struct):
    """One arrival on its way through the steps."""

    arrival: Arrival
    addresses: list[tuple[str, str, str, str]]
    message_id: str = ""
    contact_id: str = ""
    conversation_id: str = ""
    place: Place = ("", "", "")
    taken_back: bool = False
    """Its author took it back before it came."""


NOWHERE = Stored("", "", "", False)


def key_of(row: Row) -> tuple[str, str]:
    return row.arrival.channel_id, storable(row.arrival.message.id)


def stored_at(row: Row) -> Stored:
    return Stored(row.message_id, row.conversation_id, row.contact_id, True)


def addresses_of(arrival: Arrival) -> list[tuple[str, str, str, str]]:
    """(kind, scope, value, name) of everything that is certainly the sender."""
    found: list[tuple[str, str, str, str]] = []
    for address in (arrival.message.sender, *arrival.message.aliases):
        scope = arrival.channel_id if address.kind == SCOPED else ""
        found.append((address.kind, scope, _plain(address), storable(address.name)))
    return found


def _plain(address: Address) -> str:
    value = storable(address.value)
    return value.lower() if address.kind == "email" else value


_encode = msgspec.json.Encoder().encode


def entry_of(
    tenant_id: str, kind: str, resource: str, data: object, recorded_us: int, occurred_us: int = 0
) -> NewEntry:
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=resource,
        data=_encode(data),
        occurred_us=occurred_us or recorded_us,
    )
