"""The recordings of a call: which file, on which leg, from when to when.

A recording is known by its leg, its path and its start. The same path may be used again after a stop, several paths
at a time, and a recording may move: with ``recording_follow_transfer`` the switch carries it to another leg of the
call and tells its stop there, so a stop is looked for in the whole call. What is still open when its leg ends stays
open while the call lives (it may have moved), and is closed with the call.
"""

from msgspec.structs import replace

from core.model.records import Call, Leg, Recording


def started(leg: Leg, recording: Recording) -> Leg | None:
    """The leg with one more open recording; None when it is known already."""
    for at, known in enumerate(leg.recordings):
        if known.path != recording.path or known.conference != recording.conference:
            continue
        if known.started_us == recording.started_us:
            return None
        if not known.stopped_us:
            return None  # still open: the switch ignores a second start too
        if not known.started_us and known.stopped_us >= recording.started_us:
            # Its stop came first.
            filled = replace(known, started_us=recording.started_us)
            return replace(leg, recordings=(*leg.recordings[:at], filled, *leg.recordings[at + 1 :]))
    return replace(leg, recordings=(*leg.recordings, recording))


def find_open(
    call: Call, leg_uuid: str, path: str, *, at_us: int, conference: str = ""
) -> tuple[Leg, int] | None:
    """The leg that holds the recording of ``path`` that was open at this moment, and its place; the named leg is
    asked first. One that began later is another one: the stop that is looked at is that of its predecessor."""
    found: tuple[Leg, int] | None = None
    for leg in call.legs:
        for at, known in enumerate(leg.recordings):
            if known.stopped_us or known.path != path or known.conference != conference:
                continue
            if known.started_us > at_us:
                continue
            if leg.uuid == leg_uuid:
                return leg, at
            found = found or (leg, at)
    return found


def knows_start(call: Call, path: str, started_us: int, conference: str) -> bool:
    """Whether this recording of a conference is known already; whichever member kept its record."""
    return any(
        known.path == path and known.started_us == started_us and known.conference == conference
        for leg in call.legs
        for known in leg.recordings
    )


def knows_stop(call: Call, path: str, stopped_us: int, conference: str = "") -> bool:
    """Whether a stop of ``path`` at this moment is known already, on any leg."""
    return any(
        known.path == path and known.stopped_us == stopped_us and known.conference == conference
        for leg in call.legs
        for known in leg.recordings
    )


def stopped(leg: Leg, at: int, *, stopped_us: int, samples: int, size: int, cause: str) -> Leg:
    """The leg with the recording at place ``at`` closed."""
    known = leg.recordings[at]
    closed = replace(known, stopped_us=stopped_us, samples=samples, size=size, cause=cause)
    return replace(leg, recordings=(*leg.recordings[:at], closed, *leg.recordings[at + 1 :]))
