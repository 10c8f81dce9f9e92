"""The plugin guide, followed word by word in an empty folder."""

import inspect
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from irisx_sdk import Hooks
from tests.sdk.environment import Environment

GUIDE = (Path(__file__).parents[2] / "docs/plugins/README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.timeout(300)


class Reader:
    """Somebody who does what the guide says."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder = folder
        self.environment = environment
        self.left_running: list[subprocess.Popen[str]] = []

    def follow(self, kind: str, block: str) -> None:
        if kind == "console":
            for command, expected in commands(block):
                self.type(command, expected)
        elif kind == "diff":
            self.change(block)
        elif kind == "python" and block.startswith("# irisx-acme/"):
            path, _, text = block.removeprefix("# ").partition("\n")
            (self.folder / path).write_text(text)

    def type(self, command: str, expected: list[str]) -> None:
        if "fake-provider" in command:
            self.leave_running(command, expected)
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        fails = any(line.startswith("✖") for line in expected)
        assert (done.returncode != 0) is fails, f"$ {command}\n{done.stdout}"
        for line in expected:
            assert line in done.stdout, f"$ {command}\n{done.stdout}"

    def leave_running(self, command: str, expected: list[str]) -> None:
        running = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=self.environment.variables | {"PYTHONUNBUFFERED": "1"},
            executable=str(self.environment.bin / "irisx"),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.left_running.append(running)
        assert running.stdout is not None
        watchdog = threading.Timer(60, running.terminate)
        watchdog.start()
        for line in expected:
            assert line in running.stdout.readline()
        watchdog.cancel()

    def change(self, block: str) -> None:
        head, *lines = block.splitlines()
        file = self.folder / head.removeprefix("--- ")
        old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        text = file.read_text()
        assert text.count(old) == 1, f"{file.name} has not exactly one\n{old}"
        file.write_text(text.replace(old, new))


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines that its output holds."""
    for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *expected = piece.rstrip("\n").split("\n")
        yield command, expected


@contextmanager
def reader(tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "empty"
    folder.mkdir()
    made = Reader(folder, Environment(tmp_path / "venv"))
    try:
        yield made
    finally:
        for running in made.left_running:
            running.terminate()
            running.communicate(timeout=20)


def test_the_guide_leads_from_an_empty_folder_to_a_channel(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with reader(tmp_path) as somebody:
        for kind, block in BLOCK.findall(GUIDE.replace("8765", port)):
            somebody.follow(kind, block)
        assert [wheel.name for wheel in (somebody.folder / "wheels").iterdir()] == [
            "irisx_acme-0.1.0-py3-none-any.whl"
        ]
        assert (somebody.folder / "acme.json").stat().st_mode & 0o777 == 0o600
        assert all(running.poll() is None for running in somebody.left_running)


def test_the_guide_names_every_hook_with_its_arguments() -> None:
    for name, hook in inspect.getmembers(Hooks, inspect.isfunction):
        arguments = ", ".join(list(inspect.signature(hook).parameters)[1:])
        assert f"| `{name}({arguments})` |" in GUIDE
