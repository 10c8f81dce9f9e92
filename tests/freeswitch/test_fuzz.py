"""Damaged frames are read or refused; they never crash the decoder, hang it, or give text that no store can hold.

``IRISX_FUZZ_FRAMES`` sets how many (``bench/fuzz_decoder.py`` runs ten million).
"""

import os

from tests.freeswitch.mutations import run, seeds

FRAMES = int(os.environ.get("IRISX_FUZZ_FRAMES", "50000"))


def test_damaged_frames_are_read_or_refused_and_nothing_else() -> None:
    assert len(seeds()) > 60
    outcome = run(FRAMES, seed=20261122)
    assert outcome.damaged >= FRAMES
    # The damage must neither be so mild nor so severe that half of the code is not reached.
    assert outcome.frames > FRAMES * 0.5
    assert outcome.refused_streams > FRAMES * 0.05
    assert outcome.refused_events > 0
    assert outcome.slowest_s < 1.0
