"""Ten million damaged frames through the decoder: no crash, no hang, nothing that cannot be stored.

    python -m bench.fuzz_decoder --frames 10000000 --processes 1 [--seed 1] [--json]

Prints frames damaged, frames that were still read, streams and events that were refused, and the slowest stream.
Exits with an error when anything but `ProtocolError` comes out.
"""

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import asdict

from tests.freeswitch.mutations import Outcome, run

SLICE = 200_000


def _slice(job: tuple[int, int]) -> Outcome:
    return run(*job)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    jobs = [
        (min(SLICE, options.frames - at), options.seed + at // SLICE)
        for at in range(0, options.frames, SLICE)
    ]
    total = Outcome()
    began = time.monotonic()
    with multiprocessing.Pool(options.processes) as pool:
        for part in pool.imap_unordered(_slice, jobs):
            total.damaged += part.damaged
            total.frames += part.frames
            total.refused_streams += part.refused_streams
            total.refused_events += part.refused_events
            total.slowest_s = max(total.slowest_s, part.slowest_s)
            if not options.json:
                print(
                    f"{total.damaged:>12,} damaged  {time.monotonic() - began:8.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    if options.json:
        print(json.dumps(asdict(total)))
    else:
        for name, value in asdict(total).items():
            print(f"{name:<18} {value:>14,.3f}" if isinstance(value, float) else f"{name:<18} {value:>14,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
