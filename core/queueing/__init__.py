"""The keeper of the queues: who waits, who is offered what, and what callers hear meanwhile."""

from core.queueing.keeper import keep_queues

__all__ = ["keep_queues"]
