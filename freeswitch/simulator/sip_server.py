"""The inside profile's SIP: it is called, never calls. Pure: bytes and times in, bytes and events out.

    line = server.connect(peer)
    for event in line.receive(data, now=now): ...       # Offered: then dialog.accept(sdp) or dialog.refuse(...)
    send(line.output())

What a leg does is not known here (`sip_legs`); a dialog outlives the connection that it came over, and what the switch
has to say goes to the connection that the last INVITE came over. When that one is gone it is lost, as really.
"""

import re
from collections.abc import Callable

from msgspec import Struct
from sipmessage import Request, Response

from freeswitch.simulator import sip_replies as replies
from freeswitch.simulator.sip_challenge import Guard
from freeswitch.simulator.sip_replies import Place
from freeswitch.sip.stream import SipError, Stream

MOST_DIALOGS = 10_000
_SIGNAL = re.compile(r"^\s*Signal\s*=\s*([0-9*#A-Da-d])", re.MULTILINE)
_DURATION = re.compile(r"^\s*Duration\s*=\s*(\d{1,5})", re.MULTILINE)


class Dialog:
    """One leg as SIP knows it."""

    def __init__(self, server: "Server", line: "Line", asked: Request, tag: str) -> None:
        self._server = server
        self.line = line
        self._tag = tag
        self._offer: Request | None = asked
        """The INVITE that waits for its answer."""
        self._cseq = 0
        self._their_cseq = asked.cseq.sequence
        self.remote = asked.headers["From"]
        self._local = f"{asked.headers['To']};tag={tag}"
        self._target = _target(asked)
        self.call_id = asked.call_id
        self.number = asked.uri.user or ""
        self.user = asked.from_address.uri.user or ""
        self.host = asked.from_address.uri.host
        self.tags = (asked.from_address.parameters.get("tag") or "", tag)
        """Theirs and ours."""
        self.via = asked.headers["Via"]
        self.extra = {
            name: asked.headers[name]
            for name in asked.headers.keys()  # noqa: SIM118 - it is no dict
            if name.lower().startswith(("x-", "p-"))
        }
        self.answered = False
        self.ended = False

    def progress(self, status: int, phrase: str, sdp: str = "") -> None:
        """180, or 183 with ``sdp``."""
        self._session(status, phrase, sdp)

    def accept(self, sdp: str) -> None:
        """200 of the INVITE that waits."""
        if self._session(200, "OK", sdp):
            self.answered = True
            self._offer = None

    def _session(self, status: int, phrase: str, sdp: str) -> bool:
        asked = self._offer
        if asked is None or self.ended:
            return False
        place = self._server.place
        self.line.send(
            replies.session(
                asked, status, phrase, self.line.peer, self._tag, place=place, number=self.number, sdp=sdp
            )
        )
        return True

    def refuse(self, status: int, phrase: str, *, cause: str = "", number: int = 0) -> None:
        """Refuse the INVITE that waits. One that began the leg ends it, one within it leaves it as it was."""
        asked = self._offer
        if asked is None:
            return
        self._offer = None
        self.line.send(
            replies.refusal(asked, status, phrase, self.line.peer, self._tag, cause=cause, number=number)
        )
        if not self.answered:
            self._server.forget(self)

    def bye(self, cause: str, number: int) -> None:
        """End an answered leg."""
        if self.ended:
            return
        self._server.forget(self)
        self._cseq += 1
        try:
            data = replies.bye(
                target=self._target,
                local=self._local,
                remote=self.remote,
                call_id=self.call_id,
                cseq=self._server.first_cseq + self._cseq,
                place=self._server.place,
                branch=self._server.token(),
                cause=cause,
                number=number,
            )
        except ValueError:
            return  # there was no contact to be reached at
        self.line.send(data)

    # What comes within it; called by the line.

    def asked(self, line: "Line", asked: Request) -> "list[Event]":
        if asked.cseq.sequence < self._their_cseq:
            line.refuse(asked, 500, "Server Internal Error")
            return []
        self._their_cseq = asked.cseq.sequence
        if asked.method == "INVITE":
            if self._offer is not None:
                line.refuse(asked, 500, "Overlapping Requests")
                return []
            self.line, self._offer = line, asked
            self._target = _target(asked) or self._target
            line.send(replies.trying(asked, line.peer))
            return [Renewed(self, asked.body.decode("utf-8", "replace"))]
        line.send(replies.done(asked, line.peer, self._tag))
        if asked.method == "BYE":
            self._server.forget(self)
            return [HungUp(self)]
        if asked.method == "INFO":
            body = asked.body.decode("utf-8", "replace")
            kind = (asked.headers.get("Content-Type") or "").lower()
            if kind.startswith("application/dtmf-relay") and (signal := _SIGNAL.search(body)) is not None:
                lasts = _DURATION.search(body)
                return [Pressed(self, signal[1], int(lasts[1]) if lasts else 250)]
        return []

    def cancelled(self, line: "Line", asked: Request) -> "list[Event]":
        line.send(replies.done(asked, line.peer, self._tag))
        if self.answered or self._offer is None:
            return []
        self.refuse(487, "Request Terminated", cause="ORIGINATOR_CANCEL", number=487)
        return [Cancelled(self)]

    def is_of(self, asked: Request) -> bool:
        """Whether a request within a dialog means this one."""
        ours = asked.to_address.parameters.get("tag")
        return not self.ended and (asked.from_address.parameters.get("tag") or "", ours) == self.tags

    def waits_for(self, asked: Request) -> bool:
        """Whether a CANCEL means the INVITE that waits (RFC 3261, 9.2)."""
        offer = self._offer
        return offer is not None and _branch(offer) == _branch(asked)


