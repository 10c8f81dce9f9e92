"""The Event Socket is cut again and again, at random, and every call has its one record all the same.

``IRISX_CUTS=1000`` runs it as long as it takes for a thousand cuts (half an hour); the suite is content with a few.
"""

import os
import random
import time

import pytest

from bench.stack import wait_until
from tests.faults.scene import POLL_S, Scene

CUTS = int(os.environ.get("IRISX_CUTS", "8"))

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + CUTS * 4)]


def test_cuts_of_the_event_socket_lose_and_double_nothing(scene: Scene) -> None:
    chance = random.Random(7)
    # Calls outlast a reconnect by far, so that none can come and go unheard.
    proxy = scene.begin_behind_a_proxy(rate=8, talk=6, heartbeat=2)
    for _ in range(CUTS):
        time.sleep(chance.uniform(0.2, 2.2))
        proxy.cut()
    books = scene.settled(60 + CUTS * 3)
    books.check(scene.ear, may_be_inferred=True)
    assert len(books.legs) == scene.ended() > CUTS
    inferred = sum(row["inferred"] for row in books.legs)
    assert inferred < len(books.legs) / 2, "most ends were heard"


def test_a_switch_that_goes_silent_is_noticed_and_its_calls_are_in_doubt_until_it_speaks(
    scene: Scene,
) -> None:
    proxy = scene.begin_behind_a_proxy(rate=0, talk=0, heartbeat=1)
    scene.esl("sim call to=9196 context=default count=10 every=0.01 talk=inf")
    wait_until(lambda: scene.live() == 10, "ten calls", every_s=POLL_S)
    doubtful = "(select count(*) from calls where doc ->> 'in_doubt' = 'true')"
    proxy.silent = True
    try:
        scene.wait_stored(f"{doubtful} = 10", "the calls are in doubt", 30)
    finally:
        proxy.silent = False
    scene.wait_stored(f"{doubtful} = 0", "the doubt is over", 30)
    assert scene.live() == 10
