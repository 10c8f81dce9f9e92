"""``requirements.lock``: every package, pinned and hashed, for all supported Pythons and machines.

One file in pip's own form, with three sections that are marked by comments: ``run`` (running IRISX with its embedded
parts, and building it), ``web`` (a Node.js) and ``test`` (the rest). Its first line holds a digest of what
``pyproject.toml`` asks for, so that a forgotten `make lock` is found without a network.
"""

import hashlib
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from bootstrap.steps import ROOT, TOOLS, BootstrapError, Steps, run

LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
_RUN_EXTRAS = ("embedded", "build")
_WEB_EXTRAS = ("web",)
_SECTION = re.compile(r"^# == (\w+): .*$", re.MULTILINE)
_ABOUT = {
    "run": "what `make up` installs",
    "web": "a Node.js where the machine has none",
    "test": "what `make test` adds",
}


def asked_for() -> str:
    """A digest of all that the lock follows from."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    asked = [project["requires-python"], sorted(project["dependencies"])]
    asked += [[name, sorted(values)] for name, values in sorted(project["optional-dependencies"].items())]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def is_current() -> bool:
    """Whether the lock was made for what ``pyproject.toml`` asks for today."""
    return LOCK.exists() and LOCK.read_text().startswith(f"# for {asked_for()}\n")


def section(kind: str) -> str:
    """The lines of one section of the lock."""
    text = LOCK.read_text()
    marks = list(_SECTION.finditer(text))
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        if mark[1] == kind:
            return text[mark.end() : after.start() if after else len(text)].strip() + "\n"
    raise BootstrapError(f"requirements.lock has no section {kind!r}; make lock writes it anew")


def blocks(kind: str) -> dict[str, str]:
    """The packages of one section: name to its pin with hashes."""
    return _blocks(section(kind))


def count(kind: str) -> int:
    return len(blocks(kind))


def _blocks(text: str) -> dict[str, str]:
    """Package name to its pin with hashes."""
    blocks: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name = line.split("==")[0].strip()
        # A package may be pinned twice, for different Pythons.
        blocks[name] = blocks.get(name, "") + line + "\n"
    return blocks


def write(steps: Steps, *, upgrade: bool) -> None:
    """Solve anew and write the lock; pins stay unless ``upgrade``."""
    why = "all to their newest" if upgrade else "pins stay where they still fit"
    with (
        steps.step("Lock", f"solving for Python 3.11 to 3.13, {why}") as show,
        tempfile.TemporaryDirectory() as folder,
    ):
        uv = _uv(show)
        whole, seed = Path(folder, "all.txt"), _blocks(LOCK.read_text()) if LOCK.exists() else {}
        if not upgrade:
            whole.write_text("".join(seed.values()))
        compile_ = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
        compile_ += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", str(PYPROJECT)]
        show("everything, with hashes")
        run([*compile_, "--generate-hashes", "--all-extras", "-o", whole], log="uv-all")
        pins = _blocks(whole.read_text())
        names: dict[str, set[str]] = {}
        for kind, extras in (("run", _RUN_EXTRAS), ("web", _WEB_EXTRAS)):
            show(f"which of them are for {kind}")
            part = Path(folder, f"{kind}.txt")
            part.write_text("".join(line for line in _pins_only(pins)))
            chosen = [word for extra in extras for word in ("--extra", extra)]
            run([*compile_, *chosen, "-o", part], log=f"uv-{kind}")
            names[kind] = set(_blocks(part.read_text()))
        names["web"] -= names["run"]
        names["test"] = set(pins) - names["run"] - names["web"]
        out = f"# for {asked_for()}\n# made by `make lock`; do not edit\n"
        for kind, about in _ABOUT.items():
            out += f"\n# == {kind}: {about}\n" + "".join(pins[name] for name in pins if name in names[kind])
        LOCK.write_text(out)


def _pins_only(pins: dict[str, str]) -> list[str]:
    lines = [line for block in pins.values() for line in block.splitlines() if not line.startswith(" ")]
    return [line.rstrip(" \\") + "\n" for line in lines]


def _uv(show: Callable[[str], None]) -> str:
    """uv from the PATH, the environment, or installed into `.tools` for this alone."""
    own = TOOLS / "uv" / "bin" / "uv"
    venv = ROOT / ".venv" / "bin"
    for candidate in (shutil.which("uv"), venv / "uv", own):
        if candidate and Path(candidate).exists():
            return str(candidate)
    show("fetching uv, which solves")
    python = str(venv / "python")
    run([python, "-m", "pip", "install", "--only-binary", ":all:", "--target", TOOLS / "uv", "uv"], log="uv")
    return str(own)
