"""The channel host at work: what is written in the API arrives at providers, what is written there arrives here, and
nothing that a channel, an account or a kill -9 does loses a message, doubles one or touches another account."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from core import channel_account, channel_desk, channel_host
from core.access.roles import EVERYTHING
from core.bus import HOSTS
from core.channel_tools import may_reach, names_this_machine
from core.clock import monotonic
from core.config import Settings
from core.ids import new_id
from core.storage.channels import get_channel
from irisx_sdk import Account, Channel, Deliver, Misconfigured, Outbound, Sent, Tools
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of, installed
from irisx_sdk.testing import running
from tests.api.harness import SECRET, Api, serving

pytestmark = pytest.mark.asyncio_loop

CHANNELS = installed().channels
ANN = "+4930123"
ROOT = Path(__file__).parents[2]


class Desk:
    """A tenant with accounts, seen through the API."""

    def __init__(self, api: Api, tenant: str, key: str) -> None:
        self.api, self.tenant, self.key = api, tenant, key

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Idempotency-Key": new_id("idk")} if method == "POST" else {}
        answer = await self.api.ask(method, f"/v1{path}", self.key, body, headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def connect(self, fake: Fake, *, webhook: bool = True, **changes: Any) -> str:
        """The fake's account is connected; its id."""
        if webhook:
            fake.webhook_url = "http://127.0.0.1:1"  # (some fakes tell the two ways apart by it)
        settings = {**msgspec.to_builtins(fake.settings), **changes}
        body = {"type": fake.channel.name, "name": "Ours", "settings": settings}
        account = await self.ask("POST", "/channels", body)
        if webhook:
            fake.webhook_url = f"{self.api.url}/v1/channels/{account['id']}/inbound"
        return str(account["id"])

    async def conversations(self) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = (await self.ask("GET", "/conversations"))["data"]
        return data

    async def answer(self, conversation: Mapping[str, Any], text: str) -> str:
        made = await self.ask("POST", f"/conversations/{conversation['id']}/messages", {"text": text})
        return str(made["id"])

    async def becomes(self, message_id: str, state: str, within_s: float = 25) -> dict[str, Any]:
        async def there() -> Any:
            found = await self.ask("GET", f"/messages/{message_id}")
            return found if found["state"] == state else None

        found: dict[str, Any] = await until(there, f"the message is {state}", within_s)
        return found


async def until(look: Callable[[], Any], what: str, within_s: float = 25) -> Any:
    async with asyncio.timeout(within_s):
        while True:
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.03)
    raise AssertionError(what)


def settings_of(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url, secret=SECRET, state_dir=tmp_path)


@contextmanager
def hosting(settings: Settings, channels: Mapping[str, Channel] = CHANNELS) -> Iterator[None]:
    """A channel host in a thread, ended in good order."""
    told: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []
    begun = threading.Event()
    failed: list[BaseException] = []

    async def main() -> None:
        stop = trio.Event()
        told.append((trio.lowlevel.current_trio_token(), stop))
        begun.set()
        await channel_host.serve(settings, channels, stop)

    def live() -> None:
        try:
            trio.run(main, strict_exception_groups=True)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)

    thread = threading.Thread(target=live, name="channel host")
    thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        token, stop = told[0]
        if thread.is_alive():
            token.run_sync_soon(stop.set)
        thread.join(20)
    assert not thread.is_alive() and not failed, failed


def killed_host(settings: Settings, step: str) -> int:
    """Run a channel host that dies at ``step`` (`tests.core.killed_host`); how it ended."""
    env = {**os.environ, **settings.environment()}
    command = [sys.executable, "-m", "tests.core.killed_host", step]
    ended = subprocess.run(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL, timeout=40, check=False)
    return ended.returncode


@asynccontextmanager
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with serving(database_url, redis_url) as api:
        tenant = await api.tenant(new_id("tnt").removeprefix("tnt_")[-12:])
        try:
            yield Desk(api, tenant, await api.key(EVERYTHING, tenant))
        finally:
            async with api.database.tenant(
                tenant
            ) as connection:  # (the next test's host has its own accounts only)
                await connection.execute(
                    "update channels set state = 'disabled' where tenant_id = $1", tenant
                )


async def test_an_answer_arrives_at_the_provider_and_its_receipts_move_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                message = await ours.answer(conversation, "On its way.")
                await ours.becomes(message, "delivered")
            assert [(one.to, one.text) for one in fake.sent] == [(ANN, "On its way.")]


