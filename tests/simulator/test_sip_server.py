"""The inside profile speaks SIP as a captured switch did, and nothing that comes makes it fail."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sipmessage import Message, Request

from freeswitch.simulator.sip_challenge import LIVES_S, MOST_NONCES, Guard
from freeswitch.simulator.sip_dialog import Acknowledged, HungUp, Offered, Renewed
from freeswitch.simulator.sip_replies import Place
from freeswitch.simulator.sip_server import Line, Server
from freeswitch.sip import Answered, Failed, Identity, SipError, UserAgent
from tests.freeswitch.test_sip import LEG, captured

PEER = ("127.0.0.1", 51361)


def _server(password: str = "") -> Server:
    numbers = itertools.count()
    return Server(Place("127.0.0.4", 5060), Guard("1000", password), token=lambda: f"t{next(numbers)}")


def _lines(message: bytes, *, tag: str = "") -> list[str]:
    """A message's head, without what differs from switch to switch: its name, tags, the length of its body."""
    head = message.partition(b"\r\n\r\n")[0].decode()
    if tag:
        head = head.replace(tag, "TAG")
    return [
        line.partition(":")[0] if line.startswith(("User-Agent", "Content-Length")) else line
        for line in head.split("\r\n")
    ]


def test_a_captured_call_gets_the_captured_answers_header_for_header() -> None:
    theirs = [wire for who, wire in captured() if who == "switch"]
    ours = [wire for who, wire in captured() if who == "controller"]
    server = _server()
    line = server.connect(PEER)
    said: list[bytes] = []

    def say(request: bytes) -> list[object]:
        # (within a dialog our tag is another one than the captured switch's)
        tag = next(iter(server.dialogs.values())).tags[1] if server.dialogs else ""
        events = line.receive(request.replace(b"rF8yta0Hgj07c", tag.encode()), now=0)
        for event in events:
            if isinstance(event, Offered | Renewed):
                event.dialog.accept(body)
        said.extend(_split(line.output()))
        return [type(event) for event in events]

    body = theirs[1].partition(b"\r\n\r\n")[2].decode()
    assert [say(request) for request in ours] == [
        [Offered], [Acknowledged], [Renewed], [Acknowledged], [HungUp],
    ]  # fmt: skip
    assert [_lines(one, tag="t0") for one in said] == [_lines(one, tag="rF8yta0Hgj07c") for one in theirs]
    assert not server.dialogs


def _split(data: bytes) -> list[bytes]:
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0])
        found.append(head + b"\r\n\r\n" + rest[:length])
        data = rest[length:]
    return found


def _phone(password: str) -> UserAgent:
    numbers = itertools.count()
    phone = UserAgent(
        Identity("1000", "127.0.0.4", password), token=lambda size: f"{next(numbers):0{2 * size}x}"
    )
    phone.connected(*PEER)
    return phone


def _exchange(phone: UserAgent, line: Line, *, now: float = 0.0) -> list[object]:
    found: list[object] = []
    while said := phone.output():
        for event in line.receive(said, now=now):
            if isinstance(event, Offered):
                event.dialog.accept("v=0\r\n")
        found += phone.receive(line.output(), now=now)
    return found


def test_a_call_is_challenged_as_mod_sofia_does_and_let_in_with_the_password() -> None:
    server, phone = _server("open sesame"), _phone("open sesame")
    line = server.connect(PEER)
    phone.invite("leg", "agent", "v=0\r\n", now=0)
    line.receive(phone.output(), now=0)
    trying, asked = _split(line.output())
    assert trying.startswith(b"SIP/2.0 100 ") and asked.startswith(
        b"SIP/2.0 407 Proxy Authentication Required"
    )
    assert b'Proxy-Authenticate: Digest realm="irisx.inside", nonce="t0", algorithm=MD5, qop="auth"' in asked
    phone.receive(trying + asked, now=0)
    assert any(isinstance(one, Answered) for one in _exchange(phone, line))


def test_credentials_are_good_once_and_for_a_minute() -> None:
    server = _server("open sesame")
    line, phone = server.connect(PEER), _phone("open sesame")
    phone.invite("leg", "agent", "v=0\r\n", now=0)
    line.receive(phone.output(), now=0)
    phone.receive(line.output(), now=0)
    shown = phone.output()
    line.receive(shown, now=0)
    assert len(server.dialogs) == 1
    server.forget(server.dialogs["leg"])
    line.output()
    for now in (1.0, LIVES_S + 1):
        invite = shown[shown.index(b"INVITE") :]
        assert not line.receive(invite, now=now), "the same again is no password"
        assert b"stale=true" in line.output()


def test_nonces_that_nobody_answers_are_bounded() -> None:
    guard = Guard("1000", "open sesame")
    for number in range(MOST_NONCES + 50):
        guard.challenge(str(number), 0)
    assert len(guard._nonces) == MOST_NONCES


