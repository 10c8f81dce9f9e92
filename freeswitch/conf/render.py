"""Fills the templates: plain values are escaped, blocks are XML that this module wrote itself."""

import hashlib
import re
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import get_args

from freeswitch.conf.settings import ConfSettings, LogLevel

REALM = "irisx.inside"
"""The digest realm of the inside profile, as the templates have it."""

_OF_PHONES = (
    "sip_profiles/phones.xml",
    "dialplan/phones.xml",
    "autoload_configs/xml_curl.conf.xml",
)
"""Files that a switch without telephones does not get."""
_PLACEHOLDER = re.compile(r"\[\[([a-z0-9_]+)\]\]")


def render(settings: ConfSettings) -> dict[PurePosixPath, str]:
    """Every file of the configuration, by its place under the configuration folder."""
    words = _values(settings) | _blocks(settings)
    templates = _templates(files(__package__) / "templates", PurePosixPath())
    left_out = () if settings.phones_ip else _OF_PHONES
    return {name: _fill(text, words) for name, text in sorted(templates) if str(name) not in left_out}


def _templates(folder: Traversable, under: PurePosixPath) -> list[tuple[PurePosixPath, str]]:
    found: list[tuple[PurePosixPath, str]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _templates(entry, under / entry.name)
        elif entry.name.endswith(".xml"):
            found.append((under / entry.name, entry.read_text("utf-8")))
    return found


def _fill(template: str, words: dict[str, str]) -> str:
    # One pass: what a value brought along is never searched for placeholders again.
    return _PLACEHOLDER.sub(lambda match: words[match[1]], template)


def _values(settings: ConfSettings) -> dict[str, str]:
    """What stands inside attributes, escaped."""
    plain: dict[str, object] = {name: getattr(settings, name) for name in settings.__struct_fields__}
    plain |= {
        "media_ip": settings.media_ip or settings.inside_ip,
        "agent_media_timeout_ms": settings.agent_media_timeout * 1000,
        "standby": "true" if settings.standby else "false",
        "log_levels": ",".join(_levels_down_to(settings.log_level)),
        "inside_a1_hash": _a1_hash(settings.inside_user, settings.inside_password),
    }
    return {name: escape(str(value)) for name, value in plain.items()}


def _blocks(settings: ConfSettings) -> dict[str, str]:
    """What stands between elements: lists that grow, and lines that are there or not."""
    return {
        "controller_nodes": _nodes(settings.controller_networks),
        "carrier_nodes": _nodes(settings.carrier_networks),
        "carrier_public_params": _public_params(settings.carrier_public_ip),
        "media_public_params": _public_params(settings.media_public_ip, sip=False),
        "core_db_params": _core_db_params(settings.core_db),
        "core_db_module": '    <load module="mod_pgsql"/>' if settings.core_db else "",
        "fallback_actions": _fallback_actions(settings.fallback_message),
        **_phones(settings),
    }


def _phones(settings: ConfSettings) -> dict[str, str]:
    """What a switch has only with telephones."""

    def line(text: str) -> str:
        return f"    {text}" if settings.phones_ip else ""

    def include(path: str) -> str:
        return line(f'<X-PRE-PROCESS cmd="include" data="{path}"/>')

    verified = settings.directory_url.startswith("https:")
    checks = ("enable-cacert-check", "enable-ssl-verifyhost") if verified else ()
    return {
        "xml_curl_include": include("autoload_configs/xml_curl.conf.xml"),
        "phones_dialplan_include": include("dialplan/phones.xml"),
        "phones_profile_include": include("../sip_profiles/phones.xml"),
        "xml_curl_module": line('<load module="mod_xml_curl"/>'),
        "phones_public_params": _public_params(settings.phones_public_ip),
        "directory_tls_params": "\n".join(f"  {_param(name, 'true')}" for name in checks),
    }


def _nodes(networks: tuple[str, ...]) -> str:
    return "\n".join(f'      <node type="allow" cidr="{escape(network)}"/>' for network in networks)


def _param(name: str, value: str) -> str:
    return f'    <param name="{name}" value="{escape(value)}"/>'


def _public_params(address: str, *, sip: bool = True) -> str:
    if not address:
        return ""
    names = ("ext-sip-ip", "ext-rtp-ip") if sip else ("ext-rtp-ip",)
    return "\n".join(_param(name, address) for name in names)


def _core_db_params(address: str) -> str:
    if not address:
        return ""
    # Without the second line a switch that cannot reach its database would quietly use a file of its own.
    return "\n".join((_param("core-db-dsn", address), _param("core-non-sqlite-db-required", "true")))


def _fallback_actions(message: str) -> str:
    if not message:
        return ""
    # As early media: the caller hears it, is not charged, and the carrier still gets a refusal it can act on.
    steps = (("pre_answer", ""), ("sleep", "300"), ("playback", message))
    return "\n".join(f'      <action application="{name}" data="{escape(data)}"/>' for name, data in steps)


def _levels_down_to(level: LogLevel) -> tuple[str, ...]:
    levels: tuple[str, ...] = get_args(LogLevel)
    return levels[levels.index(level) :]


def _a1_hash(user: str, password: str) -> str:
    """HA1 of RFC 2617. MD5 is what digest over SIP is made of; it protects nothing else here."""
    return hashlib.md5(f"{user}:{REALM}:{password}".encode(), usedforsecurity=False).hexdigest()
