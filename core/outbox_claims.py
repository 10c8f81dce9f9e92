"""Taking what is due for one account: as much as there is room for, and no more than its limit allows.

asyncio. A message is with one process at a time; each comes with the seconds until its turn.
"""

from core.clock import now_us
from core.pacing import Pace
from core.storage import outbox as store
from core.storage import sending as letters
from core.storage.database import Database
from core.storage.outbox import Claimed
from core.storage.sending import Letter

AHEAD_S = 2.0
"""How far ahead of its limit an account takes messages."""


class Claims:
    """The due messages of one account. ``per_second`` 0: it has no limit."""

    def __init__(
        self, db: Database, account_id: str, *, owner: str, pace: Pace | None = None, per_second: float = 0.0
    ) -> None:
        self._db = db
        self._account_id = account_id
        self._owner = owner
        self.pace = pace
        self.per_second = per_second

    async def take(self, limit: int) -> list[tuple[Claimed, Letter, float]]:
        """Up to ``limit`` due messages, each with the seconds until its turn comes under the account's limit."""
        rate = self.per_second
        if rate:
            limit = min(limit, max(round(rate * AHEAD_S), 1))
        claimed = await store.claim(self._db, self._account_id, self._owner, limit=limit, now_us=now_us())
        if not claimed:
            return []
        first_s = step_s = 0.0
        if rate and self.pace is not None:
            drawn = await self.pace.draw(self._account_id, rate, len(claimed), most_s=AHEAD_S)
            if drawn is None:
                await store.release(self._db, claimed, self._owner)
                return []
            first_s, step_s = drawn.first_s, drawn.each_s
        found = await letters.read_letters(
            self._db, claimed[0].tenant_id, [one.message_id for one in claimed]
        )
        return [
            (one, found[one.message_id], max(first_s + number * step_s, 0.0))
            for number, one in enumerate(claimed)
            if one.message_id in found
        ]

    @property
    def limited(self) -> bool:
        return self.pace is not None and self.per_second > 0

    async def slower(self, pause_s: float) -> None:
        """The provider wants us slower: so is the limit that all hosts share."""
        if self.pace is not None:
            await self.pace.push(self._account_id, pause_s)
