"""The state directory: one supervisor at a time, and what is remembered."""

import os
from pathlib import Path

import pytest

from api.up import statedir
from api.up.statedir import Occupied, Remembered, StateDir


def test_a_second_supervisor_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path / "state"), StateDir(tmp_path / "state")
    first.take()
    first.say("http://127.0.0.1:8080")
    with pytest.raises(Occupied) as occupied:
        second.take()
    assert f"process {os.getpid()}, http://127.0.0.1:8080" in str(occupied.value)
    assert "\n" not in str(occupied.value)
    first.release()
    second.take()
    second.release()


def test_the_lock_does_not_depend_on_what_an_earlier_holder_left_in_it(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_bytes(b"\x00garbage")
    first, second = StateDir(tmp_path), StateDir(tmp_path)
    first.take()
    with pytest.raises(Occupied, match="IRISX already runs on"):
        second.take()
    first.release()


def test_what_is_remembered_comes_back_and_is_nobody_elses(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.take()
    state.remember(Remembered(4711, "secret"))
    assert state.remembered() == Remembered(4711, "secret")
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0
    state.release()


def test_a_fresh_directory_gets_a_password_of_its_own(tmp_path: Path) -> None:
    one, other = StateDir(tmp_path / "a").remembered(), StateDir(tmp_path / "b").remembered()
    assert len(one.simulator_password) >= 12
    assert one.simulator_password != other.simulator_password


def test_the_directory_follows_the_xdg_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert statedir.default() == tmp_path / "irisx"
    # The specification: a relative path is to be ignored.
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert statedir.default() == tmp_path / ".local" / "state" / "irisx"
