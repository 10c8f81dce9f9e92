"""The operators' pages say what is true: every setting, every command they name."""

import re
from pathlib import Path

import pytest
import typer

from api import cli
from core.config import Settings, SwitchAddress

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operators"
PAGES = sorted(DOCS.glob("*.md"))
EVERYTHING = Settings(
    database_url="x", redis_url="x", s3_endpoint="x", s3_bucket="x", s3_access_key="x", s3_secret_key="x", s3_region="x",
    blobs_dir=Path("x"), switches=(SwitchAddress("a", "b"),), secret="x", public_url="x",
)  # fmt: skip


def test_every_setting_is_documented() -> None:
    told = (DOCS / "configure.md").read_text()
    assert [name for name in EVERYTHING.environment() if f"`{name}`" not in told] == []


def test_every_variable_that_our_code_reads_is_documented() -> None:
    told = (DOCS / "configure.md").read_text()
    root = DOCS.parents[1]
    read = {
        name
        for path in (root / "api").rglob("*.py")
        for name in re.findall(r"""(?:environ(?:\.get\(|\[)|envvar=)["'](IRISX_[A-Z_]+)""", path.read_text())
    }
    assert sorted(name for name in read if f"`{name}`" not in told) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    whole = typer.main.get_command(cli.app)
    known = set(whole.commands)  # type: ignore[attr-defined]  # it is a group
    named = set(re.findall(r"(?:`|^ {4}|bin/)irisx ([a-z][a-z-]+)", page.read_text(), flags=re.MULTILINE))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
