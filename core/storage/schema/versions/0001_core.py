"""Tenants, the numbered log, calls and their records, switches, conferences, jobs, incidents.

Times that come from a switch are microseconds since the epoch (bigint), as in `core.model.records`; times of our
own are timestamptz. Documents are ``json``, not ``jsonb``: they are handed out as they were written, byte for
byte, and everything that is searched has a column.
"""

from core.storage.schema.functions import APPEND, WRITE
from core.storage.schema.tables import run, system_table, tenant_table

revision = "0001"
down_revision = None

# A role that cannot be bound by row level security (a superuser, BYPASSRLS) must not be the one that runs the
# application's statements. Then the application steps down to this one (`core.storage.database`).
APP_ROLE = """
do $$
begin
    if (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) then
        begin
            create role irisx_app nologin nosuperuser nobypassrls nocreatedb nocreaterole;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server has it already
        end;
        execute format('grant irisx_app to %I', current_user);
        execute format('grant usage on schema %I to irisx_app', current_schema());
        execute format('alter default privileges in schema %I '
            'grant select, insert, update, delete on tables to irisx_app', current_schema());
        execute format('alter default privileges in schema %I '
            'grant usage, select on sequences to irisx_app', current_schema());
        grant select on alembic_version to irisx_app;
    end if;
end $$;
"""

TABLES = """
create table tenants (
    id text collate "C" primary key,
    name text not null,
    state text not null default 'active' check (state in ('active', 'suspended', 'deleted')),
    limits jsonb not null default '{}',
    settings jsonb not null default '{}',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
insert into tenants (id, name) values ('tnt_main', 'Main');

-- The numbers of the log: the last one given, and the lowest one that is still kept.
create table log_heads (
    tenant_id text collate "C" primary key,
    head bigint not null default 0,
    oldest bigint not null default 1
) with (fillfactor = 50);

-- body is the entry's JSON from "id" on: number and time are known only when it is written, and are put in front
-- when it is read.
create table events (
    tenant_id text collate "C" not null,
    seq bigint not null,
    id text collate "C" not null,
    type text collate "C" not null,
    resource text collate "C" not null,
    occurred_us bigint not null,
    recorded_at timestamptz not null,
    body text not null,
    primary key (tenant_id, seq)
);
create unique index events_id on events (tenant_id, id);
create index events_resource on events (tenant_id, resource, seq);

create table calls (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    node text collate "C" not null,
    live boolean not null,
    state text not null,
    direction text not null,
    caller text not null,
    destination text not null,
    hangup_cause text not null,
    created_us bigint not null,
    answered_us bigint not null,
    ended_us bigint not null,
    version bigint not null,
    doc json not null,
    primary key (tenant_id, id)
) with (fillfactor = 70);
-- Only `live` is in the indexes' conditions and it changes once, so the updates in between stay in their page.
create index calls_newest on calls (tenant_id, created_us desc, id desc);
create index calls_live on calls (tenant_id, created_us desc, id desc) where live;
create index calls_of_node on calls (node) where live;

-- subject is what the record is about: a leg's uuid or a call's id. One record each, written once.
create table cdrs (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    kind text not null check (kind in ('leg', 'call')),
    subject text collate "C" not null,
    call_id text collate "C" not null,
    node text collate "C" not null,
    direction text not null,
    caller text collate "C" not null,
    destination text collate "C" not null,
    started_us bigint not null,
    answered_us bigint not null,
    ended_us bigint not null,
    billsec integer not null,
    duration integer not null,
    hangup_cause text not null,
    q850 integer not null,
    sip_status integer not null,
    disposition text not null,
    trunk text not null,
    inferred boolean not null,
    recovered boolean not null,
    recorded_at timestamptz not null default now(),
    doc json not null,
    primary key (tenant_id, id)
);
create unique index cdrs_subject on cdrs (tenant_id, kind, subject);
create index cdrs_newest on cdrs (tenant_id, kind, started_us desc, id desc);
create index cdrs_of_call on cdrs (tenant_id, call_id);
create index cdrs_caller on cdrs (tenant_id, caller, started_us desc);
create index cdrs_destination on cdrs (tenant_id, destination, started_us desc);

-- instance is the switch's id of the meeting. Members are not here: they are the legs of the call.
create table conferences (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    node text collate "C" not null,
    instance text collate "C" not null,
    name text not null,
    call_id text collate "C" not null,
    created_us bigint not null,
    ended_us bigint not null,
    primary key (tenant_id, id)
);
create unique index conferences_instance on conferences (tenant_id, node, instance);
create index conferences_newest on conferences (tenant_id, created_us desc, id desc);

-- secret is the switch's whole address, sealed; url is the same without its password.
create table nodes (
    id text collate "C" primary key,
    name text not null unique,
    url text not null,
    secret bytea not null,
    state text not null default 'active' check (state in ('active', 'draining', 'drained')),
    owner text not null default '',
    fence bigint not null default 0,
    default_tenant text collate "C" not null default 'tnt_main' references tenants,
    dial_template text not null,
    settings jsonb not null default '{}',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- Apart from nodes, because it is written every few seconds, while every write of calls locks its row in nodes.
create table node_status (
    node text collate "C" primary key references nodes on delete cascade,
    status jsonb not null,
    status_at timestamptz not null
) with (fillfactor = 50);

create table jobs (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    kind text not null,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'done', 'failed', 'cancelled')),
    done bigint not null default 0,
    total bigint,
    detail text not null default '',
    result jsonb,
    error jsonb,
    cancel_asked boolean not null default false,
    created_by text not null default '',
    request_id text not null default '',
    created_at timestamptz not null default now(),
    -- The place in lists, as everywhere: microseconds.
    created_us bigint not null default (extract(epoch from now()) * 1000000)::bigint,
    started_at timestamptz,
    beat_at timestamptz,
    ended_at timestamptz,
    primary key (tenant_id, id)
);
create index jobs_newest on jobs (tenant_id, created_us desc, id desc);
create index jobs_open on jobs (beat_at) where state in ('queued', 'running');

create table incidents (
    id text collate "C" primary key,
    component text not null,
    severity text not null check (severity in ('notice', 'degraded', 'down')),
    summary text not null,
    cause text not null default '',
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    ended_at timestamptz
);
create unique index incidents_open on incidents (component) where ended_at is null;
create index incidents_newest on incidents (started_at desc, id desc);
"""


def upgrade() -> None:
    run(APP_ROLE)
    run(TABLES)
    run(APPEND)
    run(WRITE)
    tenant_table("tenants", "id")
    for name in ("log_heads", "events", "calls", "cdrs", "conferences", "jobs"):
        tenant_table(name)
    for name in ("nodes", "node_status", "incidents"):
        system_table(name)
