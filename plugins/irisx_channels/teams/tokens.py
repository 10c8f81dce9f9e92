"""The bot's own tokens: asked for once an hour and kept in memory.

They are the only thing that this channel remembers, and losing them costs one request. Two senders at once may ask
twice: harmless, and no lock could be shared by the loops that use a channel.
"""

import hashlib

from irisx_channels.lenient import document, whole, words
from irisx_channels.teams.failures import token_failure
from irisx_channels.teams.settings import TeamsSettings
from irisx_sdk import Malformed, Misconfigured, NotSent, OutcomeUnknown, Tools
from irisx_sdk.http import call, retry_after_s

MOST = 1000
"""Accounts whose tokens are kept; the oldest goes first."""
EARLY_S = 300
"""A token is renewed so long before it ends."""


class Tokens:
    """By account and everything that a token depends on, so that a changed secret is used at once."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[str, int]] = {}

    async def get(self, settings: TeamsSettings, tools: Tools) -> str:
        """A token that is good for some minutes. Raises only what means that nothing was sent."""
        key, now_us = _key(settings), tools.now_us()
        token, until_us = self._kept.get(key, ("", 0))
        if token and now_us < until_us:
            return token
        token, lives_s = await _asked(settings, tools)
        self._kept.pop(key, None)
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = token, now_us + max(0, lives_s - EARLY_S) * 1_000_000
        return token

    def drop(self, settings: TeamsSettings) -> bool:
        """Forget a token that was not accepted; whether there was one."""
        return self._kept.pop(_key(settings), None) is not None


def _key(settings: TeamsSettings) -> bytes:
    parts = (settings.login_url, settings.tenant_id, settings.app_id, settings.issuer, settings.app_secret)
    return hashlib.sha256("\0".join(parts).encode()).digest()


async def _asked(settings: TeamsSettings, tools: Tools) -> tuple[str, int]:
    if not settings.app_id or not settings.app_secret:
        raise Misconfigured("this account has no bot: set application id and secret")
    url = f"{settings.login_url.rstrip('/')}/{settings.tenant_id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.app_id,
        "client_secret": settings.app_secret,
        "scope": f"{settings.issuer}/.default",
    }
    try:
        answer = await call(tools.http, "POST", url, data=form)
        if answer.status_code != 200:
            raise token_failure(answer.status_code, answer.content, retry_after_s(answer))
        found = document(answer.content)
    except (OutcomeUnknown, Malformed) as failed:
        raise NotSent(f"no token was got: {failed}") from failed
    token = words(found, "access_token")
    if not token:
        raise NotSent("Microsoft's sign-in answered without a token")
    return token, whole(found, "expires_in")
