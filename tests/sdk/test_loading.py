"""Finding plugins: what is left out and why, and where a channel's fake is."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
from irisx_bulletin.channel import Bulletin
from irisx_bulletin.fake import FakeBulletin

from irisx_sdk import Channel, hook, loading
from irisx_sdk.loading import fake_of, installed
from irisx_sdk.starting import start


def plugin(monkeypatch: pytest.MonkeyPatch, **named: Any) -> dict[str, loading.Plugin]:
    """What is found when these are the entry points."""

    class Point(SimpleNamespace):
        def load(self) -> Any:
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    points = [Point(name=name, value=value, dist=None) for name, value in named.items()]
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    return {one.name: one for one in installed().plugins}


class Bringing:
    def __init__(self, *channels: Any) -> None:
        self.channels = channels

    @hook
    def irisx_channels(self) -> Sequence[Channel]:
        return self.channels


class Other(Bulletin):
    name = "other"


class Nameless(Bulletin):
    name = "No Name"


class HooksOnly:
    @hook
    def irisx_route(self, channel: str) -> str | None:
        return "night"


class Misspelt:
    @hook
    def irisx_rout(self) -> str | None:
        return None


def test_plugins_bring_channels_and_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugin(monkeypatch, a=Bringing(Bulletin(), Other()), b=HooksOnly())
    assert [channel.name for channel in found["a"].channels] == ["bulletin", "other"]
    assert (found["b"].channels, found["b"].problem) == ((), "")
    assert installed().hooks.hook.irisx_route(channel="x", message=None) == "night"
    assert set(installed().channels) == {"bulletin", "other"}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (ImportError("no module"), "no module"),
        (Misspelt(), "irisx_rout"),
        (Bringing("text"), "not a Channel"),
        (Bringing(Nameless()), "No Name"),
        (Bringing(Channel()), "name"),
        (Bringing(Bulletin()), "already"),
        (Bringing(Other(), Other()), "already"),
    ],
)
def test_a_plugin_that_does_not_work_is_left_out_whole_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, broken: Any, why: str
) -> None:
    found = plugin(monkeypatch, a=Bringing(Bulletin()), broken=broken, z=HooksOnly())
    assert why in found["broken"].problem
    assert found["broken"].channels == ()
    assert (found["a"].problem, found["z"].problem) == ("", "")
    assert list(installed().channels) == ["bulletin"]
    assert len(installed().hooks.get_plugins()) == 2


def test_an_entry_point_that_names_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "entry_points", lambda group: [EntryPoint("x", "no_such_module", "irisx")])
    (one,) = installed().plugins
    assert "no_such_module" in one.problem


def test_the_fake_of_a_channel_is_found_beside_it() -> None:
    assert fake_of(Bulletin()) is FakeBulletin


def test_a_channel_without_a_fake_is_told_as_that() -> None:
    with pytest.raises(LookupError, match="no fake provider of other"):
        fake_of(Other())


@pytest.mark.parametrize(
    "name", ["", "A", "x", "9lives", "two words", "../up", "none", "settings", "message"]
)
def test_a_name_that_would_not_work_is_refused_and_nothing_is_written(name: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        start(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_project_is_not_written_over_another_one(tmp_path: Any) -> None:
    start("acme", tmp_path)
    with pytest.raises(FileExistsError):
        start("acme", tmp_path)
