"""A routed message that a carrier took and, by a fault of its own, did not deliver: it goes by another carrier, once.

Only where the carrier itself has said that it did not arrive (`irisx_sdk.Status.own_fault`), all of it: of a message in parts
that arrived in part, or of one whose outcome nobody knows, a second sending could say the same thing twice. Not when its
receiver is the reason, not after its deadline, and not where the tenant wants none (`core.storage.routing.Settings`). That
the receiver may be written to is decided anew when it goes out.
"""

from typing import Any

import msgspec

from core.storage import outbox
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import storable
from irisx_sdk.messages import Status

LOST = "undelivered"
"""The outcome of an attempt whose carrier reported later that it did not arrive."""

_ASKED = """
select a.number, a.carrier_id, r.kind, coalesce((a.decision ->> 'until_us')::bigint, $5) as deadline_us,
    coalesce((select d.purpose from contact_decisions d where d.tenant_id = $1 and d.message_id = $2
        order by d.decided_us desc limit 1), 'service') as purpose
from attempts a join routing_decisions r on r.tenant_id = a.tenant_id and r.message_id = a.message_id
    and r.attempt = a.number and r.carrier_id = a.carrier_id
where a.tenant_id = $1 and a.message_id = $2 and a.channel_id = $3 and a.outcome = 'sent'
    and a.number = (select max(number) from attempts where tenant_id = $1 and message_id = $2)
    and not exists (select from attempts where tenant_id = $1 and message_id = $2 and outcome = $4)
    and not exists (select from outbox where tenant_id = $1 and message_id = $2)
    and coalesce((select (settings ->> 'second_try')::boolean from routing_settings where tenant_id = $1), true)
"""


async def reroute(
    connection: Connection,
    tenant_id: str,
    channel_id: str,
    message_id: str,
    message: Any,
    status: Status,
    *,
    now_us: int,
) -> NewEntry | None:
    """Put it back into the outbox, past this carrier; the entry for the log, or None where it may not go again.

    In the caller's transaction, which holds the message's row; ``message`` has its ``conversation_id`` and ``version``.
    """
    row = await connection.fetchrow(_ASKED, tenant_id, message_id, channel_id, LOST, outbox.FOR_EVER_US)
    if row is None or row["deadline_us"] <= now_us:
        return None
    code, reason = storable(status.code), storable(status.reason)
    await connection.execute(
        "update attempts set outcome = $4, code = $5, reason = $6 where tenant_id = $1 and message_id = $2"
        " and number = $3",
        tenant_id,
        message_id,
        row["number"],
        LOST,
        code,
        reason,
    )
    # What comes of these parts from now on is not what comes of the message, unless they arrive after all.
    await connection.execute(
        "update message_parts set part = -part where tenant_id = $1 and message_id = $2 and part > 0",
        tenant_id,
        message_id,
    )
    # (the reason stays until it is known what became of the second try)
    await connection.execute(
        "update messages set state = 'queued', provider_id = '', channel_id = '', sent_us = 0, segments = 0, code = $3,"
        " reason = $4, version = version + 1 where tenant_id = $1 and id = $2",
        tenant_id,
        message_id,
        code,
        reason,
    )
    # Nobody has answered through that account: the conversation goes where the message goes.
    await connection.execute(
        "update conversations set channel_id = '', version = version + 1 where tenant_id = $1 and id = $2"
        " and channel_id = $3 and first_inbound_us = 0",
        tenant_id,
        message["conversation_id"],
        channel_id,
    )
    await connection.execute(
        "insert into outbox (tenant_id, message_id, channel_id, due_us, deadline_us, attempts, purpose, route, lost)"
        " values ($1, $2, '', $3, $4, $5, $6, $7, $8)",
        tenant_id,
        message_id,
        now_us,
        row["deadline_us"],
        row["number"],
        row["purpose"],
        row["kind"],
        [row["carrier_id"]],
    )
    data = {
        "message": {
            "id": message_id,
            "conversation_id": message["conversation_id"],
            "state": "queued",
            "direction": "out",
            "code": code,
            "version": message["version"] + 1,
        }
    }
    return NewEntry(
        tenant_id=tenant_id,
        type="message.rerouted",
        resource=message_id,
        data=msgspec.json.encode(data),
        occurred_us=now_us,
    )
