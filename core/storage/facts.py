"""What is known of a conversation, for rules (flat: `core.model.automation.FIELDS`) and for texts with places (nested)."""

from typing import Any

import msgspec
from msgspec import Struct

from core.errors import NotFound
from core.storage.database import Connection


class Situation(Struct, frozen=True):
    """A conversation as rules and texts see it."""

    facts: dict[str, Any]
    values: dict[str, object]
    first_reply: bool
    """Whether somebody has answered."""
    waiting: bool


_READ = """
    select c.id, c.subject, c.state, c.priority, c.labels, c.queue, c.assignee, c.channel_id, c.unread, c.messages,
        c.first_reply_us, c.waiting_since_us, coalesce(h.type, '') as channel_type, coalesce(h.name, '') as channel_name,
        coalesce(p.name, '') as contact_name, coalesce(p.company, '') as company, coalesce(p.language, '') as language,
        coalesce(p.timezone, '') as timezone, coalesce(p.attributes::text, '{}') as attributes, c.contact_id,
        coalesce(u.name, '') as agent_name, coalesce(u.email, '') as agent_email,
        m.text, m.direction, m.author
    from conversations c
        left join channels h on h.tenant_id = c.tenant_id and h.id = c.channel_id
        left join contacts p on p.tenant_id = c.tenant_id and p.id = c.contact_id
        left join users u on u.tenant_id = c.tenant_id and u.id = coalesce(nullif($3, ''), c.assignee)
        left join lateral (select text, direction, author from messages m where m.tenant_id = c.tenant_id
            and m.conversation_id = c.id and (case when $4 = '' then m.direction = 'in' else m.id = $4 end)
            order by m.order_us desc, m.id desc limit 1) m on true
    where c.tenant_id = $1 and c.id = $2 and c.merged_into is null
"""


async def read_situation(
    connection: Connection,
    tenant_id: str,
    conversation_id: str,
    *,
    agent: str = "",
    message_id: str = "",
    now_us: int,
) -> Situation:
    """``agent`` is who acts (else the one it is assigned to), ``message_id`` the message in question (else their last).

    Raises `NotFound`.
    """
    row = await connection.fetchrow(_READ, tenant_id, conversation_id, agent, message_id)
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
    attributes = msgspec.json.decode(row["attributes"], type=dict[str, Any])
    facts: dict[str, Any] = {
        name: row[name]
        for name in ("state", "priority", "labels", "queue", "assignee", "channel_id", "channel_type", "subject",
                     "unread", "messages")
    }  # fmt: skip
    facts |= {
        "first_reply": row["first_reply_us"] > 0,
        "waiting": row["waiting_since_us"] > 0,
        "text": row["text"] or "",
        "direction": row["direction"] or "",
        "author": row["author"] or "",
        "contact.name": row["contact_name"],
        "contact.company": row["company"],
        "contact.language": row["language"],
        "contact.timezone": row["timezone"],
        "now": now_us,
    }
    facts |= {f"contact.attributes.{name}": value for name, value in attributes.items()}
    first, _, rest = str(row["contact_name"]).partition(" ")
    values: dict[str, object] = {
        "contact": {
            "id": row["contact_id"],
            "name": row["contact_name"],
            "first_name": first,
            "last_name": rest,
            "company": row["company"],
            "language": row["language"],
            "attributes": attributes,
        },
        "conversation": {"id": row["id"], "subject": row["subject"], "labels": list(row["labels"])},
        "channel": {"name": row["channel_name"]},
        "agent": {"name": row["agent_name"], "email": row["agent_email"]},
    }
    return Situation(facts, values, facts["first_reply"], facts["waiting"])
