"""Recordings: policies, what is expected and what was found, who played it; prompts; how good each leg sounded."""

from core.storage.schema.tables import run, tenant_table

revision = "0011"
down_revision = "0010"

TABLES = """
-- Which calls are recorded, and how (`core.model.recording_policy`), looked at in the order of their positions.
create table recording_policies (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    position integer not null default 100,
    action text not null default 'record' check (action in ('record', 'never')),
    state text not null default 'on' check (state in ('on', 'off')),
    directions text[] not null default '{}',
    prefixes text[] not null default '{}',
    queues text[] not null default '{}',
    agents text[] not null default '{}',
    share smallint not null default 100 check (share between 0 and 100),
    moment text not null default 'answered' check (moment in ('answered', 'talking')),
    announcement text collate "C" not null default '',
    stereo boolean not null default true,
    pause_allowed boolean not null default true,
    retention_days integer not null default 0,
    hold boolean not null default false,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index recording_policies_turn on recording_policies (tenant_id, position, id) where deleted_us = 0;

-- The ledger: one row for each file that is or should be, from the moment somebody wants it.
create table recordings (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    call_id text collate "C" not null,
    node text collate "C" not null,
    leg text collate "C" not null default '',
    -- policy: one of ours wants it; order: somebody asked for it; switch: the switch began it by itself
    source text not null check (source in ('policy', 'order', 'switch')),
    policy_id text collate "C" not null default '',
    state text not null check (state in ('expected', 'recording', 'stopped', 'uploading', 'stored', 'missing', 'erased')),
    reason text not null default '',
    -- as the switch names it
    path text collate "C" not null default '',
    direction text not null default '',
    caller text not null default '',
    destination text not null default '',
    queue_id text collate "C" not null default '',
    agent_id text collate "C" not null default '',
    announcement text collate "C" not null default '',
    announced_us bigint not null default 0,
    stereo boolean not null default true,
    pause_allowed boolean not null default true,
    expected_us bigint not null,
    started_us bigint not null default 0,
    stopped_us bigint not null default 0,
    call_ended_us bigint not null default 0,
    stored_us bigint not null default 0,
    -- [[from, to], ...]: microseconds in which it was masked; an open one has the end 0
    masked jsonb not null default '[]',
    samples bigint not null default 0,
    duration_ms bigint not null default 0,
    channels smallint not null default 0,
    size bigint not null default 0,
    sha256 bytea,
    key text collate "C" not null default '',
    -- the loudest moments, 0 to 255: as many bytes for each channel, one channel after the other
    peaks bytea,
    retention_days integer not null default 0,
    hold boolean not null default false,
    hold_reason text not null default '',
    plays integer not null default 0,
    erased_us bigint not null default 0,
    -- {"by", "reason", "versions", "sha256", "size", "key", "checked_us"}
    erased json,
    -- the order that begins it
    tries integer not null default 0,
    due_us bigint not null default 0,
    claimed_by text collate "C" not null default '',
    claimed_until timestamptz not null default '-infinity',
    version bigint not null default 1,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create index recordings_newest on recordings (tenant_id, expected_us desc, id desc);
create index recordings_of_call on recordings (tenant_id, call_id);
create index recordings_at on recordings (node, path);
-- what somebody has to do something about
create index recordings_open on recordings (state, expected_us)
    where state in ('expected', 'recording', 'stopped', 'uploading');
create index recordings_retained on recordings (stored_us) where state = 'stored' and retention_days > 0 and not hold;
create index recordings_missing on recordings (call_ended_us) where state = 'missing';

-- What is known of a live call beside its own record, for the decision.
create table recording_calls (
    tenant_id text collate "C" not null,
    call_id text collate "C" not null,
    queue_id text collate "C" not null default '',
    agents text[] not null default '{}',
    updated_us bigint not null,
    primary key (tenant_id, call_id)
);
create index recording_calls_old on recording_calls (updated_us);

-- How far each tenant's log has been followed.
create table recording_places (
    tenant_id text collate "C" primary key,
    seq bigint not null
) with (fillfactor = 50);

-- Who heard it: requests of one person within ten minutes are one.
create table recording_plays (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    recording_id text collate "C" not null,
    actor text collate "C" not null,
    -- session: with their own credentials; address: by a signed address that they had made
    way text not null check (way in ('session', 'address')),
    remote text not null default '',
    request_id text not null default '',
    requests integer not null default 1,
    bytes bigint not null default 0,
    at_us bigint not null,
    last_us bigint not null,
    primary key (tenant_id, id)
);
create index recording_plays_of on recording_plays (tenant_id, recording_id, at_us desc, id desc);

-- What was measured on a leg, and what it comes to; the inputs stay, so that another formula can be applied later.
create table leg_quality (
    tenant_id text collate "C" not null,
    call_id text collate "C" not null,
    leg text collate "C" not null,
    -- switch: as the switch received it; browser: as the agent's browser did
    heard_by text not null check (heard_by in ('switch', 'browser')),
    codec text not null default '',
    received bigint not null default 0,
    lost bigint not null default 0,
    rtt_ms double precision not null default 0,
    jitter_ms double precision not null default 0,
    r double precision not null,
    mos double precision not null,
    formula text not null,
    estimate boolean not null default false,
    measured_us bigint not null,
    primary key (tenant_id, call_id, leg, heard_by)
);

-- Prompts: announcements, greetings, waiting music. Switches get them from `irisx node`.
create table media (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    language text not null default '',
    size bigint not null,
    sha256 bytea not null,
    key text collate "C" not null,
    duration_ms bigint not null,
    channels smallint not null,
    rate integer not null,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index media_newest on media (tenant_id, created_us desc, id desc) where deleted_us = 0;
"""
NAMES = (
    "recording_policies",
    "recordings",
    "recording_calls",
    "recording_places",
    "recording_plays",
    "leg_quality",
    "media",
)


def upgrade() -> None:
    """The tables, each seen by its tenant only."""
    run(TABLES)
    for name in NAMES:
        tenant_table(name)
