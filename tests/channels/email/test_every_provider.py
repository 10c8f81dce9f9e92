"""What is true of every provider of mail, seen through its fake on the real wire."""

from typing import Any

import msgspec
import pytest

from irisx_sdk import (
    Address,
    File,
    Media,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Text,
    Throttled,
)
from irisx_sdk.fake import Fake, Faults
from irisx_sdk.testing import account, running, tools
from tests.channels.email.mails import HOOK, OURS, bounce
from tests.channels.email.providers import FAKES, PERSON, hello, made, parse, read

pytestmark = pytest.mark.parametrize("name", FAKES)


def test_a_mail_arrives_with_its_words_its_files_and_its_thread(name: str) -> None:
    fake = made(name)
    files = [("Bild ü.png", "image/png", b"\x89PNG\r\n\0"), ("a.pdf", "application/pdf", b"%PDF" * 1000)]
    (message,) = read(
        fake, *fake.say(PERSON, "Grüße\nzwei", subject="Re: Tée", answers=OURS, with_html=True, files=files)
    ).messages
    assert isinstance(message.content, Text)
    assert message.content.text.strip() == "Grüße\nzwei"
    assert "<p>" in message.content.html
    assert message.sender == Address("email", PERSON, "Kim Customer")
    assert message.recipient == Address("email", "answers@in.shop.example")
    assert (message.subject, message.thread) == ("Re: Tée", "Tée")
    assert (message.reply_to, message.references) == (OURS, (OURS,))
    assert message.reference == OURS.removeprefix("irisx-").partition("@")[0]
    assert message.id.endswith("@customer.example")
    assert message.sent_us == 1_700_000_000_000_000
    assert [(one.name, one.media_type, one.content) for one in message.files] == files
    assert not message.automatic


def test_an_address_with_a_token_leads_back(name: str) -> None:
    fake = made(name)
    (message,) = read(fake, *fake.say(PERSON, "Yes", to="answers+irisx-msg_1@in.shop.example")).messages
    assert message.reference == "msg_1"
    assert message.recipient == Address("email", "answers@in.shop.example")


def test_an_out_of_office_is_marked(name: str) -> None:
    fake = made(name)
    (message,) = read(fake, *fake.say(PERSON, "Away", headers=[("Auto-Submitted", "auto-replied")])).messages
    assert message.automatic


async def test_what_is_sent_can_be_answered_and_its_receipts_lead_to_it(name: str) -> None:
    with running(made(name)) as fake:
        async with tools({"fil_1": b"%PDF"}) as lent:
            sent = await fake.channel.send(
                account(fake),
                hello(
                    subject="Tea", reply_to="m1@customer.example", references=("m0@customer.example",),
                    copies=(Address("email", "lee@customer.example"),), status_url=HOOK,
                    files=(File("a.pdf", "application/pdf", id="fil_1"),),
                ),
                lent,
            )  # fmt: skip
    (message,) = fake.sent
    assert (message.to, message.text.strip(), message.media) == (PERSON, "Hello, wörld", ("a.pdf",))
    assert len(sent.ids) == 1
    for state in ("delivered", "undelivered"):
        (status,) = read(fake, *fake.receipt(message, state)).statuses
        assert status.state == state
        assert status.id == sent.ids[0]
        assert status.reference == "msg_1"
        if state == "undelivered":
            assert (status.code, status.reason, status.permanent) == (
                "5.1.1",
                "there is no such mailbox",
                True,
            )


async def test_the_headers_that_answers_need_are_on_the_wire(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), hello(subject="Tea", reply_to="m1@customer.example"), lent)
            await fake.channel.send(account(fake), hello(subject="News", status_url=HOOK), lent)
    answer, news = (fake.headers_of(message) for message in fake.sent)
    assert answer["in-reply-to"] == answer["references"] == "<m1@customer.example>"
    assert answer["subject"] == "Re: Tea"
    assert "answers+irisx-msg_1@in.shop.example" in answer["reply-to"]
    assert "list-unsubscribe" not in answer
    assert news["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert news["list-unsubscribe"].startswith(f"<{HOOK}?unsubscribe=")


async def test_one_click_comes_back_as_a_wish(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), hello(subject="News", status_url=HOOK), lent)
    url = fake.headers_of(fake.sent[0])["list-unsubscribe"].strip("<>")
    request = fake.request(fake.say(PERSON, "x")[0])
    click = msgspec.structs.replace(request, url=url, headers={}, body=b"List-Unsubscribe=One-Click")
    (wish,) = parse(fake, click).preferences
    assert (wish.sender.value, wish.allowed) == (PERSON, False)


async def test_what_happens_to_a_copy_is_not_what_happened_to_the_message(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:
            await fake.channel.send(
                account(fake), hello(copies=(Address("email", "lee@customer.example"),)), lent
            )
    copied = msgspec.structs.replace(fake.sent[0], to="lee@customer.example")
    assert read(fake, *fake.receipt(copied, "undelivered")).statuses == ()


def test_a_bounce_that_comes_as_a_mail_is_the_state_of_its_message(name: str) -> None:
    fake = made(name)
    found = read(fake, *fake.forward(bounce(), "", "answers@in.shop.example"))
    (status,) = found.statuses
    assert (status.state, status.id, found.messages) == ("undelivered", OURS, ())


async def test_pictures_are_sent_and_too_much_is_refused(name: str) -> None:
    picture = Media(File("p.png", "image/png", content=b"\x89PNG"), "image", "look")
    huge = File("h.bin", content=b"x" * 30_000_000)
    with running(made(name)) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), msgspec.structs.replace(hello(), content=picture), lent)
            with pytest.raises(Refused):
                await fake.channel.send(account(fake), hello(files=(huge, huge)), lent)
    (message,) = fake.sent
    assert (message.text.strip(), message.media) == ("look", ("p.png",))


async def test_faults_are_told_as_what_they_are(name: str) -> None:
    with running(made(name)) as fake:
        async with tools() as lent:

            async def failing(faults: Faults) -> type[BaseException]:
                fake.faults = faults
                with pytest.raises((Throttled, NotSent, OutcomeUnknown)) as raised:
                    await fake.channel.send(account(fake), hello(), lent)
                return raised.type

            assert await failing(Faults(throttle_every=1)) is Throttled
            assert await failing(Faults(error_every=1)) is NotSent
            assert fake.sent == []
            assert await failing(Faults(drop_after=1)) is OutcomeUnknown
    assert len(fake.sent) == 1


async def test_wrong_credentials_are_a_matter_of_the_account(name: str) -> None:
    with running(made(name)) as fake:
        wrong = account(fake, **dict.fromkeys(secrets(fake), "wrong"))
        async with tools() as lent:
            for attempt in (fake.channel.send(wrong, hello(), lent), fake.channel.check(wrong, lent)):
                with pytest.raises(Misconfigured):
                    await attempt
    assert fake.unauthorized >= 2


def secrets(fake: Fake) -> list[str]:
    settings: Any = fake.settings
    described = msgspec.json.schema(type(settings))["$defs"][type(settings).__name__]
    return [name for name, field in described["properties"].items() if field.get("writeOnly")]
