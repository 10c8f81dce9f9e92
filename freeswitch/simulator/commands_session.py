"""Commands that log in, and those about the one call a connection is tied to: connect, myevents, sendmsg."""

from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import MESSAGES_LIMIT, is_true
from freeswitch.simulator.interest import event_type
from freeswitch.simulator.listener import GOODBYE, Listener
from freeswitch.simulator.message import Message
from freeswitch.simulator.wire import Pair, plain_lines

NOT_FOUND = "-ERR command not found"


def authenticate(listener: Listener, line: str, lowered: str) -> None:
    """Do ``auth`` or ``userauth``; everything else is unknown to who has not logged in."""
    settings = listener.switch.settings
    if lowered.startswith("auth "):
        if line[5:] == settings.password:
            listener.authed = True
            listener.reply("+OK accepted")
        else:
            listener.reply("-ERR invalid")
            listener.disconnect(GOODBYE)
        return
    if not lowered.startswith("userauth "):
        listener.reply(NOT_FOUND)
        return
    user, _, domain = line[9:].partition("@")
    domain, _, password = domain.partition(":")
    if ":" in user:
        user, _, password = user.partition(":")
    found = settings.users.get(f"{user}@{domain}")
    if not user or not domain or found is None or not password or found.password != password:
        listener.reply("-ERR invalid")
        listener.disconnect(GOODBYE)
        return
    lines = "Reply-Text: +OK accepted\n"
    if found.allowed_events:
        lines += f"Allowed-Events: {found.allowed_events}\n"
        _allow_events(listener, _listed(found.allowed_events))
    else:
        lines += "Allowed-Events: all\n"
    if found.allowed_api:
        lines += f"Allowed-API: {found.allowed_api}\n"
        listener.allowed_api = set(_listed(found.allowed_api))
    else:
        lines += "Allowed-API: all\n"
    lines += f"Allowed-LOG: {'true' if found.allowed_log else 'false'}\n"
    listener.allow_log = found.allowed_log
    listener.authed = True
    listener.reply_headers(lines)


def _listed(text: str) -> list[str]:
    return text.split(" ") if " " in text else text.split(",")


def _allow_events(listener: Listener, words: list[str]) -> None:
    types: set[str] = set()
    subclasses: set[str] = set()
    for word in words:
        if "CUSTOM" in types:
            subclasses.add(word)
        elif (kind := event_type(word)) is not None:
            types.add(kind)
    listener.interest.allowed_types = types
    listener.interest.allowed_subclasses = subclasses


def session(listener: Listener, line: str, lowered: str) -> bool:
    """Do a command that needs or makes a session; False when it is none of those."""
    channel = listener.channel
    if lowered.startswith("connect"):
        connect(listener)
        return True
    if lowered.startswith("getvar"):
        value = channel.look_up(line.partition(" ")[2]) if channel is not None else None
        listener.reply(value or NOT_FOUND)
        return True
    if lowered.startswith("myevents"):
        _my_events(listener, line)
        return True
    return False


def connect(listener: Listener) -> None:
    """Answer ``connect``: the headers of a CHANNEL_DATA event in place of an envelope."""
    switch, channel = listener.switch, listener.channel
    listener.connected = True
    listener.first_reply = False
    seq, dates = switch.desk.stamp()
    text = switch.desk.heading(at.CHANNEL_DATA) + dates + at.CHANNEL_DATA.lines + f"Event-Sequence: {seq}\n"
    if channel is not None:
        if channel.profile is not None:
            text += plain_lines(channel.profile.pairs("Channel"))
        text += channel.basic_text() + channel.variables_text()
    last: list[Pair] = [
        ("Content-Type", "command/reply"),
        ("Reply-Text", "+OK\n"),
        ("Socket-Mode", "static" if listener.sync else "async"),
        ("Control", "full" if listener.full else "single-channel"),
    ]
    # Content-Type is the one value here whose slash needs no coding; the rest is coded like any event's.
    listener.pipe.send((text + plain_lines(last) + "\n").encode("ascii"))


def _my_events(listener: Listener, line: str) -> None:
    if listener.my_events:
        listener.reply("-ERR aready enabled.")
        return
    interest = listener.interest
    if listener.channel is None:
        uuid, space, _ = line[9:].partition(" ")
        listener.channel = listener.switch.locate(uuid)
        if listener.channel is not None:
            listener.channel.holders.add(listener)
        if listener.channel is None and space:
            listener.reply("-ERR invalid uuid")
            return
        # FreeSWITCH cuts the line at the uuid before it looks for the format, so the word changes nothing.
        line = line[: 9 + len(uuid)]
    interest.only_mine()
    for form in ("xml", "json"):
        if form in line or form.upper() in line:
            interest.form = form
    listener.my_events = True
    listener.switch.desk.changed()
    listener.reply("+OK Events Enabled")


def divert(listener: Listener, message: Message) -> None:
    """Do ``divert_events``."""
    channel = listener.channel
    value = message.line[13:].lstrip(" ")
    if channel is None:
        listener.reply("-ERR not controlling a session.")
    elif not value:
        listener.reply("-ERR missing value.")
    else:
        channel.diverted = value.lower() == "on"
        listener.reply("+OK events diverted" if channel.diverted else "+OK events not diverted")


def sendmsg(listener: Listener, message: Message) -> None:
    """Do ``sendmsg``: queue a message for a channel, or run it at once on a sync socket."""
    uuid = message.line[7:].strip(" ") or message.get("session-id") or ""
    own = listener.channel
    if own is not None and uuid in ("", own.uuid):
        if listener.sync and not is_true(message.get("async")):
            _run_inline(listener, message)
            return
        channel = own
    else:
        found = listener.switch.locate(uuid)
        if found is None:
            listener.reply(f"-ERR invalid session id [{uuid}]")
            return
        channel = found
    if len(channel.inbox) >= MESSAGES_LIMIT:
        listener.reply("-ERR memory error")
        return
    channel.inbox.append(message)
    channel.wake()
    listener.reply("+OK")


def _run_inline(listener: Listener, message: Message) -> None:
    """Run a message of a sync socket: this connection *is* the channel's thread until it is done."""
    done = listener.hold()
    listener.controlled.run_inline(message, lambda: done(lambda: listener.reply("+OK")))
