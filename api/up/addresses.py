"""Where database and bus are: given by the environment, or those of an `irisx up` on this machine."""

from pathlib import Path

from core.config import Settings
from core.storage import pgcluster


def of(settings: Settings, state_dir: Path) -> tuple[str, str]:
    """The addresses of database and bus: the given ones, else those of an `irisx up` that runs there."""
    run = state_dir.absolute() / "run"
    database, bus = settings.database_url, settings.redis_url
    if not database and (run / ".s.PGSQL.5432").exists():
        database = f"postgresql://{pgcluster.OWNER}@/{pgcluster.DATABASE}?host={run}"
    if not bus and (run / "valkey.sock").exists():
        bus = f"unix://{run / 'valkey.sock'}"
    return database, bus
