"""Route plans: a draft that is worked on, and the versions of it that were published."""

from core.storage.schema.tables import run, tenant_table

revision = "0016"
down_revision = "0015"

TABLES = """
-- steps is the draft; live the version that is in force (0: none), versions how many there are.
create table routing_plans (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    kind text collate "C" not null,
    steps json not null,
    live integer not null default 0,
    versions integer not null default 0,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
-- One plan of a kind of carrier is in force.
create unique index routing_plans_live on routing_plans (tenant_id, kind) where live > 0 and deleted_us = 0;
create index routing_plans_newest on routing_plans (tenant_id, created_us desc, id desc);
-- What was published stays as it was.
create table routing_plan_versions (
    tenant_id text collate "C" not null,
    plan_id text collate "C" not null,
    number integer not null,
    steps json not null,
    actor text not null,
    published_us bigint not null,
    primary key (tenant_id, plan_id, number)
);
"""


def upgrade() -> None:
    """Two tables, each tenant's own."""
    run(TABLES)
    for name in ("routing_plans", "routing_plan_versions"):
        tenant_table(name)
