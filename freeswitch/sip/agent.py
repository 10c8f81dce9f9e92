"""The user agent: calls the switch, answers its challenges, renews and ends legs. Pure: bytes and times in, bytes out.

    agent.connected("127.0.0.1", 51361)
    agent.invite(uuid, "agent", offer, now=now)
    socket.send(agent.output())
    for event in agent.receive(socket.recv(), now=now): ...

The transport is reliable, so nothing is sent twice (RFC 3261, 17.1.1.2), and every question has a deadline. A leg that
was given up and is answered all the same is ended at once: nobody would ever hear it.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from sipmessage import CSeq, Message, Request, Response

from freeswitch.sip import digest
from freeswitch.sip.dialog import Dialog
from freeswitch.sip.making import Identity, Maker, bare, cancel_of, refusal_ack
from freeswitch.sip.stream import Stream

ANSWER_S = 10.0
"""For an INVITE: the switch answers an agent's leg in 6 to 34 ms."""
OTHER_S = 5.0
GIVEN_UP_S = 64.0
"""How long an answer may come too late (64 · T1, twice)."""
MOST_OPEN = 10_000
"""Requests without an answer on one connection."""


class Progress(Struct, frozen=True):
    """The switch is at it."""

    call_id: str
    status: int


class Answered(Struct, frozen=True):
    """The leg is there, or was renewed. Keep ``dialog``."""

    call_id: str
    sdp: str
    dialog: Dialog


class Failed(Struct, frozen=True):
    """An INVITE came to nothing. A leg that was to be renewed goes on as it was, unless ``status`` is 481."""

    call_id: str
    status: int
    """Of the switch; 408 when it did not answer in time, 0 when the connection was lost: nobody knows, then."""
    reason: str


class Ended(Struct, frozen=True):
    """The leg is over: the switch hung up, or has taken our BYE."""

    call_id: str
    by_switch: bool


Event = Progress | Answered | Failed | Ended
Method = Literal["INVITE", "BYE", "CANCEL"]


class _Open(Struct):
    """A request that waits for its answer."""

    method: Method
    request: Request
    deadline: float
    dialog: Dialog | None
    tried: bool = False
    """Credentials were sent with it."""
    ringing: bool = False
    given_up: bool = False


