"""The commands that go to the database itself, past the API: `irisx migrate` and `irisx new-password`."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from api.commands.common import Failure, Json, say, show_json
from core.config import Settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is pending; exit code 1 when something is.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database that DATABASE_URL names to the newest schema. Safe to run by several at once."""
    from core.storage import migrate as migrating

    settings = Settings.from_env()
    if not settings.database_url:
        raise Failure("DATABASE_URL is not set (irisx up migrates its own database by itself)", exit_code=2)
    versions = migrating.pending(settings.database_url) if check else migrating.migrate(settings.database_url)
    if as_json:
        show_json({"pending" if check else "applied": versions})
    elif check:
        say(f"pending: {', '.join(versions)}" if versions else "nothing is pending")
    else:
        say(f"applied: {', '.join(versions)}" if versions else "the schema is the newest already")
    if check and versions:
        raise SystemExit(1)


def new_password(
    email: Annotated[str, typer.Argument(help="Who gets it.")],
    state_dir: Annotated[
        Path | None, typer.Option(help="The state directory of the irisx up that runs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give somebody a new password and end their sessions, for when nobody can sign in any more.

    Goes to the database itself: the one that DATABASE_URL names, or that of an irisx up that runs here.
    """
    from api.up import addresses, statedir

    settings = Settings.from_env()
    place = state_dir or (settings.state_dir if os.environ.get("IRISX_STATE_DIR") else statedir.default())
    url, _ = addresses.of(settings, place)
    if not url:
        raise Failure(f"DATABASE_URL is not set, and no irisx up runs on {place} (--state-dir)", exit_code=2)
    password = asyncio.run(_set_new_password(url, email))
    if as_json:
        show_json({"email": email, "password": password})
    else:
        say(f"the new password of {email}, shown this once: {password}")


async def _set_new_password(url: str, email: str) -> str:
    from core.access.passwords import Passwords, fresh_password
    from core.storage import access_sessions, access_users
    from core.storage.database import Database

    passwords = Passwords()
    try:
        password = fresh_password()
        digest = await passwords.hash(password)
        async with await Database.open(url, max_size=1) as database, database.system() as connection:
            found = await access_users.find_credentials(connection, email)
            if found is None:
                raise Failure(f"nobody signs in with {email}")
            await access_users.update_user(connection, found[0].id, password_hash=digest)
            await access_sessions.revoke_sessions_of(connection, found[0].id, "password")
    finally:
        passwords.close()
    return password
