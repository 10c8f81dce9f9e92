"""Addresses that want to hear what happens, and what was delivered to them.

Times are microseconds since the epoch. Claims are compared with the database's clock, so that any number of hosts share
the work.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0007"
down_revision = "0006"

TABLES = """
-- place: the last number of the log that was looked at for it. secrets: sealed, the newest first, each with its end.
-- failing_since_us: the first failure after the last success. slow: its last answer took long.
create table webhooks (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    url text not null,
    types text[] not null,
    state text not null default 'active' check (state in ('active', 'disabled')),
    reason text not null default '',
    secrets bytea not null,
    old_secret_until_us bigint not null default 0,
    at_once smallint not null default 4,
    place bigint not null,
    failing_since_us bigint not null default 0,
    warned boolean not null default false,
    slow boolean not null default false,
    last_delivered_us bigint not null default 0,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create index webhooks_newest on webhooks (tenant_id, created_us desc, id desc) where deleted_us = 0;
create index webhooks_active on webhooks (tenant_id) where state = 'active' and deleted_us = 0;

-- One entry of the log for one endpoint. tries counts since it was last made due by a person, attempts holds all of
-- them (the newest twenty).
create table webhook_deliveries (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    webhook_id text collate "C" not null,
    seq bigint not null,
    type text collate "C" not null,
    kind text not null check (kind in ('event', 'replay', 'test')),
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
    tries smallint not null default 0,
    due_us bigint not null,
    claimed_by text not null default '',
    claimed_until_us bigint not null default 0,
    status smallint not null default 0,
    reason text not null default '',
    attempts jsonb not null default '[]',
    created_us bigint not null,
    ended_us bigint not null default 0,
    primary key (tenant_id, id)
) with (fillfactor = 60);
-- However often the log is looked through, an entry is delivered once by itself.
create unique index webhook_deliveries_once on webhook_deliveries (tenant_id, webhook_id, seq) where kind <> 'replay';
create index webhook_deliveries_due on webhook_deliveries (tenant_id, webhook_id, due_us, seq) where state = 'waiting';
create index webhook_deliveries_claimed on webhook_deliveries (tenant_id, webhook_id) where claimed_until_us > 0;
create index webhook_deliveries_newest on webhook_deliveries (tenant_id, webhook_id, created_us desc, id desc);
create index webhook_deliveries_old on webhook_deliveries (ended_us) where state <> 'waiting';

-- How attempts ended, by the hour.
create table webhook_hours (
    tenant_id text collate "C" not null,
    webhook_id text collate "C" not null,
    hour_us bigint not null,
    delivered integer not null default 0,
    failed integer not null default 0,
    primary key (tenant_id, webhook_id, hour_us)
) with (fillfactor = 50);
create index webhook_hours_old on webhook_hours (hour_us);
"""


def upgrade() -> None:
    run(TABLES)
    for name in ("webhooks", "webhook_deliveries", "webhook_hours"):
        tenant_table(name)
