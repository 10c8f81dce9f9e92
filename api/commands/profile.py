"""Who we are to the API, and where it is: the environment first, then the file that `irisx login` wrote.

The key is never an argument: command lines are seen by everybody on the machine and kept in histories.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from api.commands.common import Failure

DEFAULT_URL = "http://127.0.0.1:8080"


class Profile(Struct, omit_defaults=True):
    """What `irisx login` leaves behind."""

    url: str = DEFAULT_URL
    key: str = ""
    key_id: str = ""
    email: str = ""
    tenant: str = ""
    """For operators: the tenant to act in; their own when empty."""

    def __repr__(self) -> str:
        return f"Profile(url={self.url!r}, key_id={self.key_id!r})"


def path() -> Path:
    """IRISX_PROFILE, or ``irisx/profile.json`` in the XDG configuration directory."""
    if named := os.environ.get("IRISX_PROFILE", ""):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "irisx" / "profile.json"


def stored() -> Profile:
    """What the file says; defaults where there is none. Raises `Failure` for one that others may read."""
    file = path()
    try:
        if file.stat().st_mode & 0o077:
            raise Failure(f"{file} holds a key and can be read by others: chmod 600 {file}")
        return msgspec.json.decode(file.read_bytes(), type=Profile)
    except FileNotFoundError:
        return Profile()
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(
            f"{file} cannot be read ({type(error).__name__}): irisx login writes it anew"
        ) from error


def current() -> Profile:
    """The file's values, overridden by IRISX_URL, IRISX_API_KEY and IRISX_TENANT."""
    profile = stored()
    if url := os.environ.get("IRISX_URL", "").strip():
        if url.rstrip("/") != profile.url:
            # A key of one installation is nobody else's business.
            profile.key = ""
        profile.url = url.rstrip("/")
    profile.key = os.environ.get("IRISX_API_KEY", "").strip() or profile.key
    profile.tenant = os.environ.get("IRISX_TENANT", "").strip() or profile.tenant
    return profile


def store(profile: Profile) -> Path:
    """Write the file, for its owner's eyes alone from the first byte on."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(profile)))
    fresh.replace(file)
    return file


def forget() -> None:
    path().unlink(missing_ok=True)
