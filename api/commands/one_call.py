"""`irisx call ID …`: look at one call, or act on it."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.commands.calls import CallId, call_table, live_ids, report
from api.commands.client import Client, connect
from api.commands.common import Failure, Json, console, moment, show_json, show_table, state_text

Leg = Annotated[str, typer.Option(help="Which leg, by its UUID; the call's first live one when not given.")]


class OneCall(TyperGroup):
    """`irisx call ID` without a verb, or with options only, means `irisx call ID show`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and (len(args) == 1 or args[1].startswith("-")):
            args.insert(1, "show")
        return super().parse_args(ctx, args)


call_app = typer.Typer(
    cls=OneCall,
    help="Look at one call, or act on it: irisx call ID hold. Answers with what happened, not with what was asked.",
    no_args_is_help=True,
)


@call_app.callback()
def one_call(context: typer.Context, call_id: CallId) -> None:
    """Look at one call, or act on it. Without a further word it is shown."""
    context.obj = call_id


@call_app.command()
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show the call with its legs."""
    call_id: str = context.obj
    _show(call_id, as_json)


@call_app.command()
def trace(context: typer.Context, as_json: Json = False) -> None:
    """Show what happened to it, and what was asked of it, in order."""
    with connect() as client:
        told = client.get(f"/calls/{context.obj}/trace")
    if as_json:
        show_json(told)
        return
    rows = [
        [moment(m["at_us"]), m["kind"], m["type"], m["leg"] or "-", _facts(m["data"])] for m in told["data"]
    ]
    show_table(["At", "Kind", "What", "Leg", "More"], rows, empty="nothing is known of it")


def _facts(data: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in data.items() if key not in ("call", "leg"))


def _act(name: str, path: str, words: str, text: str) -> None:
    def act(context: typer.Context, leg: Leg = "", as_json: Json = False) -> None:
        with connect() as client:
            report(client.post(f"/calls/{context.obj}/{path}", {"leg": leg} if leg else {}), words, as_json)

    act.__doc__ = text
    call_app.command(name)(act)


_act("answer", "answer", "answered", "Answer the inbound leg that still rings.")
_act("hold", "hold", "on hold", "Put a leg on hold: it hears music, its partner waits.")
_act("unhold", "unhold", "off hold", "End the hold.")
_act("mute", "mute", "muted", "Mute a leg: nobody hears it.")
_act("unmute", "unmute", "heard again", "End the mute.")


@call_app.command()
def dtmf(
    context: typer.Context,
    digits: Annotated[
        str, typer.Argument(help="0-9 A-D * #; w waits half a second, W a whole one; - reads a line.")
    ],
    leg: Leg = "",
    as_json: Json = False,
) -> None:
    """Press keys towards the far side of a leg."""
    if digits == "-":
        digits = typer.get_text_stream("stdin").readline().strip()
    with connect() as client:
        report(
            client.post(f"/calls/{context.obj}/dtmf", _body(digits=digits, leg=leg)), "keys pressed", as_json
        )


@call_app.command()
def play(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="A sound file that the switch can read.")] = "",
    tone: Annotated[str, typer.Option(help="Tones in FreeSWITCH's notation instead: %(300,100,440).")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="Stop what plays.")] = False,
    leg: Leg = "",
    as_json: Json = False,
) -> None:
    """Play a sound or tones to a leg."""
    if sum((bool(path), bool(tone), stop)) != 1:
        raise Failure("name a file, --tone or --stop: one of them", exit_code=2)
    with connect() as client:
        if stop:
            report(client.delete(f"/calls/{context.obj}/play", _body(leg=leg)), "silent", as_json)
        else:
            report(
                client.post(f"/calls/{context.obj}/play", _body(path=path, tone=tone, leg=leg)),
                "playing",
                as_json,
            )


@call_app.command()
def record(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="start, pause, resume or stop")] = "start",
    recording: Annotated[str, typer.Option(help="Which recording (rec_…), when several run.")] = "",
    leg: Leg = "",
    as_json: Json = False,
) -> None:
    """Record a leg, both directions; pause, resume or stop a recording."""
    if action not in ("start", "pause", "resume", "stop"):
        raise Failure("record start, pause, resume or stop", exit_code=2)
    base = f"/calls/{context.obj}/recordings"
    with connect() as client:
        if action == "start":
            report(client.post(base, _body(leg=leg)), "recording", as_json)
            return
        which = recording or _running_recording(client, base)
        words = {"pause": "recording silence", "resume": "recording", "stop": "recording stopped"}[action]
        report(client.patch(f"{base}/{which}", {"action": action}), words, as_json)


def _running_recording(client: Client, base: str) -> str:
    running = [one["id"] for one in client.get(base)["data"] if one["state"] == "running" and one["id"]]
    if len(running) != 1:
        many = f"{len(running)} recordings run: name one with --recording ({', '.join(running)})"
        raise Failure(many if running else "no recording of ours runs")
    return str(running[0])


@call_app.command()
def transfer(
    context: typer.Context,
    to: Annotated[str, typer.Argument(help="Where to: a number or user:NAME.")] = "",
    attended: Annotated[
        bool, typer.Option("--attended", help="Talk to them first, then --complete or --cancel.")
    ] = False,
    complete: Annotated[bool, typer.Option("--complete", help="Complete an attended transfer.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take an attended transfer back.")] = False,
    timeout: Annotated[int, typer.Option(min=1, max=120, help="Seconds it may ring.")] = 30,
    leg: Leg = "",
    as_json: Json = False,
) -> None:
    """Transfer a leg, blind or attended."""
    if sum((bool(to), complete, cancel)) != 1:
        raise Failure("say where to, or --complete, or --cancel: one of them", exit_code=2)
    base = f"/calls/{context.obj}/transfer"
    with connect() as client:
        if complete:
            report(client.post(f"{base}/complete"), "transferred", as_json)
        elif cancel:
            report(client.post(f"{base}/cancel"), "back as before", as_json)
        else:
            mode = "attended" if attended else "blind"
            done = client.post(base, {**_body(to=to, mode=mode, leg=leg), "timeout_s": timeout})
            report(done, "consulting" if attended else "transferred", as_json)


@call_app.command()
def bridge(
    context: typer.Context,
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="The other call: call_…", autocompletion=live_ids)
    ],
    leg: Leg = "",
    other_leg: Annotated[str, typer.Option(help="Which leg of the other call.")] = "",
    as_json: Json = False,
) -> None:
    """Join a leg of this call with a leg of another one on the same switch."""
    body = _body(call_id=other, leg=leg, other_leg=other_leg)
    with connect() as client:
        report(client.post(f"/calls/{context.obj}/bridge", body), "joined", as_json)


@call_app.command()
def monitor(
    context: typer.Context,
    to: Annotated[str, typer.Argument(help="Who listens: a number or user:NAME.")] = "",
    mode: Annotated[
        str, typer.Option(help="listen, whisper (to the leg alone) or barge (to all)")
    ] = "listen",
    stop: Annotated[str, typer.Option(help="End it: the listener's leg, as the start told it.")] = "",
    leg: Leg = "",
    as_json: Json = False,
) -> None:
    """Let somebody listen in, whisper or join."""
    if bool(to) == bool(stop):
        raise Failure("say who listens, or --stop LEG: one of them", exit_code=2)
    path = f"/calls/{context.obj}/monitor"
    with connect() as client:
        if stop:
            report(client.delete(path, {"monitor_leg": stop}), "nobody listens", as_json)
        else:
            report(client.post(path, _body(to=to, mode=mode, leg=leg)), "listening", as_json)


@call_app.command()
def hangup(
    context: typer.Context,
    cause: Annotated[str, typer.Option(help="A hangup cause: NORMAL_CLEARING, USER_BUSY …")] = "",
    leg: Annotated[str, typer.Option(help="Only this leg; the whole call when not given.")] = "",
    as_json: Json = False,
) -> None:
    """Hang up the call, or one leg of it."""
    with connect() as client:
        report(client.post(f"/calls/{context.obj}/hangup", _body(cause=cause, leg=leg)), "hung up", as_json)


def _body(**given: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


def _show(call_id: str, as_json: bool) -> None:
    with connect() as client:
        call = client.get(f"/calls/{call_id}")
    if as_json:
        show_json(call)
        return
    console().print(call_table(call))
    legs = []
    for leg in call.get("legs", ()):
        marks = [word for word in ("muted", "parked", "recovered", "inferred") if leg.get(word)]
        marks += ["on hold"] if leg.get("held_since_us") else []
        marks += [leg["hangup_cause"]] if leg.get("hangup_cause") else []
        state = state_text(leg.get("state", "new"))
        who = leg.get("caller") if leg.get("direction") == "inbound" else leg.get("destination")
        row = [leg["uuid"], leg.get("direction", "-"), state, who or "-", moment(leg.get("created_us", 0))]
        legs.append([*row, leg.get("billsec", 0), ", ".join(marks) or "-"])
    show_table(
        ["Leg", "Direction", "State", "Who", "Since", "Billed s", "Marks"], legs, empty="it has no legs"
    )
