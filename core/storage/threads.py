"""Which stored message something is about, and which conversation it therefore belongs to.

What a message refers to is written by strangers, so it is only ever looked for among the same tenant's messages, and ids
of a provider among those of the same account.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from core.storage.database import Connection
from core.storage.texts import storable
from irisx_sdk.messages import Inbound

MERGES = 5
"""How many times a conversation may have been merged into another before we stop following."""
REFERENCES = 20
"""Ids of older messages that are tried, the newest first: a mail can name hundreds."""

Place = tuple[str, str, str]
"""Account, contact and thread: what an open conversation is found by."""


class Target(Struct, frozen=True):
    """A stored message."""

    message_id: str
    conversation_id: str


_TARGETS = """
select w.channel_id, w.provider_id, m.id, m.conversation_id
from unnest($2::text[], $3::text[]) w (channel_id, provider_id)
join lateral (
    select id, conversation_id from messages where tenant_id = $1
        and channel_id = w.channel_id and inbound_id = w.provider_id
    union all
    select o.id, o.conversation_id from message_parts p join messages o on o.tenant_id = $1 and o.id = p.message_id
        where p.tenant_id = $1 and p.channel_id = w.channel_id and p.provider_id = w.provider_id
    limit 1
) m on true
"""


async def find_targets(
    connection: Connection, tenant_id: str, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Target]:
    """The messages with these (account, provider's id), in whichever direction they went."""
    pairs = sorted({(channel, storable(provider)) for channel, provider in wanted if provider})
    if not pairs:
        return {}
    rows = await connection.fetch(_TARGETS, tenant_id, [one for one, _ in pairs], [one for _, one in pairs])
    return {
        (row["channel_id"], row["provider_id"]): Target(row["id"], row["conversation_id"]) for row in rows
    }


async def find_places(
    connection: Connection, tenant_id: str, asked: Sequence[tuple[Place, Inbound]]
) -> dict[int, Place]:
    """Where messages that answer one belong, by their index; those of which nothing is known are left out.

    Our own id in an answer (`Inbound.reference`) counts before the thread; the ids of older messages only when the
    thread has no open conversation.
    """
    found = await _by_our_ids(connection, tenant_id, asked)
    rest = {
        n: (place, message)
        for n, (place, message) in enumerate(asked)
        if n not in found and (message.reply_to or message.references)
    }
    own: dict[int, Place] = {}
    if rest:
        there = await _open_places(connection, tenant_id, {place for place, _ in rest.values()})
        own = {n: place for n, (place, _) in rest.items() if place in there}
        rest = {n: one for n, one in rest.items() if n not in own}
        found |= await _by_older_ids(connection, tenant_id, rest)
    places = await _places_of(connection, tenant_id, set(found.values()))
    return own | {n: places[conversation] for n, conversation in found.items() if conversation in places}


async def _by_our_ids(
    connection: Connection, tenant_id: str, asked: Sequence[tuple[Place, Inbound]]
) -> dict[int, str]:
    named = {n: storable(message.reference) for n, (_, message) in enumerate(asked) if message.reference}
    if not named:
        return {}
    rows = await connection.fetch(
        "select id, conversation_id from messages where tenant_id = $1 and id = any($2) and direction = 'out'",
        tenant_id,
        sorted(set(named.values())),
    )
    known = {row["id"]: row["conversation_id"] for row in rows}
    return {n: known[one] for n, one in named.items() if one in known}


async def _open_places(connection: Connection, tenant_id: str, wanted: set[Place]) -> set[Place]:
    places = sorted(wanted)
    rows = await connection.fetch(
        "select c.channel_id, c.contact_id, c.thread from unnest($2::text[], $3::text[], $4::text[])"
        " w (channel_id, contact_id, thread), lateral (select channel_id, contact_id, thread from conversations"
        " where tenant_id = $1 and channel_id = w.channel_id and contact_id = w.contact_id and thread = w.thread"
        " and state <> 'resolved' and channel_id <> '' and merged_into is null limit 1) c",
        tenant_id,
        *([place[n] for place in places] for n in range(3)),
    )
    return {(row["channel_id"], row["contact_id"], row["thread"]) for row in rows}


async def _by_older_ids(
    connection: Connection, tenant_id: str, rest: dict[int, tuple[Place, Inbound]]
) -> dict[int, str]:
    names = {
        n: [(place[0], storable(one)) for one in older_ids(message)] for n, (place, message) in rest.items()
    }
    targets = await find_targets(connection, tenant_id, [one for each in names.values() for one in each])
    hits = {n: next((targets[one] for one in each if one in targets), None) for n, each in names.items()}
    return {n: hit.conversation_id for n, hit in hits.items() if hit is not None}


def older_ids(message: Inbound) -> list[str]:
    """The provider's ids of what a message answers, the nearest first."""
    ids = [message.reply_to, *reversed(message.references[-REFERENCES:])]
    return list(dict.fromkeys(one for one in ids if one))


async def _places_of(connection: Connection, tenant_id: str, ids: set[str]) -> dict[str, Place]:
    """Where the next message of these conversations belongs: merged ones are followed, and a resolved one's successor
    has the same place. Conversations without an account (calls) have none."""
    at = {one: one for one in ids}
    places: dict[str, Place] = {}
    for _ in range(MERGES):
        if not at:
            break
        rows = await connection.fetch(
            "select id, channel_id, contact_id, thread, merged_into from conversations where tenant_id = $1 and id = any($2)",
            tenant_id,
            sorted(set(at.values())),
        )
        known = {row["id"]: row for row in rows}
        following: dict[str, str] = {}
        for asked, now in at.items():
            row = known.get(now)
            if row is None:
                continue
            if row["merged_into"]:
                following[asked] = row["merged_into"]
            elif row["channel_id"]:
                places[asked] = (row["channel_id"], row["contact_id"], row["thread"])
        at = following
    return places
