"""The Event Socket is cut again and again, at random, and every call has its one record all the same.

``IRISX_CUTS=1000`` runs it as long as it takes for a thousand cuts (a quarter of an hour); the suite is content with a few.
"""

import os
import random
import time
from pathlib import Path

import pytest

from bench.ear import PASSWORD
from bench.proxy import Proxy
from bench.stack import Stack, owned, rows, wait_until
from tests.faults.truth import Books, Ends

CUTS = int(os.environ.get("IRISX_CUTS", "12"))

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + CUTS * 4)]


def test_cuts_of_the_event_socket_lose_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    with Stack(tmp_path / "s") as stack:
        port = stack.switch("sim1", register=False, heartbeat=2)
        proxy = Proxy(port)
        stack.register("sim1", f"esl://:{PASSWORD}@127.0.0.1:{proxy.port}")
        stack.controller()
        wait_until(owned(stack), "a controller owns the switch")
        ear = Ends(port)
        # Calls outlast a reconnect by far, so that none can come and go unheard.
        stack.traffic("sim1", rate=6, talk=8, total=CUTS * 9)
        try:
            for _ in range(CUTS):
                time.sleep(chance.uniform(0.2, 2.2))
                proxy.cut()
            total = CUTS * 9
            wait_until(lambda: len(ear.ended) >= total, "all calls ended on the switch", 60 + CUTS * 3)
            url = stack.env["DATABASE_URL"]
            wait_until(
                lambda: not rows(url, "select 1 from calls where live limit 1")[0], "no call is open", 60
            )
            books = Books(url)
        finally:
            ear.close()
            proxy.close()
    books.check(ear, may_be_inferred=True)
    assert len(books.legs) == total
    inferred = sum(row["inferred"] for row in books.legs)
    assert inferred < total / 2, "most ends were heard"


def test_a_switch_that_goes_silent_is_noticed_and_its_calls_are_in_doubt_until_it_speaks(
    tmp_path: Path,
) -> None:
    with Stack(tmp_path / "s") as stack:
        port = stack.switch("sim1", register=False, heartbeat=1)
        proxy = Proxy(port)
        stack.register("sim1", f"esl://:{PASSWORD}@127.0.0.1:{proxy.port}")
        stack.controller()
        wait_until(owned(stack), "a controller owns the switch")
        stack.traffic("sim1", rate=10, talk=0, total=10)
        url = stack.env["DATABASE_URL"]
        wait_until(
            lambda: rows(url, "select count(*) as n from calls where live")[0][0]["n"] == 10, "ten calls", 30
        )
        proxy.silent = True
        doubtful = "select count(*) as n from calls where doc ->> 'in_doubt' = 'true'"
        try:
            wait_until(lambda: rows(url, doubtful)[0][0]["n"] == 10, "the calls are in doubt", 30)
            proxy.silent = False
            wait_until(lambda: rows(url, doubtful)[0][0]["n"] == 0, "the doubt is over", 30)
        finally:
            proxy.silent = False
            proxy.close()
        assert rows(url, "select count(*) as n from calls where live")[0][0]["n"] == 10
