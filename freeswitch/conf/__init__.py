"""The FreeSWITCH configuration that IRISX ships, written for one switch at a time.

`write_config` puts the files where FreeSWITCH's ``-conf`` points. What each setting is for stands in the
templates beside it and in this folder's README; how the dialplan knows that a controller is alive, in `life`.
"""

import os
from pathlib import Path

from freeswitch.conf.life import sign_of_life, sign_off
from freeswitch.conf.render import REALM, render
from freeswitch.conf.settings import ConfError, ConfSettings

__all__ = ["REALM", "ConfError", "ConfSettings", "sign_of_life", "sign_off", "write_config"]

OPERATORS_FOLDER = "gateways"
"""Included by the carrier profile, created empty, never written to."""

_FILE_MODE = 0o640
_FOLDER_MODE = 0o750


def write_config(target: Path, settings: ConfSettings, *, force: bool = False) -> list[Path]:
    """Write the whole configuration under ``target`` and return the files, in order.

    Raises `FileExistsError`, before anything is written, when one of them is there already and ``force`` is
    not set. With ``force`` each file is replaced in one step, so a switch that reloads meanwhile reads the old
    or the new one; other files under ``target`` stay as they are. The files hold secrets: give them to the
    user that runs the switch and to nobody else.
    """
    texts = {target / name: text for name, text in render(settings).items()}
    if not force:
        taken = [path for path in texts if path.exists() or path.is_symlink()]
        if taken:
            raise FileExistsError(f"{len(taken)} files are there already, the first is {taken[0]}")
    for folder in sorted({path.parent for path in texts} | {target / OPERATORS_FOLDER}):
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    for path, text in texts.items():
        _replace(path, text)
    return list(texts)


def _replace(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` at once, readable by owner and group only from the first byte on."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    fresh.replace(path)
