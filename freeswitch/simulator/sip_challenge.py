"""Digest challenges as mod_sofia makes them for calls (RFC 7616), and what comes back. Pure."""

import hmac
from typing import Literal

from sipmessage import AuthChallenge, AuthParameters, Request

from freeswitch.sip import digest

REALM = "irisx.inside"
"""The shipped profile's ``challenge-realm``."""
LIVES_S = 60.0
"""How long a nonce is good (``nonce-ttl``)."""
MOST_NONCES = 1000
"""Beyond, the oldest is forgotten: who holds it is asked again."""

Verdict = Literal["good", "ask", "stale", "wrong"]


class Guard:
    """Lets in who knows the one user's password."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._nonces: dict[str, tuple[float, int]] = {}
        """Until when each is good, and how often it was used."""

    def challenge(self, nonce: str, now: float, *, stale: bool = False) -> str:
        """The value of a ``Proxy-Authenticate`` with a fresh nonce."""
        if len(self._nonces) >= MOST_NONCES:
            del self._nonces[next(iter(self._nonces))]
        self._nonces[nonce] = (now + LIVES_S, 0)
        again = " stale=true," if stale else ""
        return f'Digest realm="{REALM}", nonce="{nonce}",{again} algorithm=MD5, qop="auth"'

    def judge(self, asked: Request, now: float) -> Verdict:
        """What its credentials are worth."""
        if not self._password:
            return "good"
        try:
            shown = asked.proxy_authorization or asked.authorization
        except ValueError:
            return "ask"
        given = None if shown is None else shown.parameters
        if shown is None or given is None or shown.scheme.lower() != "digest":
            return "ask"
        until, used = self._nonces.get(given.get("nonce", ""), (0.0, 0))
        try:
            count = int(given.get("nc", ""), 16)
        except ValueError:
            return "wrong"
        if until < now or count <= used:
            return "stale"
        if given.get("username") != self._user or given.get("realm") != REALM:
            return "wrong"
        nonce = given["nonce"]
        parameters = AuthParameters(realm=REALM, nonce=nonce, algorithm="MD5", qop="auth")
        expected = digest.answer(
            AuthChallenge(scheme="Digest", parameters=parameters),
            method=asked.method,
            uri=given.get("uri", ""),
            user=self._user,
            password=self._password,
            cnonce=given.get("cnonce", ""),
            count=count,
        )
        right = "" if expected.parameters is None else expected.parameters["response"]
        if not hmac.compare_digest(right, given.get("response", "")):
            return "wrong"
        self._nonces[nonce] = (until, count)
        return "good"
