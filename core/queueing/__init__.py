"""The keeper of the queues: who waits, who is offered what, and what callers hear meanwhile."""
