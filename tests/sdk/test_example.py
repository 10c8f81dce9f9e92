"""The ninth channel: a distribution of its own, found by its entry point, as a stranger's would be."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.sdk.environment import Environment

EXAMPLE = Path(__file__).parents[2] / "docs/examples/irisx-example-channel"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment") / "venv")
    # (a copy: building must leave nothing in the repository)
    project = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("example") / "project")
    made.install(project)
    return made


def test_the_example_is_under_150_lines_with_its_fake_and_its_test() -> None:
    files = [*EXAMPLE.rglob("*.py"), *EXAMPLE.rglob("*.toml")]
    assert 4 < len(files)
    assert sum(len(file.read_text().splitlines()) for file in files) < 150


def test_the_example_imports_the_sdk_and_nothing_else_of_ours() -> None:
    for file in EXAMPLE.rglob("*.py"):
        words = re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE)
        assert not {"core", "api", "freeswitch", "irisx_channels", "dashboards"} & set(words)


def test_an_installed_channel_is_found_and_conforms(environment: Environment) -> None:
    listed = json.loads(environment.run("irisx", "plugin", "list", "--json"))
    (bulletin,) = [one for one in listed if one["name"] == "bulletin"]
    assert (bulletin["distribution"], bulletin["problem"]) == ("irisx-bulletin", "")
    assert [channel["name"] for channel in bulletin["channels"]] == ["bulletin"]
    (report,) = json.loads(environment.run("irisx", "plugin", "check", "bulletin", "--json"))
    held = [check["name"] for check in report["checks"] if check["held"]]
    assert len(held) >= 18
    assert [check for check in report["checks"] if check["held"] is False] == []


def test_a_plugin_that_cannot_be_loaded_is_named_and_the_others_work(
    environment: Environment, tmp_path: Path
) -> None:
    project = shutil.copytree(EXAMPLE, tmp_path / "project")
    (project / "irisx_bulletin").rename(project / "irisx_broken")
    (project / "irisx_broken/__init__.py").write_text("import nothing_of_that_name\n")
    description = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(description.replace("bulletin", "broken"))
    environment.install(project)
    try:
        listed = {
            one["name"]: one for one in json.loads(environment.run("irisx", "plugin", "list", "--json"))
        }
        assert "nothing_of_that_name" in listed["broken"]["problem"]
        assert listed["bulletin"]["problem"] == ""
        assert "left out" in environment.run("irisx", "plugin", "list")
    finally:
        environment.run("python", "-m", "pip", "uninstall", "-q", "-y", "irisx-broken")
