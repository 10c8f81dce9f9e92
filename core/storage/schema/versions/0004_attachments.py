"""Files of messages, parts of longer texts, what changes a message later, and calls as conversations."""

from core.storage.schema.tables import run, system_table, tenant_table

revision = "0004"
down_revision = "0003"

TABLES = """
-- An attachment is pending (to be fetched), ready, or refused with a reason; a reason on a ready one is a warning.
drop index attachments_due;
alter table attachments drop constraint attachments_state_check;
update attachments set state = case state when 'waiting' then 'pending' when 'stored' then 'ready' else 'refused' end;
alter table attachments
    add constraint attachments_state_check check (state in ('pending', 'ready', 'refused')),
    add column direction text not null default 'in' check (direction in ('in', 'out')),
    add column part smallint not null default 0,
    -- What may hurt who looks at it in a browser: only ever handed out to be saved.
    add column download_only boolean not null default false,
    add column actor text collate "C" not null default '',
    add column claimed_by text not null default '',
    add column claimed_until timestamptz not null default '-infinity';
create index attachments_due on attachments (due_us) where state = 'pending';
create index attachments_id on attachments (id);
create index attachments_unused on attachments (created_us) where direction = 'out' and message_id = '';

-- reactions: [{"contact_id", "name", "emoji"}], one a person.
alter table messages
    add column reactions json not null default '[]',
    add column edited_us bigint not null default 0,
    add column deleted_us bigint not null default 0;

-- Edits, deletions and reactions, each once. message_id is '' for one whose message has not come yet.
create table message_changes (
    tenant_id text collate "C" not null,
    channel_id text collate "C" not null,
    provider_id text collate "C" not null,
    target text collate "C" not null,
    message_id text collate "C" not null default '',
    contact_id text collate "C" not null default '',
    sender json not null,
    content json not null,
    -- What the message said before; for those who may see what was taken back.
    before json,
    order_us bigint not null,
    created_us bigint not null,
    primary key (tenant_id, channel_id, provider_id)
);
create index message_changes_of on message_changes (tenant_id, message_id, order_us) where message_id <> '';
create index message_changes_early on message_changes (tenant_id, channel_id, target) where message_id = '';

-- Parts of longer texts. done: joined already, kept so that the same delivery again is known.
create table message_pieces (
    tenant_id text collate "C" not null,
    channel_id text collate "C" not null,
    provider_id text collate "C" not null,
    family text collate "C" not null default '',
    -- sender, recipient, the provider's group, and the number of parts, as one text.
    piece_of text collate "C" not null,
    number integer not null,
    total integer not null,
    message json not null,
    arrived_us bigint not null,
    due_us bigint not null,
    done boolean not null default false,
    primary key (tenant_id, channel_id, provider_id)
);
create index message_pieces_of on message_pieces (tenant_id, channel_id, piece_of) where not done;
create index message_pieces_due on message_pieces (due_us);

-- Wishes that a provider reported, each believed once: a webhook may be replayed after somebody has changed their mind.
create table preference_reports (
    tenant_id text collate "C" not null,
    channel_id text collate "C" not null,
    provider_id text collate "C" not null,
    allowed boolean not null,
    received_us bigint not null,
    primary key (tenant_id, channel_id, provider_id, allowed)
);

-- How far a tenant's log has been read for calls.
create table voice_places (
    tenant_id text collate "C" not null,
    seq bigint not null,
    primary key (tenant_id)
) with (fillfactor = 50);

-- Accounts that no host serves for a while, because their channel stopped one.
create table channel_pauses (
    channel_id text collate "C" not null,
    until_us bigint not null,
    times integer not null default 1,
    reason text not null,
    primary key (channel_id)
);
"""


def upgrade() -> None:
    run(TABLES)
    for name in ("message_changes", "message_pieces", "preference_reports", "voice_places"):
        tenant_table(name)
    system_table("channel_pauses")
