"""What a job is about, so that the newest one about it is found: the conformance run of a channel, for one."""

from core.storage.schema.tables import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """One more column, and the way to it."""
    run(
        "alter table jobs add column subject text collate \"C\" not null default '';"
        " create index jobs_about on jobs (tenant_id, kind, subject, created_us desc)"
    )
