"""What we say to the switch: commands of the Event Socket as bytes, lines for `api` as text. Pure.

The first half makes whole commands, ready for the socket. The second half makes lines for `Link.api` and
`Switch.bgapi`: ``uuid_*``, ``originate``, ``conference``. Both refuse with `CommandError` what cannot be sent
as exactly one command. Effects are not promised by an ``+OK``: ``uuid_hold`` says it for channels that do not
exist; wait for the channel's event.
"""

from collections.abc import Iterable, Mapping

from freeswitch import arguments
from freeswitch.arguments import destination, name, no_expansion, one_line, token, uuid, word
from freeswitch.errors import CommandError
from freeswitch.words import CAUSES, EVENT_NAMES

FORMATS = ("plain", "json", "xml")

# --- whole commands -------------------------------------------------------------------------------------------


def command(line: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """One command with optional ``Name: value`` lines and body, as the bytes to send in one write.

    Values are not percent-encoded: the switch takes them as they are, without leading blanks.
    """
    _no_module_reload(line, headers)
    parts = [one_line(line)]
    for key, value in (headers or {}).items():
        if not key or ":" in key:
            raise CommandError("a header's name is empty or holds a colon")
        parts.append(f"{one_line(key, 'a header name')}: {one_line(value, 'a header')}")
    if body:
        if b"\x00" in body:
            raise CommandError("a body holds a NUL, where the switch would cut it")
        parts.append(f"content-length: {len(body)}")
    return "\n".join(parts).encode("utf-8", "surrogateescape") + b"\n\n" + body


def _no_module_reload(line: str, headers: Mapping[str, str] | None) -> None:
    # mod_event_socket replaces any command in which these words occur, wherever they stand, by its own reload
    # (parse_command): a caller's name could end every connection of the switch.
    text = " ".join([line, *(headers or {}).values()]).lower()
    if "mod_event_socket" in text and ("reload" in text or "unload" in text):
        raise CommandError("the switch would take this for the order to reload its Event Socket")


def auth(password: str) -> bytes:
    return command(f"auth {password}")


def userauth(user: str, password: str) -> bytes:
    """``user`` is ``name@domain``."""
    if ":" in user:
        raise CommandError("a user's name holds a colon")
    return command(f"userauth {user}:{password}")


def api(line: str) -> bytes:
    """Runs on the connection itself: nothing else is answered on it until the switch is done."""
    return command(f"api {line}")


def bgapi(line: str, *, job_uuid: str) -> bytes:
    """Runs in the background of the switch; BACKGROUND_JOB carries ``job_uuid`` back."""
    return command(f"bgapi {line}", {"Job-UUID": uuid(job_uuid)})


def subscribe(keywords: Iterable[str], *, form: str = "plain") -> bytes:
    """``keywords`` are event names, ``ALL``, or subclasses such as ``sofia::register``.

    Unknown names are refused here, since the switch ignores them silently.
    """
    if form not in FORMATS:
        raise CommandError(f"no event format {form!r}")
    types, subclasses = [], []
    for keyword in keywords:
        if keyword == "CUSTOM":
            continue
        if keyword == "ALL" or keyword in EVENT_NAMES:
            types.append(keyword)
        elif "::" in keyword and " " not in keyword:
            subclasses.append(keyword)
        else:
            raise CommandError(f"no event is called {keyword!r}")
    # Everything behind CUSTOM is a subclass.
    words = [*types, *(["CUSTOM", *subclasses] if subclasses else [])]
    if not words:
        raise CommandError("no event to subscribe to")
    return command(f"event {form} {' '.join(words)}")


def filter_add(header: str, value: str) -> bytes:
    """Let events through whose header has this value (or matches ``/regex/``); several filters are OR-ed."""
    if not header or " " in header or not value:
        raise CommandError("a filter needs a header and a value")
    return command(f"filter add {header} {value}")


def myevents(channel: str, *, form: str = "plain") -> bytes:
    """The events of one channel. The format word is always sent: without it, a channel that is gone would
    answer ``+OK`` and stream the events of every channel."""
    if form not in FORMATS:
        raise CommandError(f"no event format {form!r}")
    return command(f"myevents {uuid(channel)} {form}")


def sendmsg(channel: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """``channel`` may be empty on the connection that controls a session."""
    return command(f"sendmsg {uuid(channel)}" if channel else "sendmsg", headers, body)


def execute(
    app: str, argument: str = "", *, event_uuid: str = "", lock: bool = False
) -> tuple[dict[str, str], bytes]:
    """The headers and body of a `sendmsg` that runs an application.

    Arguments that a header cannot hold (several lines, blanks in front, long) go into the body. The switch
    expands ``${...}`` in them: use `arguments.no_expansion` on parts that come from outside.
    """
    headers = {"call-command": "execute", "execute-app-name": name(app, "an application's name")}
    if event_uuid:
        headers["Event-UUID"] = event_uuid
    if lock:
        headers["event-lock"] = "true"
    if not argument:
        return headers, b""
    if "\n" in argument or "\r" in argument or argument[0] == " " or len(argument) > 1024:
        headers["content-type"] = "text/plain"
        return headers, argument.encode("utf-8", "surrogateescape")
    headers["execute-app-arg"] = argument
    return headers, b""


def hangup(cause: str = "NORMAL_CLEARING") -> dict[str, str]:
    """The headers of a `sendmsg` that hangs up."""
    return {"call-command": "hangup", "hangup-cause": known_cause(cause)}


# --- lines for api and bgapi ----------------------------------------------------------------------------------


def known_cause(cause: str) -> str:
    """The cause itself; the switch would take an unknown one for NORMAL_CLEARING."""
    if cause not in CAUSES:
        raise CommandError(f"no hangup cause is called {cause!r}")
    return cause


def originate(
    dial: str,
    *,
    variables: Mapping[str, str] | None = None,
    application: str = "park",
    argument: str = "",
    extension: str = "",
    dialplan: str = "XML",
    context: str = "default",
    timeout_s: int = 60,
) -> str:
    """Call ``dial`` and, when it answers, run an application on it or send it to an extension of the dialplan.

    ``dial`` is a dial string that our own side composed, such as ``sofia/gateway/gw/`` and a `destination`.
    Caller id, chosen uuid and so on are ``variables`` (``origination_caller_id_number``, ``origination_uuid``).
    """
    if any(char in dial for char in " '\"\\{}<>") or not dial:
        raise CommandError("not a dial string")
    target = destination(extension) if extension else _application(application, argument)
    lead = arguments.assignments(variables or {})
    words = [word(lead + no_expansion(dial, "a dial string")), target]
    if extension:
        words += [token(dialplan, "a dialplan"), token(context, "a context")]
    else:
        words += ["undef", "undef"]
    return f"originate {' '.join(words)} undef undef {max(1, int(timeout_s))}"


def _application(app: str, argument: str) -> str:
    # The switch cuts at the first closing parenthesis, wherever it stands.
    if ")" in argument:
        raise CommandError("an application's argument holds a parenthesis")
    return word(f"&{name(app, 'an application')}({argument})")


def uuid_kill(channel: str, cause: str = "NORMAL_CLEARING") -> str:
    return f"uuid_kill {uuid(channel)} {known_cause(cause)}"


def uuid_answer(channel: str) -> str:
    return f"uuid_answer {uuid(channel)}"


def uuid_bridge(channel: str, other: str) -> str:
    return f"uuid_bridge {uuid(channel)} {uuid(other)}"


def uuid_park(channel: str) -> str:
    return f"uuid_park {uuid(channel)}"


def uuid_hold(channel: str, *, on: bool = True) -> str:
    """Answers ``+OK Success`` for any id: wait for CHANNEL_HOLD."""
    return f"uuid_hold {'' if on else 'off '}{uuid(channel)}"


def uuid_transfer(
    channel: str, extension: str, *, dialplan: str = "XML", context: str = "default", leg: str = ""
) -> str:
    """``leg`` is empty, ``-bleg`` or ``-both``."""
    if leg not in ("", "-bleg", "-both"):
        raise CommandError("not a leg to transfer")
    middle = f" {leg}" if leg else ""
    plan = f"{token(dialplan, 'a dialplan')} {token(context, 'a context')}"
    return f"uuid_transfer {uuid(channel)}{middle} {word(one_line(extension))} {plan}"


def uuid_setvar(channel: str, variable: str, value: str = "") -> str:
    """An empty value removes the variable."""
    line = f"uuid_setvar {uuid(channel)} {name(variable)}"
    return f"{line} {word(no_expansion(value, 'a variable'))}" if value else line


def uuid_getvar(channel: str, variable: str) -> str:
    return f"uuid_getvar {uuid(channel)} {name(variable)}"


def uuid_dump(channel: str) -> str:
    """Everything about a channel, as an event in json."""
    return f"uuid_dump {uuid(channel)} json"


def uuid_broadcast(channel: str, what: str, leg: str = "aleg") -> str:
    """``what`` is a file, a tone or ``app::argument``. ``+OK`` even for files that do not exist."""
    if leg not in ("aleg", "bleg", "holdb", "both"):
        raise CommandError("not a leg to play to")
    return f"uuid_broadcast {uuid(channel)} {word(no_expansion(what, 'what to play'))} {leg}"


def uuid_break(channel: str, *, everything: bool = True) -> str:
    return f"uuid_break {uuid(channel)}{' all' if everything else ''}"


def uuid_send_dtmf(channel: str, digits: str, *, duration_ms: int = 0) -> str:
    """Digits 0-9, A-D, ``*``, ``#``; ``w`` and ``W`` are pauses of half a second and a second."""
    if not digits or digits.strip("0123456789ABCDabcd*#wW"):
        raise CommandError("not digits that a telephone has")
    return f"uuid_send_dtmf {uuid(channel)} {digits}" + (f"@{int(duration_ms)}" if duration_ms else "")


def uuid_audio(channel: str, *, mute: bool, side: str = "read") -> str:
    """``read`` is what the person on this leg says, ``write`` what they hear."""
    if side not in ("read", "write"):
        raise CommandError("not a direction of sound")
    return f"uuid_audio {uuid(channel)} " + (f"start {side} mute -4" if mute else "stop")


def uuid_record(
    channel: str, verb: str, path: str, *, limit_s: int = 0, variables: Mapping[str, str] | None = None
) -> str:
    """``verb``: start, stop, pause, resume, mask, unmask. ``path`` must be the same text for every verb.

    ``variables`` belong to this recording alone and come back as ``Recording-Variable-…`` in its events.
    """
    if verb not in ("start", "stop", "pause", "resume", "mask", "unmask"):
        raise CommandError(f"no recording verb {verb!r}")
    line = f"uuid_record {uuid(channel)} {verb} {word(no_expansion(path, 'a path'))}"
    if verb != "start" or not (limit_s or variables):
        return line
    line += f" {int(limit_s)}"
    listed = arguments.assignments(variables or {})
    if not listed:
        return line
    # This word is percent-decoded before its braces are read (session_record_function), so nothing in it
    # needs the line's quoting, and blanks must not be seen by it.
    return f"{line} {{{_percent(listed[1:-1])}}}"


def _percent(text: str) -> str:
    keep = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.,=/:+"
    return "".join(c if c in keep else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def sched_hangup(channel: str, after_s: int, cause: str = "ALLOTTED_TIMEOUT") -> str:
    """A timer inside the switch: it outlives us."""
    return f"sched_hangup +{max(1, int(after_s))} {uuid(channel)} {known_cause(cause)}"


def conference(room: str, verb: str, *args: str) -> str:
    """Such as ``conference("sales", "mute", "3")``."""
    words = [token(room, "a conference"), name(verb, "a conference command"), *map(word, args)]
    return f"conference {' '.join(words)}"
