"""Steps the wall clock of one process: Python loads this at its start when the folder stands in PYTHONPATH.

A step of the machine's own clock would need root and hit everybody, and Linux's time namespaces have no wall clock.
So a process of a test is started with this folder in front, and ``STEPPED_CLOCK`` names a file that says how far it is
off (nanoseconds, 8 bytes), which the test changes while it runs. What is stepped is what our programs read: `time.time`
and `time.time_ns`, and the moment by which PyJWT judges a token. Monotonic clocks stay, as really.
"""

import datetime
import mmap
import os
import struct
import time

_file = os.environ.get("STEPPED_CLOCK")
if _file:
    with open(_file, "rb") as _opened:
        _off = mmap.mmap(_opened.fileno(), 8, prot=mmap.PROT_READ)
    _time_ns = time.time_ns

    def _stepped_ns() -> int:
        return _time_ns() + int(struct.unpack("<q", _off[:])[0])

    def _stepped() -> float:
        return _stepped_ns() / 1e9

    time.time_ns = _stepped_ns
    time.time = _stepped

    import jwt.api_jwt

    class _Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.fromtimestamp(_stepped(), tz)

    jwt.api_jwt.datetime = _Datetime  # type: ignore[attr-defined]
