"""Mails as bytes: what is written can be read, and what strangers write is read as well as anybody could."""

import email
import email.policy
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.email import mime, words
from irisx_channels.email.mail import MAX_FILES, MAX_TEXT, Attachment, Mail, Received
from irisx_sdk import Address

US, KIM = (
    Address("email", "support@shop.example", "Läden, Inc."),
    Address("email", "kim@customer.example", "Kim"),
)


def mail(**more: object) -> Mail:
    known: dict[str, object] = {
        "message_id": "irisx-msg_01@shop.example", "sender": US, "to": KIM, "subject": "Grüße", "text": "Hallo",
        "at_us": 1_700_000_000_000_000,
    }  # fmt: skip
    return Mail(**(known | more))  # type: ignore[arg-type]


def test_a_mail_that_is_written_is_read_as_it_was() -> None:
    picture = Attachment("Bild ü.png", "image/png", b"\x89PNG", cid="pic1@shop")
    paper = Attachment("a.pdf", "application/pdf", b"%PDF")
    raw = mime.write(
        mail(html='<p>Hallo <img src="cid:pic1@shop"></p>', text="Grüße\nzwei", attachments=(picture, paper))
    )
    read = mime.read(raw)
    assert (read.text, read.first("subject")) == ("Grüße\nzwei", "Grüße")
    assert "cid:pic1@shop" in read.html
    assert [(one.name, one.media_type, one.content, one.id) for one in read.files] == [
        ("Bild ü.png", "image/png", b"\x89PNG", "cid:pic1@shop"),
        ("a.pdf", "application/pdf", b"%PDF", ""),
    ]
    assert words.addresses(read.first("from")) == [US]
    assert not any(line.endswith(b"\n") and not line.endswith(b"\r\n") for line in raw.splitlines(True))


def test_every_reader_finds_a_long_id_and_an_unsubscribe_address_unfolded() -> None:
    long = "x" * 150 + "@customer.example"
    link = f"<https://shop.example/v1/channels/chn_1/inbound?unsubscribe={'a' * 300}>"
    raw = mime.write(mail(in_reply_to=long, references=(long,) * 9, headers=(("List-Unsubscribe", link),)))
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert str(read["In-Reply-To"]) == f"<{long}>"
    assert str(read["References"]).split() == [f"<{long}>"] * 9
    assert str(read["List-Unsubscribe"]) == link
    assert str(read["Message-ID"]) == "<irisx-msg_01@shop.example>"
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, 2.1.1"


def test_nothing_in_a_subject_or_a_name_makes_another_header() -> None:
    raw = mime.write(
        mail(
            subject="Hi\r\nBcc: all@victim.example",
            to=Address("email", KIM.value, "K\r\nBcc: all@victim.example"),
        )
    )
    assert email.message_from_bytes(raw, policy=email.policy.default)["Bcc"] is None


def test_an_address_that_is_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="not a mail address"):
        mime.write(mail(to=Address("email", "kim@customer.example>\r\nBcc: <all@victim.example")))


@given(st.text(), st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_words_arrive(text: str, subject: str) -> None:
    text = words.storable(text)
    read = mime.read(mime.write(mail(text=text, subject=subject)))
    assert read.text.split() == text.split()
    assert read.first("subject").split() == subject.split()


@given(st.binary(max_size=400))
def test_any_bytes_are_some_mail(raw: bytes) -> None:
    assert isinstance(mime.read(raw), Received)
    head = b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n"
    assert isinstance(mime.read(head + raw), Received)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("iso-8859-1", "Preis: 5 €".encode("cp1252"), "Preis: 5 €"),  # what Windows calls Latin-1
        ("iso-8859-1", "Grüße".encode(), "Grüße"),  # UTF-8 that calls itself Latin-1
        ("us-ascii", "Grüße".encode("latin-1"), "Grüße"),
        ("utf-8", "Grüße".encode("latin-1"), "Grüße"),
        ("unknown-8bit", "Grüße".encode(), "Grüße"),
        ("gb2312", "€½镕".encode("gb18030"), "€½镕"),
        ("ks_c_5601-1987", "뷁".encode("cp949"), "뷁"),
        ("windows-1251", "Привет".encode("cp1251"), "Привет"),
        ("idna", b"a.b", "a.b"),
        ("base64", b"abc", "abc"),
        ("", b"a\0b", "ab"),
    ],
)
def test_damaged_charsets_are_read(charset: str, raw: bytes, text: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".encode()
    assert mime.read(head + raw).text == text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?=", "Grüße"),  # a character cut in two
        ("=?iso-8859-1?Q?Gr=FC=DFe?= and =?utf-8?q?more_=C3=BC?=", "Grüße and more ü"),
        ("=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),  # no padding
        ("=?nonsense?Q?a=FCb?=", "aüb"),
        ("Gr\udcfc\udcdfe", "Grüße"),  # bytes without any encoding
        ("two\r\n lines", "two lines"),
        ("plain =? not a word", "plain =? not a word"),
    ],
)
def test_headers_are_read_as_they_were_meant(written: str, read: str) -> None:
    assert words.header(written) == read


