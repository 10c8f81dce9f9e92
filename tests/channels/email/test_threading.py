"""Answers find the message that they answer, whatever the programs on the way did to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.email import threading
from irisx_channels.email.mail import Received

OURS = "msg_01jd7v4b2kq8x3m5n7p9r1s2t4"


def received(*headers: tuple[str, str], recipient: str = "") -> Received:
    return Received(headers=headers, recipient=recipient)


@given(st.text(max_size=200))
def test_a_token_comes_back_whatever_the_id_is(message_id: str) -> None:
    text = message_id.encode("utf-8", "ignore").decode()
    assert threading.reference(threading.token(text).upper()) == text or not text


def test_an_address_gives_its_token_back_also_in_capitals() -> None:
    address = threading.with_token("support@in.example", OURS)
    assert address == f"support+irisx-{OURS}@in.example"
    assert threading.reference_of_address(address.upper()) == OURS
    assert threading.without_token(address) == "support@in.example"
    assert threading.without_token("sales+spring@in.example") == "sales+spring@in.example"
    assert threading.with_token("x" * 40 + "@in.example", OURS) == "x" * 40 + "@in.example", (
        "64 octets at most"
    )


@pytest.mark.parametrize(
    ("headers", "recipient", "found"),
    [
        ([("Cc", "Us <support+irisx-msg_a@in.example>"), ("References", "<irisx-msg_b@x>")], "", "msg_a"),
        ([("X-Original-To", "support+irisx-msg_a@in.example"), ("To", "list@other.example")], "", "msg_a"),
        ([("References", "<irisx-msg_b@x>")], "support+irisx-msg_a@in.example", "msg_a"),
        ([("References", "<irisx-msg_b@x> <irisx-msg_c@x> <z@y>"), ("In-Reply-To", "<irisx-msg_d@x>")], "", "msg_c"),
        ([("References", "<z@y>"), ("In-Reply-To", "<irisx-msg_d@x>")], "", "msg_d"),
        ([("In-Reply-To", "irisx-msg_d@x")], "", "msg_d"),
        ([("In-Reply-To", "<z@y>"), ("Subject", "Re: irisx-msg_e@x")], "", ""),
    ],
)  # fmt: skip
def test_the_order_is_recipients_then_references_then_in_reply_to(
    headers: list[tuple[str, str]], recipient: str, found: str
) -> None:
    assert threading.answered(received(*headers, recipient=recipient)) == found


def test_references_of_an_answer_keep_the_first_and_the_newest() -> None:
    earlier = [f"{number}@x" for number in range(40)]
    chain = threading.chain(earlier, "parent@x")
    assert chain[0] == "0@x"
    assert chain[-2:] == ("39@x", "parent@x")
    assert len(chain) == threading.MAX_REFERENCES
    assert threading.chain(["not an id", "a@x", "a@x"], "no-mail-at-all") == ("a@x",)


@pytest.mark.parametrize(
    "subject",
    [
        "Rechnung 7",
        "Re: Rechnung 7",
        "AW: Re: WG: Rechnung 7",
        "RE[2]: Rechnung 7",
        "回复：Rechnung 7",
        " re :Rechnung 7 ",
    ],
)
def test_a_subject_has_one_root(subject: str) -> None:
    assert threading.root(subject) == "Rechnung 7"


def test_a_word_that_begins_like_a_mark_is_no_mark() -> None:
    assert threading.root("Regarding: x") == "Regarding: x"
    assert threading.root("Re") == "Re"
