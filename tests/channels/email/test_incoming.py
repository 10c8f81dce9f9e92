"""A mail that came becomes a message, a report about one of ours, or a person's wish; whoever wrote it."""

import pytest

from irisx_channels.email import incoming, mime, outgoing, reports, unsubscribe
from irisx_sdk import (
    Address,
    BadSignature,
    Inbound,
    Malformed,
    Misconfigured,
    Outbound,
    Parsed,
    Refused,
    Request,
    Status,
    Text,
    Typing,
    Unsupported,
)
from irisx_sdk.testing import tools
from tests.channels.email.mails import HOOK, NOW_S, OURS, SETTINGS, bounce, complaint

REFERENCE = "msg_01jd7v4b2kq8x3m5n7p9r1s2t4"


def parsed(raw: bytes, *, sender: str | None = None, recipient: str = "") -> Parsed:
    return incoming.parsed(mime.read(raw, sender=sender, recipient=recipient), SETTINGS)


def one(head: str, body: str = "Hello", **envelope: str) -> Inbound:
    """The message in a mail with this head; From is Kim where it names nobody."""
    head = head if "From:" in head else f"From: Kim <kim@customer.example>\n{head}"
    (message,) = parsed(f"{head}\n\n{body}".replace("\n", "\r\n").encode(), **envelope).messages
    return message


def test_a_mail_is_a_message_with_all_that_an_answer_needs() -> None:
    message = one(
        "To: Us <answers@in.shop.example>, Lee <lee@customer.example>\nCc: support@shop.example\n"
        "Subject: =?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=\nMessage-ID: <m1@customer.example>\n"
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\n"
        f"References: <root@customer.example> <{OURS}>\nIn-Reply-To: <{OURS}>"
    )
    assert message == Inbound(
        id="m1@customer.example",
        sender=Address("email", "kim@customer.example", "Kim"),
        content=Text("Hello"),
        recipient=Address("email", "answers@in.shop.example"),
        sent_us=1_700_000_000_000_000,
        thread="Grüße",
        reply_to=OURS,
        references=("root@customer.example", OURS),
        reference=REFERENCE,
        subject="Re: Grüße",
        also_to=(Address("email", "lee@customer.example", "Lee"),),
    )


def test_the_token_in_an_address_is_read_and_not_shown() -> None:
    message = one(f"To: answers+irisx-{REFERENCE}@in.shop.example")
    assert message.reference == REFERENCE
    assert message.recipient == Address("email", "answers@in.shop.example")


def test_a_form_of_a_web_site_is_answered_to_the_person_in_reply_to() -> None:
    message = one(
        "From: Web site <forms@shop.example>\nReply-To: Kim <kim@customer.example>\nTo: support@shop.example"
    )
    assert message.sender == Address("email", "kim@customer.example", "Kim")
    listed = one("List-Id: <l.example>\nReply-To: list@l.example\nTo: support@shop.example")
    assert listed.sender.value == "kim@customer.example"


def test_our_own_mail_that_comes_back_is_not_a_message() -> None:
    raw = f"From: support@shop.example\r\nMessage-ID: <{OURS}>\r\n\r\nHello".encode()
    assert parsed(raw) == Parsed()
    forged = f"Message-ID: <{OURS}>"
    assert one(forged).sender.value == "kim@customer.example"


def test_a_mail_without_an_id_has_the_same_one_each_time_and_no_other_has_it() -> None:
    ids = {one("Subject: a", body).id for body in ("one", "one", "two")}
    assert len(ids) == 2
    assert all(each.startswith("mail-") for each in ids)
    assert one(f"Message-ID: <{'x' * 600}@y>").id.startswith("mail-")


def test_a_mail_from_nobody_is_kept() -> None:
    (message,) = parsed(b"Subject: x\r\n\r\nHello").messages
    assert message.sender == incoming.NOBODY
    (message,) = parsed(b"Subject: x\r\n\r\nHello", sender="kim@customer.example").messages
    assert message.sender.value == "kim@customer.example"


