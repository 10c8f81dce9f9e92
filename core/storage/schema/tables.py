"""What the versions of the schema are written with.

Every table that holds a tenant's rows is a `tenant_table`: row level security, forced, so that it holds for the
table's owner too. The database, not each query, is what keeps tenants apart; a forgotten ``where`` finds nothing.
"""

from alembic import op
from sqlalchemy.util import await_only

TENANT = "(select current_setting('irisx.tenant', true))"
"""The tenant that this connection speaks for, ``*`` for the system. A sub-select is evaluated once a statement,
a bare call once a row."""


def run(script: str) -> None:
    """Run any number of SQL statements inside the migration's transaction."""
    bind = op.get_bind()
    # The driver's transaction begins with the first statement that goes through SQLAlchemy; this one does not.
    bind.exec_driver_sql("select 1")
    # The simple protocol takes a whole script in one round trip.
    await_only(bind.connection.driver_connection.execute(script))  # type: ignore[union-attr]


def tenant_table(name: str, column: str = "tenant_id") -> None:
    """Let a connection see and write only the rows of ``name`` whose ``column`` is its tenant's."""
    run(
        f"""
        alter table {name} enable row level security;
        alter table {name} force row level security;
        create policy tenant on {name}
            using ({column} = {TENANT} or {TENANT} = '*')
            with check ({column} = {TENANT} or {TENANT} = '*');
        """
    )


def system_table(name: str) -> None:
    """Let only the system (tenant ``*``) see and write ``name``."""
    run(
        f"""
        alter table {name} enable row level security;
        alter table {name} force row level security;
        create policy system on {name} using ({TENANT} = '*') with check ({TENANT} = '*');
        """
    )
