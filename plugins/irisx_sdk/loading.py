"""Finding what is installed: plugins by their entry points, the channels they bring, the fake of a channel.

A plugin is whatever an entry point of the group ``irisx`` names: a module or an object with hook functions. One that
cannot be loaded is left out and told about; the others work on.
"""

import importlib
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from msgspec import Struct

from irisx_sdk.channel import Capabilities, Channel
from irisx_sdk.fake import Fake
from irisx_sdk.hooks import PROJECT, manager

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


class Plugin(Struct, frozen=True):
    """One entry point."""

    name: str
    distribution: str
    version: str
    channels: tuple[Channel, ...] = ()
    problem: str = ""
    """Why it was left out, for people; empty when it works."""


class Installed(Struct, frozen=True):
    """Everything that is installed."""

    plugins: tuple[Plugin, ...]
    hooks: pluggy.PluginManager
    """Holds the plugins without a problem."""

    @property
    def channels(self) -> dict[str, Channel]:
        """Every channel by its name."""
        return {channel.name: channel for plugin in self.plugins for channel in plugin.channels}


def installed() -> Installed:
    """Load every plugin. Raises nothing: what cannot be loaded is in `Plugin.problem`."""
    hooks = manager()
    taken: set[str] = set()
    found = []
    for point in sorted(
        entry_points(group=PROJECT), key=lambda point: (point.name != "channels", point.name)
    ):
        plugin = _load(point, hooks, taken)
        taken.update(channel.name for channel in plugin.channels)
        found.append(plugin)
    return Installed(tuple(found), hooks)


def _load(point: EntryPoint, hooks: pluggy.PluginManager, taken: set[str]) -> Plugin:
    distribution, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
    name = f"{distribution}:{point.name}"
    loaded: Any = None
    try:
        loaded = point.load()
        hooks.register(loaded, name=name)
        hooks.check_pending()
        channels = _channels(hooks, loaded)
        names = set(taken)
        for channel in channels:
            _usable(channel, names)
            names.add(channel.name)
    except Exception as error:  # noqa: BLE001 - a stranger's code; it is named, and the rest goes on
        if loaded is not None and hooks.is_registered(loaded):
            hooks.unregister(loaded)
        return Plugin(point.name, distribution, version, problem=f"{type(error).__name__}: {error}")
    return Plugin(point.name, distribution, version, channels)


def _channels(hooks: pluggy.PluginManager, plugin: Any) -> tuple[Channel, ...]:
    for implementation in hooks.hook.irisx_channels.get_hookimpls():
        if implementation.plugin is plugin:
            given: Any = implementation.function()
            return tuple(given)
    return ()


def _usable(channel: Channel, taken: set[str]) -> None:
    if not isinstance(channel, Channel):
        raise TypeError(f"irisx_channels gave a {type(channel).__name__}, not a Channel")
    for wanted, kind in (("name", str), ("title", str), ("capabilities", Capabilities), ("Settings", type)):
        if not isinstance(getattr(channel, wanted, None), kind):
            raise TypeError(f"{type(channel).__name__}.{wanted} is not a {kind.__name__}")
    if not _NAME.fullmatch(channel.name):
        raise ValueError(f"a channel's name is like chat or sms.carrier, not {channel.name!r}")
    if channel.name in taken:
        raise ValueError(f"there is a channel {channel.name} already")


def fake_of(channel: Channel) -> type[Fake]:
    """The fake provider of a channel: the `Fake` of its name in the module ``fake`` beside the channel's own.

    ``irisx_channels.sms.twilio.client`` has ``irisx_channels.sms.twilio.fake``; a plugin that is one module may have
    it right there. Raises `LookupError` when there is none.
    """
    module = type(channel).__module__
    places = [f"{module.rpartition('.')[0]}.fake", f"{module}.fake", module]
    for place in places:
        try:
            there = importlib.import_module(place) if not place.startswith(".") else None
        except ModuleNotFoundError as missing:
            if missing.name is None or not place.startswith(missing.name):
                raise
            continue
        for value in list(vars(there).values()) if there else []:
            if _plays(value, channel):
                found: type[Fake] = value
                return found
    raise LookupError(f"no fake provider of {channel.name} in {' or '.join(places)}")


def _plays(value: Any, channel: Channel) -> bool:
    if not (isinstance(value, type) and issubclass(value, Fake)) or getattr(
        value, "__abstractmethods__", None
    ):
        return False
    played = getattr(value, "channel", None) or value().channel
    return played.name == channel.name
