"""What a simulated switch is told before it starts: frozen values, nothing that changes later.

What can change while it runs (rates, faults, limits) starts here and is changed by ``api fsctl`` as on a
real switch, or by ``api sim`` which only the simulator has.
"""

import msgspec

from freeswitch.simulator.scripts import Extension, Traffic

VERSION = "1.10.12-release"
VERSION_FULL = "1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit"
VERSION_HUMAN = "git a88d069 2024-08-02 21:02:27Z 64bit"


class EslUser(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may log in with ``userauth``; the lists are written as in the directory."""

    password: str
    allowed_events: str = ""
    allowed_api: str = ""
    allowed_log: bool = True


class FaultSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Faults that are on from the start; ``api sim fault`` turns the same ones on and off later."""

    segment: bool = False
    """Cut what is sent into random TCP segments, also inside UTF-8 characters and between line ends."""
    drip_bytes_s: int = 0
    """Send at most so many bytes a second on each connection; 0 for as fast as the peer reads."""
    lose_every: int = 0
    """Silently lose one event out of so many; 0 for none."""
    invalid_utf8: bool = False
    """Callers' names carry a byte that is not UTF-8, as SIP peers can send."""


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One simulated switch."""

    host: str = "127.0.0.1"
    port: int = 8021
    """0 picks a free port."""
    password: str = "ClueCon"  # noqa: S105 - FreeSWITCH's own default, and nothing real is behind it
    users: dict[str, EslUser] = {}
    """``user@domain`` -> who may use ``userauth``."""
    acl: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks that may connect; the others get ``text/rude-rejection``."""

    sip_port: int | None = None
    """Where the inside profile takes agents' legs over SIP (TCP), with sound; 0 picks a free port. None: nowhere, and
    nothing of the sound is even imported."""
    sound: bool = True
    """False: agents' legs are answered, and nothing is heard on them. Then a thousand cost what other calls cost."""
    inside_user: str = "irisx"
    inside_password: str = ""
    """What such a leg must show; empty: nothing."""
    sounds_dir: str = ""
    """Where sound files of relative names are; empty: nowhere, they are not found."""

    hostname: str = "simulator"
    switchname: str = "simulator"
    core_uuid: str = ""
    """Empty: a new one. A restart always makes a new one."""
    ipv4: str = "127.0.0.1"
    ipv6: str = "::1"
    seed: int | None = None
    """The same seed gives the same callers, uuids and timings; None draws one."""

    sps: int = 500
    """Sessions per second that are accepted; more are refused as FreeSWITCH does."""
    max_sessions: int = 50_000
    heartbeat_s: float = 20.0
    sql: bool = True
    """False answers ``show`` like a switch started with -nosql."""
    show_lag_s: float = 0.0
    """How far ``show`` lies behind the channels; the core's SQL thread lags under load."""

    profiles: tuple[str, ...] = ("carrier", "inside", "internal", "external")
    """Sofia profiles that exist."""
    gateways: dict[str, tuple[str, str]] = msgspec.field(
        default_factory=lambda: {"trunk": ("carrier", "198.51.100.20:5060")}
    )
    """Gateway -> its profile and where it leads (host:port)."""
    contexts: dict[str, tuple[Extension, ...]] = {}
    """Dialplan contexts beside the built-in ones; extensions here are asked first."""

    recordings_dir: str = ""
    """The folder behind ``${recordings_dir}``; relative paths of recordings, and files at the root, are not written
    at all."""
    write_anywhere: bool = True
    """Recordings may be written outside `recordings_dir` when a client names an absolute path, as really."""
    directory: tuple[str, ...] = ("1001@127.0.0.1",)
    """Users (``user@domain``) the directory knows, registered or not."""
    max_recording_s: float = 3600.0

    tick_s: float = 0.02
    """How long a channel's thread may take to notice something: one media frame."""
    poll_s: float = 0.02
    """How long an idle connection may take to notice an event: the listener's poll."""
    bgapi_ack_s: float = 0.001
    """How long a connection is busy with starting the thread of one ``bgapi``."""
    complete_delay_s: float = 0.0
    """CHANNEL_HANGUP_COMPLETE comes up to so much after CHANNEL_HANGUP (0 to 0.2 on a busy switch)."""
    event_queue: int = 100_000
    """Events waiting for one connection (MAX_QUEUE_LEN of mod_event_socket); more are lost and counted."""
    freeze_when_stuck: bool = True
    """A connection that is killed for lost events while its socket is full freezes all others, as really."""
    backlog: int = 5
    """Connections waiting to be accepted (mod_event_socket listens with 5)."""
    auth_timeout_s: float = 25.0

    traffic: Traffic = Traffic()
    faults: FaultSettings = FaultSettings()
    quiet: bool = False
    """True keeps the program from announcing itself in the log."""

    def __repr__(self) -> str:
        """Name the switch without its password."""
        return f"SimulatorSettings(host={self.host!r}, port={self.port}, switchname={self.switchname!r})"
