"""One simulated FreeSWITCH: its clock, channels, limits, globals and event desk. No I/O.

A restart throws this object away and makes another one with a new Core-UUID; the sockets are the server's.
"""

import random
import uuid as uuids
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.desk import Desk
from freeswitch.simulator.heartbeat import Heartbeat
from freeswitch.simulator.schedule import Scheduler
from freeswitch.simulator.settings import SimulatorSettings
from freeswitch.simulator.timing import Clock, Threads

if TYPE_CHECKING:
    from freeswitch.simulator.conference import Conference
    from freeswitch.simulator.hearing import Hearing
    from freeswitch.simulator.listener import Listener
    from freeswitch.simulator.registrations import Registration

SIP_PORTS = {"internal": 5060, "external": 5080, "carrier": 5060, "inside": 5080}


Actions = Sequence[tuple[str, str | None]]
Route = tuple[Actions, Actions]
"""What an extension executes while it is looked for, and what afterwards."""


class Refused(Exception):
    """No session was made; ``cause`` is what an originate answers."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Switch:
    """Everything that one run of FreeSWITCH knows."""

    def __init__(
        self,
        settings: SimulatorSettings,
        monotonic: Callable[[], float],
        on_earlier: Callable[[], None],
        *,
        core_uuid: str = "",
        rng: random.Random | None = None,
        now_us: int | None = None,
    ) -> None:
        self.settings = settings
        self.rng = rng or random.Random(settings.seed)
        self.monotonic = monotonic
        self.threads = Threads(monotonic, on_earlier)
        self.clock = Clock(monotonic, self.rng, now_us=now_us)
        self.core_uuid = core_uuid or self.new_uuid()
        self.started = monotonic()
        self.started_us = self.clock.now_us()
        self.desk = Desk(
            self.clock,
            self.rng,
            (
                ("Core-UUID", self.core_uuid),
                ("FreeSWITCH-Hostname", settings.hostname),
                ("FreeSWITCH-Switchname", settings.switchname),
                ("FreeSWITCH-IPv4", settings.ipv4),
                ("FreeSWITCH-IPv6", settings.ipv6),
            ),
        )
        self.desk.choose_with(self._choose_takers)
        self.desk.lose_every = settings.faults.lose_every
        self.channels: dict[str, Channel] = {}
        self.listeners: dict[int, Listener] = {}
        self.conferences: dict[str, Conference] = {}
        self.registrations: dict[str, Registration] = {}
        self.scheduler = Scheduler(self)
        self.next_member = 0
        self.globals: dict[str, str] = {
            "hostname": settings.hostname,
            "local_ip_v4": settings.ipv4,
            "local_ip_v6": settings.ipv6,
            "switchname": settings.switchname,
            "core_uuid": self.core_uuid,
            "recordings_dir": settings.recordings_dir,
            "sounds_dir": "/usr/share/freeswitch/sounds",
        }
        self.max_sessions = settings.max_sessions
        self.sps = settings.sps
        self.min_idle_cpu = 0.0
        self.paused_inbound = False
        self.paused_outbound = False
        self.shutting_down = ""
        """``elegant`` or ``asap`` while the switch waits for its last call."""
        self.stop_as = ""
        """What happens after that: the same word, or ``restart``."""
        self.sessions_since_startup = 0
        self.sessions_peak = 0
        self.sessions_peak_five = 0
        self.sps_last = 0
        self.sps_peak = 0
        self.sps_peak_five = 0
        self._second = -1
        self._this_second = 0
        self._five_minutes = -1
        self.heartbeat = Heartbeat(self, settings.heartbeat_s)
        self.invalid_utf8 = settings.faults.invalid_utf8
        self.faults_on: set[str] = {"segment"} if settings.faults.segment else set()
        self.control: Any = None
        """The program around the switch: what ``api sim`` drives."""
        self.frozen = False
        self.frozen_events: list[Any] = []
        self.refused_calls = 0
        """Event dispatch and every listener stand still (facts 0.1)."""
        self._snapshots: dict[str, tuple[float, list[dict[str, str]], list[dict[str, str]]]] = {}
        self.on_log: Callable[[int, str, str, str, int, str], None] = lambda *line: None
        self.connect_out: Callable[[Any], None] | None = None
        self.on_stuck: Callable[[Listener], None] = lambda listener: None
        """Event dispatch is stuck in a write to this connection."""
        self.on_stop: Callable[[str], None] = lambda how: None
        self.recoverable: list[Any] = []
        """Legs of a dead switch in the database that a standby pair shares (`recovery`)."""
        self.standby = False
        self.hash: dict[tuple[str, str], str] = {}
        self.traffic = settings.traffic
        self.profiles = set(settings.profiles)
        self.hearing: Hearing | None = None
        """Who hears what, when sound is simulated."""
        self.sip_ports = dict(SIP_PORTS)
        self.gateways = dict(settings.gateways)
        self.calls_in = {"carrier": 0, "inside": 0, "internal": 0}
        self.calls_out = {"carrier": 0, "inside": 0, "internal": 0}
        self.run_api: Callable[[str], object] = lambda line: None
        """Run an api line whose answer nobody reads (hooks, timers)."""
        self.run_application: Callable[[Channel, str, str], object] = lambda channel, name, data: None
        """Let a channel execute an application at once, whatever it is doing."""
        self.route: Callable[[Channel], Route | None] = lambda channel: None
        """The dialplan: what a channel that reaches CS_ROUTING executes, or None."""

    # -- small helpers -------------------------------------------------------------------------------

    def new_uuid(self) -> str:
        """Return a random uuid drawn from the seeded generator."""
        return str(uuids.UUID(int=self.rng.getrandbits(128), version=4))

    def frame_delay(self) -> float:
        """Return how long a channel's thread takes to notice something: up to one media frame."""
        tick = self.settings.tick_s
        return self.rng.random() * tick if tick else 0.0

    def sip_port(self, profile: str) -> int:
        """Return the SIP port of a profile."""
        return self.sip_ports.get(profile, 5060)

    def log(self, level: int, text: str, *, file: str, function: str, line: int, user: str = "") -> None:
        """Write a log line to the connections that asked for lines of ``level`` (0 console to 7 debug)."""
        stamp = f"{self.clock.now_us() % 1_000_000:06d}"
        self.on_log(level, f"{stamp} {text}\n", file, function, line, user)

    # -- sessions ------------------------------------------------------------------------------------

    def admit(self, direction: str) -> None:
        """Count a new session or refuse it as FreeSWITCH does. Raises `Refused`."""
        self._count_second()
        if self.shutting_down == "asap" or (
            self.paused_inbound if direction == "inbound" else self.paused_outbound
        ):
            raise Refused("DESTINATION_OUT_OF_ORDER")
        if self._this_second >= self.sps:
            self.log(2, f"Throttle Error! {self._this_second}", file="switch_core_session.c",
                     function="switch_core_session_request_uuid", line=2434)  # fmt: skip
            raise Refused("DESTINATION_OUT_OF_ORDER")
        if len(self.channels) >= self.max_sessions:
            self.log(2, f"Over Session Limit! {self.max_sessions}", file="switch_core_session.c",
                     function="switch_core_session_request_uuid", line=2442)  # fmt: skip
            raise Refused("DESTINATION_OUT_OF_ORDER")

    def _count_second(self) -> None:
        second = int(self.monotonic())
        if second != self._second:
            self.sps_last = self._this_second if second == self._second + 1 else 0
            self._second = second
            self._this_second = 0
            if second // 300 != self._five_minutes:
                self._five_minutes = second // 300
                self.sps_peak_five = 0
                self.sessions_peak_five = len(self.channels)

    def current_sps(self) -> int:
        """Return how many sessions were made in the running second."""
        self._count_second()
        return self._this_second

    def new_channel(self, uuid: str, name: str, direction: str) -> Channel:
        """Make a session and enter it into the table. Raises `Refused`: limits, or a uuid in use."""
        self.admit(direction)
        if uuid in self.channels:
            self.log(2, "Duplicate UUID!", file="switch_core_session.c",
                     function="switch_core_session_request_uuid", line=2448)  # fmt: skip
            raise Refused("DESTINATION_OUT_OF_ORDER")
        channel = Channel(self, uuid or self.new_uuid(), name, direction)
        self.channels[channel.uuid] = channel
        self._this_second += 1
        self.sessions_since_startup += 1
        channel.session_id = self.sessions_since_startup
        count = len(self.channels)
        self.sessions_peak = max(self.sessions_peak, count)
        self.sessions_peak_five = max(self.sessions_peak_five, count)
        self.sps_peak = max(self.sps_peak, self._this_second)
        self.sps_peak_five = max(self.sps_peak_five, self._this_second)
        return channel

    def locate(self, uuid: str) -> Channel | None:
        """Return the session that a command may act on: one that has hung up is none, though it is still listed
        (switch_core_session_locate)."""
        channel = self.channels.get(uuid)
        return None if channel is None or channel.down else channel

    def forget(self, channel: Channel) -> None:
        """Take a destroyed session out of the table."""
        if self.channels.get(channel.uuid) is channel:
            del self.channels[channel.uuid]
        self.scheduler.remove_group(channel.uuid)
        if self.shutting_down and not self.channels:
            self.on_stop(self.stop_as)

    def power_off(self) -> None:
        """End without a word, as when the machine loses power: no more events, and every file closed."""
        for channel in self.channels.values():
            channel.stopping = True
            for recording in channel.recordings.values():
                recording.close()
        for conference in self.conferences.values():
            conference.close_files()
        self.channels.clear()
        self.threads.clear()

    def snapshot(self, name: str, table: Callable[["Switch"], list[dict[str, str]]]) -> list[dict[str, str]]:
        """Return a table's rows as the SQL thread has them: up to ``show_lag_s`` old."""
        lag = self.settings.show_lag_s
        if not lag:
            return table(self)
        now = self.monotonic()
        known = self._snapshots.get(name)
        if known is None or now - known[0] >= lag:
            known = self._snapshots[name] = (now, known[2] if known else table(self), table(self))
        return known[1]

    # -- the machine itself --------------------------------------------------------------------------

    def _choose_takers(self, kind: str) -> list[Any]:
        return [one for one in self.listeners.values() if one.takes(kind)]

    @property
    def ready(self) -> bool:
        """Whether new sessions are made in at least one direction (switch_core_ready)."""
        return not (self.paused_inbound and self.paused_outbound) and self.shutting_down != "asap"

    def uptime_us(self) -> int:
        """Return how long this run has lasted in microseconds."""
        return round((self.monotonic() - self.started) * 1e6)

    def uptime_text(self) -> str:
        """Return ``0 years, 0 days, 0 hours, 1 minute, 11 seconds, ...`` as `status` and HEARTBEAT write it."""
        us = self.uptime_us()
        seconds, us = divmod(us, 1_000_000)
        ms, us = divmod(us, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        years, days = divmod(days, 365)
        parts = (
            (years, "year"), (days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"),
            (ms, "millisecond"), (us, "microsecond"),
        )  # fmt: skip
        return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts)

    def idle_cpu(self) -> float:
        """Return a plausible idle share: each live leg takes a little."""
        return max(3.0, 98.0 - len(self.channels) * 0.02 - self.rng.random())

    def start(self) -> None:
        """Fire what a start fires and begin the heartbeat."""
        self.desk.fire(
            at.origin("STARTUP", "switch_core.c", "switch_core_init_and_modload", 2375),
            before=(("Event-Info", "System Ready"),),
        )
        self.heartbeat.start()
