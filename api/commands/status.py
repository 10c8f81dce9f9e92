"""`irisx status`: how everything is, in words."""

from rich.text import Text

from api.commands.client import connect
from api.commands.common import Json, console, show_json, show_table

_STATE = {"good": ("●", "green"), "attention": ("▲", "yellow"), "bad": ("✖", "red")}


def status(as_json: Json = False) -> None:
    """Show how every component is. The exit code is 1 when something does not work."""
    with connect() as client:
        whole = client.get("/status")
        parts = client.get("/status/components")["data"]
        version = client.get("/version")
    if as_json:
        show_json({**whole, "components": parts, "version": version})
    else:
        mark, colour = _STATE.get(whole["state"], ("?", ""))
        console().print(Text(f"{mark} {whole['summary']}", style=colour))
        rows = [[Text(*_STATE.get(part["state"], ("?", ""))), part["name"], part["detail"]] for part in parts]
        show_table(["", "Component", ""], rows, empty="no components")
    if whole["state"] == "bad":
        raise SystemExit(1)
