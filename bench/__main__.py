"""Run every bench, one after the other: ``python -m bench`` (``--json`` is handed on)."""

import subprocess
import sys

BENCHES = (
    "esl_decode",
    "api_read",
    "command_latency",
    "calls_per_second",
    "takeover",
    "fan_out",
    "outbox",
    "routing_decision",
    "queue_decisions",
    "recording_upload",
    "webhook_ingest",
    "resume",
    "journey_load",
    "signaling",
    "hundred_users",
)


def main() -> int:
    """Each in a process of its own, so that none measures what another left behind; how many failed to run."""
    failed = 0
    for name in BENCHES:
        print(f"== {name}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{name}", *sys.argv[1:]], check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
