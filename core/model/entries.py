"""An entry of the numbered log, ready to be sent: what the store gave back and the bus carries on."""

from msgspec import Struct


class LogEntry(Struct, frozen=True, array_like=True):
    """``body`` is the entry as every reader gets it (JSON); the rest is there to choose without decoding."""

    seq: int
    type: str
    resource: str
    body: bytes
