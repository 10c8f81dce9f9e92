"""What calls run into when nobody transfers them elsewhere: contexts of extensions, as data.

``carrier`` and ``inside`` do what the shipped configuration (`freeswitch/conf`) does: every call from a
carrier is parked for the controller, agents' legs are answered and parked. There a call is refused while no
controller shows signs of life; here only in ``carrier-guarded``, because most tests want their calls at once.
``default`` holds extensions for tests and probes, ``living`` the destinations of the default scenario.
"""

import re

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.living import EXTENSIONS
from freeswitch.simulator.scripts import Extension
from freeswitch.simulator.switch import Route

Actions = list[tuple[str, str | None]]


UNCLAIMED_S = 20
"""How long the shipped dialplan lets an inbound call lie unclaimed (`ConfSettings.unclaimed_seconds`)."""
LONGEST_S = 4 * 3600
"""How long an answered inbound call may last (`ConfSettings.max_call_seconds`)."""


def _many(*pairs: str) -> tuple[tuple[str, str], ...]:
    return (("multiset", "^^|" + "|".join(pairs)),)


def _inside(side: str) -> tuple[tuple[str, str], ...]:
    return _many(f"irisx_side={side}", "media_timeout=20000")


_ALONE = Extension(
    "",
    (("respond", "503 No Controller"),),
    inline=_many("irisx_side=carrier", "irisx_fallback=true"),
    unless="irisx_controller=^here-",
)
_CONTROLLED = Extension(
    "",
    (("sched_hangup", "${irisx_unclaimed}"), ("park", None)),
    inline=_many(
        "irisx_side=carrier",
        f"irisx_unclaimed=+{UNCLAIMED_S} NORMAL_TEMPORARY_FAILURE",
        "api_on_ring_irisx=sched_del ${uuid}",
        "api_on_pre_answer_irisx=sched_del ${uuid}",
        "api_on_answer_irisx_1=sched_del ${uuid}",
        "api_on_answer_irisx_2=uuid_setvar ${uuid} irisx_unclaimed",
        f"api_on_answer_irisx_3=sched_hangup +{LONGEST_S} ${{uuid}} ALLOTTED_TIMEOUT",
    ),
)

CONTEXTS: dict[str, tuple[Extension, ...]] = {
    "carrier": (_CONTROLLED,),
    "carrier-guarded": (_ALONE, _CONTROLLED),
    "inside": (
        Extension("^agent$", (("answer", None), ("park", None)), inline=_inside("agent")),
        Extension("^echo$", (("answer", None), ("echo", None)), inline=_inside("probe")),
        Extension(
            "^tone$",
            (("answer", None), ("playback", "tone_stream://%(1000,0,440);loops=-1")),
            inline=_inside("probe"),
        ),
    ),
    "default": (
        Extension("^9196$", (("answer", None), ("echo", None))),
        Extension("^9000$", (("park", None),)),
        Extension("^9001$", (("answer", None), ("park", None))),
        Extension("^(30\\d\\d)$", (("answer", None), ("conference", "$1@default"))),
        Extension("^9198$", (("answer", None), ("playback", "tone_stream://%(10000,0,440);loops=-1"))),
        Extension("^9486$", (("hangup", "USER_BUSY"),)),
    ),
    "living": EXTENSIONS,
}


def inline(text: str) -> Actions:
    """Return the actions of an inline dialplan: ``app:args,app:args``, or with ``m:^:`` another separator."""
    separator = ","
    if text[:2] == "m:" and len(text) > 3 and text[3] == ":":
        separator, text = text[2], text[4:]
    found: Actions = []
    for part in _split_quoted(text, separator):
        name, colon, data = part.strip().partition(":")
        if name:
            found.append((name, data if colon else None))
    return found


def _split_quoted(text: str, separator: str) -> list[str]:
    parts, current, quoted = [], "", False
    for letter in text:
        if letter == "'":
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]


class Dialplan:
    """Looks destinations up in contexts. ``extra`` contexts are asked before the built-in ones."""

    def __init__(self, extra: dict[str, tuple[Extension, ...]] | None = None) -> None:
        self._contexts = dict(CONTEXTS)
        for name, extensions in (extra or {}).items():
            self._contexts[name] = extensions + self._contexts.get(name, ())

    def route(self, channel: Channel) -> Route | None:
        """Return what ``channel`` is to execute, or None when its destination is in no extension."""
        profile = channel.profile
        if profile is None:
            return None
        if profile.dialplan.lower() == "inline":
            found_inline = inline(profile.destination)
            # The actions stood where the number belongs; the number comes back (inline_dialplan_hunt).
            profile.set(destination=profile.rdnis, rdnis="")
            return (), found_inline
        for extension in self._contexts.get(profile.context, ()):
            found = re.search(extension.pattern, profile.destination)
            if found is None or _barred(channel, extension.unless):
                continue
            if found.groups():
                channel.set("DP_MATCH", [found[0], *(group or "" for group in found.groups())])
            return extension.inline, [(name, _fill(data, found)) for name, data in extension.actions]
        return None


def _barred(channel: Channel, unless: str) -> bool:
    name, _, pattern = unless.partition("=")
    return bool(name) and re.search(pattern, channel.switch.globals.get(name, "")) is not None


def _fill(data: str | None, found: re.Match[str]) -> str | None:
    if data is None or "$" not in data:
        return data
    return re.sub(
        r"\$(\d)", lambda m: found[int(m[1])] or "" if int(m[1]) <= len(found.groups()) else "", data
    )
