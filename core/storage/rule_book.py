"""What rules and clocks work with: a tenant's rules and promises, and the entries of its log that somebody waits for."""

from typing import Any

import msgspec
from msgspec import Struct

from core.model import servicelevel
from core.model.automation import Rule
from core.model.content import SlaPolicy
from core.model.hours import Schedule
from core.storage import content
from core.storage.database import Connection

BATCH = 100
"""Entries that are looked at under one reading of the rules."""

CLOCK_KINDS: dict[str, servicelevel.Kind] = {
    "message.received": "asked",
    "message.queued": "answered",
    "conversation.resolved": "resolved",
    "conversation.merged": "resolved",
    "conversation.reopened": "reopened",
}
"""What the clocks hear."""


class Book(Struct, frozen=True):
    """A tenant's rules (in their order), promises and hours."""

    rules: dict[str, Rule]
    policies: dict[str, SlaPolicy]
    schedules: dict[str, Schedule]

    @property
    def kinds(self) -> list[str]:
        """The entries that somebody here waits for."""
        found = {kind for rule in self.rules.values() for kind in rule.on}
        return sorted(found | (set(CLOCK_KINDS) if self.policies else set()))


class Entry(Struct, frozen=True):
    """An entry of the log, as far as it matters here."""

    seq: int
    id: str
    type: str
    at_us: int
    """When it was recorded: these times grow with the numbers."""
    conversation_id: str
    message_id: str
    actor: str
    clock: str
    """Of a breach."""
    merged_into: str = ""
    automatic: bool = False
    """A machine wrote it, or it was a sign or a correction: nobody waits for an answer."""


async def read_book(connection: Connection, tenant_id: str) -> Book:
    """Those that are enabled."""
    rules = await content.load_all(connection, tenant_id, "rule", Rule)
    policies = await content.load_all(connection, tenant_id, "sla_policy", SlaPolicy)
    schedules = await content.load_all(connection, tenant_id, "schedule", Schedule)
    ordered = sorted(rules.items(), key=lambda one: one[1].position)
    promised = sorted(policies.items(), key=lambda one: one[1].position)
    return Book(
        {key: rule for key, rule in ordered if rule.enabled},
        {key: policy for key, policy in promised if policy.enabled},
        schedules,
    )


async def read_entries(
    connection: Connection, tenant_id: str, after: int, head: int, kinds: list[str]
) -> list[Entry]:
    """The next `BATCH` of these kinds, after number ``after`` and up to ``head``."""
    rows = await connection.fetch(
        "select seq, id, type, resource, (extract(epoch from recorded_at) * 1000000)::bigint as at_us, body from events"
        " where tenant_id = $1 and seq > $2 and seq <= $3 and type = any($4) order by seq limit $5",
        tenant_id,
        after,
        head,
        kinds,
        BATCH,
    )
    return [entry_of(row) for row in rows]


def entry_of(row: Any) -> Entry:
    """An entry from its row: ``body`` is its JSON without the first brace."""
    data = msgspec.json.decode("{" + row["body"], type=dict[str, Any]).get("data") or {}
    message, conversation = data.get("message") or {}, data.get("conversation") or {}
    about = row["resource"] if row["resource"].startswith("conv_") else ""
    return Entry(
        seq=row["seq"],
        id=row["id"],
        type=row["type"],
        at_us=row["at_us"],
        conversation_id=str(about or message.get("conversation_id") or conversation.get("id") or ""),
        message_id=row["resource"] if row["resource"].startswith("msg_") else "",
        actor=str(data.get("actor") or ""),
        clock=str(data.get("clock") or ""),
        merged_into=str(conversation.get("merged_into") or ""),
        automatic=message.get("asks") is False,
    )
