"""The HEARTBEAT event: what a switch says of itself again and again."""

from typing import TYPE_CHECKING

from freeswitch.simulator import origins as at
from freeswitch.simulator.settings import VERSION_FULL
from freeswitch.simulator.timing import Timer

if TYPE_CHECKING:
    from freeswitch.simulator.switch import Switch


class Heartbeat:
    """Beats every ``every_s`` seconds."""

    def __init__(self, switch: "Switch", every_s: float) -> None:
        self._switch = switch
        self._every_s = every_s
        self._timer: Timer | None = None

    def every(self, seconds: float) -> None:
        """Change the interval; it counts from now on."""
        self._every_s = seconds
        self.start()

    def start(self) -> None:
        """Begin to beat, the first time after one interval."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._switch.threads.after(self._every_s, self._beat)

    def _beat(self) -> None:
        self.start()
        switch = self._switch
        switch.current_sps()  # brings the figures of the last second up to date
        switch.desk.fire(
            at.HEARTBEAT,
            before=(
                ("Event-Info", "System Ready"),
                ("Up-Time", switch.uptime_text()),
                ("FreeSWITCH-Version", VERSION_FULL),
                ("Uptime-msec", str(switch.uptime_us() // 1000)),
                ("Session-Count", str(len(switch.channels))),
                ("Max-Sessions", str(switch.max_sessions)),
                ("Session-Per-Sec", str(switch.sps)),
                ("Session-Per-Sec-Last", str(switch.sps_last)),
                ("Session-Per-Sec-Max", str(switch.sps_peak)),
                ("Session-Per-Sec-FiveMin", str(switch.sps_peak_five)),
                ("Session-Since-Startup", str(switch.sessions_since_startup)),
                ("Session-Peak-Max", str(switch.sessions_peak)),
                ("Session-Peak-FiveMin", str(switch.sessions_peak_five)),
                ("Idle-CPU", f"{switch.idle_cpu():.6f}"),
            ),
        )
        switch.desk.fire(
            at.RE_SCHEDULE,
            before=(
                ("Task-ID", "1"),
                ("Task-Desc", "heartbeat"),
                ("Task-Group", "core"),
                ("Task-Runtime", str(switch.clock.now_us() // 1_000_000 + round(self._every_s))),
            ),
        )
