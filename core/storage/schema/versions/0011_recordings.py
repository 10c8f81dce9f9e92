"""Recordings: policies, what is expected, what was found."""

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nothing yet."""
