"""What goes wrong in a store, said in our own words.

Nothing of a driver's own text passes this boundary: Postgres quotes values ("Key (email)=(…) already exists"),
drivers quote addresses with passwords, and both end up in logs and answers. What passes is which kind of
failure it was, the SQLSTATE and the name of the constraint.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from core.errors import Conflict, InternalError, IrisxError, PeerError, RequestError, Unavailable

FENCE_LOST = "IX001"
"""SQLSTATE that ``irisx_write`` raises for an old fencing token (schema 0001)."""


class FenceLost(IrisxError):
    """The token is not the newest one drawn for this switch: somebody else owns it. Nothing was written."""

    status_hint = 409
    code = "fence_lost"


class EmbeddedFailed(PeerError):
    """A part that runs as our child did not start. The message says what its log said last."""

    code = "embedded_failed"


# SQLSTATE classes of the PostgreSQL manual, appendix A, that mean "not now" rather than "not so".
_NOT_NOW = ("08", "40", "53", "55", "57", "58")


def translate(exc: BaseException) -> IrisxError | None:
    """The error of ours for a failure of the driver or of Postgres; None for what is none of those."""
    if isinstance(exc, IrisxError):
        return exc
    if isinstance(exc, asyncpg.PostgresError):
        return _translate_sqlstate(exc)
    if isinstance(exc, asyncpg.InterfaceError) and isinstance(exc, ValueError):
        # A value that the driver cannot even send: a number beyond 64 bits, a text that is no Unicode.
        return RequestError("a value cannot be stored: it is out of range or malformed", code="bad_value")
    if isinstance(exc, TimeoutError):
        return Unavailable("the database did not answer in time", code="database_slow")
    if isinstance(exc, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return Unavailable("the database is out of reach", code="database_down")
    return None


def _translate_sqlstate(exc: asyncpg.PostgresError) -> IrisxError:
    state = str(exc.sqlstate or "")
    if state == FENCE_LOST:
        return FenceLost("this controller's right to write for the switch has passed to another")
    if state == "23505":
        return Conflict(f"it exists already ({exc.constraint_name})", code="already_exists")
    if state == "23503":
        return Conflict(f"something else refers to it, or it refers to nothing ({exc.constraint_name})")
    if state[:2] in ("22", "23"):
        return RequestError("a value cannot be stored: it is out of range or malformed", code="bad_value")
    if state[:2] in _NOT_NOW or state in ("25006", "XX001", "XX002"):
        return Unavailable(f"the database cannot do it now (SQLSTATE {state})", code="database_down")
    if state[:2] in ("28", "3D"):
        return PeerError(f"the database does not let us in (SQLSTATE {state})", code="database_refused")
    return InternalError(f"the database refused a statement of ours (SQLSTATE {state})", code=f"sql_{state}")


def raise_ours(exc: BaseException) -> None:
    """Raise our error for the store's; return if it is none of the store's.

    The original is dropped, not chained: its text may hold content.
    """
    ours = translate(exc)
    if ours is not None and ours is not exc:
        raise ours from None


@contextmanager
def translated() -> Iterator[None]:
    """Everything inside raises our errors for the store's."""
    try:
        yield
    except Exception as exc:
        raise_ours(exc)
        raise
