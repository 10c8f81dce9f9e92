"""Loads what registers itself: applications and api commands, as FreeSWITCH loads its modules."""

import importlib

_MODULES = (
    "apps",
    "apps_media",
    "apps_digits",
    "apps_record",
    "apps_listen",
    "bridge",
    "apps_conference",
    "outbound",
    "api.core",
    "api.fsctl",
    "api.texts",
    "api.uuid",
    "api.calls",
    "api.show",
    "api.media",
    "api.minor",
    "api.scheduling",
    "api.sofia",
    "api.rooms",
    "api.tools",
    "api.control",
)


def load() -> None:
    """Import every module that registers applications or commands. Doing it twice does nothing."""
    for name in _MODULES:
        importlib.import_module(f"freeswitch.simulator.{name}")
