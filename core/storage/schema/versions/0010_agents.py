"""Agents, queues and what is offered to whom.

The state that an agent chose is a column; what they are at just now follows from their open reservations. An entry of a
queue is offered to one agent at a time: an index sees to it, whoever decides.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0010"
down_revision = "0009"

TABLES = """
create table agents (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    user_id text collate "C" not null,
    name text not null,
    -- Digits by which colleagues dial; empty for none.
    extension text collate "C" not null default '',
    state text not null default 'offline' check (state in ('offline', 'ready', 'not_ready')),
    reason text not null default '',
    since_us bigint not null,
    skills jsonb not null default '{}',
    -- What they can carry at once: {"attention": 1.0, "audio": 1, "slots": 4}.
    capacity jsonb not null,
    -- The connected page that holds this agent, the controller that it is connected to, and when it was last heard.
    session text collate "C" not null default '',
    controller text collate "C" not null default '',
    seen_at timestamptz,
    -- Since when they have had nothing to do, and when they were offered something last.
    idle_since_us bigint not null default 0,
    offered_us bigint not null default 0,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create unique index agents_of_user on agents (tenant_id, user_id) where deleted_us = 0;
create unique index agents_extension on agents (tenant_id, extension) where deleted_us = 0 and extension <> '';
create index agents_newest on agents (tenant_id, created_us desc, id desc) where deleted_us = 0;
create index agents_connected on agents (seen_at) where session <> '';

create table skills (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text collate "C" not null,
    description text not null default '',
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, name)
);

