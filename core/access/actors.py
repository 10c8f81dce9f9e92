"""Who is asking: from a credential to an `Actor`, remembered for a few seconds.

A request whose credential was seen a moment ago costs a look into a dictionary. Revocation does not wait for that
memory to end: it is announced on the bus and every process forgets at once; only when the bus is away as well does
a revoked credential live on, for `REMEMBER_S` at most.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from core.clock import monotonic
from core.errors import NotAuthenticated

REMEMBER_S = 5.0
MOST = 20_000
"""Credentials remembered by one process (about 20 MB); the longest unused goes first."""


class Actor(Struct, frozen=True):
    """The one who asks: a signed-in person or a program with a key."""

    id: str
    """``usr_…`` or ``key_…``."""
    tenant_id: str
    """Where it belongs."""
    name: str
    permissions: frozenset[str]
    operator: bool
    """May act in every tenant."""
    limits: dict[str, Any]
    """Its tenant's limits."""
    session_id: str = ""
    """Of a person; empty for a key."""
    email: str = ""
    roles: tuple[str, ...] = ()

    @property
    def is_key(self) -> bool:
        return not self.session_id

    def may(self, permission: str) -> bool:
        return permission in self.permissions


class _Seen(Struct):
    actor: Actor
    until: float


class Remembered:
    """Credentials that were found valid moments ago."""

    def __init__(self, *, seconds: float = REMEMBER_S, most: int = MOST) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._seconds = seconds
        self._most = most
        self._forgotten = 0
        self._watchers: list[Callable[[str], None]] = []

    def get(self, credential: str) -> Actor | None:
        """The actor, if this credential was valid moments ago."""
        seen = self._seen.get(credential)
        if seen is None:
            return None
        if monotonic() >= seen.until:
            del self._seen[credential]
            return None
        return seen.actor

    @property
    def moment(self) -> int:
        """Changes whenever something is forgotten: what was read before that may be old already."""
        return self._forgotten

    def put(self, credential: str, actor: Actor, *, moment: int, expires_in: float | None = None) -> None:
        """Remember ``actor``, unless something was revoked since ``moment`` was read (before the store was)."""
        if moment != self._forgotten:
            return
        seconds = self._seconds if expires_in is None else min(self._seconds, expires_in)
        self._seen[credential] = _Seen(actor, monotonic() + seconds)
        self._seen.move_to_end(credential)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def forget(self, whom: str) -> None:
        """Forget every credential of a user, a key, a session or a tenant, and tell the watchers."""
        self._forgotten += 1
        gone = [
            credential
            for credential, seen in self._seen.items()
            if whom in (seen.actor.id, seen.actor.session_id, seen.actor.tenant_id)
        ]
        for credential in gone:
            del self._seen[credential]
        for watcher in list(self._watchers):
            watcher(whom)

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call ``watcher`` with the id of whatever is revoked; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def __len__(self) -> int:
        return len(self._seen)


def require(actor: Actor | None) -> Actor:
    if actor is None:
        raise NotAuthenticated("the credential is not valid, or no longer", code="bad_credential")
    return actor
