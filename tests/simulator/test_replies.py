"""Odd commands, answered by a real FreeSWITCH 1.10.12 and by the simulator: the same text, but for numbers and uuids."""

import json
import re
from pathlib import Path

from freeswitch.simulator import SimulatorSettings
from tests.simulator.bench import Bench
from tests.simulator.frames import UUID

REPLIES = Path(__file__).parents[1] / "data" / "odd-replies.json"
DIFFERENT = {
    "api status": "the lab's build names no commit",
    "api status foo": "the lab's build names no commit",
    "api status\\nconsole_execute: true": "the lab's build names no commit",
    "api version": "the lab's build names no commit",
    "api show status": "the lab's build names no commit",
}
"""Commands whose answers are not the same, and why."""


def _plain(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "N", UUID.sub("UUID", text))


def test_odd_commands_are_answered_as_by_the_real_switch() -> None:
    settings = SimulatorSettings(
        port=0, seed=2, hostname="vm", switchname="simlab", max_sessions=1000, sps=500, gateways={}, directory=(),
        profiles=("carrier", "inside", "internal"),
    )  # fmt: skip
    bench = Bench(settings)
    peer = bench.connect()
    wrong = []
    recorded = json.loads(REPLIES.read_text())
    for command, answer in recorded:
        if not peer.open:
            peer = bench.connect()
        frame = peer.ask(command.replace("\\n", "\n"), wait_s=70)
        if frame.kind == "api/response":
            said = frame.body.decode()
        else:
            said = "\n".join(f"{name}: {value}" for name, value in frame.envelope)
        if command not in DIFFERENT and _plain(said) != _plain(answer):
            wrong.append((command, answer, said))
    assert wrong == []
    assert len(recorded) > 400
