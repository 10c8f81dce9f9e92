"""The messages that we send, as text for the wire. Pure."""

from collections.abc import Callable, Mapping

from msgspec import Struct
from sipmessage import URI, Address, CSeq, Parameters, Request, Response, Via

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, NOTIFY"


class Identity(Struct, frozen=True):
    """Who we are to the switch's inside profile."""

    user: str
    domain: str
    password: str = ""


class Maker:
    """Makes what carries our name and our address."""

    def __init__(self, identity: Identity, token: Callable[[int], str]) -> None:
        self._identity = identity
        self._token = token
        self.place = ("", 0)
        """The address that the connection comes from."""

    def via(self) -> Via:
        """A transaction of its own."""
        host, port = self.place
        branch = Parameters(branch="z9hG4bK" + self._token(16), rport=None)
        return Via(transport="TCP", host=host, port=port, parameters=branch)

    def invite(self, call_id: str, number: str, caller: str = "") -> Request:
        """The first request of a leg, without its offer. ``caller`` is who it says that calls, instead of us."""
        domain, user = self._identity.domain, plain(caller or self._identity.user)
        called = URI(scheme="sip", host=domain, user=plain(number))
        request = Request("INVITE", called)
        request.via = [self.via()]
        request.max_forwards = 70
        mine = URI(scheme="sip", host=domain, user=user)
        request.from_address = Address(mine, parameters=Parameters(tag=self._token(5)))
        request.to_address = Address(called)
        request.call_id = plain(call_id)
        request.cseq = CSeq(sequence=1, method="INVITE")
        return request

    def offer(self, request: Request, sdp: str, headers: Mapping[str, str]) -> None:
        """Complete an INVITE. Raises `ValueError` for what must not be in a header."""
        host, port = self.place
        contact = URI(
            scheme="sip",
            host=host,
            port=port,
            user=self._identity.user,
            parameters=Parameters(transport="tcp"),
        )
        request.contact = [Address(contact)]
        request.headers.set("Allow", ALLOW)
        for name, value in headers.items():
            request.headers.add(plain(name), plain(value))
        request.headers.set("Content-Type", "application/sdp")
        request.body = sdp.encode()
        request.content_length = len(request.body)

    def reply(self, asked: Request, status: int, phrase: str) -> bytes:
        """Our answer to a request of the switch."""
        answer = Response(status, phrase)
        answer.headers.setlist("Via", list(asked.headers.getlist("Via")))
        for name in ("From", "To", "Call-ID", "CSeq"):
            answer.headers.set(name, asked.headers[name])
        if "tag" not in asked.to_address.parameters:
            answer.headers.set("To", f"{asked.headers['To']};tag={self._token(5)}")
        if status in (200, 405):
            answer.headers.set("Allow", ALLOW)
        answer.content_length = 0
        return bytes(answer)


def bare(request: Request) -> Request:
    """The same, saying that it has no body."""
    request.content_length = 0
    return request


def cancel_of(request: Request) -> Request:
    """A CANCEL has the headers of what it takes back (RFC 3261, 9.1)."""
    made = _like(request, "CANCEL")
    made.headers.set("To", request.headers["To"])
    made.call_id = request.call_id
    made.cseq = CSeq(sequence=request.cseq.sequence, method="CANCEL")
    return bare(made)


def refusal_ack(request: Request, said: Response) -> bytes:
    """An ACK of anything but a 2xx belongs to the INVITE (RFC 3261, 17.1.1.3)."""
    made = _like(request, "ACK")
    made.headers.set("To", said.headers["To"])
    made.call_id = request.call_id
    made.cseq = CSeq(sequence=request.cseq.sequence, method="ACK")
    return bytes(bare(made))


def _like(request: Request, method: str) -> Request:
    made = Request(method, request.uri)
    for name in ("Via", "Max-Forwards", "From"):
        made.headers.set(name, request.headers[name])
    return made


def plain(text: str) -> str:
    """Raises `ValueError` for text that would end its line: it could forge a header."""
    if not text or not text.isprintable():
        raise ValueError("control characters do not belong into a header")
    return text
