"""The agent desktop with the real program: two browser windows talk to each other with sound, and a simulated caller waits in
a queue, is answered, handed over to a colleague who was asked first, and wrapped up.

One start of `irisx up`; the agents are pages in a browser with a microphone that beeps, and what they hear is read from
their connections. The steps are in ``dashboards/tests/real-desk.mjs``.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.web.test_pages import FOLDER, built, environment, missing  # noqa: F401  # (a fixture)
from tests.whole import START_S, whole

LIMIT_S = 600.0
CALLS_PER_MINUTE = "40"
"""One in ten or so asks for an operator: the queue of `irisx up`."""
STEPS = (
    *("two agents are at their desks", "agent to agent", "held and gone on", "a reload in the call", "ended"),
    *("a caller from the queue", "asked first", "handed over", "wrapped up"),
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(LIMIT_S + 180)]


@pytest.mark.browser
def test_two_windows_talk_with_sound_and_a_caller_is_answered_handed_over_and_wrapped_up(
    built: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    if why := missing("chromium"):
        pytest.skip(why)
    if not os.environ.get("IRISX_ALL_JOURNEYS"):
        # (two browsers with sound beside the whole program want two cores for themselves; the journeys of the desk on the
        # fake API, and the simulated switch's own tests, prove the sound every time)
        pytest.skip("IRISX_ALL_JOURNEYS=1 runs it")
    with whole(tmp_path / "up", "--calls-per-minute", CALLS_PER_MINUTE, "--no-fakes") as up:
        up.wait_for(START_S, event="running")
        done = subprocess.run(
            ["node", "tests/real-desk.mjs", up.address, up.email, up.password],
            cwd=FOLDER,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert set(STEPS) <= {one["name"] for one in seen}
        for one in seen:
            print(one)
