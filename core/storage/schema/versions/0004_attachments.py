"""Files of messages, parts of longer texts, and calls as conversations."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing yet."""
