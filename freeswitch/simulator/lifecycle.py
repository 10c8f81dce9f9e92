"""The life of a channel: from the first state to the last event, one generator for each channel.

The order of events is the captures': states are announced when the channel's thread enters them, the
hangup when somebody asks for it, and everything a running application still owes in between.
"""

import re
from collections.abc import Callable, Generator

from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator import reporting, sip, transfer
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.message import Message
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair
from freeswitch.words import cause

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


# -- answering and hanging up ------------------------------------------------------------------------


def pre_answer(channel: Channel) -> None:
    """Start early media on an inbound leg (183 with SDP)."""
    if channel.answered or channel.early or channel.down or channel.profile is None:
        return
    if channel.direction == "inbound":
        sip.start_media(channel)
    mark_pre_answered(channel)


def mark_pre_answered(channel: Channel) -> None:
    """Say that media flows before the answer (CHANNEL_PROGRESS_MEDIA)."""
    channel.early = True
    channel.touch()
    if channel.profile is not None:
        channel.profile.stamp("progress_media", channel.switch.clock.now_us())
    channel.fire(at.CHANNEL_PROGRESS_MEDIA)
    channel.set_call_state(ch.EARLY)
    run_hooks(channel, "pre_answer")
    run_hooks(channel, "media")
    channel.wake()


def ring_ready(channel: Channel) -> None:
    """Say that the leg rings (CHANNEL_PROGRESS)."""
    if channel.rung or channel.early or channel.answered or channel.down:
        return
    channel.rung = True
    now = channel.switch.clock.now_us()
    if channel.profile is not None:
        channel.profile.stamp("progress", now)
    if channel.other_type == "originator" and channel.profile_other is not None:
        channel.profile_other.stamp("progress", now)
        channel.other_changed()
    if channel.direction == "inbound" and channel.get("sip_to_tag") is None:
        channel.set("sip_to_tag", sip.tag(channel.switch.rng))
    channel.fire(at.CHANNEL_PROGRESS)
    channel.set_call_state(ch.RINGING)
    run_hooks(channel, "ring")


def answer(channel: Channel) -> None:
    """Answer an inbound leg (200 with SDP). Nothing happens on one that is answered or down."""
    if channel.answered or channel.down:
        return
    if not channel.early and channel.direction == "inbound" and channel.profile is not None:
        sip.start_media(channel)
    mark_answered(channel)
    channel.set("endpoint_disposition", "ANSWER")
    if channel.name.startswith("sofia/") and channel.direction == "inbound":
        channel.switch.threads.after(0.002 + channel.switch.frame_delay(), sip.acknowledge, channel)


def mark_answered(channel: Channel) -> None:
    """Say that the leg is answered (CHANNEL_ANSWER) and run what was to be run then."""
    channel.answered = True
    channel.touch()
    if channel.profile is not None:
        channel.profile.stamp("answered", channel.switch.clock.now_us())
    channel.fire(at.CHANNEL_ANSWER)
    channel.set_call_state(ch.ACTIVE)
    run_hooks(channel, "answer")
    if channel.driver is not None:
        channel.driver.wake()
    channel.wake()


def run_hooks(channel: Channel, occasion: str) -> None:
    """Run every variable whose name begins with ``execute_on_`` or ``api_on_`` and the occasion (``answer``...)."""
    for prefix in ("execute_on_", "api_on_"):
        wanted = prefix + occasion
        for name in [name for name in channel.variables if name.startswith(wanted)]:
            line = expand(channel, channel.get(name) or "")
            if prefix == "api_on_":
                channel.switch.run_api(line)
                continue
            command, _, data = line.partition("::" if "::" in line else " ")
            channel.inbox.append(execute_message(command, data))
            channel.wake()


def execute_message(name: str, data: str, *, lock: bool = True) -> Message:
    """Return the private event that makes a channel execute an application (`uuid_broadcast` and hooks)."""
    headers = [("call-command", "execute"), ("execute-app-name", name)]
    if data:
        headers.append(("execute-app-arg", data))
    if lock:
        headers.append(("event-lock", "true"))
    return Message("", headers)


def far_end_hangs_up(channel: Channel, cause: str = "NORMAL_CLEARING") -> None:
    """Let the far end of a SIP leg end it: a BYE, or a CANCEL before the answer."""
    if channel.down:
        return
    if channel.answered:
        sip.said_bye(channel)
        channel.hang_up(cause)
        channel.set("sip_hangup_disposition", "recv_bye")
    else:
        channel.set("sip_hangup_disposition", "recv_cancel")
        channel.set("sip_invite_failure_status", "487")
        channel.set("sip_invite_failure_phrase", "CANCEL")
        channel.set("sip_term_status", "487")
        channel.set("proto_specific_hangup_cause", "sip:487")
        channel.set("sip_term_cause", "487")
        channel.hang_up("ORIGINATOR_CANCEL" if cause == "NORMAL_CLEARING" else cause)


# -- executing ---------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{([^}{]*)\}")


def expand(channel: Channel, text: str) -> str:
    """Replace ``${name}`` by channel variables, then globals, as switch_channel_expand_variables does."""
    if "${" not in text:
        return text
    return _VARIABLE.sub(lambda m: channel.get(m[1]) or channel.switch.globals.get(m[1], ""), text)


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
        pre_answer(channel)
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
        channel.fire(at.PRIVATE_COMMAND, front=front)


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


