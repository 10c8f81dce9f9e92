"""The changelog's fragments and the script that joins them."""

import importlib.util
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def join() -> ModuleType:
    spec = importlib.util.spec_from_file_location("join", ROOT / "changelog" / "join.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fragment_of_the_repository_is_well_formed(join: ModuleType) -> None:
    join.read_fragments(ROOT / "changelog")


def test_joining_puts_the_newest_version_first_and_removes_the_fragments(
    join: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "changelog"
    folder.mkdir()
    (folder / "README.md").write_text("about")
    (folder / "a.feature.md").write_text("It can\nfly.\n")
    join.join(tmp_path, "0.1.0", DAY)
    (folder / "b.fix.md").write_text("It lands.")
    join.join(tmp_path, "0.2.0", DAY)
    assert (tmp_path / "CHANGELOG.md").read_text() == (
        "# Changes\n\n## 0.2.0 (2026-11-22)\n\n### Fixed\n\n- It lands.\n\n## 0.1.0 (2026-11-22)\n\n### New\n\n- It can fly.\n"
    )
    assert [path.name for path in folder.iterdir()] == ["README.md"]


@pytest.mark.parametrize(("name", "text"), [("a.md", "x"), ("a.novelty.md", "x"), ("a.fix.md", " \n")])
def test_what_is_no_fragment_is_refused_by_name(
    join: ModuleType, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(join.BadFragment, match=name):
        join.read_fragments(tmp_path)
