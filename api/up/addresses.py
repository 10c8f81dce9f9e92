"""Where database and bus are: given by the environment, or those of an `irisx up` on this machine."""

from pathlib import Path

from api.up.statedir import StateDir
from core.config import Settings
from core.storage import pgcluster
from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey, socket_folder


def of(settings: Settings, state_dir: Path) -> tuple[str, str]:
    """The addresses of database and bus: the given ones, else those of an `irisx up` that runs there."""
    database, bus = settings.database_url, settings.redis_url
    told = StateDir(state_dir).remembered().database_dir
    socket = socket_folder(Path(told) if told else state_dir.absolute(), EmbeddedPostgres.name)
    valkey = socket_folder(state_dir.absolute(), EmbeddedValkey.name) / "valkey.sock"
    if not database and (socket / ".s.PGSQL.5432").exists():
        database = f"postgresql://{pgcluster.OWNER}@/{pgcluster.DATABASE}?host={socket}"
    if not bus and valkey.exists():
        bus = f"unix://{valkey}"
    return database, bus