def test_html_is_cleaned_and_gives_the_words_when_there_are_no_others() -> None:
    message = one("Content-Type: text/html; charset=utf-8", "<p>Hello <b>you</b><script>x</script></p>")
    assert message.content == Text("Hello you", "<p>Hello <b>you</b></p>")


def test_new_words_stand_apart_from_what_they_answer() -> None:
    message = one("", "Yes please\n\nOn Monday Bob wrote:\n> Tea?\n> Or coffee?\n")
    assert isinstance(message.content, Text)
    assert message.content.fresh == "Yes please"
    assert "Or coffee" in message.content.text


def test_a_mail_that_cannot_be_taken_apart_is_there_all_the_same() -> None:
    raw = b"From: kim@customer.example\r\n" + b"X: " + b"x" * 300_000 + b"\r\n\r\nHello"
    (message,) = parsed(raw).messages
    assert isinstance(message.content, Unsupported)
    assert message.files[0].content == raw


@pytest.mark.parametrize(
    ("head", "automatic"),
    [
        ("Auto-Submitted: auto-replied; owner-email=x", True),
        ("Auto-Submitted: no", False),
        ("Precedence: bulk", True),
        ("Precedence: list", True),
        ("List-Id: <news.example>", True),
        ("X-Auto-Response-Suppress: All", True),
        ("X-Autoreply: yes", True),
        ("Return-Path: <>", True),
        ("From: MAILER-DAEMON@mx.example", True),
        ("From: no-reply@shop.example", True),
        ("From: noreply+7@shop.example", True),
        ("From: nora@customer.example", False),
        ("Subject: Out of office", False),  # words are no proof, and nobody knows all languages
        ("Content-Type: multipart/report; boundary=x", True),
    ],
)
def test_what_a_machine_wrote_is_marked(head: str, automatic: bool) -> None:
    assert one(head).automatic is automatic


def test_the_null_path_of_the_envelope_is_a_machine() -> None:
    assert one("Subject: x", sender="").automatic
    assert not one("Subject: x", sender="kim@customer.example").automatic


@pytest.mark.parametrize(
    ("given", "state", "code", "permanent", "reason"),
    [
        ({}, "undelivered", "5.1.1", True, "there is no such mailbox"),
        ({"status": "5.2.2", "diagnostic": ""}, "undelivered", "5.2.2", True, "the mailbox is full"),
        ({"action": "delayed", "status": "4.4.1", "diagnostic": ""}, "sent", "4.4.1", None, "the server does not answer"),
        ({"action": "delivered", "status": "2.0.0", "diagnostic": ""}, "delivered", "2.0.0", None, ""),
        ({"action": "relayed", "status": "2.0.0", "diagnostic": ""}, "sent", "2.0.0", None, ""),
        ({"status": "", "diagnostic": "smtp; 550 who?"}, "undelivered", "550", True, "the address does not work"),
        ({"status": "5.7.26", "diagnostic": ""}, "undelivered", "5.7.26", True, "neither SPF nor DKIM prove the sender"),
        ({"status": "4.7.0", "diagnostic": ""}, "undelivered", "4.7.0", False, "refused by a rule of the receiver"),
        ({"status": "5.9.99", "diagnostic": ""}, "undelivered", "5.9.99", True, "not delivered"),
        ({"returned": "text/rfc822-headers"}, "undelivered", "5.1.1", True, "there is no such mailbox"),
    ],
)  # fmt: skip
def test_a_bounce_of_ours_is_the_state_of_its_message(
    given: dict[str, str], state: str, code: str, permanent: bool | None, reason: str
) -> None:
    found = parsed(bounce(**given))
    assert found.messages == ()
    assert found.statuses == (
        Status(OURS, state, code=code, reason=reason, permanent=permanent, reference=REFERENCE),  # type: ignore[arg-type]
    )


def test_a_report_about_a_mail_of_others_is_a_mail_of_a_machine() -> None:
    (message,) = parsed(bounce(message_id="not-ours@other.example")).messages
    assert message.automatic
    (message,) = parsed(complaint(message_id="not-ours@other.example")).messages
    assert message.automatic


