"""`irisx up` for real: it starts, everything that is killed comes back, nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.up.plan import PLAYED
from irisx_sdk import Channel
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of, installed
from irisx_sdk.testing import running as provider
from tests.up.fakes import lives
from tests.whole import START_S, Whole, clean_environment, eventually, whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PARTS = [
    *("postgres", "valkey", "simulator", "controller", "controller 2"),
    *("channels", "node", "api", "fake-providers"),
]
CUSTOMERS = {
    "sms.twilio": "+4915112345678",
    "whatsapp": "+4915112345678",
    "email.postmark": "kim@customer.example",
    "discord": "175928847299117063",
}
SPOKEN = {"controller": "controller-1", "controller 2": "controller-2", "fake-providers": "fakes"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("up"), "--calls-per-minute", "240", "--no-messages") as up:
        yield up


def live_calls(client: httpx.Client) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get("/calls").raise_for_status().json()["data"]
    return data


def test_calls_move_on_the_page_a_stranger_opens(running: Whole) -> None:
    assert running.password
    page = httpx.get(running.address, timeout=20)
    assert page.status_code in (200, 404)  # 404 where the pages were not built
    with running.client() as client:
        first = eventually(30, lambda: live_calls(client), "a live call")
        seen = {call["id"]: call["version"] for call in first}
        eventually(
            30,
            lambda: any(call["version"] != seen.get(call["id"]) for call in live_calls(client)),
            "a call that moved",
        )


def test_a_second_one_on_the_same_directory_is_told_so_in_one_line(running: Whole) -> None:
    command = [sys.executable, "-m", "api.cli", "up", "--state-dir", str(running.state_dir)]
    second = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"process {running.process.pid}, {running.address}" in second.stderr


def test_what_is_answered_goes_out_and_what_comes_over_a_connection_comes_in(running: Whole) -> None:
    known = installed().channels
    ours = set()
    with running.client() as client, providers(known) as (sms, bot):
        for fake in (sms, bot):
            body = {
                "type": fake.channel.name,
                "name": "Ours",
                "settings": msgspec.to_builtins(fake.settings),
            }
            account = client.post("/channels", json=body).raise_for_status().json()
            ours.add(account["id"])
            if fake is sms:
                fake.webhook_url = f"{running.address}/v1/channels/{account['id']}/inbound"
        sms.do(sms.write, "+4930123", "hello")
        bot.do(bot.say, "1001", "hello")

        def written() -> list[dict[str, Any]]:
            # (simulated callers and the customers of other fakes have conversations, too)
            data = client.get("/conversations", params={"limit": 100}).json()["data"]
            return [one for one in data if one["channel_id"] in ours]

        found = eventually(30, lambda: len(data := written()) == 2 and data, "both wrote")
        for number, conversation in enumerate(found):
            path = f"/conversations/{conversation['id']}/messages"
            headers = {"Idempotency-Key": f"answer-{number}"}
            client.post(path, json={"text": "Yes?"}, headers=headers).raise_for_status()
        eventually(30, lambda: sms.sent and bot.sent, "both answers arrived")
        (one,) = [
            each for each in found if each["preview"] == "hello" and each["channel_id"] != account["id"]
        ]

        def delivered() -> bool:
            data = client.get(f"/conversations/{one['id']}/messages").json()["data"]
            return "delivered" in [message["state"] for message in data]

        eventually(30, delivered, "the receipts came")
        assert [(each.to, each.text) for each in (*sms.sent, *bot.sent)] == [
            ("+4930123", "Yes?"),
            ("1001", "Yes?"),
        ]


def test_a_customer_of_every_fake_provider_is_heard_within_a_second_and_answered(running: Whole) -> None:
    box = running.wait_for(START_S, event="running")
    fakes = {name.removeprefix("fake "): url for name, url in box.items() if name.startswith("fake ")}
    assert set(fakes) == set(PLAYED)
    with running.client() as client, httpx.Client(timeout=20) as customers:

        def heard(name: str) -> dict[str, Any] | None:
            data = client.get("/conversations", params={"limit": 100}).raise_for_status().json()["data"]
            return next((one for one in data if one["preview"] == f"hello by {name}"), None)

        for name, url in fakes.items():
            said = {"sender": CUSTOMERS.get(name, "1001"), "text": f"hello by {name}"}
            began = time.monotonic()
            customers.post(f"{url}_fake/say", json=said).raise_for_status()
            conversation = eventually(10, lambda name=name: heard(name), f"{name} is heard")
            assert time.monotonic() - began < 1.5  # (a second, and the look itself on a busy machine)
            path = f"/conversations/{conversation['id']}/messages"
            headers = {"Idempotency-Key": f"answer-{name}"}
            client.post(path, json={"text": f"Yes, {name}?"}, headers=headers).raise_for_status()
        for name, url in fakes.items():

            def arrived(name: str = name, url: str = url) -> bool:
                sent = customers.get(f"{url}_fake/messages").json()["sent"]
                return any(f"Yes, {name}?" in one["text"] for one in sent)

            eventually(30, arrived, f"the answer arrived at {name}")


@contextmanager
def providers(known: dict[str, Channel]) -> Iterator[tuple[Fake, Fake]]:
    """One that calls webhooks, and one that is polled."""
    with provider(fake_of(known["sms.twilio"])()) as sms, provider(fake_of(known["telegram"])()) as bot:
        yield sms, bot


@pytest.mark.parametrize("name", PARTS)
def test_whoever_is_killed_comes_back_and_calls_go_on(running: Whole, name: str) -> None:
    children = eventually(
        60, lambda: (found := running.children()) and len(found) == len(PARTS) and found, "all parts"
    )
    since = len(running.said)
    os.kill(children[name], signal.SIGKILL)
    spoken = SPOKEN.get(name, name)
    back = running.said
    eventually(
        60,
        lambda: any(
            one.get("text") == "is back" and one["name"].startswith(spoken[:10]) for one in back[since:]
        ),
        f"{name} is back",
    )
    replaced = running.children()
    assert len(replaced) == len(PARTS)
    assert replaced[name] != children[name] or name.startswith("controller")

    def answers() -> bool:
        try:
            with running.client() as client:
                nodes = client.get("/nodes").raise_for_status().json()["data"]
                return bool(nodes) and nodes[0]["status"].get("up") is True and bool(live_calls(client))
        except httpx.HTTPError:
            return False

    eventually(60, answers, f"calls are seen again after {name} was killed")


def test_ctrl_c_stops_everything_in_reverse(running: Whole) -> None:
    pids = list(running.children().values())
    since = len(running.said)
    assert running.stop() == ""
    assert running.process.returncode == 0
    stopped = [
        one["name"] for one in running.said[since:] if str(one.get("text", "")).startswith("stopped in")
    ]
    assert stopped == [
        "fakes",
        "api",
        "node",
        "channels",
        "controller-2",
        "controller-1",
        "simulator",
        "valkey",
        "postgres",
    ]
    assert not any(lives(pid) for pid in pids)


def test_after_a_kill_of_the_supervisor_nobody_is_left_and_the_next_start_goes_on(tmp_path: Path) -> None:
    up = Whole(
        tmp_path / "state", "--controllers", "1", "--calls-per-minute", "60", "--no-fakes"
    ).wait_until_up()
    children = up.children()
    assert set(children) == {"postgres", "valkey", "simulator", "controller", "channels", "node", "api"}
    up.process.kill()
    up.process.wait()
    eventually(10, lambda: not any(lives(pid) for pid in children.values()), "all children are gone")
    with whole(tmp_path / "state", "--controllers", "1", "--no-fakes") as again:
        box = again.wait_for(START_S, event="running")
        assert "password" not in box
        again.email, again.password = up.email, up.password
        with again.client() as client:
            assert client.get("/cdrs").status_code == 200
    for stream in (up.process.stdout, up.process.stderr):
        assert stream is not None
        stream.close()
