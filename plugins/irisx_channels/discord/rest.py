"""Requests to Discord within its limits."""

from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from irisx_channels.discord import answers
from irisx_channels.discord.limits import Invalid, Limits
from irisx_channels.discord.settings import Settings
from irisx_channels.lenient import Json, document
from irisx_sdk.channel import Account, Tools
from irisx_sdk.errors import Malformed, NotSent, OutcomeUnknown, Throttled
from irisx_sdk.http import call, retry_after_s

AGENT = "DiscordBot (https://irisx.example, 1)"
"""Discord wants this form (docs, "Reference", user agent)."""

_ACCOUNTS = 1000
"""Bots whose limits are remembered; the oldest go first."""


class Rest:
    """Remembers what was learned of limits, per account. Losing that costs a 429."""

    def __init__(self) -> None:
        self._limits: OrderedDict[str, Limits] = OrderedDict()
        self._invalid = Invalid()

    async def ask(
        self, account: Account, tools: Tools, method: str, path: str, ids: tuple[str, ...] = (), **more: Any
    ) -> Json:
        """A request that sends nothing to anybody: whatever goes wrong, the message is certainly not sent."""
        try:
            return await self.send(account, tools, method, path, ids, **more)
        except OutcomeUnknown as failed:
            raise NotSent(str(failed), code=failed.code) from None

    async def send(
        self,
        account: Account,
        tools: Tools,
        method: str,
        path: str,
        ids: tuple[str, ...] = (),
        *,
        counted: bool = True,
        **more: Any,
    ) -> Json:
        """One request within the limits. ``path`` has a place for each of ``ids``; the first is the top-level one."""
        settings: Settings = account.settings
        limits, now = self._limits_of(account.id), tools.now_us() / 1e6
        route, top = f"{method} {path}", ids[0] if ids else ""
        wait = max(self._invalid.wait_s(now), limits.wait_s(route, top, now, counted=counted))
        if wait > 0:
            raise Throttled("waiting for Discord's limits", code="limits", retry_after_s=wait)
        url = settings.base_url.rstrip("/") + path.format(*(quote(one, safe="") for one in ids))
        headers = {"authorization": f"Bot {settings.bot_token}", "user-agent": AGENT}
        answer = await call(tools.http, method, url, headers=headers, **more)
        now, retry = tools.now_us() / 1e6, retry_after_s(answer)
        if answer.status_code == 429:
            retry = _finer(answer.content, retry)
        limits.learn(route, top, answer.status_code, answer.headers, retry, now)
        self._invalid.note(answer.status_code, answer.headers, now)
        return answers.read_answer(answer.status_code, answer.content, retry)

    def _limits_of(self, account: str) -> Limits:
        found = self._limits.setdefault(account, Limits())
        self._limits.move_to_end(account)
        if len(self._limits) > _ACCOUNTS:
            self._limits.popitem(last=False)
        return found


def _finer(body: bytes, header: float | None) -> float | None:
    """The seconds of a 429: its body has decimals, its header has not."""
    try:
        return answers.seconds(document(body).get("retry_after"), header)
    except Malformed:
        return header
