"""All that is looked at right before a message is sent, in one statement: the message, its receiver, and what they said.

Read at the last moment, so that an opt-out that came a second ago counts.
"""

from datetime import time
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import NotFound
from core.model.policy import Consent, Purpose, QuietHours, Suppression
from core.storage.database import Database
from core.storage.outbox import Claimed
from irisx_sdk.messages import Address, Content, File, Outbound


class Letter(Struct, frozen=True, kw_only=True):
    """A message that is due, and what decides whether it may go."""

    outbound: Outbound
    purpose: Purpose
    confirms_opt_out: bool
    suppressions: tuple[Suppression, ...]
    consents: tuple[Consent, ...]
    quiet: QuietHours | None


_READ = """
select m.recipient, m.content, m.reply_to, o.purpose, o.confirms_opt_out,
    c.thread, c.subject, c.context, c.last_inbound_us, p.timezone, t.settings -> 'quiet_hours' as quiet,
    (select coalesce(json_agg(json_build_object('scope', s.scope, 'source', s.source, 'created_us', s.created_us)), '[]')
       from suppressions s where s.tenant_id = m.tenant_id and s.removed_us = 0
       and s.kind = m.recipient ->> 'kind' and s.value = m.recipient ->> 'value') as suppressions,
    (select coalesce(json_agg(json_build_object('purpose', n.purpose, 'granted', n.granted, 'at_us', n.at_us)), '[]')
       from consents n where n.tenant_id = m.tenant_id
       and n.kind = m.recipient ->> 'kind' and n.value = m.recipient ->> 'value') as consents,
    (select coalesce(json_agg(json_build_object('name', a.name, 'media_type', a.media_type, 'size', a.size, 'id', a.id)
        order by a.part, a.id), '[]')
       from attachments a where a.tenant_id = m.tenant_id and a.message_id = m.id and a.state = 'ready') as files
from outbox o
join messages m on m.tenant_id = o.tenant_id and m.id = o.message_id
join conversations c on c.tenant_id = m.tenant_id and c.id = m.conversation_id
left join contacts p on p.tenant_id = m.tenant_id and p.id = m.contact_id
left join tenants t on t.id = m.tenant_id
where o.tenant_id = $1 and o.message_id = $2
"""

_recipients = msgspec.json.Decoder(Address)
_contents: "msgspec.json.Decoder[Content]" = msgspec.json.Decoder(Content)
_suppressions = msgspec.json.Decoder(tuple[Suppression, ...])
_consents = msgspec.json.Decoder(tuple[Consent, ...])
_files = msgspec.json.Decoder(tuple[File, ...])


async def read_letter(db: Database, one: Claimed) -> Letter:
    """Raises `NotFound` when it is in the outbox no more: somebody took it back."""
    async with db.reader(one.tenant_id) as connection:
        row = await connection.fetchrow(_READ, one.tenant_id, one.message_id)
    if row is None:
        raise NotFound("the message is not in the outbox", code="no_such_message")
    return Letter(
        outbound=Outbound(
            id=one.message_id,
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
