"""Agents' legs: the dialogs that an heir goes on with."""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nothing yet."""
