"""The user agent says byte for byte what a real leg was made with, and nothing that comes makes it raise or wait for ever."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sipmessage import AuthChallenge, AuthParameters, Message, Request, Response

from freeswitch.sip import (
    Answered,
    Dialog,
    Ended,
    Failed,
    Identity,
    Progress,
    SipError,
    Stream,
    UserAgent,
)
from freeswitch.sip.agent import ANSWER_S, GIVEN_UP_S
from freeswitch.sip.digest import CannotAnswer, answer
from freeswitch.sip.stream import MAX_BODY, MAX_HEAD

CAPTURE = Path(__file__).parents[1] / "data" / "agent-leg-sip.txt"
LEG = "f7da16a6-1591-44a8-a960-95d5406e49cd"
ME = Identity("1000", "127.0.0.4", "inside-secret")


def captured() -> list[tuple[str, bytes]]:
    """Who said what, as it was on the wire."""
    found = []
    for block in CAPTURE.read_text().partition("\n\n")[2].split("----\n"):
        who, _, text = block.strip("\n").partition("\n")
        head, _, body = text.partition("\n\n")
        if body and not body.endswith("\n"):
            body += "\n"
        wire = head.replace("\n", "\r\n") + "\r\n\r\n" + body.replace("\n", "\r\n")
        found.append((who.partition(" ")[0], wire.encode()))
    return found


def tokens_of(messages: list[bytes]) -> Iterator[str]:
    """The random parts of captured requests, in the order in which they are made."""
    for message in messages:
        text = message.decode()
        yield re.findall(r"branch=z9hG4bK([0-9a-f]+)", text)[0]
        if text.startswith("INVITE") and "CSeq: 1 " in text:
            yield re.findall(r"From: .*;tag=([0-9a-f]+)", text)[0]


def agent() -> UserAgent:
    numbers = iter(range(10_000))
    made = UserAgent(ME, token=lambda size: f"{next(numbers):0{2 * size}x}")
    made.connected("127.0.0.1", 51361)
    return made


def said(request: bytes, status: int, *, to_tag: str = "s1", more: str = "", body: str = "") -> bytes:
    """What a switch answers to a request of ours."""
    asked = Message.parse(request)
    made = Response(status, "Whatever")
    made.headers.setlist("Via", list(asked.headers.getlist("Via")))
    for name in ("From", "Call-ID", "CSeq"):
        made.headers.set(name, asked.headers[name])
    tag = "" if "tag=" in asked.headers["To"] else f";tag={to_tag}"
    made.headers.set("To", asked.headers["To"] + tag)
    if status == 200:
        made.headers.set("Contact", "<sip:agent@127.0.0.4:5080;transport=tcp>")
    for line in filter(None, more.split("\n")):
        name, _, value = line.partition(": ")
        made.headers.add(name, value)
    made.body = body.encode()
    made.content_length = len(made.body)
    return bytes(made)


def begun(ua: UserAgent, *, now: float = 0.0) -> bytes:
    ua.invite(LEG, "agent", "v=0\r\n", now=now)
    return ua.output()


def standing(ua: UserAgent) -> bytes:
    """A leg that stands; our INVITE."""
    invite = begun(ua)
    assert [type(one) for one in ua.receive(said(invite, 200, body="v=0\r\n"), now=0.0)] == [Answered]
    ua.output()
    return invite


def test_a_captured_leg_is_made_renewed_and_ended_with_the_same_bytes() -> None:
    talk = captured()
    ours = [message for who, message in talk if who == "controller"]
    tokens = tokens_of(ours)
    ua = UserAgent(ME, token=lambda size: next(tokens))
    ua.connected("127.0.0.1", 51361)
    events: list[object] = []
    for who, message in talk:
        if who == "switch":
            events += ua.receive(message, now=0.0)
            continue
        asked = Message.parse(message)
        assert isinstance(asked, Request)
        sdp = asked.body.decode()
        if asked.method == "INVITE" and asked.cseq.sequence == 1:
            ua.invite(LEG, "9196", sdp, now=0.0, headers={"X-Tenant": "t-77", "X-Agent": "a-1000"})
        elif asked.method == "INVITE":
            ua.renew(LEG, sdp, now=0.0)
        elif asked.method == "BYE":
            ua.bye(LEG, now=0.0)
        assert ua.output() == message
    kinds = [type(one) for one in events]
    assert kinds == [Progress, Answered, Progress, Answered, Ended]
    first = events[1]
    assert isinstance(first, Answered)
    assert "a=setup:active" in first.sdp
    assert first.dialog.target == "sip:9196@127.0.0.4:5060;transport=tcp"
    assert not ua.dialogs and ua.next_deadline() is None and ua.strays == 0


@settings(deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_the_stream_is_cut_anywhere_and_gives_the_same_messages(cuts: list[int]) -> None:
    wire = b"\r\n\r\n".join(message for _, message in captured())
    stream, found, at, number = Stream(), [], 0, 0
    while at < len(wire):
        piece = wire[at : at + cuts[number % len(cuts)]]
        found += stream.feed(piece)
        at, number = at + len(piece), number + 1
    assert [bytes(one) for one in found] == [message for _, message in captured()]


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 10))
def test_no_bytes_make_the_agent_raise_anything_but_its_own_error(noise: bytes, where: int) -> None:
    wire = b"".join(message for who, message in captured() if who == "switch")
    ua = agent()
    begun(ua)
    at = where * len(wire) // 10
    try:
        ua.receive(wire[:at] + noise + wire[at:], now=0.0)
    except SipError:
        return


@pytest.mark.parametrize(
    "wire",
    [
        b"SIP/2.0 200 OK\r\n" + b"X: " + b"x" * MAX_HEAD,
        b"SIP/2.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"SIP/2.0 200 OK\r\nCall-ID: a\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 1\r\nl: 2\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HELLO\r\nContent-Length: 0\r\n\r\n",
        b"\xff\xfe sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_sip_ends_the_connection_with_a_reason(wire: bytes) -> None:
    with pytest.raises(SipError, match=r"\w"):
        Stream().feed(wire)


def test_a_challenge_is_answered_once() -> None:
    ua = agent()
    first = begun(ua)
    ask = 'WWW-Authenticate: Digest realm="irisx.inside", nonce="abc", algorithm=MD5, qop="auth"'
    assert ua.receive(said(first, 401, more=ask), now=0.0) == []
    ack, _, second = ua.output().partition(b"INVITE sip:agent")
    assert ack.startswith(b"ACK ") and b"CSeq: 1 ACK" in ack
    assert b"CSeq: 2 INVITE" in second and b'username="1000"' in second and b"nc=00000001" in second
    (failed,) = ua.receive(said(b"INVITE sip:agent" + second, 401, more=ask), now=0.0)
    assert failed == Failed(LEG, 401, "Whatever")
    assert ua.next_deadline() is None


@pytest.mark.parametrize(
    "challenge",
    ["", "WWW-Authenticate: Digest x", 'WWW-Authenticate: Basic realm="x"', 'WWW-Authenticate: "'],
)
def test_a_challenge_that_cannot_be_answered_is_a_failure(challenge: str) -> None:
    ua = agent()
    assert ua.receive(said(begun(ua), 401, more=challenge), now=0.0) == [Failed(LEG, 401, "Whatever")]


def test_digests_are_those_of_the_standard() -> None:
    """RFC 7616, 3.9.1."""
    asked = AuthParameters(
        realm="http-auth@example.org",
        qop="auth, auth-int",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    )
    for name, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        made = answer(
            AuthChallenge("Digest", asked.replace(algorithm=name)),
            method="GET",
            uri="/dir/index.html",
            user="Mufasa",
            password="Circle of Life",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )
        assert made.parameters is not None and made.parameters["response"] == response
    with pytest.raises(CannotAnswer):
        answer(
            AuthChallenge.parse('Digest realm="x", nonce="y", algorithm=SHA-512-256'),
            method="INVITE", uri="sip:a", user="u", password="p", cnonce="c",
        )  # fmt: skip


def test_no_answer_in_time_is_a_failure_and_a_late_one_is_ended_at_once() -> None:
    ua = agent()
    invite = begun(ua)
    assert ua.expire(ANSWER_S - 0.1) == []
    assert ua.expire(ANSWER_S) == [Failed(LEG, 408, "the switch did not answer in time")]
    assert ua.output() == b"", "what had no provisional answer cannot be cancelled"
    assert ua.receive(said(invite, 200), now=12.0) == []
    late = ua.output()
    assert late.startswith(b"ACK ") and b"BYE sip:agent@127.0.0.4:5080" in late
    assert ua.receive(said(late[late.index(b"BYE ") :], 200), now=12.1) == [Ended(LEG, by_switch=False)]
    assert not ua.dialogs and ua.next_deadline() is None


def test_a_leg_that_is_given_up_while_the_switch_is_at_it_is_cancelled() -> None:
    ua = agent()
    invite = begun(ua)
    assert ua.receive(said(invite, 183), now=0.0) == [Progress(LEG, 183)]
    ua.cancel(LEG, now=1.0)
    cancel = ua.output()
    assert cancel.startswith(b"CANCEL ")
    ours, theirs = Message.parse(cancel), Message.parse(invite)
    assert ours.headers["Via"] == theirs.headers["Via"], "the same transaction"
    assert ua.receive(said(cancel, 200), now=1.0) == []
    assert ua.receive(said(invite, 487), now=1.0) == [], "nobody asked any more"
    assert ua.output().startswith(b"ACK ") and ua.next_deadline() is None


def test_a_leg_that_is_given_up_before_the_switch_says_anything_is_cancelled_when_it_does() -> None:
    ua = agent()
    invite = begun(ua)
    ua.cancel(LEG, now=0.0)
    assert ua.output() == b""
    assert ua.receive(said(invite, 100), now=0.1) == []
    assert ua.output().startswith(b"CANCEL ")
    ua.receive(said(invite, 180), now=0.2)
    assert ua.output() == b"", "once"


def test_given_up_legs_are_forgotten_after_a_while() -> None:
    ua = agent()
    begun(ua)
    ua.cancel(LEG, now=0.0)
    assert ua.expire(GIVEN_UP_S) == [] and ua.next_deadline() is None


def test_another_process_goes_on_with_the_dialog() -> None:
    before = agent()
    standing(before)
    kept = before.dialogs[LEG]
    heir = agent()
    heir.connected("127.0.0.2", 40000)
    heir.restore(kept)
    dialog = heir.renew(LEG, "v=0\r\n", now=0.0)
    assert dialog.cseq == kept.cseq + 1 and heir.dialogs[LEG] == dialog
    invite = heir.output()
    assert invite.startswith(b"INVITE sip:agent@127.0.0.4:5080;transport=tcp ")
    assert b"Contact: <sip:1000@127.0.0.2:40000;transport=tcp>" in invite
    with pytest.raises(ValueError, match="not answered yet"):
        heir.renew(LEG, "v=0\r\n", now=0.0)
    heir.receive(said(invite, 200), now=0.0)
    assert heir.output().startswith(b"ACK ")


@pytest.mark.parametrize(("status", "stands"), [(488, True), (491, True), (503, True), (481, False)])
def test_a_leg_that_cannot_be_renewed_goes_on_unless_the_switch_does_not_know_it(
    status: int, stands: bool
) -> None:
    ua = agent()
    standing(ua)
    ua.renew(LEG, "v=0\r\n", now=0.0)
    assert ua.receive(said(ua.output(), status), now=0.0) == [Failed(LEG, status, "Whatever")]
    assert (LEG in ua.dialogs) is stands


def test_a_lost_connection_fails_what_waits_and_ends_no_leg() -> None:
    ua = agent()
    standing(ua)
    ua.invite("another", "agent", "v=0\r\n", now=0.0)
    assert ua.lost() == [Failed("another", 0, "the connection to the switch was lost")]
    assert list(ua.dialogs) == [LEG] and ua.next_deadline() is None


def ask(method: str, call_id: str, *, to: str = "<sip:1000@127.0.0.4>;tag=229e") -> bytes:
    lines = (
        f"{method} sip:1000@127.0.0.1:51361 SIP/2.0",
        "Via: SIP/2.0/TCP 127.0.0.4;branch=z9hG4bKx",
        "From: <sip:agent@127.0.0.4>;tag=s1",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: 7 {method}",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize(
    ("method", "call_id", "to", "status"),
    [
        ("BYE", LEG, "", b"200"),
        ("BYE", "unknown", "", b"481"),
        ("INVITE", LEG, "", b"488"),
        ("INVITE", "unknown", "", b"481"),
        ("INVITE", "new", "<sip:1000@127.0.0.4>", b"403"),
        ("OPTIONS", "any", "<sip:1000@127.0.0.4>", b"200"),
        ("INFO", LEG, "", b"200"),
        ("SUBSCRIBE", LEG, "", b"405"),
    ],
)
def test_what_the_switch_asks_is_answered(method: str, call_id: str, to: str, status: bytes) -> None:
    ua = agent()
    standing(ua)
    events = ua.receive(ask(method, call_id, to=to) if to else ask(method, call_id), now=0.0)
    assert ua.output().startswith(b"SIP/2.0 " + status)
    ended = method == "BYE" and call_id == LEG
    assert events == ([Ended(LEG, by_switch=True)] if ended else [])
    assert (LEG in ua.dialogs) is not ended


def test_a_second_answer_is_acknowledged_again_and_counted() -> None:
    ua = agent()
    invite = standing(ua)
    assert ua.receive(said(invite, 200), now=0.0) == []
    assert ua.output().startswith(b"ACK ") and ua.strays == 1


@pytest.mark.parametrize("bad", ["a\r\nX-Forged: 1", "a\nb", "", "a\x00b"])
def test_nothing_that_is_given_can_forge_a_header(bad: str) -> None:
    ua = agent()
    with pytest.raises(ValueError, match="header"):
        ua.invite(LEG, "agent", "v=0\r\n", now=0.0, headers={"X-Agent": bad})
    with pytest.raises(ValueError, match="header"):
        ua.invite(bad, "agent", "v=0\r\n", now=0.0)
    with pytest.raises(ValueError, match="header"):
        ua.invite(LEG, bad, "v=0\r\n", now=0.0)
    assert ua.output() == b"" and ua.next_deadline() is None


def test_a_dialog_is_small() -> None:
    ua = agent()
    standing(ua)
    import msgspec

    kept = msgspec.json.encode(ua.dialogs[LEG])
    assert len(kept) < 400 and msgspec.json.decode(kept, type=Dialog) == ua.dialogs[LEG]
