"""`make check`: everything that is found without running the product, as numbered steps.

Two checks run side by side; each one's output is shown only when it fails, and all of them are run before the
verdict, so that one look tells all.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bootstrap import lock, pages, python
from bootstrap.steps import LOGS, ROOT

_BIN = python.VENV / "bin"
_CODE = [
    name
    for name in (
        "api",
        "bench",
        "bootstrap",
        "changelog",
        "core",
        "dashboards",
        "freeswitch",
        "plugins",
        "tests",
    )
    if any((ROOT / name).glob("*.py")) or any((ROOT / name).glob("*/*.py"))
]


def _commands() -> list[tuple[str, list[str], Path]]:
    """Title, command and folder of each check; the slowest first, so that the others fill the gaps."""
    here = ROOT
    npm = str(pages.node_folder() / "npm")
    return [
        ("types of the Python code", [str(_BIN / "mypy"), *_CODE], here),
        ("types and accessibility of the pages", [npm, "run", "check"], pages.PAGES),
        ("directions between the rooms", [str(_BIN / "lint-imports")], here),
        ("style and likely bugs", [str(_BIN / "ruff"), "check", "."], here),
        ("format", [str(_BIN / "ruff"), "format", "--check", "."], here),
        (
            "the API's description and the pages' types",
            [str(_BIN / "python"), "-m", "bootstrap.description", "--check"],
            here,
        ),
    ]


def _one(title: str, argv: list[str], folder: Path) -> tuple[bool, float, str]:
    began = time.monotonic()
    path = f"{pages.node_folder()}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"check-{Path(argv[0]).name}-{folder.name}.log").write_text(done.stdout)
    return done.returncode == 0, time.monotonic() - began, done.stdout


def run_all() -> int:
    """Run every check; 0 when all hold."""
    began = time.monotonic()
    commands = _commands()
    total = len(commands) + 1
    fine = lock.is_current()
    print(f"[1/{total}] lock follows pyproject.toml: {'yes' if fine else 'NO: make lock'}", flush=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        running: list[Future[tuple[bool, float, str]]] = [pool.submit(_one, *command) for command in commands]
        for number, (future, (title, _, _)) in enumerate(zip(running, commands, strict=True), 2):
            good, seconds, output = future.result()
            print(
                f"[{number}/{total}] {title}: {'fine' if good else 'NOT fine'} ({seconds:.1f} s)", flush=True
            )
            if not good:
                sys.stdout.write("".join(f"    {line}\n" for line in output.rstrip().splitlines()[-60:]))
            fine = fine and good
    print(f"checks {'passed' if fine else 'FAILED'} after {time.monotonic() - began:.1f} s", flush=True)
    return 0 if fine else 1
