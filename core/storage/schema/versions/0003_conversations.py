"""People outside, the accounts through which we reach them, conversations, messages, and what waits to be sent.

Times are microseconds since the epoch (bigint): many come from providers. ``content`` and other documents are ``json``,
handed out as they were written; everything that is searched has a column.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0003"
down_revision = "0002"

TABLES = """
create table contacts (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null default '',
    company text not null default '',
    language text not null default '',
    timezone text not null default '',
    attributes jsonb not null default '{}',
    -- Set while this contact is merged into another one; undoing clears it.
    merged_into text collate "C",
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index contacts_newest on contacts (tenant_id, created_us desc, id desc) where deleted_us = 0;

-- scope is '' where the address means the same everywhere (telephone, mail), else the account it means something to.
create table identities (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    contact_id text collate "C" not null,
    kind text not null check (kind in ('phone', 'email', 'user')),
    scope text collate "C" not null default '',
    value text collate "C" not null,
    name text not null default '',
    verified boolean not null default false,
    created_us bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, kind, scope, value)
);
create index identities_of_contact on identities (tenant_id, contact_id);

-- moved is what undoing needs: the identities and conversations that came from `gone`.
create table contact_merges (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    kept text collate "C" not null,
    gone text collate "C" not null,
    moved json not null,
    actor text not null,
    merged_us bigint not null,
    undone_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index contact_merges_of on contact_merges (tenant_id, kept, merged_us desc);

-- secret is the whole of the account's settings, sealed; settings is the same without what must not be shown.
create table channels (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    type text collate "C" not null,
    name text not null,
    state text not null default 'active' check (state in ('active', 'disabled', 'misconfigured')),
    reason text not null default '',
    address text collate "C" not null default '',
    settings jsonb not null default '{}',
    secret bytea not null,
    limits jsonb not null default '{}',
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
-- A webhook knows its account's id and not the tenant.
create unique index channels_id on channels (id);
create index channels_newest on channels (tenant_id, created_us desc, id desc) where deleted_us = 0;

-- Where a connection that an account holds goes on (`irisx_sdk.Tools.save`).
create table channel_places (
    tenant_id text collate "C" not null,
    channel_id text collate "C" not null,
    place bytea not null,
    updated_us bigint not null,
    primary key (tenant_id, channel_id)
) with (fillfactor = 50);

create table conversations (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    contact_id text collate "C" not null,
    channel_id text collate "C" not null default '',
    thread text collate "C" not null default '',
    subject text not null default '',
    state text not null default 'open' check (state in ('open', 'pending', 'snoozed', 'resolved')),
    priority smallint not null default 0,
    labels text[] not null default '{}',
    queue text not null default '',
    assignee text collate "C" not null default '',
    participants text[] not null default '{}',
    snoozed_until_us bigint not null default 0,
    -- Since when somebody waits for our answer; 0 when nobody does.
    waiting_since_us bigint not null default 0,
    first_inbound_us bigint not null default 0,
    first_reply_us bigint not null default 0,
    last_inbound_us bigint not null default 0,
    last_message_us bigint not null,
    messages integer not null default 0,
    unread integer not null default 0,
    preview text not null default '',
    context jsonb not null default '{}',
    merged_into text collate "C",
    version bigint not null default 1,
    created_us bigint not null,
    resolved_us bigint not null default 0,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create index conversations_newest on conversations (tenant_id, last_message_us desc, id desc);
create index conversations_waiting on conversations (tenant_id, waiting_since_us, id) where waiting_since_us > 0;
create index conversations_of_contact on conversations (tenant_id, contact_id, last_message_us desc);
create index conversations_of_assignee on conversations (tenant_id, assignee, last_message_us desc) where assignee <> '';
create index conversations_snoozed on conversations (snoozed_until_us) where state = 'snoozed';
-- At most one conversation of a thread is open: the one that its next message joins.
create unique index conversations_thread on conversations (tenant_id, channel_id, contact_id, thread)
    where state <> 'resolved' and channel_id <> '' and merged_into is null;

-- kind: what people wrote (message), to each other (note), a telephone call (call), or what the platform says (system).
create table messages (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    conversation_id text collate "C" not null,
    contact_id text collate "C" not null,
    channel_id text collate "C" not null default '',
    kind text not null check (kind in ('message', 'note', 'call', 'system')),
    direction text not null check (direction in ('in', 'out', '')),
    state text not null,
    -- Inbound: the provider's id. Outbound: the first of them, once there is one.
    provider_id text collate "C" not null default '',
    author text collate "C" not null default '',
    sender json,
    recipient json,
    content json not null,
    text text not null default '',
    reply_to text collate "C" not null default '',
    call_id text collate "C" not null default '',
    -- Where it stands in its conversation: the provider's time if it is believable, else ours.
    order_us bigint not null,
    sent_us bigint not null default 0,
    delivered_us bigint not null default 0,
    read_us bigint not null default 0,
    send_at_us bigint not null default 0,
    segments smallint not null default 0,
    price numeric,
    currency text not null default '',
    code text not null default '',
    reason text not null default '',
    version bigint not null default 1,
    created_us bigint not null,
    primary key (tenant_id, id)
) with (fillfactor = 80);
create index messages_of_conversation on messages (tenant_id, conversation_id, order_us, id);
create index messages_newest on messages (tenant_id, created_us desc, id desc);
create unique index messages_inbound on messages (tenant_id, channel_id, provider_id)
    where direction = 'in' and provider_id <> '';
create index messages_of_call on messages (tenant_id, call_id) where call_id <> '';

-- The provider's ids of what we sent: one a part, each with its own state. Receipts find their message here.
create table message_parts (
    tenant_id text collate "C" not null,
    channel_id text collate "C" not null,
    provider_id text collate "C" not null,
    message_id text collate "C" not null,
    part smallint not null,
    state text not null,
    primary key (tenant_id, channel_id, provider_id)
);
create index message_parts_of on message_parts (tenant_id, message_id);

-- Every receipt as it came, also those that changed nothing, and those that came before the sending returned
-- (message_id is '' then).
create table receipts (
    tenant_id text collate "C" not null,
    id bigint generated always as identity,
    channel_id text collate "C" not null,
    provider_id text collate "C" not null,
    message_id text collate "C" not null default '',
    state text not null,
    at_us bigint not null,
    code text not null default '',
    reason text not null default '',
    received_us bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, channel_id, provider_id, state, code)
);
create index receipts_of_message on receipts (tenant_id, message_id) where message_id <> '';

-- source says where an inbound file is to be got (sealed: it may hold a secret); key is its place in the object store.
create table attachments (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    message_id text collate "C" not null default '',
    channel_id text collate "C" not null default '',
    name text not null,
    media_type text not null,
    size bigint not null default 0,
    sha256 bytea,
    key text not null default '',
    state text not null check (state in ('waiting', 'stored', 'refused', 'failed')),
    reason text not null default '',
    source bytea,
    attempts smallint not null default 0,
    due_us bigint not null default 0,
    created_us bigint not null,
    primary key (tenant_id, id)
);
create index attachments_of_message on attachments (tenant_id, message_id);
create index attachments_due on attachments (due_us) where state = 'waiting';

-- One row a message that is not sent yet. A sender claims it for a time; `unknown` waits for a person or a receipt.
create table outbox (
    tenant_id text collate "C" not null,
    message_id text collate "C" not null,
    channel_id text collate "C" not null,
    due_us bigint not null,
    deadline_us bigint not null,
    attempts smallint not null default 0,
    claimed_by text not null default '',
    claimed_until_us bigint not null default 0,
    -- Written before the provider is called: a sender that dies after it leaves an outcome that nobody knows.
    calling boolean not null default false,
    purpose text not null default 'service' check (purpose in ('service', 'marketing', 'transactional')),
    confirms_opt_out boolean not null default false,
    primary key (tenant_id, message_id)
) with (fillfactor = 50);
create index outbox_due on outbox (channel_id, due_us);

create table attempts (
    tenant_id text collate "C" not null,
    message_id text collate "C" not null,
    number smallint not null,
    channel_id text collate "C" not null,
    started_us bigint not null,
    ended_us bigint not null default 0,
    outcome text not null default '',
    code text not null default '',
    reason text not null default '',
    -- Why this account, and what the policy said: everything that was looked at.
    decision json not null,
    primary key (tenant_id, message_id, number)
);

-- What a person, or a law, said about being written to. value is an address; scope a channel type, or '*'.
create table suppressions (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    kind text not null,
    value text collate "C" not null,
    scope text collate "C" not null default '*',
    source text not null,
    reason text not null default '',
    created_us bigint not null,
    removed_us bigint not null default 0,
    primary key (tenant_id, id)
);
create unique index suppressions_of on suppressions (tenant_id, kind, value, scope) where removed_us = 0;
create index suppressions_newest on suppressions (tenant_id, created_us desc, id desc);

create table consents (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    contact_id text collate "C" not null,
    kind text not null,
    value text collate "C" not null,
    purpose text not null,
    granted boolean not null,
    source text not null,
    evidence text not null default '',
    at_us bigint not null,
    primary key (tenant_id, id)
);
create index consents_of on consents (tenant_id, kind, value, purpose, at_us desc);
create index consents_of_contact on consents (tenant_id, contact_id, at_us desc);

-- Webhooks that were genuine, or need no proof, and could not be read: for people.
create table unread_webhooks (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    channel_id text collate "C" not null,
    media_type text not null,
    body bytea not null,
    reason text not null,
    received_us bigint not null,
    primary key (tenant_id, id)
);
create index unread_webhooks_newest on unread_webhooks (tenant_id, received_us desc);
"""


def upgrade() -> None:
    run(TABLES)
    for name in (
        "contacts",
        "identities",
        "contact_merges",
        "channels",
        "channel_places",
        "conversations",
        "messages",
        "message_parts",
        "receipts",
        "attachments",
        "outbox",
        "attempts",
        "suppressions",
        "consents",
        "unread_webhooks",
    ):
        tenant_table(name)
