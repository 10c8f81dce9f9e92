"""One Postgres and one Valkey for all tests of faults; for each test a database and processes of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers import Servers
from bench.stack import Stack
from tests.faults.scene import Scene


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers"), killable=True) as running:
        yield running


@pytest.fixture
def scene(servers: Servers, tmp_path: Path) -> Iterator[Scene]:
    """Processes that can be killed, and what truly happened."""
    with Stack(tmp_path / "s", servers=servers) as stack:
        scene = Scene(stack)
        yield scene
        scene.close()
