"""Addresses that want to hear what happens, and what was delivered to them."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing yet."""
