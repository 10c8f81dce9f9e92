"""ICE servers for a page: STUN as it is, TURN with credentials that run out.

The usual scheme of TURN servers (draft-uberti-behave-turn-rest-00, coturn's ``use-auth-secret``): the user name is the
second until which it holds and who asked, the password an HMAC-SHA1 of it under a secret that only we and the TURN
server have. SHA-1 is what that scheme says; nothing but this one MAC depends on it. Pure.
"""

import base64
import hmac
from collections.abc import Sequence

from msgspec import Struct

TURN_S = 6 * 3600
"""How long a credential holds. A call that is longer keeps its allocation: only a new one needs a new credential."""


class IceServer(Struct, frozen=True, omit_defaults=True):
    """As ``RTCPeerConnection`` takes it."""

    urls: list[str]
    username: str = ""
    credential: str = ""


def credential(secret: str, username: str) -> str:
    """The password that belongs to ``username``."""
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def ice_servers(
    stun: Sequence[str], turn: Sequence[str], secret: str, *, who: str, now_us: int
) -> list[IceServer]:
    """The servers that ``who`` may use from now on; TURN only with a secret, for without it there is no password."""
    servers = [IceServer(list(stun))] if stun else []
    if turn and secret:
        username = f"{now_us // 1_000_000 + TURN_S}:{who}"
        servers.append(IceServer(list(turn), username, credential(secret, username)))
    return servers
