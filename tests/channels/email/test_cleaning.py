"""What strangers' HTML may do on a page of ours: nothing but be read."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.email import cleaning, quotes


@pytest.mark.parametrize(
    "dirty",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='data:text/html,alert(1)'>x</a>",
        "<iframe src='https://evil.example'></iframe>",
        "<form action='https://evil.example'><input name=password></form>",
        "<style>body{background:url(https://evil.example)}</style>",
        "<p style='background:url(https://evil.example);position:fixed;behavior:url(x)'>x</p>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<base href='https://evil.example'>",
        "<meta http-equiv=refresh content='0;url=https://evil.example'>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    ],
)
def test_nothing_runs_loads_or_covers(dirty: str) -> None:
    shown = cleaning.clean(dirty).lower()
    for bad in (
        "<script",
        "onerror",
        "onload",
        "javascript:",
        "data:",
        "<iframe",
        "<form",
        "<input",
        "<style",
        "position",
    ):
        assert bad not in shown
    assert "evil.example" not in shown


def test_pictures_of_the_mail_are_shown_and_those_elsewhere_wait() -> None:
    shown = cleaning.clean('<img src="cid:pic1"><img src="https://track.example/p.gif" alt="pic">')
    assert 'src="cid:pic1"' in shown
    assert 'src="remote:https://track.example/p.gif"' in shown


def test_links_tell_nobody_where_they_were() -> None:
    assert 'rel="noopener noreferrer nofollow"' in cleaning.clean('<a href="https://x.example">x</a>')


@pytest.mark.parametrize(
    "bomb",
    [
        "<div>" * 50_000,
        "".join(f"<font size={n}>" for n in range(10_000)) + "<p>" * 10_000,
        "<!--" * 60_000,
        "<" * 250_000,
        "<table><tr><td>" * 15_000,
        "<a " + "x=1 " * 60_000 + ">",
        "<svg><mi>" * 25_000,
    ],
)
def test_no_document_takes_long(bomb: str) -> None:
    begun = time.thread_time()
    cleaning.clean(bomb)
    cleaning.words(bomb)
    assert time.thread_time() - begun < 2


def test_the_words_of_a_document_keep_its_lines() -> None:
    page = "<html><head><title>no</title></head><body><p>One&nbsp;two</p><p>Three<br>four</p><script>no</script></body></html>"
    assert cleaning.words(page) == "One two\n\nThree\nfour"
    assert cleaning.words("<div>" * 1000 + "deep words").endswith("deep words")


@given(st.text(max_size=200))
def test_any_text_is_some_document(text: str) -> None:
    assert "<script" not in cleaning.clean(f"<p>{text}").lower()
    cleaning.words(text)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("Thanks!\n\nOn Mon, 1 Jan 2024 at 10:00, Bob <b@x.example> wrote:\n> hello\n> there\n", "Thanks!"),
        ("Danke\n\nAm 01.02.2024 um 10:00 schrieb Bob:\n> hallo\n-- \nGruß", "Danke"),
        ("ok\n\n-----Original Message-----\nFrom: Bob\nTo: x\n\nthe text", "ok"),
        ("hi\n\nFrom: Bob <b@x.example>\nSent: Monday\nTo: me\nSubject: x\n\nold", "hi"),
        ("New\n\nOn Monday 1 of January, Somebody Longname\n<a@b.example> wrote:\n\n> x", "New"),
        ("hello\n> a\n> b\n> c\n", "hello"),
        ("On Monday Bob wrote:\n> shall we?\nyes\n> when?\nnow", ""),  # answers between the lines
        ("On Monday Bob wrote:\n> all of it", ""),
        ("Nothing quoted: only\nnames: and values", ""),
        ("", ""),
    ],
)
def test_what_is_quoted_is_not_new(text: str, new: str) -> None:
    assert quotes.fresh(text) == new


def test_a_forwarded_mail_is_all_new() -> None:
    assert quotes.fresh("fyi\n\n-----Original Message-----\nFrom: Bob\n\nthe text", subject="Fwd: it") == ""


@pytest.mark.parametrize(
    "text", ["2020/1/1 " + " <@" * 100_000, "abc: d\n" * 50_000, ">x\n" * 100_000, "On " * 100_000 + ":"]
)
def test_no_text_takes_long_to_look_through(text: str) -> None:
    begun = time.thread_time()
    quotes.fresh(text)
    assert time.thread_time() - begun < 1
