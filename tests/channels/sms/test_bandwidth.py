"""Bandwidth: no signature but a password, lists of events, tokens, files of ours, and the fake against the client."""

import base64
from typing import Any

import msgspec
import pytest

from irisx_channels.sms.bandwidth import codec
from irisx_channels.sms.bandwidth.fake import FakeBandwidth
from irisx_sdk import (
    Address,
    BadSignature,
    ChannelError,
    File,
    Malformed,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Text,
    Throttled,
)
from irisx_sdk.fake import Faults
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import HOOK, NOW_S, PERSON, hello, made, parse


def event(kind: str, code: int | None = None, **message: object) -> dict[str, object]:
    inner = {
        "id": "m1",
        "owner": "+15005550006",
        "to": [PERSON],
        "from": "+15005550006",
        "tag": "msg_7",
        **message,
    }
    made: dict[str, object] = {"type": kind, "time": "2024-01-02T03:04:05Z", "to": PERSON, "message": inner}
    return made if code is None else made | {"errorCode": code}


@pytest.mark.parametrize("given", ["", "Basic", "Basic x", "Bearer y", "Basic \u00e4"])
def test_without_the_callbacks_password_nothing_is_believed(given: str) -> None:
    fake = made("bandwidth")
    (delivery,) = fake.say(PERSON, "x")
    forged = msgspec.structs.replace(delivery, headers={"Authorization": given})
    with pytest.raises(BadSignature):
        parse(fake, fake.request(forged))
    pair = base64.b64encode(":".join(fake.callback).encode()).decode()
    good = msgspec.structs.replace(delivery, headers={"Authorization": f"basic  {pair}"})
    assert parse(fake, fake.request(good)).messages


def test_an_account_without_a_callback_password_takes_no_webhooks() -> None:
    fake = made("bandwidth")
    request = fake.request(fake.say(PERSON, "x")[0])
    empty = msgspec.structs.replace(fake.settings, callback_user="", callback_password="")
    bare = msgspec.structs.replace(request, headers={"authorization": "Basic Og=="})
    with pytest.raises(BadSignature):
        codec.verify(empty, bare)


@pytest.mark.parametrize(
    ("kind", "code", "state"),
    [
        ("message-sending", None, "sent"), ("message-sent", None, "sent"), ("message-delivered", None, "delivered"),
        ("message-read", None, "read"), ("message-failed", 4470, "failed"), ("message-failed", 4001, "failed"),
        ("message-failed", 5106, "failed"), ("message-failed", 5220, "failed"), ("message-failed", 4702, "undelivered"),
        ("message-failed", 4775, "undelivered"), ("message-failed", 5620, "undelivered"),
        ("message-failed", 9902, "sent"), ("message-failed", None, "undelivered"),
    ],
)  # fmt: skip
def test_every_event_has_a_meaning(kind: str, code: int | None, state: str) -> None:
    fake = made("bandwidth")
    (status,) = parse(fake, fake.request(fake.hook(event(kind, code)))).statuses
    assert (status.id, status.state, status.reference) == ("m1", state, "msg_7")
    assert status.code == ("" if code is None else str(code))
    assert status.at_us == 1_704_164_645_000_000


@pytest.mark.parametrize(
    ("code", "permanent"),
    [(4470, True), (4702, False), (5106, False), (5620, False), (4721, True), (9999, None)],
)
def test_a_failure_says_whether_trying_again_is_pointless(code: int, permanent: bool | None) -> None:
    fake = made("bandwidth")
    (status,) = parse(fake, fake.request(fake.hook(event("message-failed", code)))).statuses
    assert status.permanent is permanent


def test_an_opt_out_at_the_network_is_kept() -> None:
    fake = made("bandwidth")
    (preference,) = parse(fake, fake.request(fake.hook(event("message-failed", 4775)))).preferences
    assert (preference.sender.value, preference.allowed) == (PERSON, False)
    assert preference.recipient == Address("phone", "+15005550006")


def test_one_webhook_may_hold_many_events() -> None:
    fake = made("bandwidth")
    more: dict[str, Any] = {"from": PERSON, "to": ["+15005550006"]}
    text = event("message-received", id="m2", text="hi", **more)
    found = parse(fake, fake.request(fake.hook(event("message-sent"), text, event("message-delivered"))))
    assert [status.state for status in found.statuses] == ["sent", "delivered"]
    assert [message.content for message in found.messages] == [Text("hi")]
    poison: list[Any] = [[], {}, [event("message-dancing")], [{"type": "message-sent"}]]
    for wrong in poison:
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.signed(msgspec.json.encode(wrong))))


def test_a_group_and_its_pictures_arrive_whole() -> None:
    fake = made("bandwidth")
    media = ("https://media.example.test/1.png", "https://media.example.test/0.smil")
    (delivery,) = fake.say(PERSON, "all", media=media, to=["+15005550006", "+15005550007"])
    (message,) = parse(fake, fake.request(delivery)).messages
    assert message.also_to == (Address("phone", "+15005550007"),)
    assert [file.name for file in message.files] == ["1.png"]


async def test_files_of_ours_are_kept_at_bandwidth_and_need_no_public_address() -> None:
    picture = File(id="file_1", media_type="image/png", name="a.png")
    with running(made("bandwidth")) as fake:
        async with tools({"file_1": b"png"}) as lent:
            await fake.channel.send(account(fake), hello(files=(picture,)), lent)
            (url,) = fake.sent[0].media
            file = File(url=url)
            assert (
                b"".join([piece async for piece in fake.channel.fetch(account(fake), file, lent)]) == b"png"
            )
            with pytest.raises(Refused):
                [piece async for piece in fake.channel.fetch(account(fake), File(url=url + "x"), lent)]
            fake.faults = Faults(drop_after=1)
            with pytest.raises(NotSent):
                await fake.channel.send(account(fake), hello(files=(picture,)), lent)
    assert fake.files["file_1"] == (b"png", "image/png")
    assert len(fake.sent) == 1


async def test_a_token_is_asked_for_once_and_again_when_it_is_taken_back() -> None:
    with running(FakeBandwidth(webhook_url=HOOK, clock=lambda: NOW_S, oauth=True)) as fake:
        channel = type(fake.channel)()
        async with tools() as lent:
            for _ in range(3):
                await channel.send(account(fake), hello(), lent)
            assert len(fake.tokens) == 1
            fake.tokens.append("another")
            assert await channel.check(account(fake), lent)
            assert len(fake.tokens) == 3
            with pytest.raises(Misconfigured):
                await channel.send(account(fake, password="wrong"), hello(), lent)
            with pytest.raises(NotSent):
                await channel.send(account(fake, user="x", token_url="http://127.0.0.1:1"), hello(), lent)
            fake.faults = Faults(drop_after=1)
            with pytest.raises(NotSent):  # no token was had, so nothing was sent
                await type(fake.channel)().send(account(fake), hello(), lent)
    assert len(fake.sent) == 3


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"type":"request-validation","description":"+1"}', Refused),
        (401, b'{"type":"unauthorized"}', Misconfigured),
        (403, b"", Misconfigured),
        (429, b'{"type":"max-message-queue-size-exceeded"}', Throttled),
        (500, b"", OutcomeUnknown),
        (503, b"", NotSent),
        (202, b"[]", OutcomeUnknown),
        (202, b"{}", OutcomeUnknown),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind and "+1" not in str(raised.value)
