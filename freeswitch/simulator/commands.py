"""The commands of the Event Socket and their exact replies (facts 3.6 to 3.12; mod_event_socket's parse_command).

Words are matched as prefixes and in any case, in the order in which FreeSWITCH compares them: ``exitnow``
exits, and ``log`` is found before ``nolog`` only because it does not begin with it.
"""

import re
from collections.abc import Callable

from freeswitch.simulator import origins as at
from freeswitch.simulator.api import Call, run
from freeswitch.simulator.channel import is_true
from freeswitch.simulator.commands_session import NOT_FOUND, authenticate, divert, sendmsg, session
from freeswitch.simulator.interest import event_type
from freeswitch.simulator.listener import GOODBYE, Listener
from freeswitch.simulator.message import Message
from freeswitch.simulator.wire import Pair

LEVELS = {
    "console": 0, "alert": 1, "crit": 2, "err": 3, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7,
    "debug1": 7, "debug2": 7, "debug3": 7,
}  # fmt: skip
_SHUTTING_DOWN = "The system is being shut down.\n"


def execute(listener: Listener, message: Message) -> None:
    """Execute one command and answer it."""
    line = message.line
    lowered = line.lower()
    if "mod_event_socket" in lowered and ("unload" in lowered or "reload" in lowered):
        reload_module(listener, "unload" if "unload" in lowered else "reload")
        return
    if lowered.startswith(("exit", "...")):
        listener.reply("+OK bye")
        listener.disconnect(GOODBYE)
        return
    if not listener.authed:
        authenticate(listener, line, lowered)
        return
    if lowered.startswith("filter "):
        listener.reply(listener.filters.command(line[7:]))
        return
    if listener.channel is not None and lowered.startswith("resume"):
        listener.resume = True
        listener.channel.set("socket_resume", "true")
        listener.reply("+OK")
        return
    if (listener.channel is not None or lowered.startswith("myevents ")) and session(listener, line, lowered):
        return
    for word, act in _WORDS:
        if lowered.startswith(word):
            act(listener, message)
            return
    if not (listener.outbound and not listener.full):
        for word, act in _FULL_WORDS:
            if lowered.startswith(word):
                act(listener, message)
                return
    listener.reply(NOT_FOUND)


def reload_module(listener: Listener, how: str) -> None:
    """Replace the command by a background (un)load of the module, as FreeSWITCH does: everybody is sent away."""
    switch = listener.switch
    job = switch.new_uuid()
    listener.reply_headers(f"Reply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n")
    switch.threads.after(0.02, _everybody_out, listener)


def _everybody_out(listener: Listener) -> None:
    for one in list(listener.switch.listeners.values()):
        one.disconnect(_SHUTTING_DOWN)


# -- everything else ---------------------------------------------------------------------------------


def _sendevent(listener: Listener, message: Message) -> None:
    switch = listener.switch
    event_uuid = switch.new_uuid()
    message.headers.append(("Event-UUID", event_uuid))
    word = message.line[9:].strip(" \t")
    # An unknown name leaves the type of the object that carried the command, which nobody can subscribe to.
    kind = event_type(word) or "CLONE"
    target = message.get("unique-id")
    if target is not None and (channel := switch.channels.get(target)) is not None:
        # It goes into the session's own queue, which only a connection reads that diverts its events.
        only = [one for one in channel.holders if one.controls(channel)] if channel.diverted else []
        where = at.origin(kind, *at.SENDEVENT)
        switch.desk.fire(where, front=message.pairs(), body=message.body, only=only)
        listener.reply(f"+OK {event_uuid}")
        return
    subclass = message.get("Event-Subclass") or "" if kind == "CUSTOM" else ""
    front = message.pairs()
    if subclass:
        # The subclass leads: it is set again when the event is given its type.
        front.sort(key=lambda pair: pair[0].lower() != "event-subclass")
    switch.desk.fire(at.origin(kind, *at.SENDEVENT, subclass), front=front, body=message.body)
    listener.reply(f"+OK {event_uuid}")


def _allowed(listener: Listener, name: str, argument: str) -> bool:
    """Say whether an api command is allowed under userauth, looking through wrappers like FreeSWITCH does."""
    allowed = listener.allowed_api
    if allowed is None:
        return True
    if name not in allowed:
        return False
    inner = {
        "bgapi": argument,
        "eval": "",
        "expand": argument,
        "xml_wrap": argument,
        "sched_api": " ".join(argument.split(" ")[2:]),
    }.get(name)
    if not inner:
        return True
    word, _, rest = inner.partition(" ")
    return _allowed(listener, word, rest)


