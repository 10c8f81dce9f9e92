"""Answers to digest challenges (RFC 7616; RFC 8760 for SIP). Pure."""

import hashlib
from collections.abc import Callable

from sipmessage import AuthChallenge, AuthCredentials, AuthParameters

_HASHES: dict[str, Callable[[bytes], "hashlib._Hash"]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
}


class CannotAnswer(ValueError):
    """The challenge asks for something that we do not do."""


def answer(
    challenge: AuthChallenge, *, method: str, uri: str, user: str, password: str, cnonce: str, count: int = 1
) -> AuthCredentials:
    """Credentials for a request. ``cnonce`` must be fresh, ``count`` says how often the nonce was used.

    Raises `CannotAnswer` for another scheme than Digest, another hash than MD5 and SHA-256, and for a quality of
    protection that is not ``auth``.
    """
    asked = challenge.parameters
    name = asked.get("algorithm", "MD5").upper()
    if (
        challenge.scheme.lower() != "digest"
        or name not in _HASHES
        or "nonce" not in asked
        or "realm" not in asked
    ):
        raise CannotAnswer("the switch asks for credentials in a way that is not known here")
    offered = [one.strip() for one in asked.get("qop", "").split(",") if one.strip()]
    if offered and "auth" not in offered:
        raise CannotAnswer("the switch asks for a protection that is not known here")

    def digest(*parts: str) -> str:
        return _HASHES[name](":".join(parts).encode()).hexdigest()

    secret, what, nonce = digest(user, asked["realm"], password), digest(method, uri), asked["nonce"]
    given = {"username": user, "realm": asked["realm"], "nonce": nonce, "uri": uri, "algorithm": name}
    if offered:
        times = f"{count:08x}"
        given |= {"qop": "auth", "nc": times, "cnonce": cnonce}
        given["response"] = digest(secret, nonce, times, cnonce, "auth", what)
    else:
        given["response"] = digest(secret, nonce, what)
    if "opaque" in asked:
        given["opaque"] = asked["opaque"]
    return AuthCredentials(scheme="Digest", parameters=AuthParameters(**given))
