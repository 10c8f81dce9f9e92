"""Plugins that take part in messages: heard when they behave, left out when they do not, and never in anybody's way."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from core import hooks as hooking
from core import watchdog
from core.conversations import Intake, Source
from core.hooks import Hooks
from core.ids import new_id
from core.storage.database import Database
from core.watchdog import CHARGE, Charge, Watchdog
from irisx_sdk import Address, Inbound, Outbound, Parsed, Status, Text, hook
from irisx_sdk.hooks import manager

NOW = 1_795_000_000_000_000
ANN = Address("phone", "+4930123")
SAID = Inbound("SM1", ANN, Text("hello"))
LETTER = Outbound("msg_1", ANN, Text("hi"))
asyncio_loop = pytest.mark.asyncio_loop


def hooks_of(*plugins: Any) -> Hooks:
    made = manager()
    for number, plugin in enumerate(plugins):
        made.register(plugin, name=f"plugin-{number}")
    made.check_pending()
    return Hooks(made)


class Shop:
    """A plugin that knows its customers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    @hook
    def irisx_enrich(self, message: Inbound) -> dict[str, str]:
        return {"tier": "gold", "number": message.sender.value}

    @hook
    def irisx_route(self, channel: str) -> str:
        return "sales" if channel.startswith("sms") else "support"

    @hook
    def irisx_before_send(self, message: Outbound) -> Outbound:
        import msgspec

        assert isinstance(message.content, Text)
        return msgspec.structs.replace(message, content=Text(message.content.text + " (shop)"))

    @hook
    def irisx_after_delivery(self, message_id: str, status: Status) -> None:
        self.told.append((message_id, status.state))


class Bad:
    """A plugin that does to every call what it is told to."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    @hook
    def irisx_enrich(self, channel: str) -> Any:
        return self.act()

    @hook
    def irisx_route(self, channel: str) -> Any:
        return self.act()

    @hook
    def irisx_before_send(self, channel: str) -> Any:
        return self.act()


def raises() -> Any:
    raise RuntimeError("token=hush")


def hangs() -> Any:
    time.sleep(0.4)


def leaks() -> Any:
    threading.Thread(target=time.sleep, args=(0.4,), daemon=True).start()
    raise MemoryError


@asyncio_loop
async def test_what_a_plugin_knows_is_with_the_contact_and_its_queue_with_a_new_conversation(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        shop = Shop()
        hooks = hooks_of(shop)
        intake, place = Intake(db, hooks=hooks), Source(new_id("tnt"), "chn_1", "sms.twilio")
        await intake.take(place, Parsed(messages=(SAID,)), received_us=NOW)
        async with db.reader(place.tenant_id) as connection:
            assert await connection.fetchval("select attributes ->> 'tier' from contacts") == "gold"
            assert await connection.fetchval("select queue from conversations") == "sales"
        assert await hooks.before_send("sms.twilio", LETTER) == Outbound("msg_1", ANN, Text("hi (shop)"))
        hooks.after_delivery("sms.twilio", "msg_1", Status("SM1", "delivered"))
        for _ in range(100):
            if shop.told:
                break
            await asyncio.sleep(0.01)
        assert shop.told == [("msg_1", "delivered")]
        await hooks.aclose()


@asyncio_loop
@pytest.mark.parametrize(
    "act", [raises, hangs, leaks, lambda: 7, lambda: {"a": 1}, lambda: {"a": "x" * 5000}]
)
async def test_a_plugin_that_misbehaves_is_counted_and_left_out(
    act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooking, "DEADLINE_S", 0.05)
    hooks = hooks_of(Shop(), Bad(act))  # (the last to come is asked first)
    began = time.monotonic()
    attributes, queue = await hooks.arrived("sms.twilio", SAID)
    assert (attributes["tier"], queue) == ("gold", "sales")
    assert (await hooks.before_send("sms.twilio", LETTER)).content == Text("hi (shop)")
    assert time.monotonic() - began < 0.4
    counts = hooks.statistics()["plugin-1"]
    assert counts["raised"] + counts["late"] + counts["bad"] + counts["skipped"] == 3
    assert hooks.statistics()["plugin-0"]["raised"] == 0
    await hooks.aclose()


@asyncio_loop
async def test_a_plugin_that_hangs_uses_up_its_own_threads_and_then_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hooking, "DEADLINE_S", 0.03)
    let_go = threading.Event()
    hooks = hooks_of(Bad(lambda: let_go.wait(5)), Shop())
    for _ in range(6):
        await hooks.before_send("x", LETTER)
    counts = hooks.statistics()["plugin-0"]
    assert counts["late"] == hooking.THREADS and counts["skipped"] == 6 - hooking.THREADS
    let_go.set()
    for _ in range(100):
        await asyncio.sleep(0.01)
        await hooks.before_send("x", LETTER)
        if hooks.statistics()["plugin-0"]["called"] > hooking.THREADS:
            break
    assert hooks.statistics()["plugin-0"]["called"] > hooking.THREADS, "it is asked again when it came back"
    await hooks.aclose()


@asyncio_loop
async def test_one_that_fails_again_and_again_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = hooks_of(Bad(raises))
    for _ in range(hooking.FAILURES + 4):
        await hooks.before_send("x", LETTER)
    assert hooks.statistics()["plugin-0"] == {
        "called": hooking.FAILURES, "raised": hooking.FAILURES, "late": 0, "bad": 0, "skipped": 4,
    }  # fmt: skip
    await hooks.aclose()


@asyncio_loop
@pytest.mark.parametrize(
    "made", [Outbound("msg_2", ANN, Text("hi")), Outbound("msg_1", Address("phone", "+1"), Text("hi"))]
)
async def test_a_plugin_cannot_send_to_somebody_else(made: Outbound) -> None:
    hooks = hooks_of(Bad(lambda: made))
    assert await hooks.before_send("x", LETTER) == LETTER
    assert hooks.statistics()["plugin-0"]["bad"] == 1
    await hooks.aclose()


@asyncio_loop
async def test_deliveries_that_a_slow_plugin_cannot_hear_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooking, "WAITING", 3)
    hooks = hooks_of(Shop())
    for number in range(5):
        hooks.after_delivery("x", f"msg_{number}", Status("SM1", "sent"))
    assert hooks.untold == 2
    await hooks.aclose()


async def test_code_that_blocks_the_loop_ends_the_process_and_names_its_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "LIMIT_S", 0.15)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.02)
    aside: list[Charge] = []
    ended: list[int] = []
    charge = Charge("tnt_1", "chn_1", "odd")

    async def account() -> None:
        CHARGE.set(charge)
        async with trio.open_nursery() as inner:
            inner.start_soon(blocked)

    async def blocked() -> None:
        await trio.sleep(0.05)
        time.sleep(0.5)

    with Watchdog(aside.append, stop=ended.append):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(account)
    assert aside == [charge] and ended == [watchdog.EXIT_STATUS]


async def test_waiting_is_not_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LIMIT_S", 0.1)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.02)
    ended: list[int] = []
    with Watchdog(lambda _: None, stop=ended.append):
        await trio.sleep(0.3)
    assert ended == []
