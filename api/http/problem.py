"""Errors as ``application/problem+json`` (RFC 9457), the only form in which this API says no.

Beside the members of the RFC: ``code`` (a stable word to compare), ``errors`` (one for each bad value, with a JSON
pointer or the parameter's name), ``request_id`` and ``retryable``. ``type`` leads to the page that explains the
code. Details are written for people and carry no secrets; what went wrong inside is in our log under the same
request id.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from core.errors import IrisxError, RequestError

MEDIA_TYPE = "application/problem+json"
ABOUT = "/v1/problems/"
"""Where a code is explained (`api.http.problem_codes`)."""

TITLES = {
    400: "The request is not valid",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "The method is not supported here",
    409: "Not possible in the present state",
    412: "It was changed in the meantime",
    413: "The body is too large",
    415: "The content type is not supported",
    416: "There is no such part of it",
    422: "The key was used for another request",
    429: "Too many requests",
    431: "The header is too large",
    500: "Something went wrong on our side",
    502: "The switch failed",
    503: "Not available now",
    504: "No answer in time: the outcome is not known",
}


class FieldError(Struct, frozen=True, omit_defaults=True):
    """One bad value of a request."""

    code: str
    """``missing``, ``unknown``, ``invalid`` ..."""
    detail: str
    pointer: str = ""
    """Where in the body (JSON pointer, RFC 6901)."""
    parameter: str = ""
    """Or which query parameter or header."""


class Problem(Struct, frozen=True):
    """Why a request was not fulfilled."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: list[FieldError] = []


class Invalid(RequestError):
    """The request itself is wrong; ``errors`` says where."""

    code = "invalid_request"

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.errors = list(errors)


class Refused(RequestError):
    """A refusal that HTTP has its own status for (405, 412, 413, 415, 422, 429), with its headers."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail, code=code)
        self.status_hint = status
        self.headers = list(headers)
        self.retryable = status in (409, 429)


def bad_parameter(name: str, detail: str, *, code: str = "invalid") -> Invalid:
    return Invalid(f"{name}: {detail}", [FieldError(code, detail, parameter=name)])


def bad_value(pointer: str, detail: str, *, code: str = "invalid") -> Invalid:
    return Invalid(f"{pointer}: {detail}", [FieldError(code, detail, pointer=pointer)])


_encode = msgspec.json.Encoder().encode


def problem_of(error: IrisxError, *, request_id: str, instance: str) -> Problem:
    """What the caller is told about ``error``."""
    status = error.status_hint
    if status >= 500 and status not in TITLES:
        status = 500
    return Problem(
        type=f"{ABOUT}{error.code}",
        title=TITLES.get(status, TITLES[400]),
        status=status,
        detail=error.detail,
        instance=instance,
        code=error.code,
        request_id=request_id,
        retryable=error.retryable,
        errors=error.errors if isinstance(error, Invalid) else [],
    )


def encode_problem(problem: Problem) -> bytes:
    return _encode(problem)
