"""New calls a second through the whole path: simulator in its own process -> controller -> Postgres.

Offered for ``--seconds`` at ``--rate``; each call is answered, lasts two seconds and ends. Sustained means: no call without
both of its records, each record committed within a second of the call's end (Postgres's own clock says when), nothing
waiting at the end, and the controller's memory flat. The reference is a bare reader: a process that reads the same events
from the same switch and cuts them into frames, so the ratio says what tracking, writing and showing costs on top.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

from bench.ear import PASSWORD
from bench.report import Figure, arguments, percentile, report
from bench.stack import Stack, owned, rows, wait_until
from core.telephony.node import SUBSCRIPTIONS


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", rate=500, seconds=60, live=0)
    total = given.rate * given.seconds
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        port = stack.switch("sim1", heartbeat=2, max_sessions=100_000, sps=10_000)
        controller = stack.controller()
        wait_until(owned(stack), "the controller owns the switch")
        url = stack.env["DATABASE_URL"]
        counted = multiprocessing.Value("d", 0.0)
        reader = multiprocessing.Process(target=_read_only, args=(port, counted), daemon=True)
        reader.start()
        time.sleep(1)
        cpu, began = controller.cpu_s(), time.monotonic()
        stack.traffic("sim1", rate=given.rate, total=total, talk=2)
        time.sleep(given.seconds / 3)
        early = controller.rss()
        wait_until(lambda: _records(url) >= total, "every record", given.seconds * 3)
        took = time.monotonic() - began - 2.0  # the last calls last two seconds
        cpu = controller.cpu_s() - cpu
        late = controller.rss()
        reader.terminate()
        reader.join()
        legs, lags = rows(
            url,
            "select count(*) as n from cdrs where kind = 'leg' and not inferred",
            "select extract(epoch from recorded_at) - ended_us / 1e6 as lag from cdrs where kind = 'call'",
        )
    behind = [float(row["lag"]) for row in lags]
    within = sum(lag <= 1.0 for lag in behind) / len(behind)
    recorded = int(legs[0]["n"])
    sustained = total / max(took, given.seconds)
    figures = [
        Figure(
            "calls a second", sustained, "/s", given.rate, "offered", "500", sustained >= given.rate * 0.98
        ),
        Figure("records of legs", recorded, "", total, "calls", "all", recorded == total),
        Figure("committed within 1 s", within * 100, "%", 100, "all", "100", within == 1.0),
        Figure("end to commit, p99", percentile(behind, 0.99), "s", 1.0, "limit", "under 1", within == 1.0),
        Figure(
            "controller CPU a call",
            cpu / total * 1e3,
            "ms",
            counted.value / total * 1e3,
            "bare reader",
            "under 2 ms",
            cpu / total < 0.002,
        ),
        Figure(
            "memory at the end",
            late / 2**20,
            "MiB",
            early / 2**20,
            "after a third",
            "flat",
            late < early * 1.25,
        ),
    ]
    if given.live:
        figures.append(_live_memory(given.live))
    report("calls_per_second", figures, as_json=given.json)


def _records(url: str) -> int:
    return int(rows(url, "select count(*) as n from cdrs where kind = 'call'")[0][0]["n"])


def _live_memory(wanted: int) -> Figure:
    """What a live call costs the controller, with ``wanted`` of them parked."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        stack.switch("sim1", heartbeat=2, max_sessions=100_000, sps=10_000)
        controller = stack.controller()
        wait_until(owned(stack), "the controller owns the switch")
        time.sleep(2)
        before = controller.rss()
        stack.traffic("sim1", rate=300, total=wanted, talk=0)
        url = stack.env["DATABASE_URL"]

        def live() -> bool:
            return int(rows(url, "select count(*) as n from calls where live")[0][0]["n"]) >= wanted

        wait_until(live, "all calls live", wanted / 300 * 4 + 30)
        time.sleep(3)
        each = (controller.rss() - before) / wanted / 1024
    return Figure("memory of a live call", each, "KiB", 10, "limit", "at most 10", each <= 10)


def _read_only(port: int, used: "multiprocessing.sharedctypes.Synchronized[float]") -> None:
    """Read the switch's events and do nothing with them."""
    import resource
    import socket

    from freeswitch.esl import Decoder

    decoder = Decoder()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(f"auth {PASSWORD}\n\nevent plain {' '.join(SUBSCRIPTIONS)}\n\n".encode())
        while chunk := peer.recv(262144):
            decoder.feed(chunk)
            usage = resource.getrusage(resource.RUSAGE_SELF)
            used.value = usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
