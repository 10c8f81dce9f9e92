"""`irisx doctor`: look at everything that IRISX needs, and say what to do about what is wrong."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.text import Text

from api.commands.common import Json, console, plain, show_json
from core.config import Settings, SwitchAddress, load_secret
from core.errors import IrisxError

if TYPE_CHECKING:
    from api.commands.checks import Finding

_MARK = {"good": ("●", "green"), "attention": ("▲", "yellow"), "bad": ("✖", "bold red")}


def doctor(
    state_dir: Annotated[
        Path | None, typer.Option(help="The state directory of an irisx up to look at.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check versions, disk, clock, ports, database, bus, channel hosts, webhooks, objects, switches; say what to do.

    Looks at what the environment names (DATABASE_URL, REDIS_URL, S3_*, SWITCHES), or at an irisx up that runs here. The exit
    code is 1 when something is bad.
    """
    from api.commands import checks, switch_checks
    from api.up import addresses, statedir

    settings = Settings.from_env()
    place = state_dir or (settings.state_dir if os.environ.get("IRISX_STATE_DIR") else statedir.default())
    settings = msgspec.structs.replace(settings, state_dir=place)
    database, bus = addresses.of(settings, place)
    found = [*checks.versions(), *checks.machine(settings), *checks.own_port(settings)]
    _progress("looking at the database", as_json)
    found += checks.database(database)
    _progress("looking at the bus", as_json)
    found += checks.bus(bus)
    _progress("looking at what leaves", as_json)
    found += checks.messages_out(database, bus)
    _progress("looking at the object store", as_json)
    found += checks.objects(settings)
    for address in _switches(settings, database, place):
        _progress(f"looking at {address.name}", as_json)
        found += switch_checks.switch(address)
    _progress("", as_json)
    if as_json:
        show_json(found)
    else:
        _show(found)
    if any(one.level == "bad" for one in found):
        raise SystemExit(1)


def _switches(settings: Settings, database: str, state_dir: Path) -> list[SwitchAddress]:
    """SWITCHES, and those the database knows, if we have what its passwords are sealed with."""
    known = {address.name: address for address in settings.switches}
    try:
        secret = settings.secret or (load_secret(state_dir) if (state_dir / "secret").exists() else "")
        if database and secret:
            known |= {address.name: address for address in asyncio.run(_registered(database, secret))}
    except (IrisxError, OSError):
        # The finding about the database says what is wrong with it.
        pass
    return list(known.values())


async def _registered(url: str, secret: str) -> list[SwitchAddress]:
    from core.storage import nodes
    from core.storage.database import Database

    database = await Database.open(url, max_size=1)
    try:
        return [SwitchAddress(node.name, node.url) for node in await nodes.all_nodes(database, secret=secret)]
    finally:
        await database.close()


def _progress(text: str, as_json: bool) -> None:
    if sys.stderr.isatty() and not as_json:
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _show(found: "Sequence[Finding]") -> None:
    terminal = console()
    width = max(len(one.area) for one in found)
    for one in found:
        mark, style = _MARK[one.level]
        terminal.print(
            Text.assemble((f"{mark} ", style), (f"{one.area:<{width}}  ", "bold"), plain(one.text)),
            soft_wrap=True,
        )
        if one.remedy:
            terminal.print(Text.assemble("  → ", (plain(one.remedy), style)), soft_wrap=True)
    counts = {level: sum(one.level == level for one in found) for level in _MARK}
    terminal.print(
        Text(f"{counts['good']} good, {counts['attention']} to look at, {counts['bad']} bad", style="dim")
    )
