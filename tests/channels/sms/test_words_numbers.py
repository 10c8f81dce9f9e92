"""Words that end messages, and how numbers are written for and by providers."""

import pytest

from irisx_channels.sms import numbers, outgoing, reading, words
from irisx_sdk import Address, File, Location, Media, Outbound, Refused, Text


@pytest.mark.parametrize("text", ["STOP", " stop ", "Stopall", "UNSUBSCRIBE", "cancel", "End", "quit\n"])
def test_a_word_alone_ends_messages(text: str) -> None:
    assert words.wish(text) == "stop"


@pytest.mark.parametrize("text", ["START", "unstop "])
def test_a_word_alone_brings_them_back(text: str) -> None:
    assert words.wish(text) == "start"


@pytest.mark.parametrize("text", ["help", "INFO"])
def test_help_is_neither(text: str) -> None:
    assert words.wish(text) == "help"


@pytest.mark.parametrize("text", ["STOP please", "please stop", "", "stopp", "yes", "revoke", "stop all"])
def test_anything_else_is_a_message(text: str) -> None:
    assert words.wish(text) is None


def test_some_words_count_at_one_provider_only() -> None:
    assert words.wish("Revoke", stop=words.TWILIO_STOP) == "stop"
    assert words.wish("OPTOUT", stop=words.TWILIO_STOP) == "stop"
    assert words.wish("yes", start=words.TWILIO_START) == "start"
    assert words.wish("Stop  All", stop=words.TELNYX_STOP) == "stop"


@pytest.mark.parametrize(
    ("written", "plus", "kind", "value"),
    [
        ("+15005550006", True, "phone", "+15005550006"),
        ("+1 (500) 555-0006", True, "phone", "+15005550006"),
        ("15005550006", False, "phone", "+15005550006"),
        ("15005550006", True, "phone", "+15005550006"),
        ("0015005550006", False, "phone", "+15005550006"),
        ("12345", True, "phone", "12345"),
        ("19901234", True, "phone", "19901234"),
        ("6834000", False, "phone", "+6834000"),
        ("ACME", True, "user", "ACME"),
        ("My Shop", False, "user", "My Shop"),
        ("05005550006", False, "phone", "05005550006"),
    ],
)
def test_what_a_provider_wrote_becomes_an_address(written: str, plus: bool, kind: str, value: str) -> None:
    assert numbers.address(written, plus=plus) == Address(kind, value)  # type: ignore[arg-type]


def out(to: str = "+15005550001", sender: str | None = None) -> Outbound:
    return Outbound("msg_1", Address("phone", to), Text("x"), (sender and Address("phone", sender)) or None)


def test_a_receiver_is_a_number_with_its_country() -> None:
    assert numbers.receiver(out()) == "+15005550001"
    assert numbers.receiver(out("+1 500 555-0001"), plus=False) == "15005550001"
    assert numbers.receiver(out("12345")) == "12345"
    for wrong in ("0301234567", "ACME", "", "+0123456789", "+1234567890123456"):
        with pytest.raises(Refused):
            numbers.receiver(out(wrong))


def test_a_sender_is_a_number_a_short_code_or_a_name() -> None:
    assert numbers.sender(out(), "+15005550006", plus=False) == "15005550006"
    assert numbers.sender(out(sender="12345"), "+15005550006") == "12345"
    assert numbers.sender(out(sender="My Shop"), "") == "My Shop"
    assert numbers.sender(out(), "") == ""
    for wrong in ("A name too long", "12345678901234567", "<script>", "Smörgås"):
        with pytest.raises(Refused):
            numbers.sender(out(sender=wrong), "")


def test_only_text_and_files_are_texted() -> None:
    picture = File(url="https://files.example.test/1.png")
    message = Outbound(
        "m", Address("phone", "+15005550001"), Media(picture, caption="look"), files=(picture,)
    )
    assert outgoing.words_and_files(message, "X", max_text=9, max_files=2) == (
        "look",
        (picture.url, picture.url),
    )
    for content, files, code in [
        (Location(1, 2), (), "content"),
        (Text("x" * 10), (), "length"),
        (Text(""), (), "empty"),
        (Text("x"), (picture,) * 3, "files"),
        (Text("x"), (File(id="file_1"),), "file address"),
    ]:
        with pytest.raises(Refused) as refused:
            sent = Outbound("m", message.to, content, files=files)  # type: ignore[arg-type]
            outgoing.words_and_files(sent, "X", max_text=9, max_files=2)
        assert refused.value.code == code


def test_half_a_surrogate_pair_is_not_sent() -> None:
    assert outgoing.text_of("a\ud83dz😀") == "a\ufffdz😀"


def test_our_id_travels_in_the_receipts_address() -> None:
    url = reading.with_reference("https://hooks.example.test/in?x=1#rc=3", "msg_1&2")
    assert url == "https://hooks.example.test/in?x=1&irisx-message=msg_1%262#rc=3"
    assert reading.reference(url) == "msg_1&2"
    assert reading.with_reference("", "m") == ""
    assert reading.reference("https://hooks.example.test/in") == ""


def test_times_are_microseconds_or_nothing() -> None:
    second = 1_704_164_645_000_000
    assert reading.time_us("2024-01-02T03:04:05Z") == second
    assert reading.time_us("2024-01-02 03:04:05") == second
    assert reading.time_us("Tue, 02 Jan 2024 03:04:05 +0000") == second
    assert reading.compact_us("240102030405") == reading.compact_us("20240102030405") == second
    assert reading.compact_us("2401020304") == second - 5_000_000
    assert reading.time_us("yesterday") == reading.time_us("") == reading.compact_us("2413990000") == 0
