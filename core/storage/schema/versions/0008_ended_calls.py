"""How an heir finds the calls that ended a moment before it took a switch over.

Without this index every takeover reads all the calls that the switch ever had.
"""

from core.storage.schema.tables import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """One more index. `live` changes once in a call's life, so updates in between still stay in their page."""
    run("create index calls_ended_of_node on calls (node, ended_us) where not live")
