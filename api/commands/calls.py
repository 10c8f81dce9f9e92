"""`irisx calls` and `irisx originate`, and how a call is shown. Acting on one is in `one_call`."""

import time
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from api.commands.client import connect
from api.commands.common import (
    Failure,
    Json,
    moment,
    plain,
    say,
    show_json,
    show_table,
    span,
    state_text,
)


def live_ids(incomplete: str) -> list[tuple[str, str]]:
    """Live calls for the shell's completion; nothing, and no words, when the API is not to be had."""
    try:
        with connect() as client:
            found = client.pages("/calls", {"live": True}, most=50)
            return [
                (
                    call["id"],
                    plain(
                        f"{call.get('caller', '')} to {call.get('destination', '')}, {call.get('state', '')}"
                    ),
                )
                for call in found
                if call["id"].startswith(incomplete)
            ]
    except Failure:
        return []


CallId = Annotated[str, typer.Argument(metavar="ID", help="The call: call_…", autocompletion=live_ids)]


def list_calls(
    ended: Annotated[bool, typer.Option("--ended", help="Ended calls instead of live ones.")] = False,
    state: Annotated[str, typer.Option(help="Only calls in these states, separated by commas.")] = "",
    node: Annotated[str, typer.Option(help="Only calls on this switch (its id).")] = "",
    caller: Annotated[str, typer.Option(help="Only callers whose number begins so.")] = "",
    to: Annotated[str, typer.Option(help="Only destinations that begin so.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List calls, newest first: live ones, unless told otherwise."""
    params: dict[str, str | int | bool] = {}
    if ended or not state:
        params["live"] = not ended
    filters = (
        ("state[in]", state),
        ("node[eq]", node),
        ("caller[prefix]", caller),
        ("destination[prefix]", to),
    )
    params.update({name: value for name, value in filters if value})
    with connect() as client:
        found = list(client.pages("/calls", params, most=limit))
    if as_json:
        show_json(found)
        return
    columns = ["ID", "State", "Since", "For", "From", "To", "Legs", "Ended because"]
    show_table(columns if ended else columns[:-1], [_row(call, ended) for call in found], empty="no calls")


def _row(call: dict[str, Any], ended: bool) -> list[object]:
    created, end = int(call.get("created_us", 0)), int(call.get("ended_us", 0))
    lasted = ((end or time.time_ns() // 1000) - created) / 1e6
    row: list[object] = [call["id"], _state(call), moment(created), span(lasted), call.get("caller") or "-"]
    row += [call.get("destination") or "-", len(call.get("legs", ()))]
    return [*row, call.get("hangup_cause") or "-"] if ended else row


def _state(call: dict[str, Any]) -> Text:
    text = state_text(call.get("state", "new"))
    if call.get("in_doubt"):
        text.append(" ?", style="red")
    return text


def originate(
    to: Annotated[
        str, typer.Argument(help="Whom to call: +14155550100, or user:NAME for a registered phone.")
    ],
    bridge_to: Annotated[str, typer.Option("--bridge-to", help="Whom to join with whoever answers.")] = "",
    shown: Annotated[str, typer.Option("--from", help="The number to show.")] = "",
    name: Annotated[str, typer.Option("--name", help="The name to show.")] = "",
    node: Annotated[
        str, typer.Option(help="The switch to use (its id); the least busy one when not given.")
    ] = "",
    timeout: Annotated[int, typer.Option(min=1, max=120, help="Seconds it may ring.")] = 60,
    as_json: Json = False,
) -> None:
    """Place a call. The leg that answers waits, parked, unless --bridge-to says with whom to join it."""
    body: dict[str, object] = {"to": to, "timeout_s": timeout}
    given = {"bridge_to": bridge_to, "from": shown, "caller_name": name, "node": node}
    body.update({key: value for key, value in given.items() if value})
    with connect() as client:
        report(client.post("/calls", body, once=True), "placed", as_json)


def report(answer: dict[str, Any], words: str, as_json: bool) -> None:
    """What came of an action."""
    if as_json:
        show_json(answer)
        return
    call, result = answer["call"], answer.get("result") or {}
    more = "".join(f"  {name}={value}" for name, value in result.items() if isinstance(value, str | int))
    say(f"{call['id']}: {words} (now {call.get('state', 'new')}){more}")


def call_table(call: dict[str, Any]) -> Table:
    """The facts of a call, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    ended = int(call.get("ended_us", 0))
    end = ended or time.time_ns() // 1000
    facts: list[tuple[str, str | Text]] = [
        ("call", call["id"]),
        ("state", _state(call)),
        ("from", f"{call.get('caller') or '-'}  {call.get('caller_name', '')}".rstrip()),
        ("to", call.get("destination") or "-"),
        ("switch", call.get("node", "-")),
        ("began", moment(call.get("created_us", 0))),
        ("answered", moment(call.get("answered_us", 0))),
        ("lasts" if not ended else "lasted", span((end - int(call.get("created_us", end))) / 1e6)),
    ]
    if ended:
        facts += [("ended", moment(ended)), ("because", call.get("hangup_cause") or "-")]
    if call.get("in_doubt"):
        facts.append(("note", "its switch is out of reach: this is the last that is known"))
    for label, value in facts:
        table.add_row(label, value if isinstance(value, Text) else Text(plain(value)))
    return table
