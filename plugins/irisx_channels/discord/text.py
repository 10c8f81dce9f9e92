"""Discord's writing: mentions and its own emoji in texts, snowflakes, names of messages.

Source: discord/discord-api-docs, "Reference" (message formatting, snowflakes).
"""

import re
from collections.abc import Mapping

EPOCH_MS = 1_420_070_400_000
"""Snowflakes count from the first second of 2015."""

_MARK = re.compile(
    r"<(?:@!?(?P<person>\d+)|@&(?P<role>\d+)|#(?P<place>\d+)|a?:(?P<emoji>\w+):\d+|(?P<command>/[^:<>]+):\d+)>"
)
_CUSTOM = re.compile(r"<?a?:?(\w{2,32}:\d{1,20})>?")


def plain(text: str, people: Mapping[str, str]) -> str:
    """A text for people to read; ``people`` are the names of those mentioned, by id."""

    def unfold(found: re.Match[str]) -> str:
        if found["person"]:
            return "@" + people.get(found["person"], found["person"])
        if found["emoji"]:
            return f":{found['emoji']}:"
        if found["command"]:
            return found["command"]
        return "@role" if found["role"] else "#" + found["place"]

    return _MARK.sub(unfold, text)


def emoji_path(emoji: str) -> str:
    """A sign as addresses have it: itself, or ``name:id`` for a server's own; empty for what is none."""
    if found := _CUSTOM.fullmatch(emoji):
        return found[1]
    return "" if not emoji or emoji.isascii() or len(emoji) > 40 else emoji


def is_snowflake(text: str) -> bool:
    """Whether ``text`` can be an id of Discord's: a number of 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 20


def microseconds(snowflake: str) -> int:
    """When something was made, by its id, in microseconds since 1970; 0 for what is no id."""
    return ((int(snowflake) >> 22) + EPOCH_MS) * 1000 if is_snowflake(snowflake) else 0


def name_of(channel: str, message: str) -> str:
    """What we call a message: requests about it need its channel, too."""
    return f"{channel}:{message}"


def split_name(name: str) -> tuple[str, str]:
    """Channel and id of a message's name; the id is empty when there is none."""
    channel, _, message = name.partition(":")
    return channel, message