class UserAgent:
    """All legs that go over one connection."""

    def __init__(self, identity: Identity, *, token: Callable[[int], str] = secrets.token_hex) -> None:
        self._identity = identity
        self._token = token
        self._stream = Stream()
        self._maker = Maker(identity, token)
        self._out = bytearray()
        self._open: dict[str, _Open] = {}
        self.dialogs: dict[str, Dialog] = {}
        """The legs that stand, by their Call-ID."""
        self.strays = 0
        """Answers that nobody waits for."""

    # The connection -----------------------------------------------------------------------------------

    def connected(self, host: str, port: int) -> None:
        """A new connection, from this address of ours."""
        self._maker.place = host, port
        self._stream = Stream()
        self._out.clear()

    def lost(self) -> list[Event]:
        """The connection is gone: what waited will not be answered. Legs that stand go on without it."""
        events: list[Event] = [
            Failed(one.request.call_id, 0, "the connection to the switch was lost")
            for one in self._open.values()
            if one.method == "INVITE" and not one.given_up
        ]
        self._open.clear()
        return events

    def output(self) -> bytes:
        """What is to be written now; once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    # Orders -------------------------------------------------------------------------------------------

    def invite(
        self,
        call_id: str,
        number: str,
        sdp: str,
        *,
        now: float,
        headers: Mapping[str, str] | None = None,
        caller: str = "",
    ) -> None:
        """Begin a leg to an extension of the inside profile. Raises `ValueError` for what must not be in a header."""
        request = self._maker.invite(call_id, number, caller)
        self._maker.offer(request, sdp, headers or {})
        self._send(request, "INVITE", None, now)

    def renew(self, call_id: str, sdp: str, *, now: float) -> Dialog:
        """Offer anew within a leg: ICE restart, or a page that was loaded again. The dialog to keep before sending.

        Raises `KeyError` for a leg that does not stand, `ValueError` while an offer of it waits for its answer.
        """
        if any(one.method == "INVITE" and one.request.call_id == call_id for one in self._open.values()):
            raise ValueError("an offer of this leg is not answered yet")
        dialog = self.dialogs[call_id] = self.dialogs[call_id].next()
        request = dialog.request("INVITE", self._maker.via())
        self._maker.offer(request, sdp, {})
        self._send(request, "INVITE", dialog, now)
        return dialog

    def bye(self, call_id: str, *, now: float) -> None:
        """End a leg. Raises `KeyError` for one that does not stand."""
        dialog = self.dialogs[call_id] = self.dialogs[call_id].next()
        self._send(bare(dialog.request("BYE", self._maker.via())), "BYE", dialog, now)

    def cancel(self, call_id: str, *, now: float) -> None:
        """Give up a leg that is not answered yet; if it is answered all the same it is ended. Unknown ones: nothing."""
        for one in list(self._open.values()):
            if one.method == "INVITE" and one.request.call_id == call_id and one.dialog is None:
                self._give_up(one, now)

    def forget(self, call_id: str) -> None:
        """A leg is over, and we were told otherwise than by SIP."""
        self.dialogs.pop(call_id, None)

    def restore(self, dialog: Dialog) -> None:
        """A leg that another process, or this one before, has begun."""
        self.dialogs[dialog.call_id] = dialog

    # Time ---------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `expire` has something to do at the latest."""
        return min((one.deadline for one in self._open.values()), default=None)

    def expire(self, now: float) -> list[Event]:
        """What was not answered in time."""
        events: list[Event] = []
        for branch, one in list(self._open.items()):
            if one.deadline > now:
                continue
            call_id = one.request.call_id
            if one.given_up or one.method == "CANCEL":
                del self._open[branch]
            elif one.method == "BYE":
                del self._open[branch]
                self.dialogs.pop(call_id, None)
                events.append(Ended(call_id, by_switch=False))
            else:
                events.append(Failed(call_id, 408, "the switch did not answer in time"))
                self._give_up(one, now)
        return events

    def _give_up(self, one: _Open, now: float) -> None:
        one.given_up, one.deadline = True, now + GIVEN_UP_S
        if one.ringing:
            # Only what got a provisional answer may be cancelled (RFC 3261, 9.1); the rest is ended when it is answered.
            request = one.request
            self._send(cancel_of(request), "CANCEL", None, now)

    # What comes ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, *, now: float) -> list[Event]:
        """What the switch says. Raises `SipError`: then close the connection and open another one."""
        events: list[Event] = []
        for message in self._stream.feed(data):
            if isinstance(message, Response):
                events += self._answer(message, now)
            else:
                events += self._request(message)
        return events

    def _answer(self, said: Response, now: float) -> list[Event]:
        key = self._key(said)
        one = self._open.get(key)
        if one is None:
            self.strays += 1
            if said.cseq.method == "INVITE" and 200 <= said.code < 300:
                self._acknowledge(said, self.dialogs.get(said.call_id))
            return []
        if said.code < 200:
            first, one.ringing = not one.ringing, True
            if one.given_up and first and one.method == "INVITE" and one.dialog is None:
                self._give_up(one, now)
            return [] if one.given_up or one.method != "INVITE" else [Progress(said.call_id, said.code)]
        del self._open[key]
        if one.method == "INVITE":
            return self._invited(one, said, now)
        if one.method == "BYE" and (
            said.code not in (401, 407) or not self._with_credentials(one, said, now)
        ):
            self.dialogs.pop(said.call_id, None)
            return [Ended(said.call_id, by_switch=False)]
        return []

    def _invited(self, one: _Open, said: Response, now: float) -> list[Event]:
        call_id = said.call_id
        if said.code < 300:
            dialog = self._dialog(one, said)
            self._acknowledge(said, dialog)
            if one.given_up and one.dialog is None:
                self.restore(dialog)
                self.bye(call_id, now=now)
                return []
            self.restore(dialog)
            return [Answered(call_id, said.body.decode("utf-8", "replace"), dialog)]
        self._out += refusal_ack(one.request, said)
        if one.given_up:
            return []
        if said.code in (401, 407) and self._with_credentials(one, said, now):
            return []
        if said.code == 481:
            self.dialogs.pop(call_id, None)
        return [Failed(call_id, said.code, said.phrase)]

    def _with_credentials(self, one: _Open, said: Response, now: float) -> bool:
        """Ask once more, as the switch wants; False when that is of no use."""
        if one.tried or not self._identity.password:
            return False
        request = one.request
        try:
            challenge = said.www_authenticate if said.code == 401 else said.proxy_authenticate
            if challenge is None:
                return False
            credentials = digest.answer(
                challenge,
                method=request.method,
                uri=str(request.uri),
                user=self._identity.user,
                password=self._identity.password,
                cnonce=self._token(8),
            )
        except ValueError:  # a challenge that cannot be read, or answered
            return False
        if one.dialog is not None:
            one.dialog = self.dialogs[request.call_id] = one.dialog.next()
        request.cseq = CSeq(sequence=request.cseq.sequence + 1, method=request.method)
        request.via = [self._maker.via()]
        if said.code == 401:
            request.authorization = credentials
        else:
            request.proxy_authorization = credentials
        self._send(request, one.method, one.dialog, now, tried=True)
        return True

    def _request(self, asked: Request) -> list[Event]:
        call_id, method = asked.call_id, asked.method
        known = call_id in self.dialogs
        if method == "ACK":
            return []
        if method == "OPTIONS":
            self._reply(asked, 200, "OK")
        elif not known:
            # Nobody may call us, and of legs that we do not know we have nothing to say.
            begins = method == "INVITE" and "tag" not in asked.to_address.parameters
            self._reply(asked, *((403, "Forbidden") if begins else (481, "Call/Transaction Does Not Exist")))
        elif method == "BYE":
            self._reply(asked, 200, "OK")
            del self.dialogs[call_id]
            return [Ended(call_id, by_switch=True)]
        elif method == "INVITE":
            # The browser alone makes offers; the leg stays as it is.
            self._reply(asked, 488, "Not Acceptable Here")
        elif method in ("INFO", "UPDATE", "NOTIFY", "CANCEL"):
            self._reply(asked, 200, "OK")
        else:
            self._reply(asked, 405, "Method Not Allowed")
        return []

    def _send(
        self, request: Request, method: Method, dialog: Dialog | None, now: float, *, tried: bool = False
    ) -> None:
        if len(self._open) >= MOST_OPEN:
            raise ValueError("too many requests wait for the switch")
        wait_s = ANSWER_S if method == "INVITE" else OTHER_S
        self._open[self._key(request)] = _Open(method, request, now + wait_s, dialog, tried)
        self._out += bytes(request)

    @staticmethod
    def _key(message: Message) -> str:
        """Which transaction it belongs to (RFC 3261, 17.1.3)."""
        via = message.via
        branch = via[0].parameters.get("branch") if via else None
        return f"{branch}/{message.cseq.method}"

    def _dialog(self, one: _Open, said: Response) -> Dialog:
        contact = said.contact
        if one.dialog is not None:
            return replace(one.dialog, target=str(contact[0].uri) if contact else one.dialog.target)
        return Dialog(
            call_id=said.call_id,
            local=one.request.headers["From"],
            remote=said.headers["To"],
            target=str(contact[0].uri) if contact else str(one.request.uri),
            cseq=one.request.cseq.sequence,
        )

    def _acknowledge(self, said: Response, dialog: Dialog | None) -> None:
        """An ACK of a 2xx is a request of its own, to where the switch said."""
        if dialog is not None:
            ack = dialog.request("ACK", self._maker.via(), cseq=said.cseq.sequence)
            self._out += bytes(bare(ack))

    def _reply(self, asked: Request, status: int, phrase: str) -> None:
        self._out += self._maker.reply(asked, status, phrase)
