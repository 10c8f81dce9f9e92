"""Postgres and Valkey as our children: they keep what was acknowledged and never outlive us."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from api.up import addresses
from core.config import Settings
from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey, socket_folder
from core.storage.errors import EmbeddedFailed

RUN_AND_WAIT = """
import sys, time
from pathlib import Path
from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey
postgres, valkey = EmbeddedPostgres(Path(sys.argv[1])), EmbeddedValkey(Path(sys.argv[1]))
print(postgres.start(), valkey.start(), postgres.pid, valkey.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a data directory that was just made (initdb is what takes time)."""
    folder = tmp_path_factory.mktemp("made")
    with EmbeddedPostgres(folder):
        pass
    return folder


@pytest.fixture
def state_dir(made: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="irisx-test-"))
    shutil.copytree(made / "postgres", folder / "postgres", symlinks=True)
    yield folder
    shutil.rmtree(folder)


def ask(url: str, statement: str) -> object:
    async def go() -> object:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(go())


def alive(pid: int) -> bool:
    try:
        # A zombie has no command line any more.
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def wait_gone(*pids: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_postgres_comes_up_again_with_its_data(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as url:
        ask(url, "create table t as select 42 as n")
        assert ask(url, "select current_user::text") == "irisx"
        assert ask(url, "select rolsuper from pg_roles where rolname = current_user") is False
    with EmbeddedPostgres(state_dir) as url:
        assert ask(url, "select n from t") == 42


def test_a_killed_postgres_loses_nothing_and_its_stale_lock_stops_nobody(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir)
    url = server.start()
    ask(url, "create table t as select 42 as n")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    # The number in the lock file now belongs to a living process that is no Postgres: us.
    lock = state_dir / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    try:
        assert ask(server.start(), "select n from t") == 42
    finally:
        server.stop()


def test_they_end_when_their_parent_is_killed(state_dir: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_WAIT, state_dir], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        said = parent.stdout.readline().split()
        pids = [int(word) for word in said[2:]]
        assert all(alive(pid) for pid in pids)
        parent.kill()
    assert wait_gone(*pids)
    # And the next one, at once, is not kept out by what the first left behind.
    with EmbeddedPostgres(state_dir) as url, EmbeddedValkey(state_dir):
        assert ask(url, "select 1") == 1


def test_an_heir_waits_for_a_server_that_is_still_ending(state_dir: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_WAIT, state_dir], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        assert parent.stdout.readline()
        parent.kill()
        parent.wait()
        with EmbeddedPostgres(state_dir) as url:
            assert ask(url, "select 1") == 1


def test_two_never_serve_one_folder(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir):
        with pytest.raises(EmbeddedFailed, match="another IRISX"):
            EmbeddedPostgres(state_dir).start()
        with EmbeddedValkey(state_dir), pytest.raises(EmbeddedFailed, match="another IRISX"):
            EmbeddedValkey(state_dir).start()


def test_a_crash_while_the_data_directory_was_made_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "postgres.part" / "base").mkdir(parents=True)
    (tmp_path / "postgres.part" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as url:
        assert ask(url, "select current_database()::text") == "irisx"
    assert not (tmp_path / "postgres.part").exists()


def test_data_of_another_version_are_not_touched(state_dir: Path) -> None:
    (state_dir / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedFailed, match="made by Postgres 17"):
        EmbeddedPostgres(state_dir).start()


def test_a_long_path_is_no_obstacle(state_dir: Path, made: Path) -> None:
    deep = state_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    shutil.move(state_dir / "postgres", deep / "postgres")
    postgres, valkey = EmbeddedPostgres(deep), EmbeddedValkey(deep)
    with postgres as url, valkey as redis_url:
        assert ask(url, "select 1") == 1
        with redis.Redis.from_url(redis_url) as client:
            assert client.ping()
        places = [postgres.run_dir(), valkey.run_dir()]
    assert not any(place.exists() for place in places)
    # Who knew the address before finds it there again.
    assert (postgres.start(), valkey.start()) == (url, redis_url)
    assert addresses.of(Settings(), deep) == (url, redis_url)
    postgres.stop()
    valkey.stop()


def test_a_socket_is_not_put_where_another_user_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    taken = socket_folder(deep, "valkey")
    taken.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    try:
        place = EmbeddedValkey(deep).run_dir()
        assert place != taken and place.stat().st_mode & 0o777 == 0o700
        place.rmdir()
    finally:
        taken.rmdir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_without_user_namespaces_becomes_nobody(state_dir: Path) -> None:
    state_dir.chmod(0o755)
    with EmbeddedPostgres(state_dir, isolation="nobody") as url:
        assert ask(url, "create table t as select 1") is None
    assert (state_dir / "postgres").stat().st_uid == 65534
    # And back again, on the same data.
    with EmbeddedPostgres(state_dir) as url:
        assert ask(url, "select count(*) from t") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_without_user_namespaces_is_told_when_nobody_cannot_enter(state_dir: Path) -> None:
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedFailed, match="IRISX_STATE_DIR"):
        EmbeddedPostgres(closed / "state", isolation="nobody").start()


def test_postgres_logs_no_content(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir)
    with server as url:
        ask(url, "create table people (phone text unique)")
        for _ in range(2):
            try:
                ask(url, "insert into people values ('+4930123456')")
            except asyncpg.UniqueViolationError:
                pass
        with pytest.raises(asyncpg.DataError):
            ask(url, "select '+4930123456x'::int")
    assert "4930123456" not in server.log_path.read_text()


def test_valkey_keeps_what_it_was_told_when_it_is_killed(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    with redis.Redis.from_url(server.start()) as client:
        client.set("a", "1")
        client.wait(0, 0)
        time.sleep(
            1.2
        )  # the file is synced once a second; a killed process loses nothing, a machine a second
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    with server as url, redis.Redis.from_url(url) as client:
        assert client.get("a") == b"1"


def test_sockets_are_for_us_alone(state_dir: Path) -> None:
    with EmbeddedPostgres(state_dir) as url, EmbeddedValkey(state_dir):
        assert (state_dir / "run").stat().st_mode & 0o077 == 0
        assert ask(url, "show listen_addresses") == ""


def test_a_missing_package_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedFailed, match="irisx\\[embedded\\]"):
        EmbeddedPostgres(tmp_path).start()
