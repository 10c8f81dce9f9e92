"""What a switch's profile says over SIP, header for header as sofia orders them. Pure."""

from msgspec import Struct
from sipmessage import URI, CSeq, Parameters, Request, Response, Via

AGENT = "IRISX"
"""The shipped profile's ``user-agent-string``."""
_ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY"
_SUPPORTED = "timer, path, replaces"
_EVENTS = "talk, hold, conference, refer"


class Place(Struct, frozen=True):
    """Where the profile listens."""

    host: str
    port: int

    def contact(self, number: str) -> str:
        """How what is at ``number`` is reached."""
        return f"<sip:{number}@{self.host}:{self.port};transport=tcp>"


def _begin(asked: Request, status: int, phrase: str, peer: tuple[str, int], tag: str) -> Response:
    """The headers that are the request's own, with where it came from noted down (RFC 3581)."""
    made = Response(status, phrase)
    vias = [str(one) for one in asked.via or []]
    if vias:
        first = (asked.via or [])[0]
        noted = dict(first.parameters)
        if "rport" in noted:
            noted["rport"] = str(peer[1])
        if first.host != peer[0]:
            noted["received"] = peer[0]
        vias[0] = str(Via(first.transport, first.host, first.port, Parameters(**noted)))
    made.headers.setlist("Via", vias)
    made.headers.set("From", asked.headers["From"])
    to = asked.headers["To"]
    known = not tag or "tag" in asked.to_address.parameters
    made.headers.set("To", to if known else f"{to};tag={tag}")
    made.headers.set("Call-ID", asked.headers["Call-ID"])
    made.headers.set("CSeq", asked.headers["CSeq"])
    return made


def _end(made: Response, body: str = "") -> bytes:
    made.body = body.encode()
    made.headers.set("Content-Length", str(len(made.body)))
    return bytes(made)


def trying(asked: Request, peer: tuple[str, int]) -> bytes:
    """100."""
    made = _begin(asked, 100, "Trying", peer, "")
    made.headers.set("User-Agent", AGENT)
    return _end(made)


def session(
    asked: Request,
    status: int,
    phrase: str,
    peer: tuple[str, int],
    tag: str,
    *,
    place: Place,
    number: str,
    sdp: str,
) -> bytes:
    """180, 183 or 200 of an INVITE."""
    made = _begin(asked, status, phrase, peer, tag)
    made.headers.set("Contact", place.contact(number))
    made.headers.set("User-Agent", AGENT)
    made.headers.set("Accept", "application/sdp")
    made.headers.set("Allow", _ALLOW)
    made.headers.set("Supported", _SUPPORTED)
    first = "tag" not in asked.to_address.parameters
    if first:
        made.headers.set("Allow-Events", _EVENTS)
    if sdp:
        made.headers.set("Content-Type", "application/sdp")
        made.headers.set("Content-Disposition", "session")
    made.headers.set("Content-Length", str(len(sdp.encode())))
    if first:
        made.headers.set(
            "Remote-Party-ID", f'"{number}" <sip:{number}@{place.host}>;party=calling;privacy=off;screen=no'
        )
    made.body = sdp.encode()
    return bytes(made)


def challenge(asked: Request, peer: tuple[str, int], tag: str, value: str) -> bytes:
    """407."""
    made = _begin(asked, 407, "Proxy Authentication Required", peer, tag)
    made.headers.set("User-Agent", AGENT)
    made.headers.set("Accept", "application/sdp")
    made.headers.set("Allow", _ALLOW)
    made.headers.set("Supported", _SUPPORTED)
    made.headers.set("Allow-Events", _EVENTS)
    made.headers.set("Proxy-Authenticate", value)
    return _end(made)


def done(asked: Request, peer: tuple[str, int], tag: str) -> bytes:
    """200 of anything but an INVITE."""
    made = _begin(asked, 200, "OK", peer, tag)
    made.headers.set("User-Agent", AGENT)
    if asked.method == "OPTIONS":
        made.headers.set("Accept", "application/sdp")
    made.headers.set("Allow", _ALLOW)
    made.headers.set("Supported", _SUPPORTED)
    return _end(made)


def refusal(
    asked: Request,
    status: int,
    phrase: str,
    peer: tuple[str, int],
    tag: str,
    *,
    cause: str = "",
    number: int = 0,
) -> bytes:
    """Any 4xx to 6xx; ``cause`` (with its Q.850 ``number``) when a channel has ended over it."""
    made = _begin(asked, status, phrase, peer, tag)
    made.headers.set("User-Agent", AGENT)
    if asked.method == "INVITE":
        made.headers.set("Accept", "application/sdp")
    made.headers.set("Allow", _ALLOW)
    made.headers.set("Supported", _SUPPORTED)
    if asked.method == "INVITE":
        made.headers.set("Allow-Events", _EVENTS)
    if status == 503:
        made.headers.set("Retry-After", "300")
    if cause:
        made.headers.set("Reason", f'Q.850;cause={number};text="{cause}"')
    return _end(made)


def bye(
    *,
    target: str,
    local: str,
    remote: str,
    call_id: str,
    cseq: int,
    place: Place,
    branch: str,
    cause: str,
    number: int,
) -> bytes:
    """Our BYE in a dialog. Raises `ValueError` for a target that is no address."""
    made = Request("BYE", URI.parse(target))
    made.via = [Via("TCP", place.host, place.port, Parameters(rport=None, branch=f"z9hG4bK{branch}"))]
    made.max_forwards = 70
    made.headers.set("From", local)
    made.headers.set("To", remote)
    made.call_id = call_id
    made.cseq = CSeq(sequence=cseq, method="BYE")
    made.headers.set("User-Agent", AGENT)
    made.headers.set("Allow", _ALLOW)
    made.headers.set("Supported", _SUPPORTED)
    made.headers.set("Reason", f'Q.850;cause={number};text="{cause}"')
    made.content_length = 0
    return bytes(made)
