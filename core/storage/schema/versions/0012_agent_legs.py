"""Agents' legs: what the heir of a controller needs to go on with them.

A row is written before the switch is asked for the leg, so that an heir knows every one that may be there. Without a
dialog it was never answered as far as anybody knows. Times are microseconds since the epoch.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0012"
down_revision = "0011"

TABLES = """
create table agent_legs (
    tenant_id text collate "C" not null,
    leg text collate "C" not null,
    node text collate "C" not null,
    agent_id text collate "C" not null,
    dialog jsonb,
    created_us bigint not null,
    primary key (leg)
) with (fillfactor = 70);
create index agent_legs_of_node on agent_legs (node, created_us);
"""


def upgrade() -> None:
    """The table, apart by tenant."""
    run(TABLES)
    tenant_table("agent_legs")
