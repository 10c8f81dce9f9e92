"""`irisx storage`: the object store, as recordings need it. Goes to the store itself, with this process's settings."""

from typing import Any

import msgspec
import typer

from api.commands.common import Failure, Json, say, show_json
from core.config import Settings

storage_app = typer.Typer(
    help="The object store: look whether it is fit for recordings, and make it so.", no_args_is_help=True
)


@storage_app.command("check")
def check(as_json: Json = False) -> None:
    """Say how the object store is; exit code 1 when something is lacking."""
    _show(_look(prepare=False), as_json)


@storage_app.command("prepare")
def prepare(as_json: Json = False) -> None:
    """Switch versioning on, and have unfinished uploads and replaced versions thrown away. Other rules stay."""
    _show(_look(prepare=True), as_json)


def _look(*, prepare: bool) -> Any:
    from core.storage import recording_bucket
    from core.storage.blobs import open_blobs

    blobs = open_blobs(Settings.from_env())
    return recording_bucket.prepare(blobs) if prepare else recording_bucket.condition(blobs)


def _show(found: Any, as_json: bool) -> None:
    if as_json:
        show_json(msgspec.to_builtins(found))
    elif found.store == "folder":
        say("objects are in a folder: it can be written to")
    else:
        say(
            f"versioning {'on' if found.versioning else 'off'}; unfinished uploads go after"
            f" {found.unfinished_days or 'no'} days, replaced versions after {found.replaced_days or 'no'} days;"
            f" encryption: {found.encryption or 'as each upload says'}"
        )
    if found.lacking:
        raise Failure(f"{', '.join(found.lacking)}: irisx storage prepare sets it")
