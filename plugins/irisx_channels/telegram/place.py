"""Where we are in the stream of a bot's updates. Pure."""

import msgspec
from msgspec import Struct

FORGOTTEN_US = 6 * 86_400_000_000
"""After a week without updates Telegram goes on with a random number (Bot API, `Update`), maybe a lower one, and our
place would wave it through unread. So an old place is dropped: Telegram keeps for us only what we have not confirmed."""


class Place(Struct, frozen=True):
    """The last update that is stored."""

    bot: str
    """Whose: another token means another stream."""
    update: int = 0
    at_us: int = 0

    @staticmethod
    def read(kept: bytes, bot: str) -> "Place":
        """The place that was kept, the beginning when it is none of this bot's."""
        try:
            place = msgspec.json.decode(kept, type=Place)
        except (msgspec.DecodeError, UnicodeError):
            return Place(bot)
        return place if place.bot == bot else Place(bot)

    def next(self, now_us: int) -> int:
        """The ``offset`` to ask from: it tells Telegram to forget everything before. 0 for all that it has."""
        return self.update + 1 if self.update and now_us - self.at_us < FORGOTTEN_US else 0

    def after(self, update: int, now_us: int) -> "Place":
        """The place behind an update."""
        return Place(self.bot, update, now_us)

    def written(self) -> bytes:
        """What to keep."""
        return msgspec.json.encode(self)
