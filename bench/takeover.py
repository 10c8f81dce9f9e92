"""Seconds without control after kill -9 of a controller with many live calls; nothing lost, nothing done twice.

Two controllers, one simulated switch, ``--calls`` answered calls that stay. A client asks for a command on one of them
again and again, each time with other keys to press, so that an ear on the switch can tell each command from every other.
The owner is killed; the gap is from the kill to the first command that is answered as done again. The reference is the
lease's own time: an heir cannot be faster than the certainty that the owner is gone.
"""

import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bench.ear import Ear
from bench.report import Figure, arguments, percentile, report
from bench.stack import Api, Stack, owned, owner_of, rows, wait_until
from core.clock import monotonic
from core.cluster.lease import TTL_S


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", calls=500, rounds=5)
    gaps: list[float] = []
    lost = doubled = 0
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        port = stack.switch("sim1", heartbeat=2)
        controllers = [stack.controller("controller-0"), stack.controller("controller-1")]
        url = stack.env["DATABASE_URL"]
        wait_until(owned(stack), "a controller owns the switch")
        stack.traffic("sim1", rate=100, total=given.calls, talk=0)
        api = stack.api()
        wait_until(lambda: _live(url) >= given.calls, "all calls live", 60)
        commands: Counter[str] = Counter()

        def heard(event: dict[str, str]) -> None:
            if event.get("API-Command") == "uuid_send_dtmf":
                commands[event["API-Command-Argument"]] += 1

        ear = Ear(port, "API", heard)
        for turn in range(given.rounds):
            keys = _Keys(api, turn)
            time.sleep(1)
            owner = owner_of(stack, controllers)
            killed = monotonic()
            owner.kill()
            controllers.remove(owner)
            controllers.append(stack.controller(f"controller-{turn + 2}"))
            wait_until(lambda keys=keys, killed=killed: keys.done_after(killed) > 0, "control is back", 30)
            gaps.append(keys.done_after(killed) - killed)
            time.sleep(2)
            keys.stop()
            lost += given.calls - _live(url)
        ear.close()
        doubled = sum(times - 1 for times in commands.values())
        (wrong,) = rows(url, "select count(*) as n from cdrs where inferred")
    wrongly = int(wrong[0]["n"])
    within = max(gaps) < 2.0
    report(
        "takeover",
        [
            Figure("without control, median", percentile(gaps, 0.5), "s", TTL_S, "lease", "under 2", within),
            Figure("without control, worst", max(gaps), "s", TTL_S, "lease", "under 2", within),
            Figure("calls lost", lost, "", given.calls, "live calls", "0", not lost),
            Figure("calls closed wrongly", wrongly, "", given.calls, "live calls", "0", not wrongly),
            Figure("commands doubled", doubled, "", len(commands), "commands", "0", not doubled),
        ],
        as_json=given.json,
    )


def _live(url: str) -> int:
    return int(rows(url, "select count(*) as n from calls where live")[0][0]["n"])


class _Keys(threading.Thread):
    """Presses keys on one call again and again, never the same twice, and notes when it was told "done"."""

    def __init__(self, api: Api, turn: int) -> None:
        super().__init__(daemon=True)
        self._api = api
        self._turn = turn
        self._call = api.get("/v1/calls", limit=1)["data"][0]["id"]
        self._done: list[float] = []
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            answer = self._api.post(f"/v1/calls/{self._call}/dtmf", digits=f"{self._turn}{number:06d}")
            if answer.status_code == 200:
                self._done.append(monotonic())
            time.sleep(0.005)

    def done_after(self, moment: float) -> float:
        """When the first command after ``moment`` was done; 0.0 while none was. An answer that was on its way when the
        owner was killed does not count."""
        return next((one for one in self._done if one > moment + 0.05), 0.0)

    def stop(self) -> None:
        self._over.set()
        self.join(30)


if __name__ == "__main__":
    main()
