"""One leg as the inside profile's SIP knows it, and what happens to it. Pure; `sip_server` brings it what comes."""

import re
from typing import TYPE_CHECKING

from msgspec import Struct
from sipmessage import Request

from freeswitch.simulator import sip_replies as replies

if TYPE_CHECKING:
    from freeswitch.simulator.sip_server import Line, Server

_SIGNAL = re.compile(r"^\s*Signal\s*=\s*([0-9*#A-Da-d])", re.MULTILINE)
_DURATION = re.compile(r"^\s*Duration\s*=\s*(\d{1,5})", re.MULTILINE)
KEY_MS = 250
"""How long a key lasts that does not say so."""


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

    def lose(self) -> None:
        """Forget it without a word."""
        self._server.forget(self)

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
                return [Pressed(self, signal[1], int(lasts[1]) if lasts else KEY_MS)]
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


def _branch(message: Request) -> str | None:
    return message.via[0].parameters.get("branch") if message.via else None


def _target(asked: Request) -> str:
    return str(asked.contact[0].uri) if asked.contact else ""
