"""A store, a disk is away for a while, under load: calls go on, nothing is lost, and people are told.

``IRISX_PG_AWAY_S=30`` keeps Postgres away for as long as the requirement says; the suite is content with less.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.stack import Api, wait_until
from tests.faults.scene import POLL_S, RATE, Scene
from tests.faults.test_processes import kill_postgres

AWAY_S = float(os.environ.get("IRISX_PG_AWAY_S", "8"))
GROWTH = 48 << 20
"""What a controller may grow by while Postgres is away, whatever the time: facts go to disk at once, so what grows is
the table of live calls (some 50 here, 10 KiB each), the buffers of the spool's batches, and Python's own slack. Kept
in memory, 30 s of this traffic would not be bounded by anything but `core.calls.MEMORY`."""
MOST_WAITING = 400
"""Facts in memory at any moment: one batch (`core.calls.BATCH`)."""
JOURNAL_LIMIT = 8192

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180 + AWAY_S * 3)]


def told(api: Api) -> tuple[int, str, int, str]:
    """What the API says at this moment: whether it is ready and why not, and what a list is answered with."""
    ready, calls = api.client.get("/v1/health/ready"), api.client.get("/v1/calls")
    reasons = " ".join(ready.json().get("reasons", []))
    return ready.status_code, reasons, calls.status_code, calls.json().get("code", "")


def test_while_postgres_is_away_calls_go_on_and_their_facts_are_written_later(scene: Scene) -> None:
    scene.begin(api=True)
    api = scene.api
    controller = scene.controllers[0]
    scene.go_on(RATE)
    before = controller.rss()
    kill_postgres(scene)
    ended, gone, grown = scene.ended(), time.monotonic(), 0
    answers = []
    while time.monotonic() - gone < AWAY_S:
        answers.append(told(api))
        grown = max(grown, controller.rss() - before)
        time.sleep(0.25)
    went_on = scene.ended() - ended
    spool = sum(path.stat().st_size for path in scene.spools())
    scene.stack.postgres.start()
    took = wait_until(
        lambda: api.client.get("/v1/health/ready").status_code == 200, "the API is ready again", 20
    )
    books = scene.settled()
    print(
        f"away {AWAY_S:g} s: {went_on} calls ended, {spool} bytes spooled, {grown >> 10} KiB grown, ready {took:.1f} s"
    )
    books.check(scene.ear)
    assert len(books.legs) == scene.ended()
    assert went_on > RATE * AWAY_S * 0.5, "callers came, talked and went all the while"
    assert spool > went_on * 500, "their facts were kept on disk"
    assert grown < GROWTH
    assert {(ready, calls) for ready, _, calls, _ in answers} == {(503, 503)}
    assert {code for _, _, _, code in answers} == {"database_down"}
    assert all("the database is out of reach" in reasons for _, reasons, _, _ in answers)
    assert told(api)[0::2] == (200, 200)
    wait_until(lambda: not scene.spools(), "nothing is left on disk", 10)
    status = scene.switch_status()
    assert status["facts_lost"] == 0 and status["facts_waiting"] <= MOST_WAITING


@contextmanager
def disk_full(pid: int) -> Iterator[None]:
    """No file of a process can grow beyond some kilobytes: what a full disk is for those who write to it (EFBIG instead
    of ENOSPC), and any user may do it to their own processes. Its log stands on the same disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (JOURNAL_LIMIT, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_the_journal_and_no_record_and_is_told_until_it_is_over(scene: Scene) -> None:
    scene.begin(api=True)
    api = scene.api
    scene.go_on(10)

    def incidents() -> list[tuple[str, bool]]:
        found = api.get("/v1/status/incidents")["data"]
        return [
            (one["cause"], one["ended_at"] is None)
            for one in found
            if one["component"].startswith("journal:")
        ]

    def component() -> tuple[str, str]:
        found = api.get("/v1/status/components")["data"]
        return next((one["state"], one["detail"]) for one in found if one["kind"] == "switch")

    with disk_full(scene.controllers[0].pid):
        wait_until(incidents, "an incident is open", 20, every_s=POLL_S)
        assert incidents() == [("File too large", True)]
        words = ("attention", "Works; its flight recorder cannot write to the controller's disk.")
        wait_until(lambda: component() == words, "the switch's status says it", 10, every_s=POLL_S)
        status = scene.switch_status()
        assert status["journal_failing"] is True
        lost = int(status["journal_bytes_lost"])
        assert lost > 0 and int(status["journal_records_lost"]) > 0, "the loss is counted"
    wait_until(lambda: not incidents()[0][1], "the incident is over", 20, every_s=POLL_S)
    wait_until(lambda: component()[0] == "good", "the switch is well", 10, every_s=POLL_S)
    books = scene.settled()
    books.check(scene.ear)
    assert len(books.legs) == scene.ended()
    assert scene.gaps_in_journals() >= 1, "the journal says itself that something is missing"
