"""Chromium and Firefox for the tests of the pages: the machine's own, installed, or unpacked beside us.

What is found or made is put as ``chromium`` and ``firefox-esr`` into `.tools/bin`, which `make test` puts first on
its PATH, so the tests look in one place. Root installs Debian's packages; a normal user gets the same packages
unpacked under `.tools`, with wrappers that say where their libraries, fonts and settings are.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bootstrap import debian
from bootstrap.steps import TOOLS, BootstrapError, Steps

BIN = TOOLS / "bin"
ROOTFS = TOOLS / "browsers"
_NAMES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    "firefox-esr": ("firefox-esr", "firefox"),
}
_BINARIES = {"chromium": "usr/lib/chromium/chromium", "firefox-esr": "usr/lib/firefox-esr/firefox-esr"}
# A page without any font has no text to look at.
_PACKAGES = ("chromium", "firefox-esr", "fonts-dejavu-core", "fonts-liberation")


def _on_path(browser: str) -> str | None:
    elsewhere = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != BIN)
    for name in _NAMES[browser]:
        if found := shutil.which(name, path=elsewhere):
            return found
    return None


def _wrapper(browser: str) -> Path:
    return BIN / browser


def prepare(steps: Steps) -> None:
    """Have both browsers; skipped where IRISX_NO_BROWSERS is set."""
    title = "Browsers"
    if os.environ.get("IRISX_NO_BROWSERS"):
        steps.have(title, "left out, as IRISX_NO_BROWSERS asks: the tests that need one are skipped")
        return
    missing = [browser for browser in _NAMES if not _on_path(browser)]
    if not missing:
        steps.have(title, "Chromium and Firefox are installed")
    elif all(_answers(_wrapper(browser)) for browser in missing):
        steps.have(title, "Chromium and Firefox are unpacked in .tools")
    elif not debian.available():
        raise BootstrapError(
            f"the pages are tested in Chromium and Firefox, and {' and '.join(missing)} is missing: install it, "
            "or set IRISX_NO_BROWSERS=1 to leave those tests out"
        )
    elif debian.is_root():
        with steps.step(title, "the pages are tested in real ones; installing Debian's packages") as show:
            debian.install(_PACKAGES, show)
    else:
        with steps.step(
            title, "the pages are tested in real ones; unpacking Debian's packages into .tools"
        ) as show:
            _unpack(show, missing)
    for browser in _NAMES:
        if found := _on_path(browser):
            _link(browser, found)


def _link(browser: str, target: str) -> None:
    BIN.mkdir(parents=True, exist_ok=True)
    link = _wrapper(browser)
    if link.is_symlink() or link.exists():
        if link.is_symlink() and os.readlink(link) == target:
            return
        link.unlink()
    link.symlink_to(target)


def _unpack(show: Callable[[str], None], browsers: list[str]) -> None:
    shutil.rmtree(ROOTFS, ignore_errors=True)
    debian.unpack(debian.fetch(_PACKAGES, show), ROOTFS, show)
    shutil.rmtree(debian.APT / "cache", ignore_errors=True)
    fonts = _font_settings()
    for browser in browsers:
        _write_wrapper(browser, fonts)
    for browser in browsers:
        show(f"trying {browser}")
        if not _answers(_wrapper(browser)):
            raise BootstrapError(
                f"{browser} was unpacked but does not start; run {_wrapper(browser)} --version to see why, "
                "or set IRISX_NO_BROWSERS=1 to leave its tests out"
            )


def _font_settings() -> Path:
    """A fontconfig file that knows the unpacked fonts and keeps its cache beside them."""
    path = ROOTFS / "fonts.conf"
    path.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">\n<fontconfig>\n'
        f"  <dir>{ROOTFS}/usr/share/fonts</dir>\n  <dir>/usr/share/fonts</dir>\n"
        f'  <cachedir>{ROOTFS}/font-cache</cachedir>\n  <include ignore_missing="yes">{ROOTFS}/etc/fonts/conf.d</include>\n'
        "</fontconfig>\n"
    )
    return path


def _write_wrapper(browser: str, fonts: Path) -> None:
    libraries = ":".join(str(folder) for folder in debian.library_folders(ROOTFS))
    # Chromium's own sandbox helper would have to belong to root. It is for tests of our own pages only.
    extra = " --no-sandbox" if browser == "chromium" else ""
    BIN.mkdir(parents=True, exist_ok=True)
    wrapper = _wrapper(browser)
    wrapper.unlink(missing_ok=True)
    wrapper.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH='{libraries}'\n"
        f"export FONTCONFIG_FILE='{fonts}'\n"
        f"export XDG_DATA_DIRS='{ROOTFS}/usr/share:/usr/local/share:/usr/share'\n"
        f"exec '{ROOTFS / _BINARIES[browser]}'{extra} \"$@\"\n"
    )
    wrapper.chmod(0o755)


def _answers(program: Path) -> bool:
    if not program.exists():
        return False
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, check=False, timeout=60).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
