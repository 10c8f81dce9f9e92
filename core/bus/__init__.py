"""What passes between processes right now: orders to the owner of a switch, and fresh log entries to readers.

Everything here may get lost (Redis publishes to whoever listens at that moment) and nothing depends on it:
an order without an answer is an outcome that is not known, and a reader who misses an entry sees the hole in
the numbers and reads the store. So a flushed or restarted Redis costs a moment, never a fact.

asyncio: the API awaits it directly, a controller through `core.aio`.
"""

from core.bus.fresh import FRESH, Follower, Fresh
from core.bus.orders import LEASE, ORDERS, REPLIES, Envelope, Orders
from core.bus.presence import HOSTS, NODE_AGENTS, OUTBOX, PRESENCE, Presence

__all__ = [
    "FRESH",
    "HOSTS",
    "LEASE",
    "NODE_AGENTS",
    "ORDERS",
    "OUTBOX",
    "PRESENCE",
    "REPLIES",
    "Bus",
    "Envelope",
    "Follower",
]


class Bus(Orders, Fresh, Presence):
    """One process's place on the bus."""
