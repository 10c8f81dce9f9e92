"""`irisx events`: the numbered log, read or followed."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from api.commands import stream
from api.commands.client import Client, connect
from api.commands.common import Json, remark, say

PAGE = 200


def events(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, over any reconnect.")
    ] = False,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Begin behind this number; else with the newest.")
    ] = None,
    types: Annotated[str, typer.Option(help="Only these types: call.answered,call.* …")] = "",
    resource: Annotated[str, typer.Option(help="Only entries about this thing, by its id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, without --follow.")] = 50,
    as_json: Json = False,
) -> None:
    """Read the numbered log: one entry a line. With --json each line is the whole entry as JSON."""
    with connect() as client:
        if follow:
            _follow(client, after, types, resource, as_json)
        else:
            _read(client, after, types, resource, limit, as_json)


def _read(client: Client, after: int | None, types: str, resource: str, limit: int, as_json: bool) -> None:
    asked: dict[str, str | int | bool] = {
        name: value for name, value in (("types", types), ("resource", resource)) if value
    }
    if after is None:
        # The newest ones: count back from the head. With a filter that may be fewer.
        after = max(0, int(client.get("/events", {"limit": 1})["head_seq"]) - limit)
    while limit > 0:
        page = client.get("/events", {**asked, "after_seq": after, "limit": min(limit, PAGE)})
        for entry in page["data"]:
            _print(entry, as_json)
            after = entry["seq"]
        limit -= len(page["data"])
        if not page["has_more"]:
            return


def _follow(client: Client, after: int | None, types: str, resource: str, as_json: bool) -> None:
    wanted = [part for part in types.split(",") if part]
    for item in stream.follow(client, after=after, types=wanted, resources=[resource] if resource else []):
        match item:
            case stream.Entry():
                _print(item.event, as_json)
            case stream.Lost():
                remark(f"stream lost ({item.reason}); trying again in {item.pause_s:.1f} s")
            case stream.Gap():
                remark(f"some entries are no longer kept; going on behind {item.resume_at}")
            case stream.Hello():
                remark(f"following; the newest entry is {item.head_seq}")
            case _:
                pass
        sys.stdout.flush()


def _print(entry: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
        return
    facts = " ".join(
        f"{key}={value}" for key, value in entry["data"].items() if isinstance(value, str | int | bool)
    )
    say(
        f"{entry['seq']:>8}  {entry['occurred_at'][11:23]}  {entry['type']:<24} {entry['resource']}  {facts}".rstrip()
    )
