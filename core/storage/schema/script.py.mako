"""${message}."""

from core.storage.schema.tables import run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    run(
        """
        """
    )
