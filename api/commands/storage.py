"""`irisx migrate`: the database's schema."""

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
