"""The inside profile's SIP: it is called, never calls. Pure: bytes and times in, bytes and events out.

    line = server.connect(peer)
    for event in line.receive(data, now=now): ...       # Offered: then dialog.accept(sdp) or dialog.refuse(...)
    send(line.output())

What a leg does is not known here (`sip_legs`); a dialog outlives the connection that it came over, and what the switch
has to say goes to the connection that the last INVITE came over. When that one is gone it is lost, as really.
"""

from collections.abc import Callable

from sipmessage import Request, Response

from freeswitch.simulator import sip_replies as replies
from freeswitch.simulator.sip_challenge import Guard
from freeswitch.simulator.sip_dialog import Acknowledged, Dialog, Event, Offered
from freeswitch.simulator.sip_replies import Place
from freeswitch.sip.stream import SipError, Stream

MOST_DIALOGS = 10_000


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
