"""What is read for a sending: the messages, and, in the transaction that begins it, what their receivers have said.

The second at the last moment, so that an opt-out that came a second ago counts.
"""

from collections.abc import Sequence
from datetime import time
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import NotFound
from core.model.policy import Consent, Purpose, QuietHours, Suppression
from core.storage.database import Connection, Database
from irisx_sdk.messages import Address, Content, File, Outbound


class Letter(Struct, frozen=True, kw_only=True):
    """A message that is due."""

    outbound: Outbound
    purpose: Purpose


class Facts(Struct, frozen=True, kw_only=True):
    """What decides whether a message may go, as it is at this moment."""

    attempts: int
    contact_id: str
    purpose: Purpose
    confirms_opt_out: bool
    suppressions: tuple[Suppression, ...]
    consents: tuple[Consent, ...]
    quiet: QuietHours | None


_LETTERS = """
select m.id, m.recipient, m.content, m.reply_to, o.purpose,
    -- (what was split off has a thread of its own here, and goes on where it came from)
    split_part(c.thread, '#conv_', 1) as thread, c.subject, c.context, c.last_inbound_us,
    (select coalesce(json_agg(json_build_object('name', a.name, 'media_type', a.media_type, 'size', a.size, 'id', a.id)
        order by a.part, a.id), '[]')
       from attachments a where a.tenant_id = m.tenant_id and a.message_id = m.id and a.state = 'ready') as files
from outbox o,
    lateral (select * from messages x where x.tenant_id = $1 and x.id = o.message_id limit 1) m,
    lateral (select * from conversations x where x.tenant_id = $1 and x.id = m.conversation_id limit 1) c
where o.tenant_id = $1 and o.message_id = any($2)
"""
# (A planner that has no numbers yet may begin such joins with all conversations of a tenant: 190 ms instead of one. Each row
# is fetched by its key, whatever it thinks.)
_SAID = """
    (select coalesce(json_agg(json_build_object('scope', s.scope, 'source', s.source, 'created_us', s.created_us)), '[]')
       from suppressions s where s.tenant_id = $1 and s.removed_us = 0 and s.kind = w.kind and s.value = w.value)
       as suppressions,
    (select coalesce(json_agg(json_build_object('purpose', n.purpose, 'granted', n.granted, 'at_us', n.at_us)), '[]')
       from consents n where n.tenant_id = $1 and n.kind = w.kind and n.value = w.value) as consents,
    (select t.settings -> 'quiet_hours' from tenants t where t.id = $1) as quiet
"""
# (mail addresses are the same in capitals)
_FACTS = f"""
select o.message_id, o.attempts, o.purpose, o.confirms_opt_out, m.contact_id, p.timezone, {_SAID}
from outbox o
cross join lateral (select * from messages x where x.tenant_id = $1 and x.id = o.message_id limit 1) m
left join lateral (select * from contacts x where x.tenant_id = $1 and x.id = m.contact_id limit 1) p on true
cross join lateral (select m.recipient ->> 'kind' as kind, case when m.recipient ->> 'kind' = 'email'
    then lower(m.recipient ->> 'value') else m.recipient ->> 'value' end as value) w
where o.tenant_id = $1 and o.message_id = any($2)
    and o.claimed_by = $3 and not o.calling
order by o.message_id for update of o
"""  # noqa: S608 - our own words
_ASKED = f"""
select 0 as attempts, '' as contact_id, 'service' as purpose, false as confirms_opt_out,
    coalesce(nullif($4, ''), (select p.timezone from identities i join contacts p on p.tenant_id = i.tenant_id
        and p.id = i.contact_id where i.tenant_id = $1 and i.kind = $2 and i.value = w.value limit 1), '') as timezone,
    {_SAID}
from (select $2::text as kind, case when $2 = 'email' then lower($3::text) else $3 end as value) w
"""  # noqa: S608 - our own words

_recipients = msgspec.json.Decoder(Address)
_contents: "msgspec.json.Decoder[Content]" = msgspec.json.Decoder(Content)
_suppressions = msgspec.json.Decoder(tuple[Suppression, ...])
_consents = msgspec.json.Decoder(tuple[Consent, ...])
_files = msgspec.json.Decoder(tuple[File, ...])


async def read_letters(db: Database, tenant_id: str, message_ids: Sequence[str]) -> dict[str, Letter]:
    """Messages of the outbox by their ids; one that is not in it was taken back."""
    async with db.keyed_reader(tenant_id) as connection:
        rows = await connection.fetch(_LETTERS, tenant_id, list(message_ids))
    return {row["id"]: _letter(row) for row in rows}


async def read_facts(
    connection: Connection, tenant_id: str, message_ids: Sequence[str], owner: str
) -> dict[str, Facts]:
    """What their receivers have said, by message; only of messages that ``owner`` has claimed and nobody is calling for.

    In the caller's transaction, which holds their rows of the outbox from here on.
    """
    rows = await connection.fetch(_FACTS, tenant_id, list(message_ids), owner)
    return {row["message_id"]: _facts(row) for row in rows}


async def read_facts_of(db: Database, tenant_id: str, *, kind: str, value: str, timezone: str = "") -> Facts:
    """The same for an address to which nothing is being sent: what would be decided."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(_ASKED, tenant_id, kind, value, timezone)
    return _facts(row)


def _letter(row: Any) -> Letter:
    return Letter(
        outbound=Outbound(
            id=row["id"],
            to=_recipients.decode(row["recipient"]),
            content=_contents.decode(row["content"]),
            thread=row["thread"],
            reply_to=row["reply_to"],
            subject=row["subject"],
            files=_files.decode(row["files"]),
            context=msgspec.json.decode(row["context"], type=dict[str, str]),
            last_inbound_us=row["last_inbound_us"],
        ),
        purpose=row["purpose"],
    )


def _facts(row: Any) -> Facts:
    return Facts(
        attempts=row["attempts"],
        contact_id=row["contact_id"],
        purpose=row["purpose"],
        confirms_opt_out=row["confirms_opt_out"],
        suppressions=_suppressions.decode(row["suppressions"]),
        consents=_consents.decode(row["consents"]),
        quiet=_quiet(row["quiet"], row["timezone"]),
    )


async def file_key(db: Database, tenant_id: str, file_id: str) -> str:
    """Where an attachment is in the object store. Raises `NotFound` for one that is not there (yet)."""
    async with db.reader(tenant_id) as connection:
        key = await connection.fetchval(
            "select key from attachments where tenant_id = $1 and id = $2 and state = 'ready'",
            tenant_id,
            file_id,
        )
    if not key:
        raise NotFound("there is no such file", code="no_such_file")
    return str(key)


def _quiet(text: str | None, timezone: Any) -> QuietHours | None:
    """The tenant's quiet hours in the receiver's zone, or in the tenant's where theirs is not known."""
    if not text or text == "null":
        return None
    kept = msgspec.json.decode(text, type=dict[str, str])
    return QuietHours(
        start=time.fromisoformat(kept["start"]),
        end=time.fromisoformat(kept["end"]),
        timezone=timezone or kept.get("timezone", "UTC"),
    )
