"""The pages, as people use them: journeys in Chromium and Firefox against a platform that stands in for ours.

The journeys are in ``dashboards/tests/journeys.mjs`` and the files it takes in, and run on node; each is a test here. Both browsers run side by
side, once, when the first of these tests asks for a result.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap import pages
from dashboards.build import BUILD

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dashboards"
TOOLS = ROOT / ".tools" / "bin"
LIMIT_S = 900.0
"""For all journeys of both browsers; an idle machine with two cores needs a tenth of it."""
BROWSERS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox-esr", "firefox"),
}

pytestmark = pytest.mark.timeout(LIMIT_S + 120)


def journeys() -> list[str]:
    """The names of the journeys, as they stand in the scripts: the main one and those it takes them from."""
    text = (FOLDER / "tests" / "journeys.mjs").read_text()
    taken = re.findall(r"^import \{ \w+Journeys \} from '\./([\w-]+\.mjs)'", text, re.MULTILINE)
    body = text[text.index("export const JOURNEYS") :]
    for name in taken:
        body += (FOLDER / "tests" / name).read_text()
    return [name.replace("\\u2019", "’") for name in re.findall(r"^ +'([^'\n]+)': async", body, re.MULTILINE)]


def everywhere() -> list[str]:
    """The beginnings of those that all browsers run; the others run in Chromium (`IRISX_ALL_JOURNEYS=1`: in all)."""
    text = (FOLDER / "tests" / "journeys.mjs").read_text()
    body = text[text.index("export const EVERYWHERE") :].partition("];")[0]
    return [name.replace("\\u2019", "’") for name in re.findall(r"^  '([^'\n]+)'", body, re.MULTILINE)]


def runs() -> list[tuple[str, str]]:
    """Each journey with each browser that runs it."""
    both, everything = tuple(everywhere()), bool(os.environ.get("IRISX_ALL_JOURNEYS"))
    return [
        (journey, browser)
        for browser in BROWSERS
        for journey in journeys()
        if browser == "chromium" or everything or journey.startswith(both)
    ]


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(TOOLS), str(pages.node_folder()), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"}


def missing(browser: str) -> str:
    """Why this browser cannot be used here; empty when it can."""
    if os.environ.get("IRISX_NO_BROWSERS"):
        return "left out, as IRISX_NO_BROWSERS asks"
    path = environment()["PATH"]
    if any(shutil.which(name, path=path) for name in BROWSERS[browser]):
        return ""
    return f"there is no {browser} here; `make test` brings one"


@pytest.fixture(scope="module")
def built() -> Path:
    if not (FOLDER / "node_modules" / ".bin" / "vite").exists():
        pytest.skip("the pages' packages are not installed; `make test` does it")
    # In a process of its own, as `make` would.
    done = subprocess.run(
        [sys.executable, "-m", "dashboards.build"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return BUILD


@pytest.fixture(scope="module")
def results(built: Path) -> Iterator[dict[tuple[str, str], dict[str, Any]]]:
    """What came of each journey in each browser that is here."""
    running = {
        browser: subprocess.Popen(
            ["node", "tests/run.mjs", browser],
            cwd=FOLDER,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for browser in BROWSERS
        if not missing(browser)
    }
    found: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        for browser, process in running.items():
            said, _ = process.communicate(timeout=LIMIT_S)
            for line in said.splitlines():
                if line.startswith("{"):
                    result = json.loads(line)
                    found[browser, result["name"]] = result
            found[browser, ""] = {"said": said[-3000:]}
        yield found
    finally:
        for process in running.values():
            process.kill()
            process.wait()


@pytest.mark.browser
@pytest.mark.parametrize(("journey", "browser"), runs())
def test_a_person_finds_that(
    journey: str, browser: str, results: dict[tuple[str, str], dict[str, Any]]
) -> None:
    if why := missing(browser):
        pytest.skip(why)
    result = results.get((browser, journey))
    assert result is not None, f"it did not run: {results[browser, '']['said']}"
    assert result["ok"], f"{result['error']}\nat {result['page']}\n{result['problems']}"


def test_the_live_state_equals_the_store_after_any_history(built: Path) -> None:
    """The unit tests of the pages: reducer, stream client, words; they need no browser."""
    done = subprocess.run(
        ["npm", "test"],
        cwd=FOLDER,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_the_first_view_of_each_page_needs_less_than_150_kb(built: Path) -> None:
    done = subprocess.run(
        ["node", "scripts/sizes.mjs"],
        cwd=FOLDER,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_page_runs_an_inline_script(built: Path) -> None:
    """The API answers with `script-src 'self'`: what stands in the page itself would not run."""
    page = (built / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert "style=" not in page


def test_the_lock_names_no_address_to_download_from() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    named = [name for name, package in lock["packages"].items() if "resolved" in package]
    assert named == []
    unpinned = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert unpinned == []
