"""The inbox with the real program: what customers write through each provider is seen, answered, and arrives.

One start of `irisx up` with its fake providers, one for each of the seven families, and the ninth channel, which is a
stranger's distribution (`docs/examples`): installed beside the program, connected through the API, played by its own
fake. The agent is a browser.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from irisx_sdk.testing import running as provider
from tests.web.test_pages import FOLDER, ROOT, built, environment, missing  # noqa: F401  # (a fixture)
from tests.whole import START_S, whole

EXAMPLE = ROOT / "docs/examples/irisx-example-channel"
LIMIT_S = 240.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(LIMIT_S + 180)]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of packages with the example in it, seen by this process and by all that it starts."""
    # (a copy: building must leave nothing in the repository)
    project = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("example") / "project")
    packages = tmp_path_factory.mktemp("packages")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*command, "--target", packages, project], check=True, timeout=120)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(packages), before]))
    sys.path.insert(0, str(packages))
    yield packages
    sys.path.remove(str(packages))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.mark.browser
def test_what_customers_write_by_every_channel_is_seen_within_a_second_answered_and_arrives(
    built: Path,  # noqa: F811
    example: Path,
    tmp_path: Path,
) -> None:
    browser = next((one for one in ("chromium", "firefox") if not missing(one)), "")
    if not browser:
        pytest.skip(missing("chromium"))
    from irisx_bulletin.fake import FakeBulletin  # (installed by the fixture)

    with (
        whole(tmp_path / "up", "--controllers", "1", "--calls-per-minute", "6", "--no-messages") as up,
        provider(FakeBulletin()) as bulletin,
    ):
        box = up.wait_for(START_S, event="running")
        fakes = {name.removeprefix("fake "): url for name, url in box.items() if name.startswith("fake ")}
        assert len(fakes) == 7
        with up.client() as client:
            body = {
                "type": "bulletin",
                "name": "Town board",
                "settings": msgspec.to_builtins(bulletin.settings),
            }
            account = client.post("/channels", json=body).raise_for_status().json()
        bulletin.webhook_url = f"{up.address}/v1/channels/{account['id']}/inbound"
        fakes["bulletin"] = f"{bulletin.base}/"
        done = subprocess.run(
            ["node", "tests/real-inbox.mjs", up.address, up.email, up.password, json.dumps(fakes), browser],
            cwd=FOLDER,
            # (a second is for a machine that has the processors for it)
            env={
                **environment(),
                "IRISX_PATIENCE": str(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))),
            },
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert {one["name"] for one in seen} == set(fakes)
        for one in seen:
            print(one)
