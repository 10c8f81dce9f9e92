"""Headers are found one by one, decoded after splitting, and no value can pass for a header."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from freeswitch.errors import ProtocolError
from freeswitch.event import Event
from freeswitch.quoting import quote_value, unquote_value


def plain(headers: dict[str, str], body: bytes = b"") -> Event:
    text = b"".join(b"%s: %s\n" % (name.encode(), quote_value(value)) for name, value in headers.items())
    if body:
        text += b"Content-Length: %d\n" % len(body)
    return Event(text + b"\n" + body)


def xml(headers: str, tail: str = "") -> Event:
    return Event.from_xml(f"<event>\n  <headers>\n{headers}  </headers>\n{tail}</event>\n".encode())


# --- plain ---------------------------------------------------------------------------------------------------


def test_a_caller_cannot_write_headers_of_his_own() -> None:
    event = plain(
        {
            "Event-Name": "CHANNEL_CREATE",
            "Caller-Caller-ID-Name": "bob\nHangup-Cause: CALL_REJECTED\n\nUnique-ID: forged",
            "Unique-ID": "real",
        }
    )
    assert event.get("Hangup-Cause") is None
    assert event.uuid == "real"
    assert event.get("Caller-Caller-ID-Name", "").endswith("Unique-ID: forged")  # type: ignore[union-attr]
    assert [name for name, _ in event.items()] == ["Event-Name", "Caller-Caller-ID-Name", "Unique-ID"]


def test_the_events_own_body_holds_no_headers() -> None:
    body = b"hello\nHangup-Cause: CALL_REJECTED\nUnique-ID: forged\n\n"
    event = plain({"Event-Name": "MESSAGE", "Other": "x"}, body)
    assert event.get("Hangup-Cause") is None
    assert event.uuid == ""
    assert event.get("hangup-cause") is None
    assert event.body == body


def test_a_length_among_the_headers_does_not_open_the_body_to_them() -> None:
    """sendevent writes its sender's headers first, and one of them may be a Content-Length."""
    event = Event(
        b"Content-Length: 3\nA: 1\nEvent-Name: CUSTOM\nB: 2\nContent-Length: 9\n\nC: forged\nB: no\n"
    )
    assert [event.get(name) for name in ("A", "B", "C", "Event-Name")] == ["1", "2", None, "CUSTOM"]
    again = Event(event.raw)
    assert [again.exact(name) for name in ("C", "B", "C", "A")] == [None, "2", None, "1"]
    assert event.body == b"C: forged\nB: no\n"


def test_a_name_is_not_found_inside_another_headers_name_or_value() -> None:
    event = plain({"Event-Name": "X", "Other-Leg-Unique-ID": "b", "Note": "Unique-ID: c"})
    assert event.uuid == ""


def test_a_bodyless_event_has_an_empty_body() -> None:
    assert plain({"Event-Name": "BACKGROUND_JOB", "Job-UUID": "7"}).body == b""


def test_an_events_name_need_not_come_first() -> None:
    event = Event(b"Mine: 1\nCommand: sendevent X\nEvent-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\n\n")
    assert (event.name, event.subclass, event.get("Mine")) == ("CUSTOM", "a::b", "1")


def test_the_first_of_two_equal_names_counts_and_any_casing_is_found_second() -> None:
    event = Event(b"Event-Name: CODEC\nchannel-read-codec-rate: 8000\nX: 1\nX: 2\n\n")
    assert event.get("Channel-Read-Codec-Rate") == "8000"
    assert event.exact("Channel-Read-Codec-Rate") is None
    assert event.get("X") == "1"
    assert event.get("EVENT-NAME") == "CODEC"


def test_a_header_that_is_absent_gives_the_default() -> None:
    event = plain({"Event-Name": "X"})
    assert event.get("Nothing") is None
    assert event.get("Nothing", "5") == "5"
    assert event.values("Nothing") == []


def test_an_array_has_several_values() -> None:
    event = plain({"Event-Name": "X", "variable_list": "ARRAY::one|:two"})
    assert event.values("variable_list") == ["one", "two"]
    assert event.get("variable_list") == "ARRAY::one|:two"
    assert dict(event.items())["variable_list"] == ["one", "two"]


def test_an_empty_value_travels_as_undef() -> None:
    assert plain({"Event-Name": "X", "Empty": ""}).get("Empty") == ""


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert Event(b"Event-Name: X\nCaller: caf%E9\n\n").get("Caller") == "caf\ufffd"


def test_a_caller_cannot_smuggle_a_nul() -> None:
    # FreeSWITCH leaves "%00" in a value as it is, since it looks encoded already.
    assert Event(b"Event-Name: X\nCaller: bob%00%41\n\n").get("Caller") == "bob%00A"


def test_an_event_that_is_cut_short_gives_what_it_has() -> None:
    event = Event(b"Event-Name: X\nUnique-ID: u")
    assert (event.name, event.uuid, event.body) == ("X", "u", b"")
    assert Event(b"").name == ""
    assert Event(b"Event-Name: X").name == "X"


def test_the_text_form_of_an_event_shows_ids_only() -> None:
    assert "secret" not in repr(plain({"Event-Name": "X", "Caller-Caller-ID-Name": "secret"}))


HEADER_NAMES = st.sampled_from(["Unique-ID", "Hangup-Cause", "variable_a", "X", "x"])
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


