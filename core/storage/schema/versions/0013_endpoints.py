"""Telephones that register at a switch, and the secrets that they register with.

A secret is kept as what digest authentication needs, sealed: inside its realm that is as good as the password. User names are
unique over all tenants, because a registrar knows no tenants. Times are microseconds since the epoch.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0013"
down_revision = "0012"

TABLES = """
create table endpoints (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    username text collate "C" not null,
    agent_id text collate "C" not null default '',
    caller_number text not null default '',
    enabled boolean not null default true,
    secret bytea not null,
    secret_changed_us bigint not null,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create unique index endpoints_username on endpoints (username);
create index endpoints_newest on endpoints (tenant_id, created_us desc, id desc) where deleted_us = 0;
"""


def upgrade() -> None:
    """The table, apart by tenant."""
    run(TABLES)
    tenant_table("endpoints")
