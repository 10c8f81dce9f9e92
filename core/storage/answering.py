"""Answering somebody who only called: the account and the number by which an answer reaches them."""

from typing import Any

import msgspec

from core.errors import Conflict
from core.storage.conversations import WayBack
from core.storage.database import Connection
from core.storage.texts import json_text, storable
from irisx_sdk import Address


async def give_way(
    connection: Connection, tenant_id: str, way: WayBack, channel_id: str, number: str = ""
) -> WayBack:
    """The way through ``channel_id`` (an account that reaches telephone numbers) to ``number``.

    Without a number it goes to the one that called here last, else to the person's only one. The conversation has this
    account from then on; where the person has an open one through it already, the answer belongs there: then that one is
    in what is returned. A conversation that has an account keeps it. In the caller's transaction, before anything is
    written into the conversation. Raises `Conflict`: ``other_channel``, ``no_number``, ``which_number``, ``not_theirs``.
    """
    present: str = await connection.fetchval(
        "select channel_id from conversations where tenant_id = $1 and id = $2 for update",
        tenant_id,
        way.conversation_id,
    )
    if present == channel_id:
        return msgspec.structs.replace(way, channel_id=channel_id)
    if present:
        raise Conflict("this conversation goes through another account", code="other_channel")
    to = Address("phone", await _number(connection, tenant_id, way, number))
    other = await connection.fetchrow(
        "select coalesce(k.id, c.id) as id from conversations c left join conversations k on k.tenant_id = c.tenant_id"
        " and k.id = c.merged_into and k.merged_into is null and k.state <> 'resolved'"
        " where c.tenant_id = $1 and c.contact_id = $2 and c.channel_id = $3 and c.thread = '' and c.state <> 'resolved'"
        " and (c.merged_into is null or k.id is not null)"
        " order by c.merged_into is null desc, c.last_message_us desc, c.id limit 1",
        tenant_id,
        way.contact_id,
        channel_id,
    )
    if other is None:
        await connection.execute(
            "update conversations set channel_id = $3, counterpart = $4::json where tenant_id = $1 and id = $2",
            tenant_id,
            way.conversation_id,
            channel_id,
            json_text(to),
        )
    return WayBack(way.conversation_id if other is None else other["id"], way.contact_id, channel_id, to)


async def _number(connection: Connection, tenant_id: str, way: WayBack, number: str) -> str:
    rows: list[Any] = await connection.fetch(
        "select distinct i.value from identities i left join contacts c on c.tenant_id = i.tenant_id"
        " and c.id = i.contact_id where i.tenant_id = $1 and i.kind = 'phone' and i.scope = ''"
        " and (i.contact_id = $2 or c.merged_into = $2)",
        tenant_id,
        way.contact_id,
    )
    theirs = {row["value"] for row in rows}
    if number:
        if storable(number) not in theirs:
            raise Conflict("this number is none of the person's", code="not_theirs")
        return number
    if way.to is not None and way.to.kind == "phone" and way.to.value in theirs:
        return way.to.value
    if len(theirs) > 1:
        raise Conflict("they have several numbers: name one", code="which_number")
    if not theirs:
        raise Conflict("no telephone number of this person is known", code="no_number")
    return str(theirs.pop())
