"""Slack's writing: the three escaped characters, ``<…>`` for links and mentions, time stamps as names, emoji by name.

Sources: docs.slack.dev, "Formatting message text"; github.com/slackapi/python-slack-sdk.
"""

import re

_ENTITY = re.compile("&(amp|lt|gt);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">"}
_ANGLE = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")

EMOJI = {
    "👍": "+1", "👎": "-1", "❤️": "heart", "❤": "heart", "😂": "joy", "😮": "open_mouth", "😢": "cry", "😡": "rage",
    "😀": "grinning", "😃": "smiley", "😄": "smile", "😉": "wink", "😍": "heart_eyes", "🤔": "thinking_face",
    "🙏": "pray", "👏": "clap", "🎉": "tada", "🔥": "fire", "👀": "eyes", "✅": "white_check_mark", "❌": "x",
    "💯": "100", "🚀": "rocket", "👋": "wave", "💪": "muscle", "🙌": "raised_hands", "👌": "ok_hand", "⭐": "star",
    "❓": "question", "❗": "exclamation", "⚠️": "warning", "⏳": "hourglass_flowing_sand",
}  # fmt: skip
"""The signs that people use for reactions. Slack knows each by its name only (and a workspace adds its own)."""

_SIGNS = {name: sign for sign, name in EMOJI.items() if sign != "❤"} | {"thumbsup": "👍", "thumbsdown": "👎"}
_NAME = re.compile(r":?([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):?")


def escape(text: str) -> str:
    """Text as Slack wants it: nothing in it becomes a link, a mention or an alarm for everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Slack's text for people to read: ``<@U1|ann>`` is @ann, a link with a label is "label (address)"."""
    return _ENTITY.sub(lambda found: _CHARACTERS[found[1]], _ANGLE.sub(_unfold, text))


def _unfold(found: re.Match[str]) -> str:
    body, label = found[1], found[2] or ""
    if body[:1] in ("@", "#"):
        return body[0] + (label or body[1:])
    if body[:1] == "!":
        # <!here>, <!subteam^S1|@team>, <!date^1392734382^{date}|18 Feb 2014>
        return label or "@" + body[1:].partition("^")[0]
    bare = body.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (body, bare) or body in (f"http://{label}", f"https://{label}"):
        return bare
    return f"{label} ({bare})"


def emoji_name(emoji: str) -> str:
    """Slack's name of a sign or of ``:name:``; empty when Slack has none that we know."""
    if emoji in EMOJI:
        return EMOJI[emoji]
    found = _NAME.fullmatch(emoji)
    return found[1] if found else ""


def emoji_sign(name: str) -> str:
    """The sign that people see for one of Slack's names, or ``:name:``."""
    return _SIGNS.get(name.partition("::")[0], f":{name}:") if name else ""


def microseconds(ts: str) -> int:
    """``1503435956.000247`` in microseconds since 1970, exactly; 0 for what is no time."""
    whole, _, rest = ts.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(whole) <= 11):
        return 0
    if rest and not (rest.isascii() and rest.isdecimal()):
        return 0
    return int(whole) * 1_000_000 + int((rest + "000000")[:6])


def name_of(channel: str, ts: str) -> str:
    """What we call a message: Slack's own name is the pair of channel and time stamp."""
    return f"{channel}:{ts}"


def split_name(name: str) -> tuple[str, str]:
    """Channel and time stamp of a message's or thread's name; the time stamp is empty for a whole channel."""
    channel, _, ts = name.partition(":")
    return channel, ts
