"""What an operator has to say before a switch can be configured, checked once and never again.

A value that reaches a template is known to be harmless: FreeSWITCH reads its files through a preprocessor that
knows nothing of XML (it expands ``$${name}`` and obeys directives wherever they stand, comments included), and
channel variables are expanded once more when a call runs. So escaping alone is not enough: what either of them
would act on is refused here.
"""

import ipaddress
import re
from typing import Any, Literal

import msgspec

LogLevel = Literal["debug", "info", "notice", "warning", "err", "crit", "alert"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PATH = re.compile(r"(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+")
_PLAIN = re.compile(r"[^\s\"'$<>&]*")
_CODECS = re.compile(r"[A-Za-z0-9@._-]+(,[A-Za-z0-9@._-]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SHORTEST_SECRET = 8
_SECRETS = frozenset({"event_socket_password", "inside_password", "core_db", "directory_password"})


class ConfError(ValueError):
    """A setting that cannot be used; the message names it and never shows a secret."""


class ConfSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One switch. Addresses are literal: a name could resolve to something else after the lists were checked."""

    switchname: str
    """Different on every switch, also within a standby pair: a twin of the same name wipes the other's tables."""
    event_socket_host: str = "127.0.0.1"
    event_socket_port: int = 8021
    event_socket_password: str
    controller_networks: tuple[str, ...]
    """Who may open the Event Socket and send agents' legs. Everybody else is refused by both."""

    carrier_ip: str
    carrier_port: int = 5060
    carrier_public_ip: str = ""
    """What to write into SIP and SDP when the switch sits behind a one-to-one NAT; empty: `carrier_ip`."""
    carrier_networks: tuple[str, ...] = ()
    """Who may send calls. Empty means nobody: an open door for calls is found within hours."""
    carrier_codecs: str = "PCMA,PCMU"

    inside_ip: str
    inside_port: int = 5080
    inside_user: str
    inside_password: str
    media_ip: str = ""
    """Where agents' browsers send their media, empty: `inside_ip`. SIP stays on `inside_ip` all the same."""
    media_public_ip: str = ""
    agent_media_timeout: int = 20
    """Seconds without a packet after which an agent's leg ends. Nothing else ends one whose browser is gone."""

    phones_ip: str = ""
    """The address that telephones register with; empty: none do."""
    phones_port: int = 5070
    phones_public_ip: str = ""
    directory_url: str = ""
    """Where telephones are looked up: `GET /v1/nodes/{node_id}/directory-access` says it, with user and password."""
    directory_user: str = ""
    directory_password: str = ""

    rtp_first_port: int = 16384
    rtp_last_port: int = 32766
    max_sessions: int = 1000
    sessions_per_second: int = 30
    heartbeat: int = 1
    """Seconds between the HEARTBEAT events by which a controller sees that the switch is alive."""

    unclaimed_seconds: int = 20
    """How long an inbound call may lie parked before a controller takes it; then it ends with a 503."""
    max_call_seconds: int = 4 * 3600
    """After so long an answered inbound call is ended, whoever forgot it."""
    fallback_message: str = ""
    """A sound file or tone_stream for callers while no controller lives; empty: 503 at once."""

    recordings_dir: str
    log_level: LogLevel = "notice"
    core_db: str = ""
    """``pgsql://`` address of the database that a standby pair shares; empty: the switch's own SQLite file."""
    standby: bool = False
    """Start with the carrier side closed, until `sofia profile carrier recover` or `sofia global standby off`."""

    def __post_init__(self) -> None:
        """Check everything; raises `ConfError`, also when decoding."""
        for field in self.__struct_fields__:
            _check_text(field, getattr(self, field))
        _check_addresses(self)
        _check_numbers(self)
        for field in ("switchname", "inside_user"):
            _require(
                _NAME.fullmatch(getattr(self, field)), field, "letters, digits, dots, dashes, underscores"
            )
        for field in ("event_socket_password", "inside_password"):
            long_enough = len(getattr(self, field)) >= _SHORTEST_SECRET
            _require(long_enough, field, f"at least {_SHORTEST_SECRET} characters")
        # A blank or a quote would split the arguments of uuid_record.
        _require(
            _PATH.fullmatch(self.recordings_dir), "recordings_dir", "an absolute path of plain characters"
        )
        _require(_CODECS.fullmatch(self.carrier_codecs), "carrier_codecs", "codec names with commas")
        for field in ("directory_url", "directory_user", "directory_password"):
            # (what the preprocessor and mod_xml_curl would act on is in none of ours)
            value = getattr(self, field)
            _require(not self.phones_ip or value, field, "given with phones_ip")
            _require(_PLAIN.fullmatch(value), field, "free of blanks, quotes and dollar signs")
        web = not self.directory_url or self.directory_url.startswith(("http://", "https://"))
        _require(web, "directory_url", "an address that begins with http:// or https://")
        _require("$" not in self.fallback_message, "fallback_message", "free of dollar signs")
        _require(not self.core_db or self.core_db.startswith("pgsql://"), "core_db", "a pgsql:// address")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Every field, secrets hidden: settings end up in logs and tracebacks."""
        shown = ((field, getattr(self, field)) for field in self.__struct_fields__)
        return [(field, "***" if field in _SECRETS and value else value) for field, value in shown]

    def __repr__(self) -> str:
        """The same for the plain form."""
        return f"ConfSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _require(holds: object, field: str, want: str) -> None:
    if not holds:
        raise ConfError(f"{field} must be {want}")


def _check_text(field: str, value: object) -> None:
    """Refuse what the preprocessor or a running call would act on, in a text or a tuple of texts."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str):
            _require(not _CONTROL.search(text), field, "free of control characters")
            _require("${" not in text, field, "free of ${")
            _require("x-pre-process" not in text.lower(), field, "free of preprocessor directives")


def _check_addresses(settings: ConfSettings) -> None:
    for field in ("event_socket_host", "carrier_ip", "inside_ip"):
        _require(_is_address(getattr(settings, field)), field, "an IP address")
    for field in ("carrier_public_ip", "media_ip", "media_public_ip", "phones_ip", "phones_public_ip"):
        value = getattr(settings, field)
        _require(not value or _is_address(value), field, "an IP address or empty")
    for field in ("controller_networks", "carrier_networks"):
        for network in getattr(settings, field):
            _require(_is_network(network), field, "networks in CIDR form, host bits zero")
    _require(settings.controller_networks, "controller_networks", "at least one network")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # "%eth0" is legal in Python and nothing that a SIP header can hold; "any address" cannot be called back.
    return "%" not in text and not address.is_unspecified


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text


def _check_numbers(settings: ConfSettings) -> None:
    limits = {
        "event_socket_port": (1, 65535),
        "carrier_port": (1, 65535),
        "inside_port": (1, 65535),
        "phones_port": (1, 65535),
        "rtp_first_port": (1024, 65534),
        "rtp_last_port": (1025, 65535),
        "max_sessions": (1, 65535),
        "sessions_per_second": (1, 10_000),
        "heartbeat": (1, 60),
        "unclaimed_seconds": (1, 3600),
        "agent_media_timeout": (1, 3600),
        "max_call_seconds": (60, 7 * 86400),
    }
    for field, (low, high) in limits.items():
        _require(low <= getattr(settings, field) <= high, field, f"between {low} and {high}")
    first, last = settings.rtp_first_port, settings.rtp_last_port
    # Each leg with media holds an even port for RTP and the odd one above it.
    _require(
        last - first >= 2 * settings.max_sessions, "rtp_last_port", "two ports a session above the first"
    )
    for field in ("event_socket_port", "carrier_port", "inside_port", "phones_port"):
        _require(not first <= getattr(settings, field) <= last, field, "outside the RTP range")
    ports = (settings.event_socket_port, settings.carrier_port, settings.inside_port, settings.phones_port)
    _require(len(set(ports[:3])) == 3, "inside_port", "different from the other two ports")
    _require(settings.phones_port not in ports[:3], "phones_port", "different from the other ports")
