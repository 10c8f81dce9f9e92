"""The virtual environment `.venv`: made without pip where there is none, filled from the lock.

``requirements.lock`` has sections (`bootstrap.lock`): ``run`` is what running needs, ``test`` what testing adds and
``web`` a Node.js for machines without one. Wheels are taken, because a bare machine has no compiler and a build would
fetch unlocked things; what exists as source alone (`SOURCE_ONLY`) is built here, with what the lock brought before.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bootstrap import debian, lock
from bootstrap.steps import ROOT, TOOLS, BootstrapError, Steps, put_stamp, run, stamped

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST, NEWEST = (3, 11), (3, 13)
SOURCE_ONLY = ("quotequail",)
"""Locked packages without a wheel. They have to be plain Python, built by setuptools."""
_PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input"]


def check_version() -> None:
    """One clear line instead of a syntax error from deep inside."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        have = ".".join(str(part) for part in sys.version_info[:2])
        others = [name for minor in (13, 12, 11) if (name := shutil.which(f"python3.{minor}"))]
        hint = f"make PYTHON={others[0]} ..." if others else "install one of these"
        raise BootstrapError(f"IRISX runs on Python 3.11 to 3.13 and this is {have}: {hint}")


def _stamp_value(kinds: tuple[str, ...]) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:3]} {sys.executable}".encode())
    digest.update((ROOT / "pyproject.toml").read_bytes())
    for kind in kinds:
        digest.update(lock.section(kind).encode())
    return digest.hexdigest()


def is_filled(kinds: tuple[str, ...]) -> bool:
    """Whether the environment already holds these locks; one filled for tests also serves to run."""
    return PYTHON.exists() and any(
        stamped(VENV / f".filled-{'-'.join(filled)}", _stamp_value(filled))
        for filled in {kinds, ("run", "test")}
        if all(kind in filled for kind in kinds)
    )


def fill(steps: Steps, kinds: tuple[str, ...]) -> Mapping[str, str]:
    """Make `.venv` and put the locked packages into it. Returns the certificate settings for later steps."""
    if is_filled(kinds):
        steps.have("Python environment", f".venv is there ({version()})")
        steps.have("Python packages", "as locked, nothing to install")
        return {}
    with steps.step(
        "Python environment", f"packages go into .venv, not into the system ({sys.executable})"
    ) as show:
        trust = debian.certificates(show)
        _make(show)
    names = sum(lock.count(kind) for kind in kinds)
    with steps.step("Python packages", f"{names} locked packages, each checked against its hash") as show:
        _install(kinds, trust, names, show)
        put_stamp(VENV / f".filled-{'-'.join(kinds)}", _stamp_value(kinds))
    return trust


def version() -> str:
    return f"Python {'.'.join(str(part) for part in sys.version_info[:3])}"


def _make(show: Callable[[str], None]) -> None:
    if PYTHON.exists() and not _usable():
        shutil.rmtree(VENV)
    if PYTHON.exists():
        return
    has_pip = (
        subprocess.run(
            [sys.executable, "-c", "import ensurepip"], capture_output=True, check=False
        ).returncode
        == 0
    )
    if has_pip:
        show("python -m venv")
        run([sys.executable, "-m", "venv", VENV], log="venv")
        return
    # Debian cuts ensurepip out of its python3. Its pip wheel, which is a program by itself, installs itself.
    wheels = debian.python_wheels(show)
    show("venv without pip, then Debian's pip wheel into it")
    run([sys.executable, "-m", "venv", "--without-pip", VENV], log="venv")
    pip = next(iter(sorted(wheels.glob("pip-*.whl"))))
    run([PYTHON, pip / "pip", "install", "--no-index", "--no-deps", pip], log="venv-pip")


def _usable() -> bool:
    """Same Python as ours, with pip: an environment whose interpreter was removed or changed is made anew."""
    try:
        found = subprocess.run(
            [PYTHON, "-c", "import sys, pip; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return found.stdout.split() == [str(part) for part in sys.version_info[:2]]


def add(kind: str, trust: Mapping[str, str], show: Callable[[str], None]) -> None:
    """Put one more section of the lock into the environment."""
    _download((kind,), trust, lock.count(kind), show)


def _install(
    kinds: tuple[str, ...], trust: Mapping[str, str], total: int, show: Callable[[str], None]
) -> None:
    _download(kinds, trust, total, show)
    show("irisx itself")
    # Editable: the checkout is what runs. Its build backend is in the lock, so nothing unlocked is fetched.
    here = ["--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    run([PYTHON, *_PIP, "install", *here], log="pip-irisx", show=show)


def _download(
    kinds: tuple[str, ...], trust: Mapping[str, str], total: int, show: Callable[[str], None]
) -> None:
    seen = 0

    def tell(line: str) -> str | None:
        nonlocal seen
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            seen += 1
            return f"{min(seen, total)} of {total}"
        return "installing" if line.startswith("Installing") else None

    wheels: list[str | Path] = []
    sources: list[str | Path] = []
    for kind in kinds:
        packages = lock.blocks(kind)
        for source, into in ((False, wheels), (True, sources)):
            if text := "".join(pin for name, pin in packages.items() if (name in SOURCE_ONLY) is source):
                part = TOOLS / "locks" / f"{kind}{'-source' if source else ''}.txt"
                put_stamp(part, text)
                into += ["-r", part]
    # The lock is complete, so nothing is left to solve: --no-deps.
    strict = ["--require-hashes", "--no-deps", "--progress-bar", "off"]
    for parts, how in ((wheels, ["--only-binary", ":all:"]), (sources, ["--no-build-isolation"])):
        if parts:
            command = [PYTHON, *_PIP, "install", *strict, *how, *parts]
            run(command, log=f"pip-{kinds[-1]}", env=trust, show=show, tell=tell)
