"""Orders to a channel from outside its thread: private events, with what FreeSWITCH puts at their front.

A private event made by the switch itself (a broadcast, a hook) is a complete COMMAND event; what its execution
announces (PRIVATE_COMMAND) therefore begins with all headers of that first event and names two events.
"""

import re
from collections.abc import Sequence

from freeswitch.simulator.channel import MESSAGES_LIMIT, Channel
from freeswitch.simulator.message import Message
from freeswitch.simulator.origins import Origin
from freeswitch.words import cause

LEAD_FRAMES = (("lead-frames", "5"),)
"""A broadcast lets five frames of the caller's audio pass before it begins."""


def order(
    channel: Channel, name: str, data: str, origin: Origin, more: Sequence[tuple[str, str]] = ()
) -> None:
    """Queue the execution of an application; a channel with too many orders loses it, as really."""
    if len(channel.inbox) >= MESSAGES_LIMIT:
        return
    desk = channel.switch.desk
    headers = desk.event_pairs(origin, desk.stamp())
    headers += [("call-command", "execute"), ("execute-app-name", name)]
    if data:
        headers.append(("execute-app-arg", data))
    headers += [("event-lock", "true"), *more]
    channel.inbox.append(Message("", headers))
    channel.wake()


_VARIABLE = re.compile(r"\$\{([^}{]*)\}")


def expand(channel: Channel, text: str) -> str:
    """Replace ``${name}`` by channel variables, then globals, as switch_channel_expand_variables does."""
    if "${" not in text:
        return text
    return _VARIABLE.sub(lambda m: channel.look_up(m[1]) or "", text)


def cause_of(text: str | None) -> str:
    """Return the cause a client named (a name or a number); nothing or nonsense is NORMAL_CLEARING."""
    if not text:
        return "NORMAL_CLEARING"
    known = cause(text.strip().upper())
    return known.name if known else "NORMAL_CLEARING"
