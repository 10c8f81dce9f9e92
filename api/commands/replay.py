"""`irisx replay`: recordings of a switch back into calls. Needs no database and no network."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from api.commands.common import Failure, Json, moment, say, show_table, span
from core.errors import IrisxError


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Captures (.rx, .rx.gz) or journals (.irj.zst).",
            exists=True,
            dir_okay=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Read raw captures or flight-recorder journals back into calls. With --json: one document for each file."""
    # Only now: it brings the decoder and the call model, which the other commands do not need.
    from core.telephony.replay import replay as read

    for file in files:
        try:
            found = read(file)
        except (IrisxError, OSError) as error:
            raise Failure(f"{file}: {error}") from error
        if as_json:
            typer.echo(msgspec.json.encode(found).decode())
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    say(
        f"{found['file']}: {found['frames']} frames, {sum(found['events'].values())} events, {found['surprises']} surprises"
    )
    rows = []
    for call in found["calls"]:
        for number, leg in enumerate(call["legs"]):
            talked = (
                (leg["hangup_us"] - leg["answered_us"]) / 1e6
                if leg["answered_us"] and leg["hangup_us"]
                else 0
            )
            who = [leg["caller"] or "-", leg["destination"] or "-"]
            row = [
                call["id"] if number == 0 else "",
                call["state"] if number == 0 else "",
                leg["uuid"],
                leg["direction"],
                *who,
            ]
            rows.append(
                [*row, moment(leg["created_us"]), span(talked), leg["billsec"], leg["hangup_cause"] or "-"]
            )
    columns = ["Call", "State", "Leg", "Direction", "From", "To", "Began", "Talked", "Billed s", "Cause"]
    show_table(columns, rows, empty="no calls in it")
