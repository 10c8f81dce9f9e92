"""A leg as SIP knows it: what any process needs to go on with it. Some 300 bytes of JSON, kept with the call."""

from msgspec import Struct
from msgspec.structs import replace
from sipmessage import URI, CSeq, Request, Via


class Dialog(Struct, frozen=True):
    """One established dialog (RFC 3261, 12), seen from us who began it."""

    call_id: str
    """The channel's UUID, too: the inside profile takes it from here."""
    local: str
    """Our ``From``, with its tag."""
    remote: str
    """The switch's ``To``, with its tag."""
    target: str
    """Where requests go: the ``Contact`` of its last answer."""
    cseq: int
    """The number of our last request."""

    def next(self) -> "Dialog":
        """The same before its next request. Keep it before the request is sent: a number must never be used twice."""
        return replace(self, cseq=self.cseq + 1)

    def request(self, method: str, via: Via, *, cseq: int | None = None) -> Request:
        """A request within it."""
        made = Request(method, URI.parse(self.target))
        made.via = [via]
        made.max_forwards = 70
        made.headers.set("From", self.local)
        made.headers.set("To", self.remote)
        made.call_id = self.call_id
        made.cseq = CSeq(sequence=self.cseq if cseq is None else cseq, method=method)
        return made
