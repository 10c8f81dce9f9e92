"""The kit finds what it is there to find: each channel here breaks one promise, and exactly that check says so."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from irisx_bulletin.channel import Bulletin
from irisx_bulletin.fake import FakeBulletin

from irisx_sdk import (
    Account,
    BadSignature,
    Capabilities,
    ChannelError,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Refused,
    Request,
    Sent,
    Throttled,
    Tools,
)  # fmt: skip
from irisx_sdk.conformance import check, listening, sending, trouble, webhooks
from irisx_sdk.conformance.scene import Scene, Skipped, open_scene, secrets_of, with_wrong
from irisx_sdk.fake import Answer, Call, Delivery, FakeMessage

pytestmark = pytest.mark.timeout(180)


def of(channel: type[Bulletin], base: type[FakeBulletin] = FakeBulletin) -> type[FakeBulletin]:
    """The fake for another channel."""
    return type("Fake", (base,), {"channel": channel()})


def found(make: type[FakeBulletin], wrong: Callable[[Scene], Any]) -> str:
    """What one check says of a channel; empty when it holds."""
    with open_scene(make, 0, None) as scene:
        with scene.check("it"):
            wrong(scene)
        return scene.report().checks[0].why if scene.report().failed else ""


class Credulous(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        proof = FakeBulletin().signed(request.body)
        own = Account("acc", FakeBulletin().settings)
        headers = {name: value for name, value in proof.headers.items()}
        return super().parse_webhook(own, msgspec.structs.replace(request, headers=headers))


class Clocked(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        return super().parse_webhook(
            account, msgspec.structs.replace(request, received_us=time.time_ns() // 1000)
        )


class Curious(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        Path("/etc/hostname").exists()
        with Path(__file__).open():
            return super().parse_webhook(account, request)


class Forgetful(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        parsed = super().parse_webhook(account, request)
        new = [msgspec.structs.replace(one, id=f"{one.id}{random.random()}") for one in parsed.messages]
        return msgspec.structs.replace(parsed, messages=tuple(new))


class ByText(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        parsed = super().parse_webhook(account, request)
        new = [msgspec.structs.replace(one, id=str(one.content)) for one in parsed.messages]
        return msgspec.structs.replace(parsed, messages=tuple(new))


class Slow(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        until = time.thread_time() + 0.06
        while time.thread_time() < until:
            pass
        return super().parse_webhook(account, request)


class Fragile(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        parsed = super().parse_webhook(account, request)
        msgspec.json.decode(request.body)[0]["id"].lower()
        return parsed


class Swapped(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        parsed = super().parse_webhook(account, request)
        new = [msgspec.structs.replace(one, state="failed") for one in parsed.statuses]
        return msgspec.structs.replace(parsed, statuses=tuple(new))


class Shortening(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        parsed = super().parse_webhook(account, request)
        return msgspec.structs.replace(parsed, messages=parsed.messages[:0])


READING: list[tuple[type[Bulletin], Callable[[Scene], Any], str]] = [
    (Credulous, webhooks.forged, "accepted with other secrets"),
    (Clocked, webhooks.pure, "reads the machine's clock"),
    (Curious, webhooks.pure, "open"),
    (Forgetful, webhooks.stable_ids, "read in two ways"),
    (ByText, webhooks.stable_ids, "have the same id"),
    (Slow, webhooks.quick, "took"),
    (Fragile, webhooks.arbitrary, "raised"),
    (Swapped, sending.states, "read as failed"),
    (Shortening, webhooks.as_written, "0 were read"),
    (Shortening, trouble.traffic, ""),
    (Forgetful, trouble.traffic, "doubled"),
]


@pytest.mark.parametrize(("channel", "wrong", "says"), READING)
def test_a_channel_that_reads_wrongly_is_found(
    channel: type[Bulletin], wrong: Callable[[Scene], Any], says: str
) -> None:
    assert found(FakeBulletin, wrong) == ""
    told = found(of(channel), wrong)
    assert says in told
    assert bool(says) == bool(told)


class Sender(Bulletin):
    """Sends through `as_it_likes`."""

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        try:
            return await super().send(account, message, tools)
        except ChannelError as error:
            return self.as_it_likes(error, account)

    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise error


class Hasty(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise NotSent("try again") if isinstance(error, OutcomeUnknown) else error


class Confident(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        return Sent(("post-1",))


class GivesUp(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise Refused("no") if isinstance(error, NotSent) else error


class Impatient(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise NotSent("later") if isinstance(error, Throttled) else error


class Puzzled(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise OutcomeUnknown("who knows")


class Foreign(Sender):
    def as_it_likes(self, error: ChannelError, account: Account) -> Sent:
        raise httpx.ReadError("gone")


class Cutting(Bulletin):
    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        text = message.content.text[:100]  # type: ignore[union-attr]
        short = msgspec.structs.replace(message.content, text=text)
        return await super().send(account, msgspec.structs.replace(message, content=short), tools)


class Boasting(Bulletin):
    capabilities = Capabilities(sends=frozenset({"text", "location"}), max_text=500, max_files=2)


class OneLoop(Bulletin):
    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        import asyncio

        await asyncio.sleep(0)
        return await super().send(account, message, tools)


SENDING: list[tuple[type[Bulletin], Callable[[Scene], Any], str]] = [
    (Hasty, trouble.cut, "certainly not sent"),
    (Confident, trouble.cut, "says Sent, and the fake does not have it"),
    (GivesUp, trouble.refused, "nobody would try again"),
    (Impatient, trouble.refused, "too fast, and it says NotSent"),
    (Puzzled, trouble.unreachable, "says OutcomeUnknown"),
    (Puzzled, trouble.credentials, "says OutcomeUnknown"),
    (Foreign, trouble.cut, "no error of the SDK"),
    (Cutting, sending.lengths, "of 500 characters 100 arrived"),
    (Boasting, sending.kinds, "claims location"),
    (Boasting, sending.files, "of 2 files 0 arrived"),
    (OneLoop, sending.as_written, "trio"),
]


@pytest.mark.parametrize(("channel", "wrong", "says"), SENDING)
def test_a_channel_that_says_something_false_about_a_sending_is_found(
    channel: type[Bulletin], wrong: Callable[[Scene], Any], says: str
) -> None:
    assert says in found(of(channel), wrong)


class Chatty(Bulletin):
    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        raise Misconfigured(f"the token {account.settings.token} is wrong")


class Quoting(Bulletin):
    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        raise Refused(f"cannot send {message.content}")


@pytest.mark.parametrize(("channel", "says"), [(Chatty, "token"), (Quoting, "content of a message")])
def test_a_secret_or_content_in_the_text_of_an_error_is_found(channel: type[Bulletin], says: str) -> None:
    with open_scene(of(channel), 0, None) as scene:
        with scene.check("sending"):
            sending.as_written(scene)
        scene.tell_secrets()
        assert says in scene.report().checks[-1].why


class Plain(FakeBulletin):
    """A provider that only sends a token along."""

    covers = "token"

    def signed(self, body: bytes) -> Delivery:
        return Delivery(headers={"x-token": self.key}, body=body)


class ByToken(Bulletin):
    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        if request.headers.get("x-token") != account.settings.signing_key:
            raise BadSignature("another token")
        proof = FakeBulletin(clock=lambda: request.received_us / 1e6)
        headers = proof.signed(request.body).headers
        return super().parse_webhook(
            Account("acc", proof.settings), msgspec.structs.replace(request, headers=headers)
        )


def test_a_provider_that_signs_no_bodies_is_believed_only_when_its_fake_says_so() -> None:
    assert found(of(ByToken, Plain), webhooks.forged) == ""
    silent = type("Silent", (Plain,), {"covers": "body"})
    assert 'covers = "token"' in found(of(ByToken, silent), webhooks.forged)


class Deaf(Bulletin):
    """Claims to listen and hears nothing."""

    capabilities = Capabilities(sends=frozenset({"text"}), listens=True)

    async def listen(self, account: Account, tools: Tools, deliver: Any) -> None:
        raise OutcomeUnknown("the gateway is closed")


def test_a_channel_that_hears_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_ARRIVES_S", 1.0)
    with open_scene(of(Deaf), 0, None) as scene:
        listening.run(scene)
        (one,) = scene.report().failed
        assert "the gateway is closed" in one.why


def test_a_mistake_of_the_channel_fails_the_check_and_not_the_kit() -> None:
    class Mistaken(FakeBulletin):
        async def create(self, call: Call) -> Answer:
            return Answer(201, {"unexpected": True})

        def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
            raise ZeroDivisionError

    report = check(Mistaken)
    assert {one.name for one in report.failed} >= {"a text is sent as written, on asyncio and on trio"}
    assert len(report.checks) > 15


def test_the_same_seed_tells_the_same_and_every_check_is_told_at_once() -> None:
    told: list[Any] = []
    report = check(FakeBulletin, seed=3, told=told.append)
    assert tuple(told) == report.checks
    assert report.failed == ()
    assert (report.channel, report.seed) == ("bulletin", 3)


def test_the_kit_knows_which_settings_are_secret_and_makes_them_wrong() -> None:
    settings = FakeBulletin().settings
    assert set(secrets_of(settings)) == {"token", "signing_key"}
    wrong = with_wrong(settings, "token")
    assert wrong.token != settings.token
    assert (len(wrong.token), wrong.signing_key) == (len(settings.token), settings.signing_key)


def test_what_does_not_apply_is_not_called_held() -> None:
    with open_scene(FakeBulletin, 0, None) as scene:
        with scene.check("it"):
            raise Skipped("not this one")
        assert scene.report().checks[0].held is None
        assert scene.report().failed == ()