create table queues (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    settings jsonb not null,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create unique index queues_names on queues (tenant_id, lower(name)) where deleted_us = 0;

create table queue_agents (
    tenant_id text collate "C" not null,
    queue_id text collate "C" not null,
    agent_id text collate "C" not null,
    -- Lower ones are asked first.
    tier smallint not null default 1,
    primary key (tenant_id, queue_id, agent_id)
);
create index queue_agents_of on queue_agents (tenant_id, agent_id);

-- What a tenant's work weighs, and the reasons for a pause: one document.
create table queue_settings (
    tenant_id text collate "C" not null,
    doc jsonb not null,
    version bigint not null default 1,
    updated_us bigint not null,
    primary key (tenant_id)
);

create table queue_entries (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    queue_id text collate "C" not null,
    kind text not null check (kind in ('call', 'callback', 'conversation')),
    -- What it weighs: call, chat, message, mail.
    class text not null,
    state text not null default 'waiting' check (state in ('waiting', 'offered', 'served', 'left')),
    outcome text not null default '',
    node text collate "C" not null default '',
    call_id text collate "C" not null default '',
    leg text collate "C" not null default '',
    conversation_id text collate "C" not null default '',
    contact_id text collate "C" not null default '',
    caller text not null default '',
    caller_name text not null default '',
    priority double precision not null default 0,
    skills jsonb not null default '{}',
    -- Who had them last and should have them again, until when nobody else.
    sticky_agent text collate "C" not null default '',
    sticky_until_us bigint not null default 0,
    -- Of a callback: not before.
    due_us bigint not null default 0,
    -- Since when they wait for somebody (an overflow does not put it back), and in this queue.
    entered_us bigint not null,
    queued_us bigint not null,
    offers integer not null default 0,
    answered_call boolean not null default false,
    left_us bigint not null default 0,
    version bigint not null default 1,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create index queue_entries_open on queue_entries (tenant_id, queue_id, entered_us) where state in ('waiting', 'offered');
create unique index queue_entries_call on queue_entries (tenant_id, call_id)
    where state in ('waiting', 'offered') and kind = 'call';
create unique index queue_entries_conversation on queue_entries (tenant_id, conversation_id)
    where state in ('waiting', 'offered') and kind = 'conversation';
create index queue_entries_newest on queue_entries (tenant_id, entered_us desc, id desc);

create table reservations (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    agent_id text collate "C" not null,
    kind text not null check (kind in ('call', 'conversation')),
    class text not null,
    state text not null check (state in
        ('offered', 'accepted', 'connected', 'wrap_up', 'done', 'declined', 'missed', 'withdrawn', 'failed')),
    reason text not null default '',
    queue_id text collate "C" not null default '',
    queue_name text not null default '',
    entry_id text collate "C" not null default '',
    node text collate "C" not null default '',
    call_id text collate "C" not null default '',
    leg text collate "C" not null default '',
    dial text not null default '',
    conversation_id text collate "C" not null default '',
    contact_id text collate "C" not null default '',
    caller text not null default '',
    caller_name text not null default '',
    offered_us bigint not null,
    expires_us bigint not null,
    waited_s double precision not null default 0,
    agent_leg text collate "C" not null default '',
    accepted_us bigint not null default 0,
    connected_us bigint not null default 0,
    ended_us bigint not null default 0,
    wrap_until_us bigint not null default 0,
    done_us bigint not null default 0,
    -- How long there is for what has to be written down afterwards; -1: until somebody says so.
    wrap_up_s integer not null default 0,
    -- What a missed offer does to the agent: '' nothing, else the reason of their pause.
    missed_reason text not null default '',
    disposition text not null default '',
    notes text not null default '',
    -- Whose turn a conversation is: what it weighs.
    awaits_us boolean not null default true,
    quiet_since_us bigint not null default 0,
    version bigint not null default 1,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create index reservations_open on reservations (tenant_id, agent_id)
    where state in ('offered', 'accepted', 'connected', 'wrap_up');
create unique index reservations_entry on reservations (tenant_id, entry_id)
    where state in ('offered', 'accepted', 'connected') and entry_id <> '';
create index reservations_of_call on reservations (tenant_id, call_id)
    where state in ('offered', 'accepted', 'connected') and call_id <> '';
create index reservations_of_conversation on reservations (tenant_id, conversation_id)
    where state in ('offered', 'connected') and conversation_id <> '';
-- Who had them last.
create index reservations_of_caller on reservations (tenant_id, caller, offered_us desc) where caller <> '';
create index reservations_of_contact on reservations (tenant_id, contact_id, offered_us desc) where contact_id <> '';
create index reservations_newest on reservations (tenant_id, offered_us desc, id desc);
create index reservations_of_agent on reservations (tenant_id, agent_id, offered_us desc, id desc);

create table dispositions (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    -- Of which queues; empty: of all.
    queue_ids text[] not null default '{}',
    position integer not null default 0,
    active boolean not null default true,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, id)
);
create unique index dispositions_names on dispositions (tenant_id, lower(name));

create table inbound_routes (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    -- Who is called: the number as the carrier sends it, or with prefix its beginning.
    number text collate "C" not null,
    prefix boolean not null default false,
    queue_id text collate "C" not null default '',
    agent_id text collate "C" not null default '',
    priority double precision not null default 0,
    skills jsonb not null default '{}',
    enabled boolean not null default true,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, number, prefix)
);

-- Sums of 15 minutes, by when entries came. Histograms of waits have the edges 5, 10, 15, 20, 30, 45, 60, 90, 120, 180,
-- 300, 600 s (`core.model.queueing_numbers`) and one number for what is longer.
create table queue_intervals (
    tenant_id text collate "C" not null,
    queue_id text collate "C" not null,
    class text not null,
    start_us bigint not null,
    offered integer not null default 0,
    answered integer not null default 0,
    abandoned integer not null default 0,
    overflowed integer not null default 0,
    closed integer not null default 0,
    callbacks integer not null default 0,
    other integer not null default 0,
    handled integer not null default 0,
    wait_answered_us bigint not null default 0,
    wait_abandoned_us bigint not null default 0,
    longest_us bigint not null default 0,
    talk_us bigint not null default 0,
    wrap_us bigint not null default 0,
    answered_hist integer[] not null default array_fill(0, array[13]),
    abandoned_hist integer[] not null default array_fill(0, array[13]),
    primary key (tenant_id, queue_id, class, start_us)
) with (fillfactor = 70);
create index queue_intervals_by_time on queue_intervals (tenant_id, start_us);

create table agent_state_log (
    tenant_id text collate "C" not null,
    agent_id text collate "C" not null,
    at_us bigint not null,
    id text collate "C" not null,
    state text not null,
    reason text not null default '',
    actor text not null default '',
    primary key (tenant_id, agent_id, at_us, id)
);

-- How far the keeper of the queues has read each tenant's log.
create table queue_places (
    tenant_id text collate "C" not null,
    seq bigint not null,
    primary key (tenant_id)
) with (fillfactor = 50);
"""

TENANT_TABLES = (
    "agents",
    "skills",
    "queues",
    "queue_agents",
    "queue_settings",
    "queue_entries",
    "reservations",
    "dispositions",
    "inbound_routes",
    "queue_intervals",
    "agent_state_log",
    "queue_places",
)


def upgrade() -> None:
    """Twelve tables, each of one tenant's rows only."""
    run(TABLES)
    for name in TENANT_TABLES:
        tenant_table(name)
