"""`irisx plugin` and `irisx fake-provider`: what plugins there are, whether they keep their promises, a new one."""

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from api.commands.common import Failure, Json, console, plain, say, show_json, show_table

if TYPE_CHECKING:
    from irisx_sdk import Channel
    from irisx_sdk.conformance import Check
    from irisx_sdk.fake import Fake
    from irisx_sdk.loading import Installed

plugin_app = typer.Typer(help="Plugins: list, check, begin a new one.", no_args_is_help=True)

_MARK: dict[bool | None, tuple[str, str]] = {
    True: ("●", "green"),
    False: ("✖", "bold red"),
    None: ("·", "dim"),
}


@plugin_app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """List the plugins that are installed, their channels, and why one is left out."""
    plugins = _installed().plugins
    if as_json:
        show_json(
            [
                {
                    "name": one.name, "distribution": one.distribution, "version": one.version,
                    "problem": one.problem, "channels": [_told(channel) for channel in one.channels],
                }
                for one in plugins
            ]
        )  # fmt: skip
        return
    rows: list[list[object]] = []
    for one in plugins:
        origin = f"{one.distribution} {one.version}"
        rows += [[one.name, channel.name, channel.title, _does(channel), origin] for channel in one.channels]
        if one.problem:
            rows.append([one.name, "-", Text(f"left out: {plain(one.problem)}", style="red"), "", origin])
        elif not one.channels:
            rows.append([one.name, "-", "hooks only", "", origin])
    columns = ["Plugin", "Channel", "Title", "Does", "From"]
    show_table(columns, rows, empty="no plugins: irisx plugin new NAME begins one")


def _told(channel: "Channel") -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(channel.capabilities)
    told["sends"] = sorted(channel.capabilities.sends)
    return {"name": channel.name, "title": channel.title, "address": channel.address, "capabilities": told}


def _does(channel: "Channel") -> str:
    can = channel.capabilities
    does = [*(["sends"] if can.sends else []), *(["webhook"] if can.webhook else [])]
    return ", ".join([*does, *(["listens"] if can.listens else [])])


@plugin_app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Channels or plugins; all when none is given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which faults: the same number gives the same ones.")] = 0,
    as_json: Json = False,
) -> None:
    """Run channels against their fake providers on a bad day, and print which promises hold.

    The exit code is 1 when one does not.
    """
    from irisx_sdk import conformance
    from irisx_sdk.loading import fake_of

    reports = []
    for channel in _wanted(names or []):
        try:
            fake = fake_of(channel)
        except LookupError as error:
            raise Failure(str(error)) from error
        if not as_json:
            console().print(Text(f"{channel.name}  {plain(channel.title)}", style="bold"))
        reports.append(conformance.check(fake, seed=seed, told=None if as_json else _show))
    failed = sum(len(report.failed) for report in reports)
    if as_json:
        show_json(reports)
    else:
        held = sum(one.held is True for report in reports for one in report.checks)
        say(f"{held} hold, {failed} do not")
    if failed:
        raise SystemExit(1)


def _show(one: "Check") -> None:
    mark, style = _MARK[one.held]
    line = Text.assemble((f"{mark} ", style), (one.name, "bold" if one.held is False else ""))
    if one.why:
        line.append(f"  {plain(one.why)}", style="red" if one.held is False else "dim")
    console().print(line, soft_wrap=True)


@plugin_app.command()
def new(
    name: Annotated[str, typer.Argument(help="The channel's name: small letters and digits.")],
    into: Annotated[Path, typer.Option(help="The folder that the project is made in.")] = Path("."),
    as_json: Json = False,
) -> None:
    """Begin a plugin: a project with a channel, its fake provider and a test, which passes the check as it is."""
    from irisx_sdk.starting import start

    if name in _installed().channels:
        raise Failure(f"there is a channel {name} already")
    try:
        project = start(name, into)
    except ValueError as error:
        raise Failure(str(error), exit_code=2) from error
    except FileExistsError as error:
        raise Failure(f"{into / f'irisx-{name}'} is there already") from error
    except OSError as error:
        raise Failure(f"{into}: {error.strerror or error}") from error
    if as_json:
        show_json({"name": name, "project": str(project)})
        return
    say(f"{project} is a channel that works. Next:")
    say(f"  python -m pip install --no-deps --no-build-isolation -e {project}")
    say(f"  irisx plugin check {name}")


def fake_provider(
    name: Annotated[str, typer.Argument(help="The channel whose provider is played: see irisx plugin list.")],
    port: Annotated[
        int, typer.Option(help="Where to listen on 127.0.0.1; 0 for a free port.", min=0, max=65535)
    ] = 0,
    webhook_url: Annotated[
        str, typer.Option(help="Where webhooks go: an account's address in the platform.")
    ] = "",
    settings_out: Annotated[
        Path | None, typer.Option(help="Write the account's settings, secrets too, to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a fake provider on this machine until Ctrl-C. Its page is a customer to write as."""
    from irisx_sdk.loading import fake_of

    if webhook_url and not webhook_url.startswith(("http://", "https://")):
        raise Failure("a webhook's address starts with http:// or https://", exit_code=2)
    (channel,) = _wanted([name], one=True)
    try:
        # (other names for messages at every start: a platform would take the old ones for repetitions)
        fake = fake_of(channel)(webhook_url=webhook_url, seed=secrets.randbits(63))
    except LookupError as error:
        raise Failure(str(error)) from error
    try:
        asyncio.run(_serve(fake, port, settings_out, as_json))
    except OSError as error:
        raise Failure(f"cannot run on port {port}: {error.strerror or error}") from error


async def _serve(fake: "Fake", port: int, settings_out: Path | None, as_json: bool) -> None:
    from irisx_sdk.fake_server import serving

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with serving(fake, port=port):
        settings = msgspec.json.format(msgspec.json.encode(fake.settings), indent=2)
        if settings_out is not None:
            _write(settings_out, settings)
        if as_json:
            told = {"channel": fake.channel.name, "url": fake.base, "webhook_url": fake.webhook_url}
            show_json(told | {"settings": msgspec.Raw(settings)})
        else:
            say(f"{fake.channel.title} plays at {fake.base}/ (write there as a customer); Ctrl-C ends it")
            say(f"settings: {settings_out}" if settings_out else f"settings: {settings.decode()}")
            if not fake.webhook_url and fake.channel.capabilities.webhook:
                say("without --webhook-url nobody is told what is written there")
        console().file.flush()
        await over.wait()


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, readable by its owner only: there are secrets in it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content + b"\n")
        beside.replace(path)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error


def _installed() -> "Installed":
    from irisx_sdk.loading import installed

    return installed()


def _wanted(names: list[str], *, one: bool = False) -> "list[Channel]":
    """The channels of these names; a plugin's name stands for all of its channels."""
    found = _installed()
    if not names:
        return list(found.channels.values())
    wanted: list[Channel] = []
    for name in names:
        mine = [plugin for plugin in found.plugins if plugin.name == name and not one]
        if name in found.channels:
            wanted.append(found.channels[name])
        elif mine and mine[0].problem:
            raise Failure(f"the plugin {name} is left out: {mine[0].problem}")
        elif mine and mine[0].channels:
            wanted += mine[0].channels
        else:
            left = "".join(
                f"; {plugin.name} is left out: {plugin.problem}" for plugin in found.plugins if plugin.problem
            )
            known = ", ".join(sorted(found.channels)) or "none"
            raise Failure(f"there is no channel {name} (installed: {known}{left})")
    return wanted
