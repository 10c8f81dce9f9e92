"""A hundred agents in real signaling, with simulated callers: no call is lost, no offer is missed; p99 of every step.

Callers come to a queue, wait, are offered to agents, answered, talk and hang up; agents wrap up and are ready again. Two
controllers, the API's storage, one simulated switch without sound. ``--agents``, ``--rate`` callers a second, ``--talk``
seconds, for ``--seconds``.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from bench.desk import Agent, Refused, offer, token
from bench.report import Figure, arguments, report
from bench.stack import Stack, owned, wait_until
from core.clock import monotonic
from core.model.queueing_records import QueueSettings
from core.storage.agent_admin import NewAgent, insert_agent
from core.storage.database import Database
from core.storage.queue_lists import ROUTES
from core.storage.queues import create_queue

TENANT = "tnt_main"
NUMBER = "+493023125300"
SETTLE_S = 60.0


class Board:
    """What was seen, by all agents together."""

    def __init__(self) -> None:
        self.offered = 0
        self.answered = 0
        self.refused: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.waits: list[float] = []
        """Seconds that callers had waited when they were offered."""
        self.to_talk: list[float] = []
        """Seconds from the acceptance to the call that the page shows as talking."""
        self._accepted: dict[str, float] = {}

    async def on(self, agent: Agent, frame: dict[str, Any], at: float) -> None:
        """One event of one agent: do what a person does who is quick."""
        kind = frame["type"]
        try:
            if kind == "probe":
                await agent.ask("probed", probe=frame["probe"])
            elif kind == "offer":
                self.offered += 1
                self.waits.append(frame["offer"]["waited_s"])
                self._accepted[frame["offer"]["call_id"]] = at
                await agent.ask("accept", offer=frame["offer"]["id"], sdp=offer())
                self.answered += 1
            elif kind == "call" and frame["call"]["state"] == "talking":
                began = self._accepted.pop(frame["call"]["id"], None)
                if began is not None:
                    self.to_talk.append(at - began)
            elif kind == "offer_ended":
                self.ended[frame["reason"]] = self.ended.get(frame["reason"], 0) + 1
            elif kind == "wrap_up":
                await agent.ask("wrap_up", offer=frame["offer"], disposition="done", notes="")
        except Refused as refused:
            code = f"{kind}: {refused}"
            self.refused[code] = self.refused.get(code, 0) + 1


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", agents=100, rate=4.0, talk=15.0, seconds=600.0)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        figures = run(stack, given)
    report("hundred_users", figures, as_json=given.json)


def run(stack: Stack, given: argparse.Namespace) -> list[Figure]:
    """On a stack that has nothing yet."""
    stack.switch("sim1", agents=True, heartbeat=1)
    controllers = [stack.controller(f"controller-{n}", {"IRISX_SIGNALING": "127.0.0.1:0"}) for n in range(2)]
    wait_until(owned(stack), "a controller owns the switch")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        users = runner.run(_people(stack, given.agents))
        urls = wait_for_signaling(stack, len(controllers))
        board, took, lost = runner.run(_traffic(stack, given, users, urls))
    return _figures(board, took, lost)


def wait_for_signaling(stack: Stack, count: int) -> list[str]:
    """Where browsers find the controllers."""
    import redis

    def found() -> list[str]:
        with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
            said = [client.get(key) for key in client.scan_iter("irisx:controller:*")]
        told = [json.loads(one).get("signaling", "") for one in said if one]
        return [url for url in told if url]

    wait_until(lambda: len(found()) >= count, "the controllers say where they are")
    return found()


async def _people(stack: Stack, count: int) -> list[str]:
    """A queue, its number, and agents in it; their users."""
    db = await Database.open(stack.env["DATABASE_URL"], max_size=4)
    try:
        queue = await create_queue(db, TENANT, name="Support", settings=QueueSettings(wrap_up_s=30))
        await ROUTES.create(db, TENANT, {"number": NUMBER, "queue_id": queue.id})
        users = [f"usr_bench{n:04}" for n in range(count)]
        for n, user in enumerate(users):
            async with db.tenant(TENANT) as connection:
                await insert_agent(
                    connection, TENANT, NewAgent(user_id=user, name=f"Agent {n}", extension=str(1000 + n), queues={queue.id: 1})
                )  # fmt: skip
        return users
    finally:
        await db.close()


async def _traffic(
    stack: Stack, given: argparse.Namespace, users: list[str], urls: list[str]
) -> tuple[Board, dict[str, list[float]], int]:
    board = Board()
    agents: list[Agent] = []
    try:
        for n, user in enumerate(users):
            agent = Agent(urls[n % len(urls)], token(stack.secret, user), board.on)
            await agent.__aenter__()
            agents.append(agent)
            await agent.ask("state", state="ready", reason="")
        count = max(1, round(given.rate * given.seconds))
        line = (
            f"sim call to={NUMBER} context=carrier count={count} every={1 / given.rate}"
            f" talk={given.talk} patience=120"
        )
        said = await asyncio.to_thread(stack.esl, "sim1", line)
        if not said.startswith("+OK"):
            raise RuntimeError(said)
        deadline = monotonic() + given.seconds + given.talk + SETTLE_S
        while (board.answered < count or await _open(stack)) and monotonic() < deadline:
            await asyncio.sleep(0.25)
    finally:
        took: dict[str, list[float]] = {}
        for agent in agents:
            for kind, seconds in agent.took.items():
                took.setdefault(kind, []).extend(seconds)
            await agent.__aexit__()
    return board, took, count - board.answered


async def _open(stack: Stack) -> bool:
    said = await asyncio.to_thread(stack.esl, "sim1", "show channels count")
    return not said.strip().startswith("0 ")


def p99(values: list[float]) -> float:
    """The 99th percentile; 0 of nothing."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))] if values else 0.0


def _figures(board: Board, took: dict[str, list[float]], lost: int) -> list[Figure]:
    missed = sum(
        count for reason, count in board.ended.items() if reason in ("missed", "no_answer_from_page")
    )
    refused = sum(board.refused.values())
    figures = [
        Figure("calls answered", board.answered, "", board.answered + lost, "came", "all", lost == 0),
        Figure("offers missed", missed, "", board.offered, "made", "0", missed == 0),
        Figure("requests refused", refused, "", 0, ", ".join(board.refused) or "none", "0", refused == 0),
        Figure("call to offer, p99", p99(board.waits), "s", 0, "", "", True),
        Figure("offer to talking on the page, p99", p99(board.to_talk), "s", 0, "", "", True),
    ]
    figures += [
        Figure(f"{kind}, p99", p99(seconds), "s", 0, "", "", True) for kind, seconds in sorted(took.items())
    ]
    return figures


if __name__ == "__main__":
    main()
