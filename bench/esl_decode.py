"""Events a client can take per second of its CPU, ours against greenswitch, genesis (PyPI) and modesl (npm).

    python -m bench.esl_decode [--repeats 2] [--rounds 5] [--within 60] [--json]

All read the same stream, the 4,202 events of 200 real SIP calls (3.9 kB each), from one replaying process over a
loopback socket; each is a process of its own and measures its own CPU seconds from its subscription on, reading
Event-Name and Unique-ID of every event. Rounds are interleaved and the median counts, so that a busy machine slows
all alike; no round begins that would not be over ``--within`` so many seconds, going by the longest before it (genesis
alone takes seconds for what ours reads in a tenth of one). Each measurement is told on stderr as it is made. The references
are installed under ``.tools/esl_decode`` at the first run.
"""

import json
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import Figure, arguments, report
from core.clock import monotonic

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools" / "esl_decode"
CLIENTS = ROOT / "bench" / "esl_clients"
CAPTURE = ROOT / "tests" / "data" / "captures" / "load-200-calls.rx.gz"
PYTHON_REFERENCES = ("greenswitch==0.0.19", "six", "genesis==2026.10.18")
NODE_REFERENCES = ("modesl@1.2.1",)
LIMIT_S = 120.0
"""For one client on a busy machine."""


def install() -> dict[str, list[str]]:
    """Have the references, and return how each client is started. modesl is left out where there is no npm."""
    python = TOOLS / "venv" / "bin" / "python"
    if not (TOOLS / "venv" / "complete").exists():
        venv.create(TOOLS / "venv", with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-qqq", *PYTHON_REFERENCES], check=True, stdout=sys.stderr
        )
        (TOOLS / "venv" / "complete").touch()
    clients = {
        "ours, one link": [sys.executable, "-m", "bench.esl_clients.ours", "link"],
        "ours, as a switch": [sys.executable, "-m", "bench.esl_clients.ours", "switch"],
        "ours, tracking calls": [sys.executable, "-m", "bench.esl_clients.ours", "tracked"],
        "greenswitch": [str(python), str(CLIENTS / "greenswitch_client.py")],
        "genesis": [str(python), str(CLIENTS / "genesis_client.py")],
    }
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        folder = TOOLS / "node"
        if not (folder / "node_modules" / "modesl").exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                [
                    npm,
                    "install",
                    "--silent",
                    "--no-audit",
                    "--no-fund",
                    "--prefix",
                    str(folder),
                    *NODE_REFERENCES,
                ],
                check=True,
                stdout=sys.stderr,
            )
        clients["modesl"] = [node, str(CLIENTS / "modesl_client.js")]
    return clients


@contextmanager
def replaying(repeats: int) -> Iterator[tuple[str, str]]:
    """Port and number of events of a server that runs while the block does."""
    command = [sys.executable, "-m", "bench.esl_clients.replay_server", str(CAPTURE), str(repeats)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port, count = server.stdout.readline().split()
            yield port, count
        finally:
            server.terminate()


def measure(command: list[str], port: str, count: str) -> dict[str, Any]:
    """One client's own account. The mode of ours stands behind the common arguments."""
    mode = [command.pop()] if command[-1] in ("link", "switch", "tracked") else []
    run = subprocess.run(
        [*command, "127.0.0.1", port, count, *mode],
        cwd=ROOT,
        env={
            "NODE_PATH": str(TOOLS / "node" / "node_modules"),
            "PATH": "/usr/bin:/bin",
            "OTEL_SDK_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if run.returncode:
        raise SystemExit(f"{command}: {run.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def main() -> None:
    options = arguments("Events per CPU second of an Event Socket client", repeats=2, rounds=5, within=60.0)
    clients = install()
    rates: dict[str, list[float]] = {name: [] for name in clients}
    sums: dict[str, tuple[int, int, int]] = {}
    tracked: dict[str, Any] = {}
    with replaying(options.repeats) as (port, count):
        began = monotonic()
        longest_s = 0.0
        for turn in range(options.rounds):
            if turn and monotonic() - began + longest_s > options.within:
                break
            round_began = monotonic()
            for name, command in clients.items():
                result = measure(list(command), port, count)
                rates[name].append(result["events"] / result["cpu_s"])
                print(f"round {turn + 1}, {name}: {rates[name][-1]:,.0f} events/cpu-s", file=sys.stderr)
                if "changes" in result:
                    tracked = result
                else:
                    sums[name] = (result["events"], result["names"], result["uuids"])
            longest_s = max(longest_s, monotonic() - round_began)
    if len(set(sums.values())) != 1:
        raise SystemExit(f"the clients did not read the same: {sums}")
    if tracked["live"]:
        raise SystemExit(f"calls were left open: {tracked}")
    rate = {name: statistics.median(values) for name, values in rates.items()}

    def figure(name: str, reference: str, times: float) -> Figure:
        wanted = f"at least {times:g} times" if times else "for comparison"
        reached = rate[name] >= times * rate[reference]
        return Figure(name, rate[name], "events/cpu-s", rate[reference], reference, wanted, reached)

    figures = [
        figure("ours, one link", "greenswitch", 10),
        figure("ours, as a switch", "greenswitch", 10),
        figure("ours, tracking calls", "greenswitch", 4),
    ]
    figures += [figure("ours, one link", other, 1) for other in ("genesis", "modesl") if other in rate]
    report("esl_decode", figures, as_json=options.json)


if __name__ == "__main__":
    main()
