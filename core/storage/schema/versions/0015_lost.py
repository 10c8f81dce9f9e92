"""Messages that a carrier took and did not deliver go by another one, once: which carriers those were."""

from core.storage.schema.tables import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """One more column of the outbox, one of receipts."""
    # lost: carriers that took it and reported that it did not arrive. Unlike those in tried they are never asked again.
    # own_fault: what a receipt that came before the sending returned has said of whose doing it was.
    run(
        "alter table outbox add column lost text[] not null default '{}';"
        " alter table receipts add column own_fault boolean not null default false"
    )
