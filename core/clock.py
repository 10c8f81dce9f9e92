"""The two clocks: wall time for facts, monotonic time for deadlines.

Wall clocks step; a deadline that was computed from one fires early, late or never. So records carry
microseconds since the epoch (as FreeSWITCH's own events do) and everything that waits uses `monotonic`.
"""

import time


def now_us() -> int:
    """Wall time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def monotonic() -> float:
    """Seconds on a clock that never steps, and goes on while the machine sleeps.

    CLOCK_BOOTTIME rather than CLOCK_MONOTONIC: a machine that was suspended past the end of its lease
    must see that the lease has ended.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
