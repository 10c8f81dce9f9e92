"""Applications and how a channel executes them: by its dialplan, by orders from outside, while it waits."""

from collections.abc import Callable, Generator

from freeswitch.simulator import answering, transfer
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.message import Message
from freeswitch.simulator.private import cause_of, expand
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair

Application = Callable[[Channel, str], Thread | None]
"""Something a channel executes: done at once (None) or a thread."""


class App:
    """One application of the dialplan and what FreeSWITCH knows about it."""

    __slots__ = ("media", "name", "run", "zombie")

    def __init__(self, name: str, run: Application, *, media: bool, zombie: bool) -> None:
        self.name = name
        self.run = run
        self.media = media
        """Needs media: an unanswered leg is pre-answered first (no SAF_SUPPORT_NOMEDIA)."""
        self.zombie = zombie
        """May still run on a hung up channel (SAF_ZOMBIE_EXEC)."""


APPS: dict[str, App] = {}


def app(name: str, *, media: bool = False, zombie: bool = False) -> Callable[[Application], Application]:
    """Register an application under ``name``."""

    def register(run: Application) -> Application:
        APPS[name] = App(name, run, media=media, zombie=zombie)
        return run

    return register


def execute(channel: Channel, name: str, data: str | None) -> Generator[float | None, bool, bool]:
    """Execute an application with its two events. False ends what it was part of (unknown, refused)."""
    known = APPS.get(name)
    if channel.down and not (known and known.zombie):
        return False
    if known is None:
        channel.hang_up("DESTINATION_OUT_OF_ORDER")
        return False
    if known.media and not channel.answered and not channel.early:
        if channel.direction != "inbound":
            return False
        answering.pre_answer(channel)
    app_uuid = channel.get("app_uuid")
    if app_uuid is not None:
        channel.set("app_uuid", None)
    else:
        app_uuid = channel.switch.new_uuid()
    uuid_name = channel.get("app_uuid_name")
    if uuid_name is not None:
        channel.set("app_uuid_name", None)
    argument = expand(channel, data) if data else data
    channel.app_log = (name, argument)
    channel.application, channel.application_data = name, argument or ""
    channel.set("current_application", name)
    channel.set("current_application_data", argument)
    channel.set("current_application_response", None)
    start: list[Pair] = [("Application", name)]
    if argument:
        start.append(("Application-Data", argument))
    channel.fire(at.CHANNEL_EXECUTE, after=[*start, *_identity(app_uuid, uuid_name)])
    channel.broken = False
    channel.set("current_application", name)
    running = known.run(channel, argument or "")
    if running is not None:
        yield from running
    response = channel.get("current_application_response") or "_none_"
    channel.fire(
        at.CHANNEL_EXECUTE_COMPLETE,
        after=[*start, ("Application-Response", response), *_identity(app_uuid, uuid_name)],
    )
    return True


def _identity(app_uuid: str, uuid_name: str | None) -> list[Pair]:
    found: list[Pair] = [("Application-UUID", app_uuid)]
    if uuid_name:
        found.append(("Application-UUID-Name", uuid_name))
    return found


def run_message(channel: Channel, message: Message, *, announce: bool = True) -> Thread:
    """Do what a private event (sendmsg) asks; ``announce`` fires the PRIVATE_COMMAND that follows."""
    command = message.get("call-command")
    lock = ch.is_true(message.get("event-lock"))
    if lock:
        channel.locked = True
    if message.get("lead-frames") and (channel.answered or channel.early):
        yield from _let_pass(channel, int(message.get("lead-frames") or "0"))
    if command == "execute":
        yield from _run_execute(channel, message)
    elif command == "hangup":
        channel.hang_up(cause_of(message.get("hangup-cause")))
    elif command == "xferext":
        wanted = [value for name, value in message.headers if name.lower() == "application"]
        channel.extension.clear()
        for line in wanted:
            name, _, data = line.partition(" ")
            channel.extension.append((name, data or None))
        channel.flags.add("xferext")
        transfer.leave(channel, ch.ROUTING)
    if lock:
        channel.locked = False
    if announce:
        front: list[Pair] = [*message.pairs()] if message.line else [*message.headers]
        channel.fire(at.PRIVATE_COMMAND, front=front, body=message.body)


def _let_pass(channel: Channel, frames: int) -> Thread:
    """Let that many frames of the far end's audio pass."""
    until = channel.switch.monotonic() + frames * channel.switch.settings.tick_s
    while channel.ready and (left := until - channel.switch.monotonic()) > 0:
        yield left


