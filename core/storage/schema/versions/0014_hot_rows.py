"""Messages that are sent stay in their place: what changes on the way is in none of their indexes.

A row whose indexed columns stay as they are is changed within its page; any other change writes a new entry into each of
the table's indexes, the one of words included. ``provider_id`` was such a column for the sake of inbound messages alone, so
these have a column of their own now, which is empty for all others. The log asks first whether a tenant has numbers: a
refused insert costs as much as one that is done.
"""

from core.storage.schema.functions import APPEND
from core.storage.schema.tables import run

revision = "0014"
down_revision = "0013"

MESSAGES = """
alter table messages add column inbound_id text collate "C"
    generated always as (case when direction = 'in' and provider_id <> '' then provider_id end) stored;
drop index messages_inbound;
create unique index messages_inbound on messages (tenant_id, channel_id, inbound_id) where inbound_id is not null;
-- Written once and changed once: there is room for the change.
alter table attempts set (fillfactor = 70);
alter table message_parts set (fillfactor = 80);
"""
_ALWAYS = """    insert into log_heads (tenant_id) select distinct t from unnest(p_tenants) t order by t on conflict do nothing;
"""
_WHEN_NEW = """    if (select count(*) from log_heads h where h.tenant_id = any (p_tenants))
        < (select count(distinct t) from unnest(p_tenants) t) then
        insert into log_heads (tenant_id) select distinct t from unnest(p_tenants) t order by t on conflict do nothing;
    end if;
"""


def upgrade() -> None:
    """The table of messages is written anew."""
    run(MESSAGES)
    text = APPEND.replace("create function", "create or replace function", 1).replace(_ALWAYS, _WHEN_NEW, 1)
    if _WHEN_NEW not in text:
        raise RuntimeError("version 1 of irisx_append is not what this version changes")
    run(text)
