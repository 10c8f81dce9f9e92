"""`irisx nodes`: the switches. The password of an added one comes from standard input or IRISX_SWITCH_URL."""

import getpass
import os
import sys
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from api.commands.client import Client, connect
from api.commands.common import Failure, Json, number, say, show_json, show_table, state_text

nodes_app = typer.Typer(
    help="Switches: list, add, drain, resume, compare, probe.", invoke_without_command=True
)

Which = Annotated[str, typer.Argument(metavar="SWITCH", help="Its name or its id.")]


@nodes_app.callback()
def nodes(context: typer.Context, as_json: Json = False) -> None:
    """Switches; without a further word they are listed."""
    if context.invoked_subcommand is None:
        _list(as_json)


@nodes_app.command("list")
def list_nodes(as_json: Json = False) -> None:
    """List the switches."""
    _list(as_json)


def _list(as_json: bool) -> None:
    with connect() as client:
        found = list(client.pages("/nodes", most=1000))
    if as_json:
        show_json(found)
    else:
        columns = ["Name", "ID", "State", "Link", "Calls", "Sessions", "Idle CPU", "Version", "Owner"]
        show_table(
            columns, [row(node) for node in found], empty="no switches: irisx nodes add NAME esl://HOST:8021"
        )


def row(node: dict[str, Any]) -> list[object]:
    """A switch as a line of the table: also what `irisx top` shows."""
    status: dict[str, Any] = node.get("status") or {}
    sessions = number(status.get("sessions"))
    if status.get("max_sessions"):
        sessions += f"/{number(status['max_sessions'])}"
    link = "-" if "up" not in status else "up" if status["up"] else "down"
    cpu = f"{number(status.get('idle_cpu'), digits=1)} %" if "idle_cpu" in status else "-"
    shown: list[object] = [
        node["name"],
        node["id"],
        state_text(node["state"]),
        link,
        number(status.get("calls")),
    ]
    return [*shown, sessions, cpu, str(status.get("version") or "-"), node.get("owner") or "-"]


@nodes_app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    address: Annotated[
        str, typer.Argument(help="esl://HOST:8021 or esl://USER@domain@HOST:8021, without a password.")
    ],
    tenant: Annotated[str, typer.Option(help="Whose the calls without a tenant of their own are.")] = "",
    dial: Annotated[str, typer.Option(help="How a number is dialled: sofia/gateway/carrier/{number}.")] = "",
    as_json: Json = False,
) -> None:
    """Add a switch. Its password is asked for, read from standard input, or taken from IRISX_SWITCH_PASSWORD."""
    body = {"name": name, "url": _with_password(address)}
    body |= {key: value for key, value in (("default_tenant", tenant), ("dial_template", dial)) if value}
    with connect() as client:
        node = client.post("/nodes", body)
    if as_json:
        show_json(node)
    else:
        say(f"{node['name']} is {node['id']}; a controller takes it within seconds (irisx nodes)")


def _with_password(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or 8021
    except ValueError:
        host, port = None, 0
    if parts.scheme != "esl" or not host:
        raise Failure("a switch's address looks like esl://HOST:8021", exit_code=2)
    if parts.password is not None:
        raise Failure("a password on the command line is seen by everybody here: leave it out", exit_code=2)
    password = os.environ.get("IRISX_SWITCH_PASSWORD", "")
    if not password:
        asked = f"Event Socket password of {host}: "
        password = getpass.getpass(asked) if sys.stdin.isatty() else sys.stdin.readline().strip("\r\n")
    shown = f"[{host}]" if ":" in host else host
    return f"esl://{quote(parts.username or '', safe='')}:{quote(password, safe='')}@{shown}:{port}"


def _order(verb: str, words: str, text: str) -> None:
    def order(which: Which, as_json: Json = False) -> None:
        with connect() as client:
            node = find(client, which)
            done = client.post(f"/nodes/{node['id']}/{verb}")
        if as_json:
            show_json(done)
        else:
            result = done.get("result") or {}
            more = "".join(
                f"  {name}={value}" for name, value in result.items() if isinstance(value, str | int | float)
            )
            say(f"{node['name']}: {words} (now {done['node']['state']}){more}")

    order.__doc__ = text
    nodes_app.command(verb)(order)


_order("drain", "takes no new calls", "Let it take no new calls; those that are up go on.")
_order("resume", "takes calls", "Let it take calls again.")
_order("resync", "compared", "Compare what we know with what the switch has, and close the difference.")
_order("probe", "answers", "Ask the switch something, and tell how long it took.")


@nodes_app.command()
def remove(which: Which, as_json: Json = False) -> None:
    """Forget a switch. Refused while it has live calls: drain it first."""
    with connect() as client:
        node = find(client, which)
        client.delete(f"/nodes/{node['id']}")
    if as_json:
        show_json({"removed": node["id"]})
    else:
        say(f"{node['name']} is forgotten")


def find(client: Client, which: str) -> dict[str, Any]:
    """A switch by its name or id."""
    for node in client.pages("/nodes", most=1000):
        if which in (node["id"], node["name"]):
            return node
    raise Failure(f"there is no switch {which}")
