"""The errors that IRISX raises on purpose, sorted by who can fix them.

`RequestError`  the caller can: wrong state, unknown id, bad value.
`PeerError`     something beyond our process did not do its part: a switch, a database, a carrier.
`InternalError` we did something wrong; nothing below the supervisor catches it.

``status_hint`` is what an HTTP layer answers when it has nothing better to say; ``code`` is a stable
word that programs may compare. Messages are written for people and never carry secrets.
"""


class IrisxError(Exception):
    """Base of all errors raised on purpose."""

    status_hint = 500
    code = "internal"
    retryable = False

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class RequestError(IrisxError):
    """The caller asked for something that cannot be done as asked."""

    status_hint = 400
    code = "bad_request"


class NotFound(RequestError):
    """No such thing, or none that this caller may know of."""

    status_hint = 404
    code = "not_found"


class Conflict(RequestError):
    """The thing exists but is in a state that does not allow this."""

    status_hint = 409
    code = "conflict"


class NotAllowed(RequestError):
    """The caller is known and lacks the right."""

    status_hint = 403
    code = "not_allowed"


class NotAuthenticated(RequestError):
    """The caller is not known, or no longer."""

    status_hint = 401
    code = "not_authenticated"


class PeerError(IrisxError):
    """A switch, a database or a carrier failed us."""

    status_hint = 502
    code = "peer_failed"
    retryable = True


class PeerTimeout(PeerError):
    """The peer did not answer in time: whether it acted is unknown."""

    status_hint = 504
    code = "outcome_unknown"
    retryable = False


class Unavailable(PeerError):
    """Nobody is there to do it now; nothing was done."""

    status_hint = 503
    code = "unavailable"


class InternalError(IrisxError):
    """A bug of ours."""
