"""What is done with a file follows from the ledger and the clock, and a living recording is left alone."""

import pytest
from msgspec.structs import replace

from core.node_agent.choosing import LONG_US, OPEN_US, QUIET_US, UNKNOWN_US, Act, Seen, choose
from core.storage.recording_work import Known

NOW = 1_795_000_000_000_000
S = 1_000_000
FILE = Seen(path="/rec/x.wav", size=100, changed_us=NOW - 2 * S)
LIVING = Known(
    tenant_id="tnt_1", id="rec_1", path="/rec/x.wav", state="recording", expected_us=NOW - 60 * S,
    started_us=NOW - 60 * S, stopped_us=0, call_ended_us=0, size=0, sha256=None, key="",
)  # fmt: skip


def quiet(seconds: float) -> Seen:
    return replace(FILE, changed_us=NOW - round(seconds * S))


@pytest.mark.parametrize(
    ("known", "file", "act"),
    [
        (LIVING, FILE, "wait"),
        # A paused one does not grow: it is none the less alive.
        (LIVING, quiet(3600), "wait"),
        (replace(LIVING, stopped_us=NOW - S), quiet(0.5), "wait"),
        (replace(LIVING, state="stopped", stopped_us=NOW - 2 * S), quiet(2), "bring"),
        (replace(LIVING, state="uploading", stopped_us=NOW - 2 * S), quiet(2), "bring"),
        (replace(LIVING, call_ended_us=NOW - 9 * S), quiet(9), "wait"),
        (replace(LIVING, call_ended_us=NOW - QUIET_US - S), quiet(31), "bring"),
        (replace(LIVING, call_ended_us=NOW - OPEN_US - S), quiet(0.1), "open"),
        (replace(LIVING, stopped_us=NOW - OPEN_US - S), quiet(0.1), "open"),
        (replace(LIVING, started_us=NOW - LONG_US - S), FILE, "open"),
        (replace(LIVING, state="stored"), quiet(2), "compare"),
        (replace(LIVING, state="erased"), quiet(2), "remove"),
        (replace(LIVING, state="expected", stopped_us=NOW), quiet(99), "wait"),
        (replace(LIVING, state="missing", call_ended_us=NOW - 9999 * S), quiet(99), "bring"),
        (None, FILE, "wait"),
        (None, quiet(UNKNOWN_US / S + 1), "unknown"),
    ],
)
def test_a_file_is_brought_when_it_is_whole_and_never_before(
    known: Known | None, file: Seen, act: Act
) -> None:
    assert choose(file, known, NOW) == act
