"""Whether a request is from Teams: the token of the Bot Framework, or the signature of an outgoing webhook. Pure.

The token says who sends and for whom, not what: it is worth as much as the connection it came over. Its keys are
documents of Microsoft's, asked for by `NeedsKey`: the metadata once a day, the keys once an hour, so that a new key is
known within an hour and nobody can make us ask more often by naming keys that do not exist.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

import jwt
from msgspec import Struct

from irisx_channels.lenient import Json, document, parts, words
from irisx_channels.teams.settings import TeamsSettings, trusted_keys
from irisx_sdk import BadSignature, Malformed, NeedsKey

ALGORITHMS = ["RS256", "RS384", "RS512"]
LEEWAY_S = 300
METADATA_S, KEYS_S = 86_400, 3600


class Claims(Struct, frozen=True):
    """What a token that was checked says, for comparing it with what it came with."""

    service_url: str
    endorsements: tuple[str, ...]
    """The channels that its key may speak for."""

    def check(self, activity: Json) -> None:
        """Raise `BadSignature` unless the activity is one that this token may bring."""
        if self.service_url.rstrip("/") != words(activity, "serviceUrl").rstrip("/"):
            raise BadSignature("the token is for another service URL")
        if words(activity, "channelId") not in self.endorsements:
            raise BadSignature("the token's key is not endorsed for this channel")


def outgoing_signature(token: str, body: bytes) -> str:
    """The ``Authorization`` of an outgoing webhook. Raises `BadSignature` when the token is no base64."""
    try:
        key = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("the outgoing webhook's security token is not what Teams showed") from None
    return "HMAC " + base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()


def check_outgoing(settings: TeamsSettings, body: bytes, given: str) -> None:
    """Raise `BadSignature` unless an outgoing webhook's signature is right."""
    if not settings.outgoing_token:
        raise BadSignature("this account has no outgoing webhook")
    if not hmac.compare_digest(outgoing_signature(settings.outgoing_token, body).encode(), given.encode()):
        raise BadSignature("the signature is not of this account's outgoing webhook")


def check_token(settings: TeamsSettings, keys: Mapping[str, bytes], given: str, now_us: int) -> Claims:
    """What the token of ``Authorization`` says. Raises `BadSignature` and `NeedsKey`."""
    kind, _, token = given.partition(" ")
    if kind.lower() != "bearer" or not token or not settings.app_id:
        raise BadSignature("the Bot Framework's token is missing")
    try:
        header = jwt.get_unverified_header(token.strip())
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadSignature("the token cannot be read") from None
    if header.get("alg") not in ALGORITHMS:
        raise BadSignature("the token is not signed with RSA")
    published = _published(settings, keys)
    key = next((one for one in published if header.get("kid") and one.get("kid") == header["kid"]), None)
    if key is None:
        raise BadSignature("the token is signed with a key that Microsoft does not publish")
    try:
        claims = jwt.decode(
            token.strip(),
            jwt.PyJWK(key, algorithm=str(header["alg"])).key,
            algorithms=ALGORITHMS,
            audience=settings.app_id,
            issuer=settings.issuer,
            # Times are compared with when the request came: a channel reads no clock.
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise BadSignature("the token is not from Teams for this bot") from None
    _check_times(claims, now_us / 1_000_000)
    url = claims.get("serviceurl", claims.get("serviceUrl"))
    endorsed = key.get("endorsements")
    names = tuple(one for one in endorsed if isinstance(one, str)) if isinstance(endorsed, list) else ()
    return Claims(url if isinstance(url, str) else "", names)


def _check_times(claims: Json, now_s: float) -> None:
    for name, sign in (("exp", 1), ("nbf", -1)):
        told = claims.get(name)
        if told is None and name == "nbf":
            continue
        if isinstance(told, bool) or not isinstance(told, int | float) or (told - now_s) * sign < -LEEWAY_S:
            raise BadSignature("the token has expired, or is not valid yet")


def _published(settings: TeamsSettings, keys: Mapping[str, bytes]) -> list[Json]:
    metadata = keys.get(settings.metadata_url)
    if metadata is None:
        raise NeedsKey(settings.metadata_url, keep_s=METADATA_S)
    try:
        url = words(document(metadata), "jwks_uri")
        if not trusted_keys(settings, url):
            raise BadSignature("Microsoft's metadata names keys of somebody else")
        if url not in keys:
            raise NeedsKey(url, keep_s=KEYS_S)
        return parts(document(keys[url]), "keys")
    except Malformed:
        raise BadSignature("Microsoft's keys cannot be read") from None
