"""The file with the key, and what the environment changes."""

import os
from pathlib import Path

import pytest

from api.commands import profile
from api.commands.common import Failure
from api.commands.profile import Profile


@pytest.fixture(autouse=True)
def own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("IRISX_URL", "IRISX_API_KEY", "IRISX_TENANT"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "irisx" / "profile.json"
    monkeypatch.setenv("IRISX_PROFILE", str(file))
    return file


def test_what_is_stored_comes_back_and_only_the_owner_may_read_it(own_file: Path) -> None:
    who = Profile(url="http://irisx.example", key="irx_key_secret", key_id="key_1")
    profile.store(who)
    assert profile.current() == who
    assert own_file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_may_read_is_refused_with_the_remedy(own_file: Path) -> None:
    profile.store(Profile(key="irx_x"))
    own_file.chmod(0o644)
    with pytest.raises(Failure, match=f"chmod 600 {own_file}"):
        profile.current()


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    profile.store(Profile(key="stored"))
    monkeypatch.setenv("IRISX_API_KEY", "given")
    monkeypatch.setenv("IRISX_TENANT", "tnt_x")
    assert (profile.current().key, profile.current().tenant) == ("given", "tnt_x")


def test_a_stored_key_is_not_sent_to_another_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    profile.store(Profile(url="http://ours", key="stored"))
    monkeypatch.setenv("IRISX_URL", "http://elsewhere/")
    assert profile.current() == Profile(url="http://elsewhere", key="")


def test_a_broken_file_is_one_line(own_file: Path) -> None:
    own_file.parent.mkdir()
    own_file.write_text("{")
    own_file.chmod(0o600)
    with pytest.raises(Failure, match="irisx login writes it anew"):
        profile.current()


def test_the_key_is_not_in_the_profiles_repr() -> None:
    assert "s3cret" not in repr(Profile(key="s3cret"))


def test_without_a_file_and_environment_the_local_installation_is_meant() -> None:
    assert os.environ.get("IRISX_URL") is None
    assert profile.current() == Profile(url="http://127.0.0.1:8080")
