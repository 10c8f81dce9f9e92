"""`irisx plugin` and `irisx fake-provider`, as a person or a program uses them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from irisx_bulletin.channel import Bulletin

from api import cli
from irisx_sdk import Channel, hook, loading
from irisx_sdk.starting import example

pytestmark = pytest.mark.timeout(180)


class Plugin:
    @hook
    def irisx_channels(self) -> list[Channel]:
        return [Bulletin()]


class Point:
    name = "bulletin"
    dist = None

    def load(self) -> Plugin:
        return Plugin()


class Broken(Point):
    name = "broken"

    def load(self) -> Plugin:
        raise ImportError("no module named lost")


@pytest.fixture(autouse=True)
def two_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that works, one that does not."""
    monkeypatch.setattr(loading, "entry_points", lambda group: [Point(), Broken()])


def test_the_list_names_channels_and_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plugin", "list"]) == 0
    shown = capsys.readouterr().out
    assert "Bulletin" in shown
    assert "left out: ImportError: no module named lost" in shown
    assert cli.run(["plugin", "list", "--json"]) == 0
    broken, works = json.loads(capsys.readouterr().out)
    assert (broken["name"], works["channels"][0]["name"]) == ("broken", "bulletin")
    assert works["channels"][0]["capabilities"]["sends"] == ["text"]


def test_a_check_prints_what_holds_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plugin", "check", "bulletin"]) == 0
    shown = capsys.readouterr().out
    assert "● a forged webhook is refused" in shown
    assert "· files arrive" in shown
    assert "0 do not" in shown
    assert "✖" not in shown


def test_a_check_that_finds_something_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irisx_bulletin.channel.TOLERANCE_S", 10**9)
    monkeypatch.setattr("irisx_bulletin.channel.STATES", {"sent": "sent", "arrived": "read"})
    assert cli.run(["plugin", "check", "bulletin", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["channel"] == "bulletin"
    assert [check["name"] for check in report["checks"] if check["held"] is False]


@pytest.mark.parametrize("words", [["plugin", "check"], ["fake-provider"]])
def test_an_unknown_channel_is_one_line_that_names_those_there_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*words, "nothing"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "installed: bulletin" in said
    assert "broken is left out: ImportError: no module named lost" in said


def test_a_new_project_is_the_example_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["plugin", "new", "acme", "--into", str(tmp_path), "--json"]) == 0
    project = Path(json.loads(capsys.readouterr().out)["project"])
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert written == {path.replace("bulletin", "acme") for path in example()}
    assert not any("ulletin" in path.read_text() for path in project.rglob("*") if path.is_file())
    assert cli.run(["plugin", "new", "acme", "--into", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert cli.run(["plugin", "new", "bulletin", "--into", str(tmp_path)]) == 1
    assert "there is a channel bulletin already" in capsys.readouterr().err
    assert cli.run(["plugin", "new", "No!", "--into", str(tmp_path)]) == 2


@contextmanager
def provider(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`irisx fake-provider slack` as a process."""
    command = [sys.executable, "-m", "api.cli", "fake-provider", "slack", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_fake_provider_runs_until_it_is_told_to_end(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    with provider("--settings-out", str(file), "--json") as process:
        first = told(process)
        assert "customer" in httpx.get(f"{first['url']}/").text
        assert json.loads(file.read_text()) == first["settings"]
        assert file.stat().st_mode & 0o777 == 0o600
        port = first["url"].rpartition(":")[2]
        with provider("--port", port) as second:
            assert second.wait(30) == 1
            assert second.stderr is not None
            assert "in use" in second.stderr.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fake-provider", "bulletin", "--webhook-url", "example.com/in"]) == 2
    assert "http" in capsys.readouterr().err
