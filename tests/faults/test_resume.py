"""Whoever follows the log is cut off again and again, in every way of following: nothing is missing, nothing is shown twice."""

import argparse
import os
import shutil

import pytest

from bench import resume
from bench.consumers import PAGE, Shown
from tests.faults.scene import Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

CUTS = int(os.environ.get("IRISX_RESUME_CUTS", "6"))


def test_cuts_of_every_kind_of_consumer_lose_nothing_and_show_nothing_twice(scene: Scene) -> None:
    page = shutil.which("node") is not None and (PAGE.parents[1] / "dashboards" / "node_modules").exists()
    given = argparse.Namespace(cuts=CUTS, rate=60, entries=max(120, CUTS * 4), page=int(page), seed=1)
    outcomes, _ = resume.run(scene.stack, given)
    assert [one.name for one in outcomes] == ["WebSocket", "SSE", *(["page"] if page else []), "webhook"]
    for one in outcomes:
        assert (one.cuts, one.differences, one.duplicates) == (CUTS, 0, 0), one
    assert (
        outcomes[-1].repeated > 0
    )  # an endpoint that hung up after it had read hears it again, under the same id


def test_the_comparison_sees_what_is_missing_wrong_out_of_order_and_twice() -> None:
    log = [(1, "a"), (2, "b"), (3, "c")]

    def shown(*entries: tuple[int, str], ordered: bool = True) -> Shown:
        one = Shown("x", first=0, ordered=ordered)
        one.entries = list(entries)
        return one

    assert shown(*log).differences(log) == 0
    assert shown(*log[:2]).differences(log) == 1
    assert shown(log[0], (2, "z"), log[2]).differences(log) == 1
    assert shown(log[1], log[0], log[2]).differences(log) == 2
    assert shown(log[1], log[0], log[2], ordered=False).differences(log) == 0
    assert shown(*log, log[2]).duplicates == 1