def cause_of(text: str | None) -> str:
    """Return the cause a client named (a name or a number); nothing or nonsense is NORMAL_CLEARING."""
    if not text:
        return "NORMAL_CLEARING"
    known = cause(text.strip().upper())
    return known.name if known else "NORMAL_CLEARING"


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
    channel.set("last_dtmf_duration", str(duration))
    channel.digits_dialed += digit
    channel.fire(
        at.DTMF, after=(("DTMF-Digit", digit), ("DTMF-Duration", str(duration)), ("DTMF-Source", source))
    )
    return digit


# -- the thread --------------------------------------------------------------------------------------


def inbound_thread(channel: Channel) -> Thread:
    """Live an inbound leg whose INVITE has been read, from CS_INIT on."""
    channel.aim(ch.INIT)
    channel.enter(ch.INIT)
    channel.aim(ch.ROUTING)
    channel.fire(at.CHANNEL_CREATE)
    yield from states(channel)


def outbound_thread(channel: Channel) -> Thread:
    """Live a leg we call, from CS_INIT on; `originate` decides when it leaves CS_CONSUME_MEDIA."""
    channel.enter(ch.INIT)
    channel.aim(ch.ROUTING)
    channel.fire(at.CHANNEL_CREATE)
    channel.fire(at.CHANNEL_ORIGINATE)
    yield from states(channel)


def states(channel: Channel) -> Thread:
    """Follow the states the channel is told to go to until it is destroyed."""
    while channel.state < ch.HANGUP:
        state = channel.state
        channel.transferred = False
        if state == ch.ROUTING:
            yield from _routing(channel)
        elif state == ch.EXECUTE:
            channel.enter(ch.EXECUTE)
            yield from _executing(channel)
        elif state == ch.RESET:
            channel.enter(ch.RESET)
            channel.set("call_uuid", channel.uuid)
            rejoin, channel.rejoin = channel.rejoin, None
            if rejoin is not None:
                yield from rejoin
            yield from _stay(channel, ch.RESET)
        elif channel.rejoin is not None:
            # On the way to a bridge by uuid_bridge: asleep for a moment, then CS_RESET.
            channel.enter(state)
            channel.aim(ch.RESET)
        elif state == ch.PARK:
            channel.enter(ch.PARK)
            yield from stay_parked(channel)
            if channel.state == ch.PARK:
                channel.hang_up()
        else:
            channel.enter(state)
            errand, channel.errand = channel.errand, None
            if errand is not None:
                yield from errand
            yield from _stay(channel, state)
    yield from _ending(channel)


def _stay(channel: Channel, state: int) -> Thread:
    """Wait in a state without an application of its own, serving messages and digits as media loops do."""
    while channel.state == state and not channel.transferred:
        if channel.inbox and not channel.locked and state != ch.HIBERNATE:
            yield from run_message(channel, channel.inbox.popleft())
            continue
        if channel.dtmf and state in (ch.EXCHANGE_MEDIA, ch.CONSUME_MEDIA):
            take_digit(channel)
            yield channel.switch.settings.tick_s
            continue
        yield None


def _routing(channel: Channel) -> Thread:
    channel.enter(ch.ROUTING)
    if channel.direction == "outbound" and not channel.profile_dialplan():
        # Our own call: nothing to look up, wait for what originate decides.
        channel.aim(ch.CONSUME_MEDIA)
        return
    channel.set("call_uuid", channel.uuid)
    if "xferext" in channel.flags:
        channel.flags.discard("xferext")
        channel.aim(ch.EXECUTE)
        return
    # The dialplan is asked with a REQUEST_PARAMS event that nobody receives: its number is missing.
    channel.switch.desk.stamp()
    found = channel.switch.route(channel)
    if channel.down:
        return
    if found is None:
        channel.hang_up("NO_ROUTE_DESTINATION")
        return
    channel.extension.clear()
    channel.extension.extend(found)
    transfer.turn_round(channel)
    channel.aim(ch.EXECUTE)
    yield from ()


def _executing(channel: Channel) -> Thread:
    channel.set("call_uuid", channel.uuid)
    while channel.extension and channel.ready and channel.state == ch.EXECUTE:
        name, data = channel.extension.popleft()
        yield from execute(channel, name, data)
    channel.application = channel.application_data = ""
    if channel.ready and channel.state == ch.EXECUTE:
        channel.hang_up()


def _ending(channel: Channel) -> Thread:
    switch = channel.switch
    channel.enter(ch.HANGUP)
    for recording in list(channel.recordings.values()):
        recording.stop(channel)
    if channel.profile is not None:
        channel.profile.stamp("hungup", switch.clock.now_us())
    channel.set_call_state(ch.HUNG_UP)
    reporting.set_durations(channel)
    if channel.name.startswith("sofia/") and channel.get("sip_hangup_disposition") is None:
        if channel.answered:
            how = "send_bye"
        else:
            how = "send_refuse" if channel.direction == "inbound" else "send_cancel"
        channel.set("sip_hangup_disposition", how)
    if channel.codec == "PCMU":
        reporting.set_rtp(channel)
    channel.state = ch.REPORTING
    channel.enter(ch.REPORTING)
    if (hook := channel.get("api_hangup_hook")) is not None:
        switch.run_api(hook)
    if switch.settings.complete_delay_s:
        yield switch.rng.random() * switch.settings.complete_delay_s
    channel.fire(at.CHANNEL_HANGUP_COMPLETE, before=(("Hangup-Cause", channel.hangup_cause),))
    channel.state = ch.DESTROY
    channel.touch()
    yield from ()
    # Connections that control the session hold it: CHANNEL_DESTROY waits until they let go.
    while channel.holders:
        yield None
    channel.fire(at.CHANNEL_DESTROY)
    channel.enter(ch.DESTROY)
    switch.forget(channel)
    for waiter in channel.waiters:
        waiter.wake()