async def test_what_comes_over_a_connection_is_answered_over_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["telegram"])()) as fake:
            channel_id = await ours.connect(fake, webhook=False)
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                await asyncio.to_thread(fake.do, fake.say, "1001", "hello?")
                (conversation,) = await until(ours.conversations, "a conversation")
                assert conversation["channel_id"] == channel_id and conversation["preview"] == "hello?"
                message = await ours.answer(conversation, "Yes?")
                await ours.becomes(message, "sent")
            assert [(one.to, one.text) for one in fake.sent] == [("1001", "Yes?")]


async def test_a_new_message_wakes_its_sender_at_once(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.outbox.IDLE_S", 30.0)
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                first = await ours.answer(conversation, "one")
                await ours.becomes(
                    first, "delivered"
                )  # (the host has looked before: it is idle from here on)
                for text in ("two", "three"):
                    await ours.becomes(await ours.answer(conversation, text), "delivered", within_s=5)


@pytest.mark.parametrize(
    ("step", "state", "got"),
    [("claimed", "delivered", 1), ("begun", "unknown", 0), ("sent", "unknown", 1)],
)
async def test_a_host_that_is_killed_loses_nothing_and_doubles_nothing(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    state: str,
    got: int,
) -> None:
    """Where nobody can know whether it was sent, the message says so; where it certainly was not, the heir sends it."""
    settings = settings_of(database_url, redis_url, tmp_path)
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            message = await ours.answer(conversation, "On its way.")
            assert await asyncio.to_thread(killed_host, settings, step) == -9
            assert (await ours.ask("GET", f"/messages/{message}"))["state"] == "queued"
            monkeypatch.setattr("core.outbox_sweep.SWEEP_S", 0.3)
            with hosting(settings):
                await ours.becomes(message, state)
                await asyncio.sleep(1.0)
                after = await ours.answer(conversation, "And more.")
                await ours.becomes(after, "delivered")
            assert [one.text for one in fake.sent] == ["On its way."] * got + ["And more."]
            assert (await ours.ask("GET", f"/messages/{message}"))["state"] == state


async def test_two_hosts_share_the_work(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = settings_of(database_url, redis_url, tmp_path)
    async with desk(database_url, redis_url) as ours:
        with (
            running(fake_of(CHANNELS["sms.twilio"])()) as sms,
            running(fake_of(CHANNELS["telegram"])()) as bot,
        ):
            await ours.connect(sms)
            bot_id = await ours.connect(bot, webhook=False)
            await asyncio.to_thread(sms.do, sms.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            with hosting(settings), hosting(settings):
                texts = [f"line {number}" for number in range(40)]
                messages = [await ours.answer(conversation, text) for text in texts]
                for message in messages:
                    await ours.becomes(message, "delivered")
                await asyncio.to_thread(bot.do, bot.say, "1001", "hello?")
                await until(lambda: two(ours), "what came over the connection")
                hosts = [msgspec.json.decode(one) for one in await ours.api.bus.who_is_present(HOSTS)]
                assert len([host for host in hosts if bot_id in host["listens"]]) == 1, hosts
            assert sorted(one.text for one in sms.sent) == sorted(texts)


async def two(ours: Desk) -> bool:
    return len(await ours.conversations()) == 2


class Odd(Channel):
    """A channel of somebody who makes mistakes: its connection raises, ends, or is refused."""

    name = "odd"
    title = "Odd"
    address = "user"
    capabilities = msgspec.structs.replace(CHANNELS["telegram"].capabilities, webhook=False)

    class Settings(msgspec.Struct):
        mood: str = "raise"

    def __init__(self) -> None:
        self.tries: list[str] = []

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        self.tries.append(account.settings.mood)
        if account.settings.mood == "raise":
            async with trio.open_nursery():
                raise RuntimeError("token=hush")
        if account.settings.mood == "refuse":
            raise Misconfigured("the token is not valid", code="bad_token")

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        raise RuntimeError("token=hush")


async def test_a_channel_whose_connection_fails_harms_nobody_else(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_account, "FIRST_PAUSE_S", 0.02)
    odd = Odd()
    async with desk(database_url, redis_url) as ours:
        ours.api.services.channels.known["odd"] = odd
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            for mood in ("raise", "end"):
                await ours.ask("POST", "/channels", {"type": "odd", "name": mood, "settings": {"mood": mood}})
            with hosting(settings_of(database_url, redis_url, tmp_path), {**CHANNELS, "odd": odd}):
                await until(
                    lambda: min(odd.tries.count("raise"), odd.tries.count("end")) >= 3, "both are tried again"
                )
                await ours.becomes(await ours.answer(conversation, "hi"), "delivered")


async def test_a_refused_account_is_marked_and_tried_again_only_when_it_is_changed(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_desk, "LOOK_S", 0.2)
    odd = Odd()
    async with desk(database_url, redis_url) as ours:
        ours.api.services.channels.known["odd"] = odd
        body = {"type": "odd", "name": "x", "settings": {"mood": "refuse"}}
        path = f"/channels/{(await ours.ask('POST', '/channels', body))['id']}"

        async def state() -> str:
            return str((await ours.ask("GET", path))["state"])

        with hosting(settings_of(database_url, redis_url, tmp_path), {**CHANNELS, "odd": odd}):

            async def marked() -> bool:
                return await state() == "misconfigured"

            await until(marked, "it is marked")
            assert (await ours.ask("GET", path))["reason"] == "the token is not valid"
            await asyncio.sleep(1.0)
            assert odd.tries == ["refuse"]
            changed = await ours.ask("PATCH", path, {"settings": {"mood": "end"}})
            assert (changed["state"], changed["reason"]) == ("active", "")
            await until(lambda: "end" in odd.tries, "it is tried again")
            await ours.ask("DELETE", path)
            await asyncio.sleep(0.5)
            before = len(odd.tries)
            await asyncio.sleep(1.0)
            assert len(odd.tries) == before


async def test_wrong_credentials_mark_the_account_and_its_message_waits_for_better_ones(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_desk, "LOOK_S", 0.2)
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            channel_id = await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            right = msgspec.to_builtins(fake.settings)
            await ours.ask("PATCH", f"/channels/{channel_id}", {"settings": {**right, "auth_token": "wrong"}})
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                message = await ours.answer(conversation, "hi")

                async def marked() -> bool:
                    row = await get_channel(ours.api.database, ours.tenant, channel_id)
                    return row.state == "misconfigured" and bool(row.reason)

                await until(marked, "it is marked")
                await asyncio.sleep(0.7)
                assert fake.unauthorized == 1
                assert (await ours.ask("GET", f"/messages/{message}"))["state"] == "queued"


async def test_a_host_that_is_told_to_stop_finishes_what_it_sends(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            fake.faults = msgspec.structs.replace(fake.faults, delay_s=1.5)
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                message = await ours.answer(conversation, "hi")
                await until(lambda: fake.requests, "the provider is being called")
                assert not fake.sent
                told = monotonic()
            assert monotonic() - told < channel_desk.GRACE_S - 2, (
                "it ends when that is done, not when it must"
            )
            assert len(fake.sent) == 1
            (attempt,) = await ours.ask("GET", f"/messages/{message}/attempts")
            assert attempt["outcome"] == "sent"


@pytest.mark.parametrize(
    ("address", "public", "local"),
    [
        ("8.8.8.8", True, True),
        ("2001:4860:4860::8888", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("10.1.2.3", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:10.0.0.1", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),
    ],
)
async def test_channels_reach_public_addresses_and_fakes(address: str, public: bool, local: bool) -> None:
    assert may_reach(address, local=False) is public
    assert may_reach(address, local=True) is local


async def test_only_the_account_s_own_address_lets_it_reach_this_machine() -> None:
    settings = CHANNELS["telegram"].Settings
    assert names_this_machine(settings(token="x", base_url="http://127.0.0.1:8081"))
    for other in (
        "http://127.0.0.1.example.org",
        "http://127.0.0.1@example.org/",
        "https://10.0.0.1",
        "http://[",
    ):
        assert not names_this_machine(settings(token="x", base_url=other)), other


async def test_an_account_that_names_a_private_address_is_marked_and_nothing_is_asked_there(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """`localhost` is this machine by another name, and not what an account may name."""
    async with desk(database_url, redis_url) as ours:
        with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
            channel_id = await ours.connect(fake)
            await asyncio.to_thread(fake.do, fake.write, ANN, "hello")
            (conversation,) = await ours.conversations()
            elsewhere = {
                **msgspec.to_builtins(fake.settings),
                "base_url": fake.base.replace("127.0.0.1", "localhost"),
            }
            await ours.ask("PATCH", f"/channels/{channel_id}", {"settings": elsewhere})
            with hosting(settings_of(database_url, redis_url, tmp_path)):
                await ours.answer(conversation, "hi")

                async def marked() -> bool:
                    row = await get_channel(ours.api.database, ours.tenant, channel_id)
                    return row.state == "misconfigured" and "private network" in row.reason

                await until(marked, "it is marked")
            assert fake.requests == 0