class Offered(Struct, frozen=True):
    """Somebody calls. `Dialog.accept` or `Dialog.refuse` it."""

    dialog: Dialog
    sdp: str


class Renewed(Struct, frozen=True):
    """A new offer within a leg."""

    dialog: Dialog
    sdp: str


class Acknowledged(Struct, frozen=True):
    """The answer has arrived."""

    dialog: Dialog
    cseq: int


class HungUp(Struct, frozen=True):
    """The other side has ended the leg."""

    dialog: Dialog


class Cancelled(Struct, frozen=True):
    """The other side has given up waiting for an answer; it has got its 487."""

    dialog: Dialog


class Pressed(Struct, frozen=True):
    """A key came as an INFO."""

    dialog: Dialog
    key: str
    milliseconds: int


Event = Offered | Renewed | Acknowledged | HungUp | Cancelled | Pressed


class Server:
    """All dialogs of one profile."""

    def __init__(self, place: Place, guard: Guard, *, token: Callable[[], str], first_cseq: int = 0) -> None:
        """``token`` draws tags, nonces and branches, never the same one twice."""
        self.place = place
        self.guard = guard
        self.token = token
        self.first_cseq = first_cseq
        self.dialogs: dict[str, Dialog] = {}
        self.refused = 0
        """Calls that were turned away by the profile itself: no password, a wrong one, a Call-ID in use."""

    def connect(self, peer: tuple[str, int]) -> "Line":
        """A new connection."""
        return Line(self, peer)

    def forget(self, dialog: Dialog) -> None:
        """The dialog is over."""
        dialog.ended = True
        if self.dialogs.get(dialog.call_id) is dialog:
            del self.dialogs[dialog.call_id]


class Line:
    """One connection."""

    def __init__(self, server: Server, peer: tuple[str, int]) -> None:
        self._server = server
        self._stream = Stream()
        self._out = bytearray()
        self.peer = peer
        self.closed = False
        self.on_output: Callable[[], object] = lambda: None
        """Called when there is something to be written."""

    def send(self, data: bytes) -> None:
        """Say something; lost when the connection is closed."""
        if not self.closed:
            self._out += data
            self.on_output()

    def output(self) -> bytes:
        """What is to be written now; once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def refuse(self, asked: Request, status: int, phrase: str) -> None:
        """Refuse a request that belongs to no leg."""
        self.send(replies.refusal(asked, status, phrase, self.peer, self._server.token()))

    def receive(self, data: bytes, *, now: float) -> list[Event]:
        """What came. Raises `SipError`: then close the connection."""
        events: list[Event] = []
        for message in self._stream.feed(data):
            if not isinstance(message, Response):  # (of our BYEs: nothing waits for them)
                if not message.via:
                    raise SipError("a request without a Via")
                events += self._request(message, now)
        return events

    def _request(self, asked: Request, now: float) -> list[Event]:
        dialog = self._server.dialogs.get(asked.call_id)
        within = "tag" in asked.to_address.parameters
        if asked.method == "ACK":
            known = dialog is not None and dialog.is_of(asked)
            return [Acknowledged(dialog, asked.cseq.sequence)] if known and dialog is not None else []
        if asked.method == "CANCEL":
            if dialog is None or not dialog.waits_for(asked):
                self.refuse(asked, 481, "Call/Transaction Does Not Exist")
                return []
            return dialog.cancelled(self, asked)
        if within:
            if dialog is None or not dialog.is_of(asked):
                self.refuse(asked, 481, "Call/Transaction Does Not Exist")
                return []
            return dialog.asked(self, asked)
        if asked.method == "INVITE":
            return self._invited(asked, dialog, now)
        if asked.method == "OPTIONS":
            self.send(replies.done(asked, self.peer, self._server.token()))
        elif asked.method in ("REGISTER", "SUBSCRIBE", "PUBLISH"):
            # The profile has disable-register and manage-presence=false.
            self.refuse(asked, 403, "Forbidden")
        elif asked.method in ("BYE", "INFO", "UPDATE", "NOTIFY", "PRACK"):
            self.refuse(asked, 481, "Call/Transaction Does Not Exist")
        else:
            self.refuse(asked, 405, "Method Not Allowed")
        return []

    def _invited(self, asked: Request, dialog: Dialog | None, now: float) -> list[Event]:
        server = self._server
        if dialog is not None and dialog.waits_for(asked):
            return []  # the same again
        self.send(replies.trying(asked, self.peer))
        verdict = server.guard.judge(asked, now)
        if verdict in ("ask", "stale"):
            value = server.guard.challenge(server.token(), now, stale=verdict == "stale")
            self.send(replies.challenge(asked, self.peer, server.token(), value))
            return []
        if verdict == "wrong":
            server.refused += 1
            self.refuse(asked, 403, "Forbidden")
            return []
        if dialog is not None or len(server.dialogs) >= MOST_DIALOGS:
            server.refused += 1
            self.refuse(asked, 503, "Maximum Calls In Progress")
            return []
        begun = server.dialogs[asked.call_id] = Dialog(server, self, asked, server.token())
        return [Offered(begun, asked.body.decode("utf-8", "replace"))]


def _branch(message: Request) -> str | None:
    return message.via[0].parameters.get("branch") if message.via else None


def _target(asked: Request) -> str:
    return str(asked.contact[0].uri) if asked.contact else ""
