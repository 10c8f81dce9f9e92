"""`irisx freeswitch-config`: write the FreeSWITCH configuration that IRISX expects."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from api.commands.common import Failure, Json, say, show_json
from freeswitch.conf import ConfError, ConfSettings, write_config


def freeswitch_config(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; FreeSWITCH's -conf points there.")
    ],
    name: Annotated[str, typer.Option(help="The switch's name, different on every switch.")] = "",
    carrier_ip: Annotated[str, typer.Option(help="The address that carriers send calls to.")] = "",
    inside_ip: Annotated[str, typer.Option(help="The address for agents' legs.")] = "",
    controllers: Annotated[
        list[str], typer.Option(help="Networks of the controllers, as 10.0.0.0/24; repeatable.")
    ] = [],  # noqa: B006
    carriers: Annotated[
        list[str], typer.Option(help="Networks of the carriers; repeatable. None: nobody may call.")
    ] = [],  # noqa: B006
    recordings: Annotated[str, typer.Option(help="Folder for recordings on the switch.")] = "",
    settings: Annotated[
        Path | None, typer.Option(help="A JSON or TOML file with any of the settings.", exists=True)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
    as_json: Json = False,
) -> None:
    """Write the configuration for one FreeSWITCH 1.10.12.

    Passwords come from IRISX_SWITCH_PASSWORD and IRISX_INSIDE_PASSWORD, or are made up and shown once.
    """
    told = _from_file(settings) if settings else {}
    given: dict[str, object] = {
        "switchname": name,
        "carrier_ip": carrier_ip,
        "inside_ip": inside_ip,
        "controller_networks": controllers,
        "carrier_networks": carriers,
        "recordings_dir": recordings,
        "event_socket_password": os.environ.get("IRISX_SWITCH_PASSWORD", ""),
        "inside_password": os.environ.get("IRISX_INSIDE_PASSWORD", ""),
    }
    told |= {key: value for key, value in given.items() if value}
    made = {
        key: secrets.token_urlsafe(18)
        for key in ("event_socket_password", "inside_password")
        if key not in told
    }
    told = {"inside_user": "irisx", "recordings_dir": "/var/lib/irisx/recordings", **told, **made}
    told.setdefault("inside_ip", told.get("carrier_ip", ""))
    try:
        chosen = msgspec.convert(told, ConfSettings)
        files = write_config(target, chosen, force=force)
    except (ConfError, msgspec.ValidationError) as error:
        raise Failure(f"{_option(str(error))} (irisx freeswitch-config --help)", exit_code=2) from error
    except FileExistsError as error:
        raise Failure(f"{error}; --force replaces them") from error
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror}") from error
    _report(target, chosen, files, made, as_json)


def _from_file(path: Path) -> dict[str, Any]:
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        return decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError) as error:
        raise Failure(f"{path}: {error}", exit_code=2) from error


def _option(text: str) -> str:
    """A setting's name as the option that sets it."""
    named = {"switchname": "--name", "carrier_ip": "--carrier-ip", "inside_ip": "--inside-ip"}
    named |= {
        "controller_networks": "--controllers",
        "carrier_networks": "--carriers",
        "recordings_dir": "--recordings",
    }
    for setting, option in named.items():
        text = text.replace(f"`{setting}`", option).replace(setting, option)
    return text


def _report(
    target: Path, chosen: ConfSettings, files: list[Path], made: dict[str, str], as_json: bool
) -> None:
    if as_json:
        show_json({"files": [str(file) for file in files], "switchname": chosen.switchname, "made": made})
        return
    say(
        f"{len(files)} files in {target}; they hold secrets: give them to the user that runs FreeSWITCH alone"
    )
    for key, password in made.items():
        say(f"{key.replace('_', ' ')}, shown this once: {password}")
    say(
        f"then: irisx nodes add {chosen.switchname} esl://{chosen.event_socket_host}:{chosen.event_socket_port}"
    )