def _run_execute(channel: Channel, message: Message) -> Thread:
    name = message.get("execute-app-name")
    data = message.get("execute-app-arg")
    if not data and (message.get("content-type") or "").lower() == "text/plain":
        data = message.body
    if not name:
        return
    loops = 1
    if (text := message.get("loops")) is not None:
        loops = int(text) if text.lstrip("-").isdigit() else 0
    channel.flags.discard("stop_broadcast")
    outer = "broadcast" not in channel.flags
    channel.flags.add("broadcast")
    n = 0
    while loops < 0 or n < loops:
        n += 1
        if (app_uuid := message.get("event-uuid")) is not None:
            channel.set("app_uuid", app_uuid[:255])
        if (uuid_name := message.get("event-uuid-name")) is not None:
            channel.set("app_uuid_name", uuid_name)
        channel.set("current_loop", str(n))
        channel.set("total_loops", str(loops))
        began = channel.switch.monotonic()
        done = yield from execute(channel, name, data)
        if not done or not channel.ready or "stop_broadcast" in channel.flags:
            break
        if channel.switch.monotonic() - began < 0.5:
            break
    channel.set("current_loop", None)
    channel.set("total_loops", None)
    if outer:
        channel.flags.discard("broadcast")


def pause(
    channel: Channel,
    seconds: float | None,
    *,
    on_digit: Callable[[str], bool] | None = None,
    messages: bool = True,
) -> Generator[float | None, bool, bool]:
    """Let time pass inside an application: messages are executed, digits taken one a frame.

    Returns True when the time is over, False when the channel is to leave (hung up, transferred, broken)
    or ``on_digit`` said so.
    """
    switch = channel.switch
    deadline = None if seconds is None else switch.monotonic() + seconds
    while True:
        if not channel.ready or channel.broken:
            return False
        if messages and channel.inbox and not channel.locked:
            yield from run_message(channel, channel.inbox.popleft())
            continue
        if channel.dtmf:
            digit = take_digit(channel)
            if on_digit is not None and on_digit(digit):
                return False
            yield switch.settings.tick_s
            continue
        if deadline is None:
            yield None
            continue
        left = deadline - switch.monotonic()
        if left <= 0:
            return True
        yield left


def stay_parked(channel: Channel, until: Callable[[], bool] = lambda: False) -> Thread:
    """Be parked: wait for orders, at most ``park_timeout`` seconds (``20:CAUSE``), whole ones as FreeSWITCH counts."""
    if channel.parked:
        return
    switch = channel.switch
    deadline: float | None = None
    cause = "NORMAL_CLEARING"
    if (text := channel.get("park_timeout")) is not None:
        seconds, colon, name = text.partition(":")
        wall_s = switch.clock.now_us() / 1_000_000
        whole = int(wall_s) + (int(seconds) if seconds.isdigit() else 0)
        deadline = switch.monotonic() + max(0.0, whole - wall_s)
        cause = cause_of(name) if colon else cause
        channel.set("park_timeout", None)
        channel.set("park_after_bridge", None)
    channel.parked = True
    channel.fire(at.CHANNEL_PARK)
    channel.cool()
    while channel.ready and channel.parked and not until():
        if channel.inbox and not channel.locked:
            # Without media park takes messages by itself, and then no PRIVATE_COMMAND is fired.
            media = channel.answered or channel.early
            yield from run_message(channel, channel.inbox.popleft(), announce=media)
            continue
        if channel.dtmf:
            take_digit(channel)
            yield switch.settings.tick_s
            continue
        left = None if deadline is None else deadline - switch.monotonic()
        if left is not None and left <= 0:
            channel.hang_up(cause)
            break
        yield left
    channel.parked = False
    channel.fire(at.CHANNEL_UNPARK)


def take_digit(channel: Channel) -> str:
    """Take the next key out of the channel's queue and say so (DTMF)."""
    digit, duration, source = channel.dtmf.popleft()
    channel.digits_dialed += digit
    if channel.true("sensitive_dtmf"):
        return digit
    after = (("DTMF-Digit", digit), ("DTMF-Duration", str(duration)), ("DTMF-Source", source))
    # Diverted, it is for the connection that controls the call, whatever that has subscribed to.
    only = [one for one in channel.holders if one.controls(channel)] if channel.diverted else None
    channel.switch.desk.fire(at.DTMF, channel, after=after, only=only)
    return digit
