"""What our path adds to a call command: HTTP, bus, controller and back, against the same command on a raw socket.

The command is ``uuid_send_dtmf`` on a live call: quick on the switch, and its effect needs no waiting. Measured idle and
while ``--events`` events a second arrive from other calls. Both clients are bare sockets (`bench.raw`).
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.raw import RawHttp, raw_esl
from bench.report import Figure, arguments, percentile, report
from bench.stack import Stack, owned, rows, wait_until

EVENTS_A_CALL = 5
"""CREATE, ANSWER, HANGUP, HANGUP_COMPLETE and DESTROY: what a simple call sends of what a controller asks for."""


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", count=1000, events=1500)
    figures = []
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        port = stack.switch("sim1", heartbeat=2, max_sessions=100_000, sps=10_000)
        stack.controller()
        wait_until(owned(stack), "the controller owns the switch")
        api = stack.api()
        stack.traffic("sim1", rate=10, total=1, talk=0)
        url = stack.env["DATABASE_URL"]
        wait_until(lambda: bool(rows(url, "select 1 from calls where state = 'answered'")[0]), "a live call")
        call = api.get("/v1/calls", limit=1)["data"][0]
        leg = call["legs"][0]["uuid"]

        http = RawHttp(api.url, api.token)

        def ours() -> None:
            status, answer = http.post(f"/v1/calls/{call['id']}/dtmf", digits="5")
            if status != 200:
                raise RuntimeError(f"{status}: {answer.decode()}")

        for load, name in ((0, "idle"), (given.events, f"{given.events} events/s")):
            if load:
                stack.traffic("sim1", rate=load / EVENTS_A_CALL, total=load * 60)
                time.sleep(4)
            with raw_esl(port) as ask:

                def raw(ask: Callable[[str], str] = ask) -> None:
                    ask(f"uuid_send_dtmf {leg} 5")

                bare = _time(raw, given.count)
            through = _time(ours, given.count)
            for share, word in ((0.5, "p50"), (0.99, "p99")):
                reference, value = percentile(bare, share), percentile(through, share)
                reached = word == "p50" or value < 5 * reference
                wanted = "p99 under 5 x raw" if word == "p99" else ""
                figures.append(
                    Figure(f"{name}, {word}", value, "ms", reference, "raw socket", wanted, reached)
                )
    report("command_latency", figures, as_json=given.json)


def _time(act: Callable[[], None], count: int) -> list[float]:
    """Milliseconds of each of ``count`` times, one after the other."""
    for _ in range(20):
        act()
    took = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.002)
    return took


if __name__ == "__main__":
    main()