def survives_plain(value: str) -> bool:
    """Plain is lossy where a percent sign and two upper-case hex digits meet, and for FreeSWITCH's own marks."""
    return unquote_value(quote_value(value)) == value


@given(st.dictionaries(HEADER_NAMES, TEXTS.filter(survives_plain)), st.binary(max_size=60))
@example({"X": "a: b\nUnique-ID: forged\n\n"}, b"Unique-ID: forged\n\n")
def test_what_was_encoded_is_decoded_and_nothing_else_appears(headers: dict[str, str], body: bytes) -> None:
    event = plain({"Event-Name": "CUSTOM", **headers}, body)
    for name in ("Unique-ID", "Hangup-Cause", "variable_a", "X", "x"):
        assert event.exact(name) == headers.get(name)
    assert event.body == body
    assert len(list(event.items())) == 1 + len(headers) + bool(body)


@given(TEXTS)
def test_quoted_values_hold_no_structure(value: str) -> None:
    quoted = quote_value(value)
    assert not set(quoted) & set(b"\n\r :+&<>") and quoted.isascii()


def test_quoting_is_lossy_exactly_as_freeswitch_is() -> None:
    assert quote_value("a%41b") == b"a%41b"
    assert unquote_value(b"a%41b") == "aAb"
    assert quote_value("%zz") == b"%25zz"
    assert quote_value("%2f") == b"%252f"
    assert quote_value("a+b") == b"a%2Bb"
    assert unquote_value(b"a+b") == "a+b"
    assert quote_value("") == b"_undef_"
    assert quote_value("/*'()$!,~-_.") == b"/*'()$!,~-_."


# --- json ----------------------------------------------------------------------------------------------------


def test_a_json_event_reads_like_a_plain_one() -> None:
    event = Event.from_json(
        json.dumps(
            {
                "Event-Name": "CUSTOM",
                "Event-Subclass": "a::b",
                "L": ["x", "y"],
                "Content-Length": "2",
                "_body": "hi",
            }
        ).encode()
    )
    assert (event.name, event.subclass, event.body) == ("CUSTOM", "a::b", b"hi")
    assert event.values("L") == ["x", "y"]
    assert event.get("L") == "ARRAY::x|:y"
    assert event.get("EVENT-SUBCLASS") == "a::b"
    assert "_body" not in dict(event.items())


def test_json_with_bytes_that_are_no_text_is_read_with_replacements() -> None:
    event = Event.from_json(b'{"Event-Name":"X","Caller":"caf\xe9"}')
    assert event.get("Caller") == "caf\ufffd"


def test_json_with_the_same_key_twice_takes_the_last() -> None:
    assert (
        Event.from_json(b'{"Event-Name":"X","content-length":"1","content-length":"2"}').get("content-length")
        == "2"
    )


def test_json_text_that_no_store_could_hold_is_cleaned() -> None:
    event = Event.from_json(b'{"Event-Name":"X","A":"a\\u0000b","B":"\\ud800"}')
    assert event.get("A") == "a\ufffdb"
    assert (event.get("B") or "").encode()
    ((name, _),) = Event.from_json(b'{"\\ud800\\u0000":"x"}').items()
    assert name.encode() and "\x00" not in name


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'"x"', b'{"a":1}', b'{"a":{"b":"c"}}', b"{" * 5000, b'{"_body":["a"]}']
)
def test_what_is_no_json_event_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Event.from_json(raw)


# --- xml -----------------------------------------------------------------------------------------------------


def test_an_xml_event_reads_like_a_plain_one() -> None:
    event = xml(
        "    <Event-Name>MESSAGE</Event-Name>\n    <Caller>Zo%C3%AB%20%3Cb%3E</Caller>\n"
        "    <L>one</L>\n    <L>two</L>\n    <Empty></Empty>\n",
        "  <Content-Length>9</Content-Length>\n  <body>a &lt; b &amp;#65;&#x42;</body>\n",
    )
    assert (event.name, event.get("Caller")) == ("MESSAGE", "Zoë <b>")
    assert event.values("L") == ["one", "two"]
    assert event.get("L") == "one"
    assert event.get("Empty") == ""
    assert event.body == b"a < b &#65;B"


def test_header_names_that_are_no_xml_names_are_read() -> None:
    assert xml("    <variable_my var/x>1</variable_my var/x>\n    <2nd>b</2nd>\n").get("2nd") == "b"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<event>",
        b"<event><headers>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><event><headers></headers></event>',
        b"<event><!DOCTYPE x><headers></headers></event>",
        b"<html><headers></headers></html>",
    ],
)
def test_what_is_no_xml_event_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Event.from_xml(raw)


def test_a_hostile_line_of_xml_takes_no_longer_than_its_length_asks() -> None:
    size = 200_000
    for line in (b">" * size, b"<" * size, b"<a" + b">x" * size, b"<" + b"a>" * size + b"</" + b"a>" * size):
        began = time.process_time()
        Event.from_xml(b"<event><headers>\n" + line + b"\n</headers></event>")
        assert time.process_time() - began < 2


def test_entities_are_never_expanded() -> None:
    event = xml(
        "    <Event-Name>X</Event-Name>\n    <A>%26lol%3B</A>\n", "  <body>&lol;&#xD800;&#x110000;</body>\n"
    )
    assert event.get("A") == "&lol;"
    assert event.body == b"&lol;&#xD800;&#x110000;"
