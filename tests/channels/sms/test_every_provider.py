"""What is true of every provider of text messages, seen through its fake on the real wire."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irisx_sdk import (
    Address,
    BadSignature,
    Malformed,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Request,
    Text,
    Throttled,
    Typing,
)
from irisx_sdk.fake import Fake, Faults
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import FAKES, HOOK, NOW_S, PERSON, hello, made, parse

pytestmark = pytest.mark.parametrize("name", FAKES)


async def test_poison_is_kept_for_people_not_believed(name: str) -> None:
    fake = made(name)
    for body in (b"", b"{", b"[]", b"null", b"{}", b"[{}]", b'{"data":[]}', b'{"type":1}', b"\xff\xfe"):
        delivery = fake.signed(body)
        assert delivery is not None
        with pytest.raises(Malformed):
            parse(fake, fake.request(delivery))


def requests(fake: Fake, text: str) -> list[Request]:
    return [fake.request(delivery) for delivery in fake.say(PERSON, text)]


def test_what_a_person_writes_arrives_as_they_wrote_it(name: str) -> None:
    fake = made(name)
    (request,) = requests(fake, "Grüße & 100 % 😀\nzwei = 2")
    (message,) = parse(fake, request).messages
    assert message.content == Text("Grüße & 100 % 😀\nzwei = 2")
    assert message.sender == Address("phone", PERSON)
    assert message.recipient is not None and message.recipient.value.startswith("+")
    assert message.id


def test_the_same_delivery_has_the_same_id_and_the_next_message_another(name: str) -> None:
    fake = made(name)
    (first,) = requests(fake, "one")
    (second,) = requests(fake, "one")
    ids = [parse(fake, request).messages[0].id for request in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]


def test_stop_and_start_are_preferences_and_messages_too(name: str) -> None:
    fake = made(name)
    for text, allowed in [("Stop ", False), ("START", True)]:
        (request,) = requests(fake, text)
        found = parse(fake, request)
        (preference,) = found.preferences
        assert (preference.allowed, preference.sender.value) == (allowed, PERSON)
        assert preference.recipient == found.messages[0].recipient
        assert len(found.messages) == 1
    (request,) = requests(fake, "stop it please")
    assert parse(fake, request).preferences == ()


def test_a_webhook_without_the_providers_proof_is_refused(name: str) -> None:
    fake = made(name)
    (request,) = requests(fake, "one")
    bare = msgspec.structs.replace(request, headers={"content-type": request.headers.get("content-type", "")})
    with pytest.raises(BadSignature):
        parse(fake, bare)


def test_a_webhook_of_another_account_is_refused(name: str) -> None:
    fake, other = made(name), FAKES[name](webhook_url=HOOK, seed=7, clock=lambda: NOW_S)
    (request,) = requests(other, "one")
    with pytest.raises(BadSignature):
        parse(fake, request)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
    query=st.text(max_size=40),
)
def test_nothing_sent_to_a_webhook_raises_anything_else(
    name: str, body: bytes, kind: str, query: str
) -> None:
    fake = made(name)
    request = Request("POST", f"{HOOK}?{query}", {"content-type": kind}, body, int(NOW_S * 1e6))
    with pytest.raises((BadSignature, Malformed)):
        parse(fake, request)


async def test_a_text_is_sent_and_its_receipts_lead_to_delivered(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            sent = await fake.channel.send(account(fake), hello(status_url=HOOK), lent)
    (message,) = fake.sent
    assert (message.to.lstrip("+"), message.text) == (PERSON[1:], "Hello, wörld")
    assert sent.ids == (message.id,)
    assert sent.state in ("queued", "sent") and sent.segments == 1
    states = []
    for state in fake.life:
        for delivery in fake.receipt(message, state):
            (status,) = parse(fake, fake.request(delivery)).statuses
            assert status.id == message.id
            assert status.reference in ("msg_1", "")
            states.append(status.state)
    assert states == list(fake.life)
    (failed,) = fake.receipt(message, "undelivered")
    (status,) = parse(fake, fake.request(failed)).statuses
    assert status.state == "undelivered" and status.code and status.reason


@pytest.mark.asyncio_loop
async def test_it_is_sent_from_asyncio_too(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), hello(), lent)
            assert await fake.channel.check(account(fake), lent)
    assert [message.text for message in fake.sent] == ["Hello, wörld"]


async def test_too_fast_is_throttled_and_later_is_not_sent(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            fake.faults = Faults(throttle_every=1)
            with pytest.raises(Throttled):
                await fake.channel.send(account(fake), hello(), lent)
            fake.faults = Faults(error_every=1)
            with pytest.raises(NotSent):
                await fake.channel.send(account(fake), hello(), lent)
    assert fake.sent == []


async def test_a_cut_after_the_request_leaves_the_outcome_unknown(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            fake.faults = Faults(drop_after=1)
            with pytest.raises(OutcomeUnknown):
                await fake.channel.send(account(fake), hello(), lent)
    assert len(fake.sent) == 1


async def test_without_a_connection_nothing_was_sent(name: str) -> None:
    fake = made(name)
    async with tools() as lent:
        with pytest.raises(NotSent):
            await fake.channel.send(account(fake, base_url="http://127.0.0.1:1"), hello(), lent)


async def test_wrong_credentials_are_a_matter_of_the_account(name: str) -> None:
    with running(made(name)) as fake:
        described = msgspec.json.schema(type(fake.settings))["$defs"][type(fake.settings).__name__]
        secrets = [name for name, field in described["properties"].items() if field.get("writeOnly")]
        assert secrets
        wrong = account(fake, **dict.fromkeys(secrets, "wrong"))
        async with tools() as lent:
            for attempt in (fake.channel.send(wrong, hello(), lent), fake.channel.check(wrong, lent)):
                with pytest.raises(Misconfigured) as raised:
                    await attempt
                assert "wrong" not in str(raised.value)
    assert fake.sent == []
    assert fake.unauthorized == 2


async def test_what_cannot_be_texted_is_refused_before_anything_is_asked(name: str) -> None:
    fake = made(name)
    to = Address("phone", PERSON)
    async with tools() as lent:
        for message in (
            hello(text=""),
            hello(text="x" * 5000),
            msgspec.structs.replace(hello(), content=Typing()),
            msgspec.structs.replace(hello(), to=Address("phone", "030 123")),
            msgspec.structs.replace(hello(), to=Address("user", "ACME")),
            msgspec.structs.replace(hello(), to=to, sender=Address("phone", "no <sender> at all")),
        ):
            with pytest.raises(Refused):
                await fake.channel.send(account(fake, base_url="http://127.0.0.1:1"), message, lent)
