"""Tokens: who made them, for what, until when. No I/O.

Access and realtime tokens are JWTs (HS256). Each purpose has a key of its own, derived from the installation's
secret with HKDF (RFC 5869), so that a token for one purpose proves nothing for another. Several secrets may be in
force (``IRISX_SECRET=new,old``): the first signs, all verify, and ``kid`` tells which.

A refresh token is ``irr_<session>_<generation>_<mac>``: the MAC covers a seed that only the session's row holds.
So an old generation can be told from a forgery, and neither the database alone nor the secret alone makes one.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from core.clock import now_us
from core.errors import NotAuthenticated

ISSUER = "irisx"
ACCESS_S = 600
REALTIME_S = 60
SIGNALING_S = 60
"""For connecting only: a call does not end with it."""
REFRESH_S = 14 * 24 * 3600
"""A session ends after two weeks without use."""
LEEWAY_S = 5
"""Clocks of two API processes may differ by this much."""

Purpose = Literal["api", "realtime", "signaling"]
PURPOSES: tuple[Purpose, ...] = ("api", "realtime", "signaling")

_REFRESH = re.compile(r"irr_([0-9a-z]{26})_([0-9]{1,9})_([A-Za-z0-9-]{43})")


class NoSecret(ValueError):
    """The installation has no secret: nothing that we sign would mean anything."""


class Claims(Struct, frozen=True):
    """What a valid token says."""

    subject: str
    """``usr_…`` or ``key_…``."""
    tenant_id: str
    session_id: str
    """Empty for an API key's realtime token."""
    expires_at: int
    """Seconds since the epoch."""
    acts_in: str
    """The tenant that an operator chose, for realtime tokens; else the own one."""


class Keyring:
    """The keys of an installation, derived from its secrets."""

    def __init__(self, secret: str) -> None:
        secrets_in_force = [part.strip() for part in secret.split(",") if part.strip()]
        if not secrets_in_force:
            raise NoSecret("IRISX_SECRET is empty")
        self._signing: dict[Purpose, tuple[str, bytes]] = {}
        self._verifying: dict[Purpose, dict[str, bytes]] = {}
        for purpose in PURPOSES:
            keys = [derive(part, f"jwt {purpose}") for part in secrets_in_force]
            named = {hashlib.sha256(key).hexdigest()[:12]: key for key in keys}
            self._verifying[purpose] = named
            self._signing[purpose] = next(iter(named.items()))
        self._refresh = [derive(part, "refresh") for part in secrets_in_force]

    def sign(
        self,
        purpose: Purpose,
        *,
        subject: str,
        tenant_id: str,
        session_id: str,
        seconds: int,
        acts_in: str = "",
    ) -> str:
        """A token that is valid from now for ``seconds``."""
        kid, key = self._signing[purpose]
        now = now_us() // 1_000_000
        claims = {
            "iss": ISSUER,
            "aud": purpose,
            "sub": subject,
            "tid": tenant_id,
            "sid": session_id,
            "act": acts_in or tenant_id,
            "iat": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, key, algorithm="HS256", headers={"kid": kid})

    def verify(self, purpose: Purpose, token: str) -> Claims:
        """What ``token`` says. Raises `NotAuthenticated` for anything that is not a valid token for ``purpose``."""
        try:
            key = self._verifying[purpose].get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise NotAuthenticated(
                    "the token was signed with a key that is not in force", code="bad_token"
                )
            claims = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                audience=purpose,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                # A clock that was set back must not make everybody's tokens ones from the future: `exp` decides.
                options={"require": ["exp", "iat", "sub", "tid", "sid", "act"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as exc:
            raise NotAuthenticated("the token has expired", code="token_expired") from exc
        except jwt.InvalidTokenError as exc:
            raise NotAuthenticated("the token is not valid", code="bad_token") from exc
        return Claims(claims["sub"], claims["tid"], claims["sid"], claims["exp"], claims["act"])

    def refresh_token(self, session_id: str, generation: int, seed: bytes) -> str:
        """The refresh token of one generation of a session."""
        bare = session_id.removeprefix("ses_")
        return f"irr_{bare}_{generation}_{self._mac(self._refresh[0], bare, generation, seed)}"

    def is_refresh_of(self, token: "RefreshToken", seed: bytes) -> bool:
        """Whether we made ``token`` for the session with this seed (whatever its generation)."""
        bare = token.session_id.removeprefix("ses_")
        return any(
            hmac.compare_digest(self._mac(key, bare, token.generation, seed), token.mac)
            for key in self._refresh
        )

    @staticmethod
    def _mac(key: bytes, bare: str, generation: int, seed: bytes) -> str:
        mac = hmac.digest(key, b"%s|%d|%s" % (bare.encode(), generation, seed), "sha256")
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode().replace("_", "-")


class RefreshToken(Struct, frozen=True):
    """A refresh token's parts, as somebody presents them: not yet believed."""

    session_id: str
    generation: int
    mac: str

    @classmethod
    def parse(cls, text: str) -> "RefreshToken":
        """Raises `NotAuthenticated` for a text that cannot be one."""
        match = _REFRESH.fullmatch(text)
        if match is None:
            raise NotAuthenticated("this is not a refresh token", code="bad_refresh_token")
        return cls("ses_" + match[1], int(match[2]), match[3])


def derive(secret: str, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose from the installation's secret."""
    info = f"irisx {purpose}".encode()
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(secret.encode())


def same(parts: Sequence[bytes | None], wanted: bytes) -> bool:
    """Whether ``wanted`` is one of ``parts``, in a time that does not tell which."""
    found = False
    for part in parts:
        found |= part is not None and hmac.compare_digest(part, wanted)
    return found