@pytest.mark.parametrize(
    ("method", "within", "status"),
    [
        ("BYE", True, 481),
        ("INVITE", True, 481),
        ("CANCEL", False, 481),
        ("INFO", False, 481),
        ("OPTIONS", False, 200),
        ("REGISTER", False, 403),
        ("MESSAGE", False, 405),
    ],
)
def test_what_belongs_to_no_leg_is_answered_all_the_same(method: str, within: bool, status: int) -> None:
    line = _server().connect(PEER)
    assert line.receive(_request(method, "nobody", to=";tag=x" if within else ""), now=0) == []
    assert line.output().startswith(f"SIP/2.0 {status} ".encode())


def _request(method: str, leg: str, *, to: str = "", cseq: int = 1, via: str = "v") -> bytes:
    return (
        f"{method} sip:agent@127.0.0.4 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.9:1;branch=z9hG4bK{via}\r\n"
        f"From: <sip:1000@127.0.0.4>;tag=a\r\nTo: <sip:agent@127.0.0.4>{to}\r\nCall-ID: {leg}\r\n"
        f"CSeq: {cseq} {method}\r\nContact: <sip:1000@10.0.0.9:1>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_an_answer_notes_where_the_request_really_came_from() -> None:
    line = _server().connect(PEER)
    line.receive(_request("OPTIONS", "x").replace(b"branch", b"rport;branch"), now=0)
    assert b"Via: SIP/2.0/TCP 10.0.0.9:1;rport=51361;branch=z9hG4bKv;received=127.0.0.1" in line.output()


def test_within_a_leg_the_past_and_a_second_offer_at_once_are_refused() -> None:
    server = _server()
    line = server.connect(PEER)
    (offered,) = line.receive(_request("INVITE", "leg", cseq=5), now=0)
    assert isinstance(offered, Offered)
    assert line.receive(_request("INVITE", "leg", cseq=5), now=0) == [], "the same again"
    offered.dialog.accept("v=0\r\n")
    line.output()
    tag = f";tag={offered.dialog.tags[1]}"
    assert line.receive(_request("INFO", "leg", to=tag, cseq=4), now=0) == []
    assert line.output().startswith(b"SIP/2.0 500 ")
    (renewed,) = line.receive(_request("INVITE", "leg", to=tag, cseq=6, via="w"), now=0)
    assert isinstance(renewed, Renewed)
    line.output()
    assert line.receive(_request("INVITE", "leg", to=tag, cseq=7, via="x"), now=0) == []
    assert line.output().startswith(b"SIP/2.0 500 ")


def test_a_bye_of_the_switch_names_its_cause_and_goes_nowhere_without_a_connection() -> None:
    server = _server()
    line = server.connect(PEER)
    (offered,) = line.receive(_request("INVITE", "leg"), now=0)
    assert isinstance(offered, Offered)
    offered.dialog.accept("v=0\r\n")
    line.output()
    offered.dialog.bye("MEDIA_TIMEOUT", 16)
    (said,) = _split(line.output())
    bye = Message.parse(said)
    assert isinstance(bye, Request) and bye.method == "BYE" and str(bye.uri) == "sip:1000@10.0.0.9:1"
    assert bye.headers["Reason"] == 'Q.850;cause=16;text="MEDIA_TIMEOUT"'
    assert bye.headers["To"] == "<sip:1000@127.0.0.4>;tag=a"
    assert not server.dialogs
    (other,) = line.receive(_request("INVITE", "other"), now=0)
    assert isinstance(other, Offered)
    other.dialog.accept("v=0\r\n")
    line.output()
    line.closed = True
    other.dialog.bye("NORMAL_CLEARING", 16)
    assert line.output() == b""


@given(st.lists(st.integers(1, 400), max_size=60))
def test_how_the_connection_cuts_messages_does_not_matter(cuts: list[int]) -> None:
    data = b"".join(wire for who, wire in captured() if who == "controller")
    line = _server().connect(PEER)
    events = []
    for cut in [*cuts, len(data)]:
        events += line.receive(data[:cut], now=0)
        data = data[cut:]
    # (its dialog has another tag here: only the first offer is understood)
    assert [type(one) for one in events] == [Offered]


@given(st.binary(max_size=300), st.sampled_from(["INVITE", "BYE", "CANCEL", "ACK", "INFO", "FOO"]))
def test_whatever_comes_is_answered_or_ends_the_connection(noise: bytes, method: str) -> None:
    line = _server("open sesame").connect(PEER)
    head = _request(method, LEG).replace(b"Content-Length: 0", b"Authorization: " + noise.replace(b"\n", b""))
    length = b"\r\nContent-Length: 0\r\n\r\n"
    try:
        line.receive(head.replace(b"\r\n\r\n", length) + noise, now=0)
    except SipError:
        return
    for said in _split(line.output()):
        assert said.startswith(b"SIP/2.0 ")


def test_too_many_legs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeswitch.simulator.sip_server.MOST_DIALOGS", 1)
    server, phone = _server(), _phone("")
    line = server.connect(PEER)
    phone.invite("one", "agent", "v=0\r\n", now=0)
    phone.invite("two", "agent", "v=0\r\n", now=0)
    failed = [one for one in _exchange(phone, line) if isinstance(one, Failed)]
    assert [(one.call_id, one.status) for one in failed] == [("two", 503)]