def test_names_with_commas_are_one_name() -> None:
    found = words.addresses(
        '=?utf-8?q?M=C3=BCller=2C_Eva?= <eva@x.example>, "B, C" <b@x.example>, team: d@x.example;'
    )
    assert [(one.name, one.value) for one in found] == [
        ("Müller, Eva", "eva@x.example"),
        ("B, C", "b@x.example"),
        ("", "d@x.example"),
    ]


def nested(depth: int) -> bytes:
    raw = b"Subject: deep\r\nFrom: kim@customer.example\r\n"
    for number in range(depth):
        raw += f"Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n".encode()
    return raw + b"Content-Type: text/plain\r\n\r\ninside\r\n"


def test_nested_multiparts_are_opened() -> None:
    assert mime.read(nested(30)).text == "inside"


def test_thousands_of_multiparts_are_attached_unread_and_at_once() -> None:
    raw = nested(5000) + b"line\r\n" * 100_000
    begun = time.thread_time()
    read = mime.read(raw)
    assert time.thread_time() - begun < 1
    assert read.first("subject") == "deep"
    assert (read.text, read.files[0].media_type, read.files[0].content) == ("", "message/rfc822", raw)
    assert "multiparts" in read.problem


def test_a_forwarded_mail_is_a_file_and_not_the_words() -> None:
    inner = b"From: a@x.example\r\nSubject: old\r\n\r\nold words\r\n"
    head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnew words\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
    read = mime.read(head + inner + b"\r\n--x--\r\n")
    assert read.text == "new words"
    assert read.files[0].media_type == "message/rfc822"
    assert read.files[0].content is not None and b"old words" in read.files[0].content


def test_25_mb_in_200_files_arrive_byte_for_byte() -> None:
    files = tuple(Attachment(f"{n}.bin", "application/octet-stream", os.urandom(125_000)) for n in range(200))
    read = mime.read(mime.write(mail(attachments=files)))
    assert [one.content for one in read.files] == [one.content for one in files]
    assert sum(one.size for one in read.files) == 25_000_000


def test_more_files_than_anybody_attaches_are_counted() -> None:
    files = tuple(Attachment(f"{n}.txt", "text/csv", b"x") for n in range(MAX_FILES + 3))
    read = mime.read(mime.write(mail(attachments=files)))
    assert len(read.files) == MAX_FILES
    assert read.problem == "3 more files were left out"


def test_a_text_that_is_too_long_is_attached_whole() -> None:
    text = "words " * (MAX_TEXT // 5)
    read = mime.read(mime.write(mail(text=text)))
    assert len(read.text) == MAX_TEXT
    assert read.files[0].name == "message.txt"
    assert read.files[0].content == text.encode()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\0b\r\nc.txt", "ab_c.txt"),
        ("", "file.txt"),
        ("..", "file.txt"),
        ("x" * 300 + ".pdf", "x" * 120 + ".pdf"),
    ],
)
def test_the_name_of_a_file_is_only_a_name(name: str, safe: str) -> None:
    assert mime.file_name(name, "text/plain").lstrip(".") == safe.lstrip(".")
    assert "/" not in mime.file_name(name, "text/plain")