def _api(listener: Listener, message: Message) -> None:
    line = message.line[4:]
    if is_true(message.get("console_execute")):
        # Typed into the console, so to say: of several commands only the first one's output comes back.
        line = line.partition(";")[0]
    name, _, argument = line.partition(" ")
    if not _allowed(listener, name, argument):
        listener.reply("-ERR permission denied")
        return
    call = Call(listener.switch, name, argument, listener=listener)
    done = listener.hold()
    run(call, lambda text: done(lambda: listener.respond(text)))


def _bgapi(listener: Listener, message: Message) -> None:
    switch = listener.switch
    name, space, argument = message.line[6:].partition(" ")
    if not _allowed(listener, name, argument):
        listener.reply("-ERR permission denied")
        return
    job = (message.get("Job-UUID") or switch.new_uuid())[:255]
    owner = listener.channel.uuid if listener.channel is not None else ""
    done = listener.hold()

    def finished(text: str) -> None:
        headers: list[Pair] = [("Job-UUID", job)]
        if owner:
            headers.append(("Job-Owner-UUID", owner))
        headers.append(("Job-Command", name))
        if space:
            headers.append(("Job-Command-Arg", argument))
        switch.desk.fire(at.BACKGROUND_JOB, before=headers, body=text or None)

    switch.threads.after(0.0, run, Call(switch, name, argument, listener=listener, background=True), finished)
    answer = f"Reply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n"
    switch.threads.after(switch.settings.bgapi_ack_s, done, lambda: listener.reply_headers(answer))


def _log(listener: Listener, message: Message) -> None:
    if not listener.allow_log:
        listener.reply("-ERR permission denied")
        return
    word = message.line[3:].lstrip(" ").partition(" ")[0]
    level = LEVELS["debug"] if not word else LEVELS.get(word.lower())
    if level is None and re.fullmatch(r"\d+", word):
        level = int(word) if int(word) <= 10 else None
    if level is None:
        listener.reply("-ERR invalid log level")
        return
    listener.log_level = level
    listener.reply(f"+OK log level {word} [{level}]")


def _nolog(listener: Listener, message: Message) -> None:
    listener.logs.clear()
    if listener.log_level is None:
        listener.reply("-ERR not loging")
        return
    listener.log_level = None
    listener.reply("+OK no longer logging")


def _linger(listener: Listener, message: Message) -> None:
    if listener.channel is None:
        listener.reply("-ERR not controlling a session")
        return
    text = message.line[6:]
    if text.startswith(" ") and text[1:]:
        found = re.match(r"\s*-?\d+", text[1:])
        seconds = int(found[0]) if found else 0
        listener.linger_s = float(seconds)
        listener.reply(f"+OK will linger {seconds} seconds")
    else:
        listener.linger_s = float("inf")
        listener.reply("+OK will linger")


def _nolinger(listener: Listener, message: Message) -> None:
    if listener.channel is None:
        listener.reply("-ERR not controlling a session")
        return
    listener.linger_s = None
    listener.reply("+OK will not linger")


def _event(listener: Listener, message: Message) -> None:
    # Everything up to the first space belongs to the word: "eventfoo plain X" is "event".
    _, space, rest = message.line[5:].partition(" ")
    answer = listener.interest.subscribe(rest.split(" ") if space else [])
    listener.switch.desk.changed()
    listener.reply(answer)


def _nixevent(listener: Listener, message: Message) -> None:
    _, space, rest = message.line[8:].partition(" ")
    answer = listener.interest.drop(rest.split(" ") if space else [])
    listener.switch.desk.changed()
    listener.reply(answer)


def _noevents(listener: Listener, message: Message) -> None:
    listener.queue.clear()
    answer = listener.interest.clear()
    listener.switch.desk.changed()
    listener.reply(answer)


Act = Callable[[Listener, Message], None]
_WORDS: tuple[tuple[str, Act], ...] = (("divert_events", divert), ("sendmsg", sendmsg))
_FULL_WORDS: tuple[tuple[str, Act], ...] = (
    ("sendevent", _sendevent),
    ("api ", _api),
    ("bgapi ", _bgapi),
    ("log", _log),
    ("linger", _linger),
    ("nolinger", _nolinger),
    ("nolog", _nolog),
    ("event", _event),
    ("nixevent", _nixevent),
    ("noevents", _noevents),
)