def test_a_complaint_is_one_and_its_withdrawal_is_none() -> None:
    (status,) = parsed(complaint()).statuses
    assert (status.complaint, status.reference, status.state) == (True, REFERENCE, "delivered")
    assert parsed(complaint(kind="not-spam")).statuses == ()
    assert parsed(complaint(kind="auth-failure")).statuses == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("550 5.1.1 no", "5.1.1"),
        ("450 4.7.1: wait", "4.7.1"),
        ("mail.1.5.1.1.example", ""),
        ("IP 5.1.1.4", ""),
        ("", ""),
    ],
)
def test_codes_are_found_and_addresses_are_none(text: str, code: str) -> None:
    assert reports.enhanced(text) == code


def outbound(**more: object) -> Outbound:
    known = {"id": REFERENCE, "to": Address("email", "kim@customer.example", "Kim"), "content": Text("Hello")}
    return Outbound(**(known | more))  # type: ignore[arg-type]


async def composed(message: Outbound, most_bytes: int = 1000) -> object:
    async with tools({"fil_1": b"x" * 600}) as lent:
        return await outgoing.composed(SETTINGS, message, lent, most_bytes=most_bytes)


async def test_an_answer_names_what_it_answers_and_where_answers_go() -> None:
    message = outbound(
        reply_to="m1@customer.example", references=("m0@customer.example",), subject="Tea", status_url=HOOK
    )
    mail = await composed(message)
    assert (mail.subject, mail.in_reply_to) == ("Re: Tea", "m1@customer.example")  # type: ignore[attr-defined]
    assert mail.references == ("m0@customer.example", "m1@customer.example")  # type: ignore[attr-defined]
    assert mail.message_id == OURS  # type: ignore[attr-defined]
    assert mail.reply_to == f"answers+irisx-{REFERENCE}@in.shop.example"  # type: ignore[attr-defined]
    assert mail.headers == (), "a conversation carries no List-Unsubscribe"  # type: ignore[attr-defined]


async def test_what_no_mail_can_be_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Refused):
        await composed(outbound(content=Typing()))
    with pytest.raises(Refused):
        await composed(outbound(to=Address("email", "kim@customer.example>\r\nRCPT TO:<x@y")))
    with pytest.raises(Misconfigured):
        await composed(outbound(sender=Address("email", "nobody")))


async def test_other_letters_are_written_as_every_server_reads_them() -> None:
    mail = await composed(outbound(to=Address("email", "kim@münchen.example")))
    assert mail.to.value == "kim@xn--mnchen-3ya.example"  # type: ignore[attr-defined]
    for bad in ("kím@customer.example", "kim@" + "ü" * 70 + ".example"):
        with pytest.raises(Refused):
            await composed(outbound(to=Address("email", bad)))


async def unsubscribe_url() -> str:
    mail = await composed(outbound(status_url=HOOK))
    headers = dict(mail.headers)  # type: ignore[attr-defined]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return str(headers["List-Unsubscribe"].strip("<>"))


def click(url: str, method: str = "POST", body: bytes = b"List-Unsubscribe=One-Click") -> Parsed | None:
    return unsubscribe.asked(SETTINGS, Request(method, url, {}, body, int(NOW_S * 1e6)))


async def test_one_click_takes_the_address_off_and_a_look_at_the_link_does_not() -> None:
    url = await unsubscribe_url()
    done = click(url)
    assert done is not None
    (wish,) = done.preferences
    assert (wish.sender.value, wish.allowed) == ("kim@customer.example", False)
    assert done == click(url), "twice is once"
    looked = click(url, "GET", b"")
    assert looked is not None and looked.preferences == ()
    assert b'method="post"' in looked.reply.body
    with pytest.raises(Malformed):
        click(url, "POST", b"something else")


async def test_nobody_can_take_somebody_else_off() -> None:
    url = await unsubscribe_url()
    who = unsubscribe.token("another key", "lee@customer.example", REFERENCE)
    for bad in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        f"{HOOK}?unsubscribe={who}",
        f"{HOOK}?unsubscribe=x",
    ):
        with pytest.raises(BadSignature):
            click(bad)
    assert click(HOOK) is None
