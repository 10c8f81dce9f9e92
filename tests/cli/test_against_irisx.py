"""Every command against the whole running system, as a person at a terminal uses it."""

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import cli
from tests.whole import Whole, clean_environment, eventually, whole

pytestmark = pytest.mark.timeout(300)

Say = Callable[..., Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("cli"), "--calls-per-minute", "120", "--no-messages") as up:
        yield up


@pytest.fixture(scope="module")
def profile(running: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed in once with `irisx login`, the password on standard input."""
    file = tmp_path_factory.mktemp("profile") / "profile.json"
    command = [sys.executable, "-m", "api.cli", "login", "--email", running.email, "--url", running.address]
    done = subprocess.run(
        command,
        input=running.password + "\n",
        capture_output=True,
        text=True,
        env=clean_environment(IRISX_PROFILE=str(file)),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "signed in" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    return file


@pytest.fixture
def irisx(
    running: Whole, profile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Say:
    """Run a command in this process: what it printed, as JSON; with ``fails`` its one line of complaint."""
    for name in ("DATABASE_URL", "REDIS_URL", "SWITCHES", "IRISX_API_KEY", "IRISX_URL", "IRISX_TENANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IRISX_PROFILE", str(profile))

    def say(*words: str, fails: bool = False, plain: bool = False) -> Any:
        code = cli.run([*words] if plain or fails else [*words, "--json"])
        said = capsys.readouterr()
        if fails:
            assert code == 1, said
            assert said.err.count("\n") == 1, said
            return said.err
        assert code == 0, said
        return said.out if plain else json.loads(said.out)

    return say


def parked(irisx: Say) -> str:
    """A live call that is answered and ours alone: placed by ourselves."""
    answer = irisx("originate", "+4930999", "--from", "+4930111")
    call_id: str = answer["call"]["id"]
    # The state "new" is not written out, as all values that are the usual ones.
    eventually(20, lambda: irisx("call", call_id).get("state") == "answered", "it is answered")
    return call_id


def test_status_says_how_everything_is(irisx: Say) -> None:
    said = irisx("status")
    assert said["state"] in ("good", "attention")
    assert {"database", "command bus"} <= {part["name"].lower() for part in said["components"]}
    assert said["summary"] in irisx("status", plain=True)


def test_calls_are_listed_filtered_and_shown(irisx: Say) -> None:
    calls = eventually(30, lambda: irisx("calls"), "live calls")
    one = calls[0]
    assert one["id"] in irisx("calls", plain=True)
    ended = eventually(90, lambda: irisx("calls", "--ended", "--limit", "3"), "ended calls")
    assert all(call["state"] == "ended" for call in ended)
    assert irisx("calls", "--state", "ended", "--limit", "1")[0]["state"] == "ended"
    assert irisx("call", ended[0]["id"], "show")["id"] == ended[0]["id"]
    assert "ended" in irisx("call", ended[0]["id"], plain=True)
    assert irisx("call", ended[0]["id"], "trace")["data"]


def test_a_call_is_placed_and_acted_on(irisx: Say) -> None:
    call_id = parked(irisx)
    muted = irisx("call", call_id, "mute")
    assert muted["call"]["legs"][0]["muted"] is True
    assert "muted" not in irisx("call", call_id, "unmute")["call"]["legs"][0]
    assert "hung up (now ended)" in irisx("call", call_id, "hangup", plain=True)
    assert irisx("call", call_id)["state"] == "ended"
    assert "ended" in irisx("call", call_id, "mute", fails=True)


def test_a_call_is_recorded_and_the_recording_stopped(irisx: Say) -> None:
    call_id = parked(irisx)
    irisx("call", call_id, "record")
    irisx("call", call_id, "record", "pause")
    irisx("call", call_id, "record", "resume")
    assert "recording stopped" in irisx("call", call_id, "record", "stop", plain=True)
    assert "no recording of ours runs" in irisx("call", call_id, "record", "stop", fails=True)
    irisx("call", call_id, "hangup")


def test_two_calls_become_one(irisx: Say) -> None:
    one, other = parked(irisx), parked(irisx)
    joined = irisx("call", one, "bridge", other)["call"]
    assert joined["state"] == "bridged"
    irisx("call", joined["id"], "hangup")


def test_a_call_that_does_not_exist_is_one_line(irisx: Say) -> None:
    assert "there is no call call_0" in irisx("call", "call_0", fails=True)


def test_switches_are_listed_probed_drained_and_resumed(irisx: Say) -> None:
    node = irisx("nodes")[0]
    assert node["name"] == "simulator"
    assert "up" in irisx("nodes", "list", plain=True)
    irisx("nodes", "probe", "simulator")
    irisx("nodes", "resync", "simulator")
    assert irisx("nodes", "drain", "simulator")["node"]["state"] in ("draining", "drained")
    assert "originate" not in irisx("originate", "+4930999", fails=True)
    assert irisx("nodes", "resume", "simulator")["node"]["state"] == "active"
    assert "there is no switch x" in irisx("nodes", "probe", "x", fails=True)


def test_a_switch_is_added_without_its_password_on_the_command_line(
    irisx: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("geheim-geheim\n"))
    added = irisx("nodes", "add", "elsewhere", "esl://127.0.0.1:1")
    assert (added["name"], added["host"], added["port"]) == ("elsewhere", "127.0.0.1", 1)
    assert "geheim" not in json.dumps(added)
    irisx("nodes", "remove", "elsewhere")
    assert [node["name"] for node in irisx("nodes")] == ["simulator"]


def test_the_log_is_read_in_order_from_a_number_on(irisx: Say, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["events", "--json", "--after", "0", "--limit", "20"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(entries[0]["seq"], entries[0]["seq"] + 20))
    assert cli.run(["events", "--types", "call.ended", "--after", "0", "--limit", "3"]) == 0
    assert "call.ended" in capsys.readouterr().out


def test_following_the_log_goes_on_over_the_death_of_the_api(
    running: Whole, irisx: Say, profile: Path
) -> None:
    command = [sys.executable, "-m", "api.cli", "events", "--follow", "--after", "0", "--json"]
    env = clean_environment(IRISX_PROFILE=str(profile), PYTHONUNBUFFERED="1")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as follower:
        assert follower.stdout is not None
        try:
            seqs = [json.loads(follower.stdout.readline())["seq"]]
            since = len(running.said)
            os.kill(running.children()["api"], signal.SIGKILL)
            running.wait_for(60, since, event="note", name="api", text="is back")
            head = eventually(30, lambda: _head(irisx), "the api answers")
            while seqs[-1] <= head:
                seqs.append(json.loads(follower.stdout.readline())["seq"])
        finally:
            # (a test that runs in the background of a shell has children that ignore Ctrl-C)
            follower.terminate()
        # Both are read: it cannot end while what it has said waits in a full pipe.
        remarks = follower.communicate(timeout=30)[1]
    assert seqs == list(range(1, len(seqs) + 1))
    assert "stream lost" in remarks


def _head(irisx: Say) -> int:
    try:
        return int(irisx("top", "--once")["seq"])
    except AssertionError:
        return 0


def test_top_shows_the_live_view_on_a_terminal_and_leaves_it_as_it_was(profile: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(clean_environment(IRISX_PROFILE=str(profile), TERM="xterm-256color"))
        os.execv(sys.executable, [sys.executable, "-m", "api.cli", "top"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
    screen = _read_until(terminal, "● live", 60)
    assert "simulator" in _read_until(terminal, "simulator", 20) or "simulator" in screen
    _read_until(terminal, "call_", 30)
    os.write(terminal, b"\x1b[B")
    os.write(terminal, b"\r")
    _read_until(terminal, "Esc: back", 20)
    os.write(terminal, b"q")
    rest = _read_until(terminal, "\x1b[?1049l", 20)
    assert "\x1b[?1049l" in rest  # the alternate screen was left
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)


def _read_until(terminal: int, text: str, seconds: float) -> str:
    """What came until ``text`` stood in it, colours and movements taken out."""
    deadline, raw = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                raw += os.read(terminal, 65536).decode("utf-8", "replace")
            except OSError:
                break
        if text in raw or text in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw):
            return raw
    raise AssertionError(f"{text!r} was not shown: {raw[-2000:]!r}")


def test_top_once_is_for_programs(irisx: Say) -> None:
    seen = irisx("top", "--once")
    assert seen["stream"] == "live"
    assert [node["name"] for node in seen["nodes"]] == ["simulator"]
    assert sum(seen["states"].values()) == len(seen["calls"])
    assert "simulator" in irisx("top", "--once", plain=True)


def test_doctor_finds_the_running_system_in_order(
    running: Whole, irisx: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRISX_LISTEN", running.address.removeprefix("http://"))
    found = irisx("doctor", "--state-dir", str(running.state_dir))
    assert [one for one in found if one["level"] == "bad"] == []
    areas = {one["area"] for one in found}
    assert {
        "versions",
        "disk",
        "clock",
        "api",
        "database",
        "bus",
        "messages",
        "objects",
        "switch simulator",
    } <= areas
    assert all(one.get("remedy") for one in found if one["level"] != "good")


def test_doctor_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://irisx:geheim@127.0.0.1:1/irisx")
    monkeypatch.setenv("REDIS_URL", "redis://:geheim@127.0.0.1:1")
    monkeypatch.setenv("SWITCHES", "fs=esl://:geheim@127.0.0.1:1")
    assert cli.run(["doctor", "--state-dir", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr().out
    assert "geheim" not in said
    bad = {one["area"]: one for one in json.loads(said) if one["level"] == "bad"}
    assert set(bad) == {"database", "bus", "switch fs"}
    assert all(one["remedy"] for one in bad.values())


def test_every_metric_that_the_operators_page_names_is_there(running: Whole) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "operators" / "metrics.md").read_text()
    named = set(re.findall(r"irisx_[a-z_]+", page))
    with running.client() as client:
        shown = eventually(
            30,
            lambda: (text := client.get("/metrics").text) and "irisx_switch_sessions" in text and text,
            "a heartbeat",
        )
    assert (
        sorted(
            name
            for name in named
            if not re.search(rf"^# HELP {name.removesuffix('_total')}(_total)? ", shown, re.MULTILINE)
        )
        == []
    )


def test_a_lost_password_is_replaced_on_the_machine_of_the_database(running: Whole, irisx: Say) -> None:
    made = irisx("new-password", running.email, "--state-dir", str(running.state_dir))
    running.password = made["password"]
    with running.client() as client:
        assert client.get("/auth/session").json()["email"] == running.email
    assert "nobody signs in with" in irisx(
        "new-password", "x@y.z", "--state-dir", str(running.state_dir), fails=True
    )


def test_a_wrong_password_is_one_line(
    running: Whole, irisx: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IRISX_PROFILE", str(tmp_path / "other.json"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("wrong\n"))
    said = irisx("login", "--email", running.email, "--url", running.address, fails=True)
    assert said.startswith("irisx: ")
    assert not (tmp_path / "other.json").exists()


def test_signing_out_revokes_the_key(running: Whole, irisx: Say, profile: Path) -> None:
    key = json.loads(profile.read_text())["key"]
    assert irisx("logout") == {"revoked": True}
    assert not profile.exists()
    os.environ["IRISX_API_KEY"], os.environ["IRISX_URL"] = key, running.address
    try:
        assert "irisx login" in irisx("calls", fails=True)
    finally:
        del os.environ["IRISX_API_KEY"], os.environ["IRISX_URL"]
